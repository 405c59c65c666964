"""`ari-app account export`: all that a shop has, in files that other programs read."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, BinaryIO
from zoneinfo import ZoneInfo

import orjson
import tomli_w
import typer

from ari_app.accounts.account import RegisteredAccount
from ari_app.asterisk.recordings import RecordingStore
from ari_app.calls import Call, JournalLine, dump_call, dump_line, whole_seconds, whose
from ari_app.commands import fail, run, store
from ari_app.settings import load_secret_key, read_settings
from ari_app.store.accounts import Accounts
from ari_app.store.calls import CallStore
from ari_app.store.connection import Redis
from ari_app.store.events import EventStore
from ari_app.store.missed import MissedCustomer, MissedStore
from ari_app.store.module import ModuleStore
from ari_app.store.statistics import Statistics, StatisticsStore
from cabinet.pages.spreadsheet import BEGINNING, line

FIRST_DAY = date(2020, 1, 1)
"""No call of ours is older."""
_NEVER, _ALL = 4e9, 1_000_000
"""Seconds since the epoch, and more than is kept of missed customers and events."""
_CALLS = (
    *("id", "started at", "direction", "number", "name", "shop's number", "result", "manager"),
    *("waiting, s", "talking, s", "recording"),
)
_MISSED = (
    *("number", "name", "shop's number", "missed at", "last call at", "calls", "responsible", "rung"),
    *("closed at", "how", "by", "reason", "note"),
)
_DAYS = ("day", "direction", "answered", "missed", "waiting, s", "talking, s")


def export(
    account: Annotated[str, typer.Argument(help="The account, as `account list` names it.")],
    folder: Annotated[Path, typer.Argument(help="A folder for it, made if need be.")],
) -> None:
    """Write all that a shop has into a folder: settings, calls as CSV and JSON, statistics, missed customers,
    the EventLog, recordings.

    Passwords and keys are not in it. The calls are those that are over.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        calls, files = run(_export(account, folder))
    except OSError as error:
        fail(f"It can't be written: {error.strerror or error}")
    typer.echo(
        f"{folder} holds the settings, {calls} calls, their statistics, {files} recordings, "
        "missed customers and the EventLog."
    )


async def _export(name: str, folder: Path) -> tuple[int, int]:
    settings = read_settings()
    keys, _ = load_secret_key(settings)
    async with store(settings) as redis:
        account = await Accounts(redis, keys).find(name)
        if account is None:
            fail(f"There is no account {name}; ari-app account list names those that there are.")
        zone = (await ModuleStore(redis, name).settings()).zone or ZoneInfo(account.timezone_name)
        statistics = await StatisticsStore(redis, name).read(FIRST_DAY, datetime.now(zone).date())
        await asyncio.to_thread(_write_rest, folder, account, statistics)
        await _write_missed(folder, MissedStore(redis, name), zone)
        await _write_events(folder, EventStore(redis, name))
        return await _write_calls(folder, redis, name, zone, RecordingStore(settings.recordings_dir, keys))


async def _write_missed(folder: Path, store: MissedStore, zone: ZoneInfo) -> None:
    """Write those who wait to be called back, then those who don't any more, the newest first."""
    with (folder / "missed.csv").open("wb") as table:
        table.write(BEGINNING + line(_MISSED))
        for one in await store.open(0.0, _NEVER, _ALL):
            table.write(_missed(one, zone))
        async for one in store.closed(0.0, _NEVER):
            table.write(_missed(one, zone))


def _missed(one: MissedCustomer, zone: ZoneInfo) -> bytes:
    closed = None if one.closed is None else _when(one.closed, zone)
    return line(
        (
            *(one.number, one.name, one.line, _when(one.first, zone), _when(one.last, zone), one.times),
            *(one.responsible, one.rung, closed, one.how, one.by, one.reason, one.note),
        )
    )


async def _write_events(folder: Path, store: EventStore) -> None:
    """Write the EventLog, the newest first: an event a line, with its moment in UTC."""
    events, _ = await store.newest(_ALL)
    with (folder / "events.jsonl").open("wb") as objects:
        for event in events:
            at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
            objects.write(orjson.dumps({"at": at, "what": event.what, "values": dict(event.values)}) + b"\n")


async def _write_calls(
    folder: Path, redis: Redis, name: str, zone: ZoneInfo, recordings: RecordingStore
) -> tuple[int, int]:
    """Write calls as they are read, so that a log of any length takes no memory; give how many there are."""
    store, count, files = CallStore(redis, name), 0, 0
    table, objects = (folder / "calls.csv").open("wb"), (folder / "calls.jsonl").open("wb")
    with table, objects:
        table.write(BEGINNING + line(_CALLS))
        async for call in store.walk():
            journal = await store.journal(call.id)
            files += await asyncio.to_thread(
                _write_call, folder, table, objects, call, journal, zone, recordings
            )
            count += 1
    return count, files


def _write_call(
    folder: Path,
    table: BinaryIO,
    objects: BinaryIO,
    call: Call,
    journal: Iterable[JournalLine],
    zone: ZoneInfo,
    recordings: RecordingStore,
) -> bool:
    file = _copy_recording(folder, call, zone, recordings)
    began = _when(call.started_at, zone)
    ending = call.ending.value if call.ending else None
    table.write(
        line(
            (
                *(call.id, began, call.direction.value, call.number, call.name, call.external),
                *(ending, whose(call), whole_seconds(call.waiting), whole_seconds(call.talking), file),
            )
        )
    )
    lines = [orjson.loads(dump_line(one)) for one in journal]
    objects.write(
        orjson.dumps({"call": orjson.loads(dump_call(call)), "journal": lines, "file": file}) + b"\n"
    )
    return file is not None


def _when(at: float, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at, zone).isoformat(timespec="seconds")


def _copy_recording(folder: Path, call: Call, zone: ZoneInfo, recordings: RecordingStore) -> str | None:
    """Copy a call's recording beside its day's others; give its place in the folder, None without one."""
    name = call.recording.file
    if name is None or not (there := recordings.path_of(name)).exists():
        return None
    began = datetime.fromtimestamp(call.started_at, zone)
    call_id = "".join(character for character in call.id if character.isalnum() or character in "-_")
    place = Path("recordings", f"{began:%Y-%m}", f"{began:%Y-%m-%d %H.%M.%S} {call_id}{there.suffix}")
    target = folder / place
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.copy2(there, target)
    return str(place)


def _write_rest(folder: Path, account: RegisteredAccount, statistics: Statistics) -> None:
    settings = account.model_dump(mode="json", exclude_none=True)
    (folder / "account.toml").write_text(tomli_w.dumps(settings), "utf-8")
    with (folder / "statistics.csv").open("wb") as table:
        table.write(BEGINNING + line(_DAYS))
        for (direction, day), sums in sorted(statistics.days.items(), key=lambda one: (one[0][1], one[0][0])):
            seconds = (whole_seconds(sums.waiting), whole_seconds(sums.talking))
            table.write(line((day.isoformat(), direction.value, *(sums.answered, sums.missed, *seconds))))
    (folder / "exported.txt").write_text(f"{account.id} {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n", "utf-8")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)
