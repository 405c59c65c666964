"""`ari-app dialplan`: the files that go onto a shop's PBX."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ari_app.accounts.account import Account
from ari_app.commands import fail, run, store
from ari_app.network.seen_from import seen_from
from ari_app.settings import load_secret_key, read_settings
from ari_app.store.accounts import Accounts
from stasis_dialplan import CannotRender, Settings, render

_READABLE_BY_THE_GROUP = 0o640


class PbxKind(StrEnum):
    """What the files are for. old: a dialplan of the shop's own, which only tells the service of calls."""

    ASTERISK = "asterisk"
    FREEPBX = "freepbx"
    OLD = "old"


def dialplan(
    kind: Annotated[PbxKind, typer.Argument(help="What the files are for.")],
    account: Annotated[
        str | None, typer.Option(help="The shop, as `account list` names it; not needed when there is one.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the files into this folder instead of printing them.")
    ] = None,
    service_address: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="The IP address from which the service reaches the PBX.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Write the dialplan and the configuration of a shop's PBX. They hold its passwords."""
    public_url = str(read_settings().public_url)
    try:
        found = run(_find(account))
        address = service_address or run(seen_from(found.pbx.host, public_url))
        settings = Settings.of(found, public_url, address)
        files = render(kind.value, settings)
    except CannotRender as problem:
        fail(str(problem))
    if out is None:
        for name, text in files.items():
            typer.echo(f";;;; {name}\n{text}")
        return
    _write(files, out, force)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(dialplan)


async def _find(name: str | None) -> Account:
    settings = read_settings()
    key, _ = load_secret_key(settings)
    async with store(settings) as redis:
        accounts = Accounts(redis, key)
        if name is not None:
            found = await accounts.get(name)
            if found is None:
                fail(f"There is no account {name}; ari-app account list names those that there are.")
            return found
        known = await accounts.all()
    if not known:
        fail("There are no accounts yet: add one with ari-app account apply FILE.toml")
    if len(known) > 1:
        fail(f"There are several accounts, say which with --account: {', '.join(one.id for one in known)}")
    return known[0]


def _write(files: dict[str, str], folder: Path, force: bool) -> None:
    there = [name for name in files if (folder / name).exists()]
    if there and not force:
        fail(f"{folder} has {', '.join(there)} already: choose another folder, or overwrite with --force")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            file = folder / name
            file.touch(_READABLE_BY_THE_GROUP)
            file.chmod(_READABLE_BY_THE_GROUP)
            file.write_text(text)
            typer.echo(file)
    except OSError as error:
        fail(f"{folder} can't be written: {error.strerror or error}")
