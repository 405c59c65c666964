"""`ari-app check`: what is right, what is wrong, and how to mend it."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, cast

import orjson
import structlog
import typer

from ari_app.accounts.account import Account, RegisteredAccount
from ari_app.calls import e164
from ari_app.check import everything
from ari_app.check.findings import Finding, Findings, State, bad
from ari_app.commands import fail, run, store
from ari_app.commands.call_me import try_out
from ari_app.errors import StoreUnavailable
from ari_app.keyring import KeyRing
from ari_app.settings import SECRET_KEY_LENGTH, Settings, existing_secret_key, read_settings
from ari_app.store.accounts import Accounts, WrongSecretKey
from ari_app.store.calls import CallStore
from ari_app.store.connection import Redis
from ari_app.store.health import held
from ari_app.store.leases import installation

MACHINE = "this machine"
_SHOWN = {
    State.GOOD: ("ok       ", typer.colors.GREEN),
    State.BAD: ("WRONG    ", typer.colors.RED),
    State.WARNING: ("warning  ", typer.colors.YELLOW),
    State.UNKNOWN: ("not known", typer.colors.BLUE),
}


def check(
    account: Annotated[
        str | None, typer.Argument(help="The shop, as `account list` names it; all of them without it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line, for programs.")] = False,
    call: Annotated[
        str | None,
        typer.Option(
            metavar="EXTENSION",
            help="Instead, let this extension of the shop ring as a customer's call would, and say step by "
            "step what works, as “Call me now” in the cabinet does.",
        ),
    ] = None,
    number: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NUMBER",
            help="Whose call that is to be: a customer's number, by default the shop's first one.",
        ),
    ] = None,
) -> None:
    """Look the set-up over, line by line: what is right, what is wrong, how to mend it.

    The exit code is 0 when nothing is wrong. A running service isn't disturbed.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    report = _Report(as_json)
    run(_check(account, report) if call is None else _call(account, call, number, report))
    report.end()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(check)


class _Report:
    """Prints each finding when it comes, and counts."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._heading: str | None = None
        self._counts = dict.fromkeys(State, 0)

    async def all(self, where: str, findings: AsyncIterator[Finding]) -> bool:
        """Take what is found; tell whether none of it is bad."""
        before = self._counts[State.BAD]
        async with aclosing(cast(Findings, findings)) as coming:
            async for finding in coming:
                self.add(where, finding)
        return self._counts[State.BAD] == before

    def add(self, where: str, finding: Finding) -> None:
        self._counts[finding.state] += 1
        if self._as_json:
            typer.echo(orjson.dumps({"where": where, **asdict(finding)}))
            return
        if where != self._heading:
            typer.echo(("\n" if self._heading else "") + where)
            self._heading = where
        word, colour = _SHOWN[finding.state]
        typer.echo(f"  {typer.style(word, fg=colour)}  {finding.subject}: {finding.sentence}")
        if finding.remedy:
            typer.echo(f"             -> {finding.remedy}")

    def end(self) -> None:
        """Sum up, and end with exit code 1 when something is bad."""
        wrong, so_so, open_ = (self._counts[one] for one in (State.BAD, State.WARNING, State.UNKNOWN))
        if not self._as_json:
            typer.echo(f"\n{wrong} wrong, {so_so} could be better, {open_} can't be known from here.")
        if wrong:
            raise typer.Exit(1)


async def _check(account: str | None, report: _Report) -> None:
    settings = read_settings()
    await report.all(MACHINE, everything.of_folders(settings))
    if not settings.data_dir.is_dir() and settings.redis_url is None:
        return
    try:
        async with store(settings) as redis, everything.session() as session:
            runs, name = await held(redis), await installation(redis)
            await report.all(MACHINE, everything.of_service(session, redis, settings, runs))
            for shop in await _shops(account, redis, settings):
                looks = everything.of_shop(
                    session,
                    shop,
                    settings.public_url,
                    runs,
                    settings.pbx_networks,
                    installation=name,
                    came=await CallStore(redis, shop.id).led_here(),
                )
                await report.all(shop.id, looks)
                await report.all(shop.id, everything.of_store(redis, shop.id))
    except StoreUnavailable as problem:
        remedy = (
            "see that Redis runs, and that ARI_APP_REDIS_URL is right; without it a redis-server is started"
        )
        report.add(MACHINE, bad("Redis", str(problem), remedy))
    except WrongSecretKey as problem:
        report.add(MACHINE, bad("secret key", "it doesn't open the accounts", str(problem)))


async def _call(account: str | None, code: str, number: str | None, report: _Report) -> None:
    if account is None:
        fail("Name the shop whose extension is to ring; ari-app account list names those that there are.")
    settings = read_settings()
    async with store(settings) as redis:
        (shop,) = await _shops(account, redis, settings)
        if not isinstance(shop, Account):
            fail(f"{shop.id} has no PBX yet: enter it in the cabinet, under “Asterisk settings”.")
        if code not in shop.codes:
            fail(f"{shop.id} has no extension {code}; it has {', '.join(sorted(shop.codes)) or 'none'}.")
        caller = e164(number, shop.crm.country) if number else next(iter(shop.numbers), None)
        if number and (caller is None or not caller.startswith("+")):
            fail(f"{number} is no telephone number.")
        calls = CallStore(redis, shop.id)
        await report.all(shop.id, try_out(shop, code, caller, calls, settings.pbx_networks))


async def _shops(account: str | None, redis: Redis, settings: Settings) -> list[RegisteredAccount]:
    key = existing_secret_key(settings) or KeyRing(secrets.token_hex(SECRET_KEY_LENGTH))  # opens nothing
    accounts = Accounts(redis, key)
    if account is None:
        shops = await accounts.registered()
        if not shops:
            typer.echo("There are no accounts yet: add one with ari-app account apply FILE.toml", err=True)
        return shops
    found = await accounts.find(account)
    if found is None:
        fail(f"There is no account {account}; ari-app account list names those that there are.")
    return [found]
