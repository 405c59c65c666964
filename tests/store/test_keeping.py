"""What happens to calls that are too old, and to what belongs to them."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from ari_app.asterisk.recordings import RecordingStore
from ari_app.calls.call import Call, Recording, RecordingState, Stage
from ari_app.calls.happenings import ServiceStopping
from ari_app.calls.journal import JournalLine, OutboxEntry
from ari_app.calls.orders import TellHangup, TellResult
from ari_app.calls.outcome import Ending
from ari_app.demo.crm.simulator import SimulatedCrm
from ari_app.service import retention
from ari_app.service.retention import Keeping
from ari_app.store.calls import CallStore, Step
from ari_app.store.keys import Keys
from tests.cabinet.shop import ReportingShop
from tests.store.test_statistics import MIDNIGHT, call, read, write

DAY = 86_400.0
NOW = MIDNIGHT + 100 * DAY
OLD, YOUNG = NOW - 31 * DAY, NOW - 29 * DAY


@pytest.fixture
def recordings(tmp_path: Path) -> RecordingStore:
    return RecordingStore(tmp_path / "recordings", "k" * 32)


@pytest.fixture
def store(redis: Redis) -> CallStore:
    return CallStore(redis, "shop")


@pytest.fixture
def keeping(store: CallStore, recordings: RecordingStore) -> Keeping:
    return Keeping(lambda: [store], recordings, 30, lambda: NOW, pause=0)


def recorded(recordings: RecordingStore, call_id: str, at: float, kind: str = "wav") -> Call:
    """A call whose recording lies in our store."""
    name = recordings.name_of(call_id, kind)
    recordings.path_of(name).parent.mkdir(parents=True, exist_ok=True)
    recordings.path_of(name).write_bytes(b"sound")
    return call(call_id, at, recording=Recording(RecordingState.STORED, file=name))


def files(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "recordings").rglob("*.*")]


async def kept(store: CallStore) -> set[str]:
    return {one.id for one in await store.ended(1000)}


async def test_a_call_goes_at_its_age_with_all_that_is_said_of_it(
    redis: Redis, store: CallStore, recordings: RecordingStore, keeping: Keeping, tmp_path: Path
) -> None:
    old = [recorded(recordings, "old", OLD), recorded(recordings, "old too", OLD, "mp3")]
    young = recorded(recordings, "young", YOUNG)
    await write(store, *old, young)
    refused = TellHangup(OLD, "+79161234567", None, ("101",), Ending.ANSWERED)
    await store.outbox.refused(OutboxEntry("1-1", "old", refused), OLD, "400 wrong phone")
    before = await read(redis)
    assert await keeping.let_go(store) == 2
    assert await kept(store) == {"young"}
    assert files(tmp_path) == [young.recording.file]
    assert [one.id for one in await store.ended(10, number="+79161234567")] == ["young"]
    assert await store.outbox.refusals() == []
    assert await store.journal("old") == []
    assert [key async for key in redis.scan_iter(match="*old*")] == []
    assert (await read(redis)).days == before.days


async def test_a_trial_goes_after_two_days_with_its_recording(
    redis: Redis, store: CallStore, recordings: RecordingStore, keeping: Keeping, tmp_path: Path
) -> None:
    old = replace(recorded(recordings, "old", NOW - 2.1 * DAY), trial="101")
    young = replace(recorded(recordings, "young", NOW - 1.9 * DAY), trial="101")
    await write(store, old, young)
    assert (await read(redis)).days == {}
    assert await keeping.let_go(store) == 1
    assert [one.id for one in await store.trials(10)] == ["young"]
    assert files(tmp_path) == [young.recording.file]
    assert [key async for key in redis.scan_iter(match="*old*")] == []


async def test_an_account_may_want_its_calls_kept_for_less_than_the_service_keeps_them(
    store: CallStore, recordings: RecordingStore, tmp_path: Path
) -> None:
    keeping = Keeping(
        lambda: [store], recordings, 30, lambda: NOW, pause=0, own_days={"shop": 10, "other": 50}.get
    )
    other = CallStore(store._redis, "other")
    calls = [recorded(recordings, f"{days} days", NOW - days * DAY) for days in (9, 11, 29, 31)]
    await write(store, *calls)
    await write(other, call("other's", NOW - 29 * DAY), call("other's old", NOW - 31 * DAY))
    assert (await keeping.let_go(store), await keeping.let_go(other)) == (3, 1)
    assert await kept(store) == {"9 days"}
    assert files(tmp_path) == [calls[0].recording.file]
    assert await kept(other) == {"other's"}


async def test_what_the_crm_is_still_to_be_told_or_heard_just_now_stays(
    store: CallStore, recordings: RecordingStore, keeping: Keeping, tmp_path: Path
) -> None:
    old = [recorded(recordings, name, OLD) for name in ("waits", "told just now", "told long ago")]
    told = TellResult(OLD, OLD, "+79161234567", None, "101", Ending.ANSWERED, 5, 60, old[0].recording.file)
    for one in old:
        await store.write(
            [Step(one, JournalLine(OLD, one.id, Stage.TALKING, one.stage, ServiceStopping(OLD), (told,)))]
        )
    entries = {entry.call: entry for entry in await store.outbox.read() if isinstance(entry, OutboxEntry)}
    await store.outbox.told([entries["told just now"]], NOW - 3600)
    await store.outbox.told([entries["told long ago"]], OLD + 60)
    assert await keeping.let_go(store) == 1
    assert await kept(store) == {"waits", "told just now"}
    assert len(files(tmp_path)) == 2


async def test_a_call_that_goes_on_stays_however_old_it_is(
    store: CallStore, keeping: Keeping, recordings: RecordingStore, tmp_path: Path
) -> None:
    live = replace(recorded(recordings, "live", OLD), stage=Stage.TALKING)
    await write(store, live)
    assert await keeping.let_go(store) == 0
    assert [one.id for one in await store.live()] == ["live"]
    assert len(files(tmp_path)) == 1


async def test_a_recording_that_cant_be_removed_keeps_its_call(
    store: CallStore, keeping: Keeping, recordings: RecordingStore
) -> None:
    recordings.path_of(recordings.name_of("old")).mkdir(parents=True)
    await write(store, call("old", OLD))
    with pytest.raises(OSError, match="directory"):
        await keeping.let_go(store)
    assert await kept(store) == {"old"}


async def test_many_go_in_portions_and_those_that_stay_are_not_in_the_way(
    store: CallStore, keeping: Keeping
) -> None:
    calls = [call(f"c{number:03}", OLD - number) for number in range(250)]
    for one in calls:
        touched = NOW if one.id.endswith("0") else OLD
        await store.write(
            [Step(one, JournalLine(touched, one.id, None, one.stage, ServiceStopping(touched)))]
        )
    assert await keeping.let_go(store) == 225
    assert await kept(store) == {one.id for one in calls if one.id.endswith("0")}
    assert await keeping.let_go(store) == 0


async def test_a_service_at_work_lets_old_calls_go(
    redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(retention, "LOOK_SECONDS", 0.01)
    async with SimulatedCrm() as crm:
        shop = ReportingShop(crm, redis, tmp_path, lambda: NOW)
        await shop.apply()
        await write(shop.calls, call("old", NOW - 3 * DAY), call("young", NOW - DAY))
        await shop.start(keep_calls_days=2)
        try:
            async with asyncio.timeout(60):
                while await kept(shop.calls) != {"young"}:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        finally:
            await shop.stop()


async def test_calls_from_before_there_were_statistics_are_counted_in_the_background_once(
    redis: Redis, store: CallStore, keeping: Keeping
) -> None:
    calls = [call(f"c{number}", MIDNIGHT + number) for number in range(250)]
    await write(store, *calls)
    counted = (await read(redis)).days
    async for key in redis.scan_iter(match=Keys("shop").statistics("*")):
        await redis.delete(key)
    for one in calls:
        state: Any = await redis.get(Keys("shop").call(one.id))
        await redis.set(Keys("shop").call(one.id), b"{" + state[state.index(b'"id"') :])
    await keeping.count_old(store)
    assert (await read(redis)).days == counted
    assert await store.all_counted()
    await keeping.count_old(store)
    assert (await read(redis)).days == counted
