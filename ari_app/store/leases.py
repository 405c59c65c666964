"""Who holds an account: one copy of the service at a time, by a lease in Redis that it keeps renewing.

Each time that a lease is taken has a number of its own, the epoch. Whatever is written for the account is
written under it (`ari_app.store.writing`) and refused when it is not the lease's any more. How long a lease
lasts is measured by Redis' clock alone, so the copies' clocks may differ.

A holder is known by its data folder: started again after a crash it is the same holder, and takes the lease
at once, as a new epoch.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis

from ari_app.errors import StoreUnavailable
from ari_app.store.connection import ANSWER_SECONDS, ask
from ari_app.store.keys import INSTALLATION, RUNNING, Keys

log = structlog.get_logger(__name__)

LEASE_SECONDS = 4.0
RENEW_SECONDS = 1.0
LEASES_AT_ONCE = 100
"""So many leases are renewed by one script call at most: Redis does nothing else meanwhile."""
FRESH_SECONDS = 2.5
"""So long after it was renewed nobody else can hold the account; then its holder asks before it acts."""
WAITS_SECONDS = 3.0
"""A copy that wanted the account so shortly ago takes it over when it is handed over."""
RESERVED_SECONDS = 2.0
"""An account that was handed over to a copy is kept for it so long; then whoever wants it may take it."""
PRECEDENCE_SECONDS = 2.0
"""After an outage of Redis the last holder may take its accounts again before others may."""
LATE_SECONDS = 1.0
"""What has waited so long for Redis takes no other copy's account: its holder may have waited as long."""
RUNNING_SECONDS = 10

NEEDS_NO_ROOM = "redis.call('HDEL', KEYS[1], '')\n"
"""Lua, before the first write to a hash of a script: a Redis whose memory is full lets it write all the same.

Whether there is room it asks before a script's first write, and only of commands that may take some.
"""

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('HMGET', KEYS[1], 'holder', 'epoch', 'until', 'address', 'offered', 'wanted',
  'heir', 'heir_until', 'heir_ready')
local holder, epoch = found[1] or '', tonumber(found[2] or '0')
local left = tonumber(found[3] or '0') - now
local length = tonumber(ARGV[2])
local heir, heirs = found[7] or '', tonumber(found[8] or '0') - now
if heirs <= 0 or heirs > length then heir = '' end
"""
_MINE = """
if holder ~= ARGV[1] or epoch ~= tonumber(ARGV[3]) then return 0 end
"""
_TAKE = (
    _NOW
    + NEEDS_NO_ROOM
    + """
local free = holder == '' or holder == ARGV[1]
local over = left <= 0 or left > length
local kept = holder == '' and heir ~= '' and heir ~= ARGV[1]
if kept then left = heirs end
local late = ARGV[6] ~= '' and now - tonumber(ARGV[6]) > tonumber(ARGV[7])
local left_to_us = (over and ARGV[4] == '') or (found[5] == '1' and ARGV[5] == '1')
if kept or not (free or (left_to_us and not late)) then
  redis.call('HSET', KEYS[1], 'wanted', now, 'wanted_by', ARGV[1])
  if heir == ARGV[1] and ARGV[5] == '1' then redis.call('HSET', KEYS[1], 'heir_ready', '1') end
  return {0, over and not kept and 0 or left, holder, found[4] or '', found[5] == '1' and 1 or 0,
    heir == ARGV[1] and 1 or 0, string.format('%.0f', now)}
end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'epoch', epoch + 1, 'until', now + length, 'address', ARGV[3],
  'offered', '0', 'wanted', '0', 'heir', '')
return {epoch + 1}
"""
)
"""Lua. Holder, length (ms), address, whether another one's is to be left alone though it is over, and whether
who asks reaches the PBX: then it may have what is offered, and is ready for what it is the heir of. What was
taken before it was left is taken at once.

Then when it was sent, by Redis' clock, where that is known, and how long ago that may be (ms). What a Redis
that stood still finds waiting takes nothing from anybody: its holder could not renew it.
"""
_NAME_HEIR = (
    _NOW
    + _MINE
    + NEEDS_NO_ROOM
    + """
local ready = heir == ARGV[4] and found[9] == '1'
redis.call('HSET', KEYS[1], 'heir', ARGV[4], 'heir_until', now + length, 'heir_ready', ready and '1' or '0')
return ready and 1 or 0
"""
)
"""Lua. Holder, length (ms), epoch, heir. Says whether the heir waits for it and reaches the PBX."""
_RENEW = """
local time = redis.call('TIME')
local ends = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[2])
local function renew(key, epoch, offered)
  local found = redis.call('HMGET', key, 'holder', 'epoch')
  if found[1] ~= ARGV[1] or found[2] ~= epoch then return 0 end
  redis.call('HDEL', key, '')
  redis.call('HSET', key, 'until', ends, 'offered', offered)
  return 1
end
local answers = {}
for index, key in ipairs(KEYS) do
  local done, ours = pcall(renew, key, ARGV[2 * index + 1], ARGV[2 * index + 2])
  answers[index] = done and ours or -1
end
return answers
"""
"""Lua. Holder, length (ms), then for each lease (the keys) its epoch, and whether it is offered. For each it
gives 1 if it is renewed, 0 if it is another's, -1 if Redis could not say: one that it can't read, or write,
is in no other's way. `HDEL` is `NEEDS_NO_ROOM`.
"""
_LEAVE = (
    _NOW
    + _MINE
    + NEEDS_NO_ROOM
    + """
redis.call('HSET', KEYS[1], 'holder', '', 'until', '0', 'offered', '0', 'heir', ARGV[4],
  'heir_until', now + tonumber(ARGV[5]))
return 1
"""
)
_RENEWED, _ANOTHERS = 1, 0
_WANTED = _NOW + "return {now - tonumber(found[6] or '0'), redis.call('HGET', KEYS[1], 'wanted_by') or ''}"


def awake() -> float:
    """Give a moment in seconds that goes on while the process, or its machine, sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Held:
    """An account is another copy's."""

    holder: str
    address: str
    seconds: float
    """How long its lease lasts if it isn't renewed; 0 when it is over and its holder comes first."""
    offered: bool
    """Its holder can't reach the PBX, and leaves it to whoever can."""
    promised: bool = False
    """Its holder hands it over to us, if we reach the PBX."""


class Lease:
    """One copy's claim to one account. `holder` names the copy, `address` says where others find it.

    `on_loss` is called once, without waiting, when the account is another's.
    """

    def __init__(
        self, redis: Redis, account: str, holder: str, address: str = "", clock: Callable[[], float] = awake
    ) -> None:
        self.account = account
        self.holder = holder
        self.epoch = 0
        self.held = False
        self.on_loss: Callable[[], None] = lambda: None
        self._key = Keys(account).lease
        self._address = address
        self._clock = clock
        self._take = redis.register_script(_TAKE)
        self._renew = redis.register_script(_RENEW)
        self._name_heir = redis.register_script(_NAME_HEIR)
        self._leave = redis.register_script(_LEAVE)
        self._wanted = redis.register_script(_WANTED)
        self._asked = self._failed = -1e9
        self._ahead: float | None = None
        """By how many seconds Redis' clock is ahead of ours."""
        self._renewal: asyncio.Task[None] | None = None
        self._offered = False
        self._log = log.bind(account=account)

    # -- to have and to lose it -----------------------------------------------------------------------------

    async def take(self, *, patient: bool = False, able: bool = False) -> Held | None:
        """Take the account if nobody has it; else say who does.

        `patient` leaves a lease alone that is over but was another copy's; `able` says that we reach the PBX:
        that takes a lease that is offered, and lets a holder that means to hand it over to us do so.

        Raises:
            StoreUnavailable: it isn't ours, as far as is known.
        """
        asked = self._clock()
        sent = "" if self._ahead is None else str(int((asked + self._ahead) * 1000))
        said = await ask(
            self._take(
                keys=[self._key],
                args=(
                    self.holder,
                    int(LEASE_SECONDS * 1000),
                    self._address,
                    "1" if patient else "",
                    "1" if able else "",
                    sent,
                    int(LATE_SECONDS * 1000),
                ),
            )
        )
        if said[0] == 0:
            self._ahead = int(said[6]) / 1000 - self._clock()
            return Held(said[2].decode(), said[3].decode(), said[1] / 1000, bool(said[4]), bool(said[5]))
        self.epoch, self.held, self._asked, self._offered = int(said[0]), True, asked, False
        return None

    def lose(self, why: str) -> None:
        """Know that it is another's: all that is done for the account ends here."""
        if not self.held:
            return
        self.held = False
        self._log.warning("the account is let go", why=why)
        self.on_loss()

    async def name_heir(self, heir: str) -> bool:
        """Promise it to another copy; tell whether that one waits for it and reaches the PBX.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        args = (self.holder, int(LEASE_SECONDS * 1000), self.epoch, heir)
        return bool(await ask(self._name_heir(keys=[self._key], args=args)))

    async def leave(self, heir: str = "") -> None:
        """Give it back, if it is ours still; for a moment only the `heir` may take it then.

        Raises:
            StoreUnavailable: it may be ours still, until it is over.
        """
        self.held = False
        lengths = (int(LEASE_SECONDS * 1000), int(RESERVED_SECONDS * 1000))
        args = (self.holder, lengths[0], self.epoch, heir, lengths[1])
        await ask(self._leave(keys=[self._key], args=args))

    async def wanted(self) -> str | None:
        """Name a copy that waits for the account; None when there is none.

        Raises:
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        since, who = await ask(self._wanted(keys=[self._key], args=("", 0)))
        return who.decode() if int(since) < WAITS_SECONDS * 1000 else None

    def offer(self, offered: bool) -> None:
        """Let whoever can reach the PBX take it: we can't, or can again."""
        if offered is not self._offered:
            self._offered = offered
            if self.held:
                renew_soon([self])

    # -- whether it is ours ----------------------------------------------------------------------------------

    @property
    def fresh(self) -> bool:
        """Whether it is certain that nobody else holds the account, without asking."""
        return self.held and not self._offered and self._clock() - self._asked < FRESH_SECONDS

    @property
    def away(self) -> bool:
        """Whether Redis has just failed to answer."""
        return self._clock() - self._failed < RENEW_SECONDS + ANSWER_SECONDS + 1.0

    async def still_ours(self) -> bool:
        """Tell whether to go on with a call: asked when a renewal is overdue, but not while Redis is away."""
        while self.held and not self.fresh and not self.away:
            asked = self._clock()
            await self.renew()
            if self._asked >= asked:
                break
        return self.held

    async def certain(self) -> bool:
        """Tell whether nobody else can hold the account at this moment; False when Redis can't say."""
        while self.held and not self.fresh:
            if self.away:
                return False
            asked = self._clock()
            await self.renew()
            if self._asked >= asked:
                break
        return self.held

    async def ask_first(self) -> bool:
        """Tell whether to take the PBX: asked though Redis was away a moment ago; while it is, it is ours."""
        if self.held and not self.fresh:
            await self.renew()
        return self.held

    async def renew(self) -> None:
        """Renew it now, whoever else asks for that at the same time; never raises."""
        renew_soon([self])
        if self._renewal is not None:
            await asyncio.shield(self._renewal)

    def _answered(self, asked: float, epoch: int, answer: int) -> None:
        if not self.held or epoch != self.epoch:
            return
        if answer == _RENEWED:
            self._asked = asked
        elif answer == _ANOTHERS:
            self.lose("another copy holds it")
        else:
            self._unanswered(asked)

    def _unanswered(self, asked: float) -> None:
        now = self._clock()
        if now - asked < ANSWER_SECONDS + 0.5:  # else we were asleep, not Redis away
            self._failed = now


def renew_soon(leases: Iterable[Lease]) -> None:
    """Begin to renew leases of one copy, many in one script call, but for those that are being renewed."""
    due = [lease for lease in leases if lease._renewal is None]
    for begin in range(0, len(due), LEASES_AT_ONCE):
        together = due[begin : begin + LEASES_AT_ONCE]
        task = asyncio.create_task(_renew(together), name="leases are renewed")
        for lease in together:
            lease._renewal = task


async def _renew(leases: Sequence[Lease]) -> None:
    one = leases[0]
    asked, epochs = one._clock(), [lease.epoch for lease in leases]
    offers = [lease._offered for lease in leases]
    args: list[str | int] = [one.holder, int(LEASE_SECONDS * 1000)]
    for epoch, offered in zip(epochs, offers, strict=True):
        args += (epoch, "1" if offered else "0")
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answers = await ask(one._renew(keys=[lease._key for lease in leases], args=args))
    except (StoreUnavailable, TimeoutError):
        for lease in leases:
            lease._unanswered(asked)
    else:
        told = sorted(zip(answers, leases, epochs, strict=True), key=lambda one: one[0] == _ANOTHERS)
        for answer, lease, epoch in told:  # those that are lost come last: others do something at that
            lease._answered(asked, epoch, answer)
    finally:
        for lease in leases:
            lease._renewal = None
        changed = zip(leases, offers, strict=True)
        renew_soon([lease for lease, offered in changed if lease.held and lease._offered is not offered])


class Precedence:
    """Whether the last holders of accounts come first: Redis was away until a moment ago."""

    def __init__(self, clock: Callable[[], float] = awake) -> None:
        self._clock = clock
        self._away = False
        self._back_at = -1e9

    def away(self) -> None:
        """Redis doesn't answer."""
        self._away = True

    def answers(self) -> None:
        """Redis answers."""
        if self._away:
            self._away, self._back_at = False, self._clock()

    @property
    def theirs(self) -> bool:
        """Whether an account that was another copy's is left to it for a moment."""
        return self._away or self._clock() - self._back_at < PRECEDENCE_SECONDS


async def say_running(redis: Redis) -> None:
    """Say for ten seconds that a service works with this Redis.

    Raises:
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    await ask(redis.set(RUNNING, 1, ex=RUNNING_SECONDS))


async def say_stopped(redis: Redis) -> None:
    """Take that back.

    Raises:
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    await ask(redis.delete(RUNNING))


async def installation(redis: Redis) -> str:
    """Give the name by which a PBX knows all copies of the service on this Redis; made when there is none.

    Raises:
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    made = secrets.token_hex(8)
    found = await ask(redis.set(INSTALLATION, made, nx=True, get=True))
    return found.decode() if found else made
