"""Is this machine ready: the settings, the data folder, the secret key, Redis, the service."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from pathlib import Path

from ari_app.asterisk.recordings import BYTES_A_SECOND
from ari_app.check.findings import Finding, Findings, bad, good, unknown, warning
from ari_app.errors import StoreUnavailable
from ari_app.settings import SECRET_KEY_FILE, SECRET_KEY_LENGTH, Settings, unknown_settings
from ari_app.store.calls import CallStore
from ari_app.store.connection import Redis
from ari_app.store.health import Keeping, held, keeping, share_taken

LITTLE_SPACE, ENOUGH_SPACE = 200 * 10**6, 2 * 10**9
"""Bytes that should be free: below the first, recordings and Redis' file are soon lost."""
FULL = 0.8
"""The part of its memory limit from which on Redis is nearly full."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


async def names() -> Findings:
    """Is every variable ARI_APP_... one that means something?"""
    strange = unknown_settings()
    for problem in strange:
        yield warning("settings", problem, "correct its name, or remove it")
    if not strange:
        yield good("settings", "every ARI_APP_ variable is one that we know")


async def data_folder(settings: Settings) -> Findings:
    """Is the data folder there, ours alone, and is there room?"""
    for finding in await asyncio.to_thread(_folder, settings.data_dir.absolute()):
        yield finding


def _folder(folder: Path) -> list[Finding]:
    where = "set ARI_APP_DATA_DIR to the service's, or start the service once: ari-app serve"
    try:
        about = folder.stat()
    except FileNotFoundError:
        return [bad("data folder", f"{folder} isn't there", where)]
    except OSError as error:
        return [bad("data folder", f"{folder} can't be read: {error.strerror}", where)]
    if not stat.S_ISDIR(about.st_mode):
        return [bad("data folder", f"{folder} is no folder", where)]
    found = []
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        found.append(
            bad(
                "data folder",
                f"this user can't write into {folder}",
                "run this as the service's user, or chown it",
            )
        )
    elif about.st_mode & stat.S_IRWXO:
        found.append(
            warning("data folder", f"everybody on this machine can look into {folder}", f"chmod 700 {folder}")
        )
    else:
        found.append(good("data folder", f"{folder} is there, and not for everybody"))
    return [*found, _space(folder)]


def _space(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    hours = free / BYTES_A_SECOND / 3600
    sentence = f"{free / 10**9:.1f} GB are free, as much as {hours:.0f} hours of recordings"
    remedy = "make room, or move ARI_APP_DATA_DIR to a bigger disk"
    if free < LITTLE_SPACE:
        return bad("data folder", sentence, remedy)
    if free < ENOUGH_SPACE:
        return warning("data folder", sentence, remedy)
    return good("data folder", sentence)


async def secret_key(settings: Settings) -> Findings:
    """Is there a key to the accounts' secrets, which nobody else can read?"""
    if settings.old_secret_keys:
        yield warning(
            "secret key",
            "older ones are named beside it: whoever has one of them opens what it closed",
            "ari-app keys rotate, and then remove ARI_APP_OLD_SECRET_KEYS",
        )
    if settings.secret_key is not None:
        yield good("secret key", "it is set by ARI_APP_SECRET_KEY")
        return
    file = settings.data_dir.absolute() / SECRET_KEY_FILE
    try:
        about, word = file.stat(), file.read_text("utf-8").strip()
    except FileNotFoundError:
        yield warning("secret key", f"there is none yet; it is made in {file}", "keep a copy of it then")
        return
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or "it is no text"
        yield bad("secret key", f"{file} can't be read: {problem}", "run this as the service's user")
        return
    if len(word) < SECRET_KEY_LENGTH:
        yield bad(
            "secret key",
            f"{file} is damaged",
            "put your copy of it back; without one, remove it and apply the accounts' files again",
        )
    elif about.st_mode & _OTHERS:
        yield warning("secret key", f"others can read {file}", f"chmod 600 {file}")
    else:
        yield good("secret key", f"{file} is readable to its owner only; keep a copy of it")


async def redis(client: Redis) -> Findings:
    """Does Redis keep what it is given?"""
    try:
        found = await keeping(client)
    except StoreUnavailable as problem:
        yield bad("Redis", str(problem), "see that it runs, and that ARI_APP_REDIS_URL is right")
        return
    for finding in kept(found):
        yield finding


def kept(found: Keeping) -> tuple[Finding, Finding]:
    """Judge what Redis says of itself."""
    return _appendonly(found), _memory(found)


def _appendonly(found: Keeping) -> Finding:
    remedy = (
        "redis-cli config set appendonly yes, and the same in its configuration (redis-cli config rewrite)"
    )
    if found.appendonly is None:
        return unknown(
            "Redis", "it doesn't say whether it keeps an append-only file", "redis-cli info persistence"
        )
    if not found.appendonly:
        return bad("Redis", "it forgets when it is restarted: the append-only file is off", remedy)
    if found.written is False:
        return bad(
            "Redis", "its last write into its append-only file failed", "make room on its disk; see its log"
        )
    return good("Redis", "it keeps what it is given: the append-only file is on")


def _memory(found: Keeping) -> Finding:
    limit, policy = found.memory_limit, found.policy
    if limit is None or policy is None:
        return unknown("Redis", "it doesn't say how much memory it may take", "redis-cli info memory")
    if limit and policy != "noeviction":
        return bad(
            "Redis",
            f"when its memory is full it forgets calls (maxmemory-policy {policy})",
            "redis-cli config set maxmemory-policy noeviction, and the same in its configuration",
        )
    taken = share_taken(found)
    if taken is not None and taken > FULL:
        return warning(
            "Redis",
            f"its memory is {100 * taken:.0f} % full",
            "give it more: maxmemory in its configuration",
        )
    return good("Redis", "it never forgets for want of memory")


async def service(client: Redis) -> Findings:
    """Does a service work with this Redis?"""
    try:
        runs = await held(client)
    except StoreUnavailable as problem:
        yield unknown("service", f"whether it runs isn't known: {problem}", "look at Redis first")
        return
    if runs:
        yield good("service", "it runs")
    else:
        yield warning(
            "service",
            "none works with this Redis: calls go on in the PBX's own dialplan",
            "start it: ari-app serve",
        )


async def set_aside(client: Redis, account: str) -> Findings:
    """Is anything of an account's set aside, or not readable?"""
    calls = CallStore(client, account)
    try:
        live = {call.id for call in await calls.live()}
        messages, unreadable = await calls.outbox.refused_count(), await calls.unreadable_live(live)
    except StoreUnavailable as problem:
        yield unknown("set aside", f"whether anything is isn't known: {problem}", "look at Redis first")
        return
    if messages:
        yield warning(
            "set aside",
            f"{messages} messages that the CRM refused, or failed on while it took others",
            "ari-app calls refused says why; they are sent again on the cabinet's page EventLog",
        )
    if unreadable:
        yield warning(
            "set aside",
            f"{len(unreadable)} live calls that this version can't read: {', '.join(unreadable[:5])}",
            "run the version again that had them, until they are over",
        )
    if not messages and not unreadable:
        yield good("set aside", "nothing is")
