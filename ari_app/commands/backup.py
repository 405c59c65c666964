"""`ari-app backup` and `ari-app restore`: all that is kept, into a folder and back."""

from __future__ import annotations

import asyncio
import hmac
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from ari_app.commands import fail, run, store
from ari_app.keyring import KeyRing
from ari_app.settings import existing_secret_key, read_settings
from ari_app.store.backup import copy_to, has_accounts, restore_from
from ari_app.store.health import held

COPY, RECORDINGS, ABOUT = "redis.rdb", "recordings", "backup.json"

Folder = Annotated[Path, typer.Argument(help="The backup's folder.")]


def backup(folder: Folder) -> None:
    """Copy accounts, calls and recordings into a folder, while the service works.

    Passwords and keys stay encrypted: keep the secret key elsewhere, it is not in there. Given the same
    folder again, only what has changed is written, and a backup that is broken off leaves the one before.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / f".{COPY}").unlink(missing_ok=True)
        files, size = run(_backup(folder))
    except OSError as error:
        fail(f"The backup can't be written: {error.strerror or error}")
    typer.echo(f"{folder} holds accounts and calls, and {files} recordings ({size / 10**6:.1f} MB).")
    typer.echo("The secret key isn't in it; without that key no password in it can be opened.")


async def _backup(folder: Path) -> tuple[int, int]:
    settings = read_settings()
    key = existing_secret_key(settings)
    if key is None:
        fail(f"There is nothing to be kept yet: no secret key in {settings.data_dir}.")
    draft = folder / f".{COPY}"
    async with store(settings) as redis:
        database = await copy_to(redis, draft)
    draft.chmod(0o600)
    recordings, kept = settings.recordings_dir, folder / RECORDINGS
    files, size = await asyncio.to_thread(_mirror, recordings, kept)
    os.replace(draft, folder / COPY)
    about = {
        "version": version("ari-app"),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "database": database,
        "key": _mark(key),
    }
    (folder / f".{ABOUT}").write_bytes(orjson.dumps(about))
    os.replace(folder / f".{ABOUT}", folder / ABOUT)
    await asyncio.to_thread(_prune, recordings, kept)  # only now: the backup before may need them
    return files, size


def restore(folder: Folder) -> None:
    """Bring a backup back to where there are no accounts and no service is at work; it may be repeated."""
    try:
        keys, files = run(_restore(folder))
    except OSError as error:
        fail(f"The backup can't be brought back: {error.strerror or error}")
    typer.echo(f"Accounts and calls are back ({keys} keys of Redis), and {files} recordings.")


async def _restore(folder: Path) -> tuple[int, int]:
    about = _about(folder)
    settings = read_settings()
    keys = existing_secret_key(settings)
    if keys is None or all(
        not hmac.compare_digest(_mark(KeyRing(one)), str(about["key"])) for one in keys.all
    ):
        fail(
            "The backup needs the secret key with which it was made: put that into ARI_APP_SECRET_KEY, or "
            f"its file into {settings.data_dir / 'secret.key'}, first."
        )
    async with store(settings) as redis:
        if await held(redis):
            fail("A service is at work here: stop it first.")
        if await has_accounts(redis):
            fail("There are accounts here already; a backup is brought back where there are none.")
        count = await restore_from(folder / COPY, int(about["database"]), redis)
    files, _ = await asyncio.to_thread(_mirror, folder / RECORDINGS, settings.recordings_dir)
    return count, files


def _about(folder: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = orjson.loads((folder / ABOUT).read_bytes())
        about["key"], about["database"]
    except (OSError, ValueError, LookupError, TypeError):
        fail(f"{folder} holds no whole backup.")
    return about


def _mark(key: KeyRing) -> str:
    """Tell one secret key from another, and nothing else of it."""
    return key.key_for("backups").hex()[:32]


def _mirror(there: Path, here: Path) -> tuple[int, int]:
    """Copy a folder's files that are missing or of another length; give how many it has, and their bytes.

    A recording that is here whole is never written again.
    """
    here.mkdir(parents=True, exist_ok=True, mode=0o750)
    count = size = 0
    for path in _files(there):
        target = here / path.relative_to(there)
        try:
            length = path.stat().st_size
            if not target.exists() or target.stat().st_size != length:
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
                draft = target.with_name(f".{target.name}")
                shutil.copy2(path, draft)
                os.replace(draft, target)
        except FileNotFoundError:  # it went meanwhile, at its age
            continue
        count, size = count + (length > 0), size + length
    return count, size


def _prune(there: Path, here: Path) -> None:
    """Remove the files of a copy that aren't there any more."""
    for path in _files(here):
        if not (there / path.relative_to(here)).exists():
            path.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[Path]:
    """Give a folder's files, but for drafts of recordings that are still coming."""
    for path, folders, names in os.walk(folder):
        if "drafts" in folders:
            folders.remove("drafts")
        yield from (Path(path) / name for name in names if not name.startswith("."))


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(backup)
    app.command()(restore)
