"""What another version has stored, and this one does not know: left out with one line in the log."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from ari_app.accounts.reading import read_account
from ari_app.calls.journal import UnreadableEntry
from ari_app.calls.orders import TellResult
from ari_app.store.accounts import Accounts
from ari_app.store.calls import CallStore
from ari_app.store.events import EventStore, What
from ari_app.store.keys import ACCOUNTS, Keys
from tests.support.accounts import account_toml
from tests.support.history import HISTORY, put_ended, put_live, put_outbox

KNOWN = next(one for one in HISTORY if one.name == "known_customer_answered")
OTHER = next(one for one in HISTORY if one.name == "blind_transfer")
TALKING = KNOWN.live["talking"]
KEYS = Keys("shop")


def changed(stored: bytes, **fields: Any) -> bytes:
    """Change some fields of what was stored."""
    return orjson.dumps(orjson.loads(stored) | fields)


UNREADABLE = {
    "a stage": changed(TALKING.state, stage="levitating"),
    "a role": changed(TALKING.state, caller=orjson.loads(TALKING.state)["caller"] | {"role": "robot"}),
    "a timer": changed(TALKING.state, timers=[{"name": "tea", "due": 1.0}]),
    "nothing": b"{}",
    "no JSON": b"\x80oops",
}


async def stored_by_a_newer_version(redis: Redis, **sections: Any) -> tuple[Accounts, str]:
    """Have a shop with settings that this version has no field for, or no such value of."""
    account = read_account(account_toml(extensions=("101", "102"), calls={"fallback": "group:101"}))
    await Accounts(redis, "key").apply(account, keep_client_id=True)
    stored = orjson.loads(await redis.hget(ACCOUNTS, account.id) or b"")
    for name, fields in sections.items():
        stored[name] = {**stored.get(name, {}), **fields} if isinstance(fields, dict) else fields
    stored["extensions"][1]["hat"] = "bowler"
    await redis.hset(ACCOUNTS, account.id, orjson.dumps(stored))
    return Accounts(redis, "key"), account.id


async def test_a_shop_is_served_without_the_settings_that_only_a_newer_version_has(redis: Redis) -> None:
    strange = {
        "calls": {"recording_format": "opus", "mood": "merry", "record": False},
        "missed": {"notify": "everybody"},
        "fax": {"number": "+74951234567"},
        "motto": "On we ring",
    }
    accounts, name = await stored_by_a_newer_version(redis, **strange)
    before = await redis.hget(ACCOUNTS, name)
    with capture_logs() as log:
        for _ in range(2):
            [account] = await accounts.all()
    assert account.codes == frozenset(("101", "102"))
    assert account.calls.fallback == "group:101"
    assert (account.calls.record, account.calls.recording_format) == (False, "wav")
    assert account.crm.api_key.get_secret_value() == "key"
    [line] = log
    assert sorted(line["what"]) == [
        *("calls.mood", "calls.recording_format", "extensions.1.hat", "fax", "missed.notify", "motto"),
    ]
    assert await redis.hget(ACCOUNTS, name) == before


async def test_a_shop_whose_destination_is_not_known_is_served_without_it(redis: Redis) -> None:
    accounts, _ = await stored_by_a_newer_version(redis, calls={"fallback": "carrier-pigeon:1"})
    [account] = await accounts.all()
    assert account.calls.fallback == ""
    assert account.codes == frozenset(("101", "102"))


async def test_a_shop_of_which_more_cannot_be_read_is_left_alone_and_hides_no_other(redis: Redis) -> None:
    accounts, name = await stored_by_a_newer_version(redis, pbx={"host": "no host"})
    other = read_account(account_toml(crm={"url": "https://o.retailcrm.ru"}, pbx={"stasis_app": "other"}))
    with capture_logs() as log:
        await accounts.apply(other, keep_client_id=True)
        assert [account.id for account in await accounts.all()] == [other.id]
        assert await accounts.names() == sorted((other.id, name))
    assert [line["log_level"] for line in log] == ["error"]


async def test_a_field_that_is_not_known_is_left_out(redis: Redis) -> None:
    call = TALKING.call
    await redis.set(KEYS.call(call.id), changed(TALKING.state, mood="merry"))
    await redis.sadd(KEYS.live, call.id)
    with capture_logs() as log:
        assert await CallStore(redis, "shop").live() == [call]
    assert log == []


@pytest.mark.parametrize("state", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_call_that_cannot_be_read_stays_as_it_is_and_hides_no_other(
    redis: Redis, state: bytes
) -> None:
    await put_live(redis, "shop", [TALKING, OTHER.live["talking"]])
    await put_ended(redis, "shop", OTHER)
    await put_ended(redis, "shop", KNOWN)
    await redis.set(KEYS.call(KNOWN.call.id), state)
    store = CallStore(redis, "shop")
    with capture_logs() as log:
        for _ in range(2):
            assert [call.id for call in await store.live()] == [OTHER.call.id]
        assert await store.get(KNOWN.call.id) is None
        assert [call.id for call in await store.ended(10)] == [OTHER.call.id]
        assert [call.id async for call in store.walk()] == [OTHER.call.id]
        await store.count_old([KNOWN.call, OTHER.call])
    [line] = log
    assert (line["log_level"], line["call"]) == ("error", KNOWN.call.id)
    assert "79161234567" not in str(line)
    assert await redis.get(KEYS.call(KNOWN.call.id)) == state
    assert await redis.sismember(KEYS.live, KNOWN.call.id)


async def test_of_a_journal_what_is_not_known_is_left_out(redis: Redis) -> None:
    lines = [orjson.loads(line) for line in KNOWN.journal]
    lines[0]["orders"].append({"kind": "Sing", "song": "Катюша"})
    lines[1]["event"] |= {"kind": "CustomerWhispered"}
    lines[2]["after"] = "levitating"
    lines[3]["event"]["mood"] = "merry"
    journal = [b"oops", *map(orjson.dumps, lines)]
    call = KNOWN.call
    await redis.rpush(KEYS.journal(call.id), *journal)
    store = CallStore(redis, "shop")
    with capture_logs() as log:
        read = await store.journal(call.id)
        await store.journal(call.id)
    assert [line.at for line in read] == [line["at"] for line in (lines[0], *lines[3:])]
    assert len(read[0].orders) == len(lines[0]["orders"]) - 1
    [said] = log
    assert said["what"] == "CustomerWhispered, Sing, a line of the journal"
    assert await store.settled([call], before=read[-1].at + 1) == [call]
    assert await store.settled([call], before=read[-1].at) == []


async def test_of_an_outbox_what_cannot_be_read_is_given_as_such_and_set_aside(redis: Redis) -> None:
    await redis.xadd(KEYS.outbox, {"call": "c1", "tell": b'{"kind":"TellTheWorld","at":1.0}'})
    await redis.xadd(KEYS.outbox, {"call": "c2", "tell": changed(KNOWN.outbox[-1][1], ending="in tears")})
    await redis.xadd(KEYS.outbox, {"call": "c3", "tell": b"oops"})
    await redis.xadd(KEYS.outbox, {"what": "ever"})
    await put_outbox(redis, "shop", KNOWN)
    store = CallStore(redis, "shop")
    *odd, _, _, last = await store.outbox.read()
    assert not isinstance(last, UnreadableEntry)
    assert isinstance(last.tell, TellResult)
    for at, entry in enumerate(odd):
        assert isinstance(entry, UnreadableEntry)
        await store.outbox.set_aside(entry, float(at))
    assert len(await store.outbox.read()) == 3
    refusals = await store.outbox.refusals()
    assert [(refusal.call, refusal.tell) for refusal in refusals] == [
        ("c1", None),
        ("c2", None),
        ("c3", None),
        ("", None),
    ]
    assert "TellTheWorld" in refusals[0].problem
    events, _ = await EventStore(redis, "shop").newest(10)
    assert {event.what for event in events} == {What.UNREADABLE}
    assert await store.outbox.send_again(refusals[0].id) == "c1"
    again = (await store.outbox.read())[-1]
    assert isinstance(again, UnreadableEntry)
    assert orjson.loads(again.stored) == {"kind": "TellTheWorld", "at": 1.0}


async def test_of_the_refused_what_cannot_be_read_is_listed_without_its_words(redis: Redis) -> None:
    data = {"id": "1-1", "call": "c1", "at": 1.0, "problem": "no", "tell": {"kind": "TellTheWorld"}}
    await redis.hset(KEYS.refused, mapping={"1-1": orjson.dumps(data), "1-2": b"oops"})
    store = CallStore(redis, "shop")
    with capture_logs() as log:
        [refusal] = await store.outbox.refusals()
    assert (refusal.id, refusal.call, refusal.tell, refusal.problem) == ("1-1", "c1", None, "no")
    assert len(log) == 1
