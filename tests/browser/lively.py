"""A shop in which something happens: weeks of calls, calls of this moment, recordings, people with names."""

from __future__ import annotations

import io
import itertools
import math
import random
import struct
import time
import wave
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from redis.asyncio import Redis

from ari_app.accounts.account import RegisteredAccount
from ari_app.calls.call import Call, Direction
from ari_app.calls.outcome import Ending
from ari_app.store.calls import CallStore
from tests.cabinet.kept_calls import keep, over

PEOPLE = (
    ("Иванова Анна", "+79161234567"),
    ("Волков Пётр", "+79265550134"),
    ("Козлова Мария", "+79031112244"),
    ("Новиков Илья", "+79857776655"),
    ("Соколова Дарья", "+79104443322"),
    ("Константинопольская Александра", "+79261230987"),
    (None, "+74957654321"),
    (None, "+78127001122"),
    (None, None),
)
_ENDINGS = (
    *[Ending.ANSWERED] * 15,
    *[Ending.GAVE_UP] * 3,
    *[Ending.NOT_ANSWERED] * 2,
    *[Ending.BUSY] * 1,
)
_HOURS = (9, 10, 10, 11, 11, 11, 12, 12, 13, 14, 14, 15, 15, 16, 16, 17, 18, 19)


async def fill(
    redis: Redis, account: RegisteredAccount, codes: list[str], numbers: list[str], days: int
) -> None:
    """Write the calls of so many days into an account's log, the same ones each time."""
    zone = ZoneInfo(account.timezone_name)
    store = CallStore(redis, account.id, lambda: zone)
    calls = _calls(account.id, zone, codes, numbers, days)
    while some := list(itertools.islice(calls, 500)):
        await keep(store, *some)


def _calls(account: str, zone: ZoneInfo, codes: list[str], numbers: list[str], days: int) -> Iterator[Call]:
    chance = random.Random(22)
    today, now = datetime.now(zone).date(), time.time()
    for ago in range(days, -1, -1):
        day = today - timedelta(days=ago)
        weekend = day.weekday() >= 5
        for number in range(chance.randint(4, 9) if weekend else chance.randint(22, 41)):
            at = datetime(day.year, day.month, day.day, chance.choice(_HOURS), tzinfo=zone).timestamp()
            at += chance.randint(0, 3599)
            call = _call(f"{day:%m%d}-{number}", at, account, chance, codes, numbers)
            if (call.ended_at or now) < now:
                yield call


def _call(
    ident: str, at: float, account: str, chance: random.Random, codes: list[str], numbers: list[str]
) -> Call:
    name, phone = chance.choice(PEOPLE)
    out = phone is not None and chance.random() < 0.3
    call = over(
        f"lively-{ident}",
        at,
        phone,
        chance.choice(codes),
        chance.choice(_ENDINGS),
        Direction.OUT if out else Direction.IN,
        account,
        name=name,
        external=chance.choice(numbers),
    )
    if call.answered_at is None:
        return replace(call, ended_at=at + chance.randint(6, 45))
    answered = at + chance.randint(2, 24)
    return replace(call, answered_at=answered, ended_at=answered + chance.randint(15, 600))


def sound(seconds: float) -> bytes:
    """A recording as Asterisk makes them: a quiet tone, WAV, 8 kHz, 16 bits, mono."""
    samples = (int(3000 * math.sin(index / 4)) for index in range(round(8000 * seconds)))
    with io.BytesIO() as file:
        with wave.open(file, "wb") as wav:
            wav.setnchannels(1)
            wav.setsampwidth(2)
            wav.setframerate(8000)
            wav.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
        return file.getvalue()
