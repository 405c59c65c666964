"""Reports of calls and a Redis that fails: what was kept is told, what wasn't may be sent again."""

import asyncio
from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from ari_app.accounts.current import Current
from ari_app.accounts.reading import read_account
from ari_app.bounded import Allowance
from ari_app.calls.call import AsGiven, Direction
from ari_app.calls.journal import OutboxEntry
from ari_app.calls.orders import TellHangup, TellResult, TellRinging
from ari_app.calls.outcome import Ending
from ari_app.calls.reported import EndReported, RingingReported
from ari_app.errors import StoreUnavailable
from ari_app.service.changes import Changes
from ari_app.service.reported import ReportedCalls, Taken
from ari_app.store.calls import CallStore, Step
from tests.unit.test_clicks import ACCOUNT

CHANNEL = "1700000000.42"
RINGS = RingingReported(100.0, CHANNEL, Direction.IN, "+79161234567", None, ("101",))
ENDS = EndReported(
    170.0, CHANNEL, Direction.IN, "+79161234567", None, "101", Ending.ANSWERED, 5, 61, AsGiven()
)


class LosesAnswers(CallStore):
    """A Redis that does what it is asked, and whose answer to a write gets lost."""

    lost = 1

    async def write(self, steps: Sequence[Step]) -> list[OutboxEntry]:
        entries = await super().write(steps)
        if self.lost:
            self.lost -= 1
            raise StoreUnavailable("the answer was lost")
        return entries


def reported(store: CallStore, told: list[Sequence[OutboxEntry] | None] | None = None) -> ReportedCalls:
    return ReportedCalls(
        Current(read_account(ACCOUNT)),
        store,
        lambda _: False,
        told.append if told is not None else lambda _: None,
        Changes(),
        lambda: 100.0,
        Allowance(20, 60),
    )


async def test_what_was_kept_is_told_though_nobody_was_told_that_it_is_kept(redis: Redis) -> None:
    store, told = LosesAnswers(redis, "shop"), list[Sequence[OutboxEntry] | None]()
    calls = reported(store, told)
    with pytest.raises(StoreUnavailable):
        await calls.take(RINGS)
    assert told == [None]
    assert await calls.take(RINGS) is Taken.REPEATED
    assert [type(entry.tell) for entry in await store.outbox.read()] == [TellRinging]


async def test_reports_that_come_at_the_same_moment_are_taken_one_after_the_other(redis: Redis) -> None:
    store = CallStore(redis, "shop")
    calls = reported(store)
    taken = await asyncio.gather(*(calls.take(report) for report in (RINGS, ENDS) * 10))
    assert taken.count(Taken.NEW) == 2
    assert [type(entry.tell) for entry in await store.outbox.read()] == [TellRinging, TellHangup, TellResult]


async def test_a_channels_id_can_be_anything(redis: Redis) -> None:
    calls = reported(CallStore(redis, "shop"))
    ids = {calls.id_of(channel) for channel in ("1.1", "1.2", "*", "{}", "a b\n", "x" * 10_000)}
    assert len(ids) == 6
    assert all(ident.removeprefix("reported-").isalnum() and len(ident) == 41 for ident in ids)
