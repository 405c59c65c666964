"""`ari-app account`: provisioning for people who automate."""

from __future__ import annotations

import asyncio
import time
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import tomli_w
import typer
from rich.console import Console
from rich.table import Table

from ari_app.accounts.account import Account, RegisteredAccount
from ari_app.accounts.reading import read_account
from ari_app.asterisk.ari import AriTransport
from ari_app.asterisk.errors import PbxError
from ari_app.asterisk.installations import Mark
from ari_app.asterisk.recordings import RecordingStore
from ari_app.calls import Outside, People
from ari_app.commands import fail, run, store
from ari_app.network.reach import ANYWHERE, passage
from ari_app.service.doors import Ticket, with_new_address
from ari_app.settings import Settings, claimed, load_secret_key, read_settings
from ari_app.store.accounts import Accounts
from ari_app.store.calls import CallStore
from ari_app.store.connection import Redis
from ari_app.store.health import held
from ari_app.store.leases import installation

app = typer.Typer(
    help="Shops: their CRM, their PBX, how they want their calls handled.", no_args_is_help=True
)


@asynccontextmanager
async def _accounts() -> AsyncIterator[Accounts]:
    async with _opened(read_settings()) as (accounts, _):
        yield accounts


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Accounts, Redis]]:
    key, made = load_secret_key(settings)
    if made is not None:
        typer.echo(f"A secret key was made and kept in {made}; keep a copy of it.", err=True)
    async with store(settings) as redis:
        yield Accounts(redis, key), redis


@app.command()
def apply(file: Annotated[Path, typer.Argument(help="The account's TOML file.")]) -> None:
    """Add a shop, or change it. A running service takes the change within a second."""
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file} can't be read: {getattr(error, 'strerror', None) or error}")

    async def work() -> None:
        account = read_account(text)
        names_client_id = "client_id" in tomllib.loads(text)["crm"]
        settings = read_settings()
        async with _opened(settings) as (accounts, redis):
            stored = await accounts.apply(account, keep_client_id=not names_client_id)
            followed = await held(redis)
        typer.echo(f"{stored.id}: applied, in {settings.place}.")
        if not followed:
            typer.echo(f"  {_not_followed(settings)}", err=True)
        for remark in _remarks(stored):
            typer.echo(f"  note: {remark}", err=True)

    run(work())


@app.command("list")
def list_() -> None:
    """List the shops."""

    async def work() -> list[RegisteredAccount]:
        async with _accounts() as accounts:
            return await accounts.registered()

    found = run(work())
    if not found:
        where = read_settings().place
        typer.echo(f"There are no accounts yet in {where}: add one with ari-app account apply FILE.toml")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("ACCOUNT", "PBX", "APPLICATION", "EXTENSIONS"):
        table.add_column(heading)
    for account in found:
        pbx = account.pbx
        place = (f"{pbx.host}:{pbx.http_port}", pbx.stasis_app) if pbx else ("to be set up", "")
        table.add_row(account.id, *place, str(len(account.extensions)))
    Console().print(table)


@app.command()
def show(account: Annotated[str, typer.Argument(help="The account, as `account list` names it.")]) -> None:
    """Show a shop's settings; secrets are not printed."""

    async def work() -> RegisteredAccount | None:
        async with _accounts() as accounts:
            return await accounts.find(account)

    found = run(work())
    if found is None:
        fail(f"There is no account {account}; ari-app account list names those that there are.")
    typer.echo(tomli_w.dumps(_without_none(found.model_dump(mode="json"))).rstrip())


@app.command()
def remove(
    account: Annotated[str, typer.Argument(help="The account, as `account list` names it.")],
    force: Annotated[bool, typer.Option("--force", help="Even if its CRM has not heard everything.")] = False,
) -> None:
    """Remove a shop with its call log and its recordings."""

    async def work() -> bool:
        settings = read_settings()
        keys, _ = load_secret_key(settings)
        async with store(settings) as redis:
            calls = await CallStore(redis, account).ended_ids()
            if not await Accounts(redis, keys).remove(account, force):
                return False
        recordings = RecordingStore(settings.recordings_dir, keys)
        await asyncio.to_thread(_remove_recordings, recordings, account, calls)
        return True

    if not run(work()):
        fail(f"There is no account {account}; ari-app account list names those that there are.")
    typer.echo(f"{account}: removed.")


@app.command()
def take(
    account: Annotated[str, typer.Argument(help="The account, as `account list` names it.")],
    force: Annotated[
        bool, typer.Option("--force", help="Even if another installation holds its PBX now.")
    ] = False,
) -> None:
    """Take a shop's PBX for this installation: the services on this Redis, not those on another."""

    async def work() -> None:
        settings = read_settings()
        async with store(settings) as redis:
            found = await Accounts(redis, load_secret_key(settings)[0]).find(account)
            name = await installation(redis)
        if not isinstance(found, Account):
            fail(f"There is no account {account} with a PBX; see ari-app account list.")
        pbx, address = found.pbx, settings.public_url
        async with passage(ANYWHERE) as to:
            password = pbx.ari_password.get_secret_value()
            transport = AriTransport(to.session, pbx.ari_url, pbx.ari_username, password)
            try:
                await Mark(pbx.stasis_app, name, address).put(transport, force=force)
            except PbxError as problem:
                fail(f"{account} is not taken: {problem}")
        typer.echo(f"{account}: its PBX is this installation's. A running service connects within seconds.")

    run(work())


@app.command()
def door(account: Annotated[str, typer.Argument(help="The account, as `account list` names it.")]) -> None:
    """Give a link that opens a shop's cabinet once, within 15 minutes; it needs neither the CRM nor a key."""

    async def work() -> str:
        settings = read_settings()
        key, _ = load_secret_key(settings)
        async with store(settings) as redis:
            found = await Accounts(redis, key).find(account)
        if found is None:
            fail(f"There is no account {account}; ari-app account list names those that there are.")
        return f"{settings.public_url}/door/{Ticket.to(found.id, time.time()).signed(key)}"

    typer.echo(run(work()))


@app.command("renew-address")
def renew_address(
    account: Annotated[str, typer.Argument(help="The account, as `account list` names it.")],
) -> None:
    """Give a shop's CRM other addresses of its cabinet, clicks and statuses; the old ones end at once."""

    async def work() -> RegisteredAccount | None:
        async with _accounts() as accounts:
            return await accounts.change(account, with_new_address)

    if run(work()) is None:
        fail(f"There is no account {account}; ari-app account list names those that there are.")
    typer.echo(f"{account}: its old addresses open nothing now. The CRM is told the new ones by the service.")


@app.command("revoke-links")
def revoke_links(
    account: Annotated[str, typer.Argument(help="The account, as `account list` names it.")],
) -> None:
    """Let the links to a shop's recordings so far open nothing; in its cabinet they are heard as before."""

    async def work() -> int | None:
        settings = read_settings()
        keys, _ = load_secret_key(settings)
        async with store(settings) as redis:
            if await Accounts(redis, keys).find(account) is None:
                return None
        recordings = RecordingStore(settings.recordings_dir, keys)
        try:
            return await asyncio.to_thread(recordings.revoke_links, account)
        except OSError as error:
            fail(f"{account}: not all links are revoked: {error}")

    count = run(work())
    if count is None:
        fail(f"There is no account {account}; ari-app account list names those that there are.")
    typer.echo(f"{account}: the links of {count} recordings open nothing now.")


def _not_followed(settings: Settings) -> str:
    """Say that no service works with what was applied; one that runs elsewhere is the likely mistake."""
    others = [folder for folder in claimed() if folder != settings.data_dir.resolve()]
    if not others:
        return "note: no service works with it now; one that is started there will."
    named = " and ".join(map(str, others))
    return (
        f"warning: no service works with it. One that runs on this machine has the data folder {named}: "
        f"if it is meant, apply it again with that service's settings (ARI_APP_DATA_DIR={others[0]}, and "
        "its ARI_APP_REDIS_URL if it has one)."
    )


def _remove_recordings(recordings: RecordingStore, account: str, calls: list[str]) -> None:
    """Remove a shop's files: those that are known to be its own, and those of its calls."""
    try:
        recordings.remove_account(account)
        for call in calls:
            recordings.remove(account, call)
    except OSError as error:
        fail(f"{account}: removed, but not all of its recordings: {error}")


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list) else value


def _remarks(account: Account) -> list[str]:
    policy = account.policy()
    remarks = []
    if not policy.fallback:
        remarks.append("calls.fallback is empty: a call that the manager doesn't take ends there")
    if not policy.unknown and not policy.fallback:
        remarks.append("calls.unknown is empty too: unknown customers reach nobody")
    listed = {extension.code for extension in account.extensions}
    rung = {
        code
        for place in (*policy.fallback, *policy.unknown)
        if isinstance(place, People)
        for code in place.codes
    }
    remarks += [
        f"{field} begins at priority {line.priority}, where a Local channel can't: the PBX needs "
        f"the context [{line.local}] that ari-app dialplan writes"
        for field, line in _lines(account)
        if line.local != line.context
    ]
    if strange := sorted(rung - listed):
        remarks.append(f"not in [[extensions]], so the CRM must know whose they are: {', '.join(strange)}")
    return remarks


def _lines(account: Account) -> Iterator[tuple[str, Outside]]:
    yield "pbx.outgoing", account.outside("")
    for index, phone in enumerate(account.external_phones):
        if phone.outgoing is not None:
            yield f"external_phones[{index}].outgoing", account.outside("", phone.outgoing)
