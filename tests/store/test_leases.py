"""Who holds an account, and that nobody else writes for it: on a real Redis, two copies side by side."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from ari_app.accounts.reading import read_account
from ari_app.errors import LeaseLost, StoreUnavailable
from ari_app.network.reach import ANYWHERE, Passage, Passages
from ari_app.service.holding import Holding
from ari_app.store.calls import CallStore
from ari_app.store.connection import ANSWER_SECONDS, connect
from ari_app.store.copies import Copies
from ari_app.store.keys import Keys
from ari_app.store.leases import (
    FRESH_SECONDS,
    LEASE_SECONDS,
    LEASES_AT_ONCE,
    PRECEDENCE_SECONDS,
    RESERVED_SECONDS,
    Held,
    Lease,
    Precedence,
    awake,
    installation,
    renew_soon,
)
from ari_app.store.ledger import Ledger
from tests.store.test_statistics import MIDNIGHT, call, step
from tests.support.accounts import account_toml

SHOP = "shop"


@dataclass
class Clock:
    """The time of a process, which a test may let go on."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


async def pass_by(redis: Redis, seconds: float) -> None:
    """Let a lease become older: what it says of its end is moved back, as if so much time had gone by."""
    key = Keys(SHOP).lease
    for field in ("until", "wanted", "heir_until"):
        value = float(await redis.hget(key, field) or 0)
        await redis.hset(key, field, str(int(value - seconds * 1000)))


async def lease_of(redis: Redis, field: str) -> str:
    found: Any = await redis.hget(Keys(SHOP).lease, field)
    return str(found.decode())


# -- to take it and to keep it -----------------------------------------------------------------------------


async def test_one_copy_holds_an_account_and_the_other_learns_who_it_is(redis: Redis) -> None:
    one, other = Lease(redis, SHOP, "one", "http://one"), Lease(redis, SHOP, "other")
    assert await one.take() is None
    held = await other.take()
    assert isinstance(held, Held)
    assert (held.holder, held.address, held.offered) == ("one", "http://one", False)
    assert 0 < held.seconds <= LEASE_SECONDS
    assert (one.held, other.held) == (True, False)
    assert await lease_of(redis, "holder") == "one"
    assert await lease_of(redis, "epoch") == str(one.epoch) == "1"


async def test_a_lease_that_is_not_renewed_is_taken_by_another_copy_as_a_new_epoch(redis: Redis) -> None:
    one, other = Lease(redis, SHOP, "one"), Lease(redis, SHOP, "other")
    assert await one.take() is None
    await pass_by(redis, LEASE_SECONDS - 1)
    assert await other.take() is not None
    await one.renew()
    await pass_by(redis, LEASE_SECONDS - 1)
    assert await other.take() is not None
    await pass_by(redis, 1.5)
    assert await other.take() is None
    assert (one.epoch, other.epoch) == (1, 2)


async def test_a_copy_whose_lease_was_taken_notices_at_its_next_renewal_and_takes_nothing_back(
    redis: Redis,
) -> None:
    one, other, lost = Lease(redis, SHOP, "one"), Lease(redis, SHOP, "other"), []
    one.on_loss = lambda: lost.append("one")
    await one.take()
    await pass_by(redis, LEASE_SECONDS + 1)
    await other.take()
    await one.renew()
    assert (one.held, lost) == (False, ["one"])
    await one.leave()
    assert await lease_of(redis, "holder") == "other"
    assert await one.take() is not None


async def test_a_copy_that_was_started_again_takes_its_account_at_once(redis: Redis) -> None:
    before, after = Lease(redis, SHOP, "one"), Lease(redis, SHOP, "one")
    await before.take()
    assert await after.take() is None
    assert after.epoch == before.epoch + 1
    await before.renew()
    assert not before.held


async def test_an_account_that_is_given_back_is_free_and_its_epochs_go_on(redis: Redis) -> None:
    one, other = Lease(redis, SHOP, "one"), Lease(redis, SHOP, "other")
    await one.take()
    await one.leave()
    assert await other.take() is None
    assert other.epoch == 2


async def test_redis_clock_that_was_set_back_makes_no_lease_last_longer(redis: Redis) -> None:
    one, other = Lease(redis, SHOP, "one"), Lease(redis, SHOP, "other")
    await one.take()
    await pass_by(redis, -3600)
    assert await other.take() is None


async def test_a_holder_knows_whether_another_copy_waits_for_the_account(redis: Redis) -> None:
    one, other = Lease(redis, SHOP, "one"), Lease(redis, SHOP, "other")
    await one.take()
    assert not await one.wanted()
    await other.take()
    assert await one.wanted()
    await pass_by(redis, 60)
    assert not await one.wanted()


async def test_a_holder_that_is_deaf_offers_the_account_to_a_copy_that_hears(redis: Redis) -> None:
    one, other = Lease(redis, SHOP, "one"), Lease(redis, SHOP, "other")
    await one.take()
    assert await other.take(able=True) is not None
    one.offer(True)
    await one.renew()
    held = await other.take()
    assert held is not None
    assert held.offered
    assert not one.fresh  # it asks before all that it does
    assert await other.take(able=True) is None
    assert not await one.still_ours()


async def test_a_holder_hands_over_to_an_heir_that_is_ready_and_nobody_else_comes_between(
    redis: Redis,
) -> None:
    one, heir, third = (Lease(redis, SHOP, name) for name in ("one", "heir", "third"))
    await one.take()
    assert not await one.name_heir("heir")
    for copy, promised in ((heir, True), (third, False)):
        held = await copy.take(able=True)
        assert held is not None
        assert held.promised is promised
    assert await one.name_heir("heir")
    assert not await one.name_heir("third")  # another one has to say so itself
    assert not await one.name_heir("heir")
    await one.leave("heir")
    for copy in (third, one):
        held = await copy.take(able=True)
        assert held is not None
        assert 0 < held.seconds <= RESERVED_SECONDS
    assert await heir.take() is None
    assert heir.epoch == 2
    held = await one.take(able=True)
    assert held is not None
    assert not held.promised


async def test_an_account_that_its_heir_does_not_come_for_is_anybodys(redis: Redis) -> None:
    one = Lease(redis, SHOP, "one")
    await one.take()
    await one.leave("heir")
    assert await one.take() is not None
    await pass_by(redis, RESERVED_SECONDS)
    assert await one.take() is None


async def test_who_lost_the_account_names_no_heir(redis: Redis) -> None:
    one, other = Lease(redis, SHOP, "one"), Lease(redis, SHOP, "other")
    await one.take()
    await pass_by(redis, LEASE_SECONDS + 1)
    await other.take()
    assert not await one.name_heir("third")
    held = await Lease(redis, SHOP, "third").take()
    assert held is not None
    assert not held.promised


async def test_all_leases_are_renewed_by_one_command_and_each_has_its_own_answer(redis: Redis) -> None:
    shops = [f"shop{number}" for number in range(LEASES_AT_ONCE)]
    ours = [Lease(redis, shop, "one") for shop in shops]
    for lease in ours:
        await lease.take()
    anothers, broken, offered = Lease(redis, shops[0], "other"), ours[1], ours[2]
    await redis.hset(Keys(shops[0]).lease, "until", "1")
    assert await anothers.take() is None
    await redis.set(Keys(shops[1]).lease, "no lease")
    offered.offer(True)
    await offered.renew()
    await redis.config_resetstat()
    renew_soon(ours)
    await asyncio.gather(*(lease.renew() for lease in ours))
    stats: dict[str, Any] = await redis.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 1
    assert [lease.held for lease in ours] == [False] + [True] * (len(ours) - 1)
    assert [lease.away for lease in ours] == [False, True] + [False] * (len(ours) - 2)
    assert broken.held
    for shop, expected in ((shops[2], b"1"), (shops[3], b"0")):
        fields: dict[Any, Any] = await redis.hgetall(Keys(shop).lease)
        assert fields[b"offered"] == expected
        assert float(fields[b"until"]) > float((await redis.time())[0]) * 1000


async def test_an_account_that_is_offered_while_its_lease_is_being_renewed_is_offered_at_once(
    redis: Redis,
) -> None:
    one, other = Lease(redis, SHOP, "one"), Lease(redis, SHOP, "other")
    await one.take()
    renewal = asyncio.create_task(one.renew())
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # it is on its way
    one.offer(True)
    await renewal
    await one.renew()
    assert await lease_of(redis, "offered") == "1"
    assert await other.take(able=True) is None


# -- whether to go on --------------------------------------------------------------------------------------


async def test_a_copy_that_was_asleep_asks_before_it_acts(redis: Redis) -> None:
    clock = Clock()
    one, other = Lease(redis, SHOP, "one", clock=clock), Lease(redis, SHOP, "other")
    await one.take()
    assert one.fresh
    clock.now += FRESH_SECONDS
    assert not one.fresh
    assert await one.still_ours()
    assert one.fresh
    clock.now += 60
    await pass_by(redis, 60)
    await other.take()
    assert not await one.still_ours()
    assert not await one.certain()


async def test_calls_go_on_while_redis_is_away_but_the_crm_is_told_nothing() -> None:
    clock = Clock()
    async with Redis(port=1) as nobody:
        lease = Lease(nobody, SHOP, "one", clock=clock)
        lease.held, lease.epoch = True, 7
        clock.now += FRESH_SECONDS
        assert await lease.still_ours()
        assert not await lease.certain()
        assert lease.held


async def test_what_fails_while_the_process_sleeps_does_not_say_that_redis_is_away() -> None:
    clock, asked, slept = Clock(), asyncio.Event(), asyncio.Event()

    async def redis_that_breaks_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await slept.wait()
        writer.close()

    server = await asyncio.start_server(redis_that_breaks_off, "127.0.0.1", 0)
    async with server, connect(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}") as redis:
        lease = Lease(redis, SHOP, "one", clock=clock)
        lease.held = True
        renewal = asyncio.create_task(lease.renew())
        await asked.wait()
        clock.now += ANSWER_SECONDS + 60
        slept.set()
        await renewal
        assert not lease.away
        await lease.renew()  # it is awake, and Redis breaks off again
        assert lease.away


async def test_the_last_holders_come_first_after_an_outage_of_redis(redis: Redis) -> None:
    clock = Clock()
    precedence, one, other = Precedence(clock), Lease(redis, SHOP, "one"), Lease(redis, SHOP, "other")
    assert not precedence.theirs
    await one.take()
    await pass_by(redis, 60)
    precedence.away()
    assert precedence.theirs
    precedence.answers()
    assert precedence.theirs
    held = await other.take(patient=True)
    assert held is not None
    assert held.seconds == 0
    await one.renew()
    assert one.held
    await pass_by(redis, 60)
    clock.now += PRECEDENCE_SECONDS
    assert not precedence.theirs
    assert await other.take() is None


async def test_a_full_redis_takes_no_account_from_its_holder(redis: Redis) -> None:
    one, other = Lease(redis, SHOP, "one", "http://one"), Lease(redis, SHOP, "other")
    await one.take()
    await other.take()
    copies = Copies(redis, "one", "http://one")
    await copies.say(1, open=True)
    await redis.config_set("maxmemory-policy", "noeviction")
    await redis.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailable):
        await CallStore(redis, SHOP).write([step(call("c1", at=MIDNIGHT))])
    for _ in range(3):
        await redis.config_set("maxmemory", 0)
        await pass_by(redis, LEASE_SECONDS - 1)
        await redis.config_set("maxmemory", 1)
        await one.renew()
        assert one.fresh
        assert not one.away
        assert await other.take() is not None
    await copies.say(2, open=True)
    assert copies.known["one"].accounts == 2
    assert not await one.name_heir("other")
    await other.take(able=True)
    assert await one.name_heir("other")
    await one.leave("other")
    assert await other.take(able=True) is None


async def test_a_redis_that_can_only_be_read_for_a_while_takes_no_account_from_its_holder(
    redis: Redis,
) -> None:
    account = read_account(account_toml())
    one, other = (Holding(redis, name, "", lambda _: None) for name in ("one", "other"))
    async with aiohttp.ClientSession() as session:
        to = Passage(ANYWHERE, session)
        passages = Passages(to, to, to)
        assert await one.take(account, passages)
        await redis.replicaof("127.0.0.1", "1")
        with pytest.raises(StoreUnavailable):
            await other.take(account, passages)
        await redis.replicaof("NO", "ONE")
        await redis.hset(Keys(account.id).lease, "until", "1")  # so long did it last
        assert not await other.take(account, passages)
        await one.lease(account.id).renew()
        assert one.lease(account.id).held
        await one.leave(account.id)


async def test_what_waited_for_a_redis_that_stood_still_takes_no_account_from_its_holder(
    redis: Redis,
) -> None:
    one, other = Lease(redis, SHOP, "one"), Lease(redis, SHOP, "other", clock=lambda: sent)
    sent = awake()
    await one.take()
    assert await other.take() is not None
    await pass_by(redis, LEASE_SECONDS + 1)
    sent -= 5  # it was sent before Redis stood still, and is read now
    assert await other.take() is not None
    await one.renew()
    assert one.held
    await pass_by(redis, LEASE_SECONDS + 1)
    assert await other.take() is None


async def test_a_free_account_is_taken_at_once_though_redis_was_away(redis: Redis) -> None:
    assert await Lease(redis, SHOP, "one").take(patient=True) is None


# -- who writes --------------------------------------------------------------------------------------------


async def test_another_epoch_writes_nothing_of_a_step(redis: Redis) -> None:
    one, other, lost = Lease(redis, SHOP, "one"), Lease(redis, SHOP, "other"), []
    one.on_loss = lambda: lost.append("one")
    await one.take()
    store = CallStore(redis, SHOP, lease=one)
    ended = call("c1", at=MIDNIGHT)
    await pass_by(redis, LEASE_SECONDS + 1)
    await store.write([step(ended)])  # late, but nobody else has it
    await other.take()
    before = await everything(redis)
    for write in (
        store.write([step(call("c2", at=MIDNIGHT))]),
        store.outbox.told([], 1.0),
        store.seen(1.0, "then"),
    ):
        with pytest.raises(LeaseLost):
            await write
    assert await everything(redis) == before
    assert lost == ["one"]
    await CallStore(redis, SHOP, lease=other).write([step(call("c2", at=MIDNIGHT))])


async def test_a_call_of_which_redis_never_heard_is_handed_in_to_whoever_holds_the_account(
    redis: Redis,
) -> None:
    one, other = Lease(redis, SHOP, "one"), Lease(redis, SHOP, "other")
    await one.take()
    known, unheard_of = step(call("c1", at=MIDNIGHT)), step(call("c2", at=MIDNIGHT))
    store = CallStore(redis, SHOP, lease=one)
    await store.write([known])
    await pass_by(redis, LEASE_SECONDS + 1)
    await other.take()
    before = await everything(redis)
    await store.hand_in([known])
    assert await everything(redis) == before
    for _ in range(2):  # its answer was lost
        await store.hand_in([unheard_of])
    holder = CallStore(redis, SHOP, lease=other)
    assert [late.id for late in await holder.take_late()] == ["c2"]
    assert await holder.take_late() == []
    assert {ended.id for ended in await holder.ended(10)} == {"c1", "c2"}
    with pytest.raises(LeaseLost):
        await CallStore(redis, SHOP, lease=one).write([unheard_of])


async def test_a_caller_whom_the_next_holder_has_found_is_not_handed_in_but_one_whom_it_has_not(
    redis: Redis,
) -> None:
    one, other = Lease(redis, SHOP, "one"), Lease(redis, SHOP, "other")
    await one.take()
    store = CallStore(redis, SHOP, lease=one)
    await pass_by(redis, LEASE_SECONDS + 1)
    await other.take()
    holder = CallStore(redis, SHOP, lease=other)
    anna, vera, found = (
        step(replace(one_call, caller=replace(one_call.caller, id=channel)))
        for one_call, channel in (
            (call("c1", at=MIDNIGHT), "anna"),
            (call("c2", at=MIDNIGHT), "vera"),
            (call("c3", at=MIDNIGHT), "anna"),
        )
    )
    await holder.write([replace(found, line=replace(found.line, before=None))])
    for unanswered in (anna, vera):
        await store.hand_in([unanswered], unless_found=True)
    assert [late.id for late in await holder.take_late()] == ["c2"]


async def test_the_same_copy_started_again_does_not_take_what_its_former_self_writes(redis: Redis) -> None:
    before, after = Lease(redis, SHOP, "one"), Lease(redis, SHOP, "one")
    await before.take()
    await after.take()
    with pytest.raises(LeaseLost):
        await CallStore(redis, SHOP, lease=before).write([step(call("c1", at=MIDNIGHT))])


async def test_steps_that_wait_for_redis_are_not_written_when_another_copy_has_the_account(
    redis: Redis,
) -> None:
    one, other = Lease(redis, SHOP, "one"), Lease(redis, SHOP, "other")
    lost = asyncio.Event()
    one.on_loss = lost.set
    await one.take()
    ledger = Ledger(CallStore(redis, SHOP, lease=one), SHOP)
    await pass_by(redis, LEASE_SECONDS + 1)
    await other.take()
    before = await everything(redis)
    running = asyncio.create_task(ledger.run())
    await ledger.write(step(call("c1", at=MIDNIGHT)))
    async with asyncio.timeout(10):
        await lost.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await everything(redis) == before


async def test_a_script_that_redis_has_forgotten_is_loaded_again(redis: Redis) -> None:
    lease = Lease(redis, SHOP, "one")
    await lease.take()
    store = CallStore(redis, SHOP, lease=lease)
    await store.write([step(call("c1", at=MIDNIGHT))])
    await redis.script_flush()
    await store.write([step(call("c2", at=MIDNIGHT))])
    await lease.renew()
    assert lease.held
    assert {found.id for found in await store.ended(10)} == {"c1", "c2"}


async def test_a_step_is_one_command_and_the_script_travels_once(redis: Redis) -> None:
    lease = Lease(redis, SHOP, "one")
    await lease.take()
    store = CallStore(redis, SHOP, lease=lease)
    await store.write([step(call("c1", at=MIDNIGHT))])
    await redis.config_resetstat()
    await store.write([step(call(f"c{number}", at=MIDNIGHT)) for number in range(2, 20)])
    stats: dict[str, Any] = await redis.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 1
    assert "cmdstat_eval" not in stats
    assert "cmdstat_multi" not in stats


async def test_an_installation_has_one_name_whoever_asks(redis: Redis) -> None:
    first, second = await asyncio.gather(installation(redis), installation(redis))
    assert first == second
    assert await installation(redis) == first


async def test_nothing_is_taken_while_redis_is_away() -> None:
    async with connect("redis://127.0.0.1:1") as nobody:
        lease = Lease(nobody, SHOP, "one")
        with pytest.raises(StoreUnavailable):
            await lease.take()
        assert not lease.held


async def everything(redis: Redis) -> dict[bytes, Any]:
    keys: Any = await redis.keys()
    return {key: await redis.dump(key) for key in sorted(keys) if not key.endswith(b":lease")}
