"""`ari-app calls`: what goes on and what went on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ari_app.calls import (
    Call,
    JournalLine,
    TellAlert,
    TellCustomer,
    TellHangup,
    TellMail,
    TellNotice,
    TellResult,
    TellRinging,
    TellTask,
    TellTaskDone,
    TellWebhook,
    dump_call,
    dump_line,
    tagged,
)
from ari_app.commands import fail, run, store
from ari_app.keyring import KeyRing
from ari_app.settings import load_secret_key, read_settings
from ari_app.store.accounts import Accounts
from ari_app.store.calls import CallStore
from ari_app.store.connection import Redis
from ari_app.store.outbox import Refusal
from ari_app.timeline.colours import COLOURS
from ari_app.timeline.timeline import Sentence, narrate, summary

app = typer.Typer(help="Calls: live ones, ended ones, and what happened to each.", no_args_is_help=True)

AccountOption = Annotated[str | None, typer.Option("--account", help="Only this account's calls.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]

CRM_MESSAGES = {
    TellRinging: "in",
    TellHangup: "hangup",
    TellResult: "result",
    TellTask: "task",
    TellTaskDone: "task done",
    TellNotice: "notice",
    TellCustomer: "customer",
    TellWebhook: "webhook",
    TellMail: "e-mail",
    TellAlert: "alert",
}


@asynccontextmanager
async def _stores(account: str | None) -> AsyncIterator[list[CallStore]]:
    settings = read_settings()
    async with store(settings) as redis:
        names = await _names(redis, load_secret_key(settings)[0])
        if account is not None and account not in names:
            fail(f"There is no account {account}; ari-app account list names those that there are.")
        yield [CallStore(redis, name) for name in names if account in (None, name)]


async def _names(redis: Redis, key: KeyRing) -> list[str]:
    return [account.id for account in await Accounts(redis, key).all()]


@app.command("list")
def list_(
    account: AccountOption = None,
    limit: Annotated[int, typer.Option(help="How many ended calls.", min=0)] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the live calls, then the newest that have ended."""

    async def work() -> list[Call]:
        async with _stores(account) as stores:
            live = [call for calls in stores for call in (*await calls.live(), *await calls.reported())]
            ended = [call for calls in stores for call in await calls.ended(limit)] if limit else []
            ended.sort(key=lambda call: call.started_at, reverse=True)
            return [*sorted(live, key=lambda call: call.started_at), *ended[:limit]]

    calls = run(work())
    if as_json:
        for call in calls:
            typer.echo(dump_call(call))
        return
    if not calls:
        typer.echo("There are no calls yet.")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("CALL", "BEGAN", "CUSTOMER", "STAGE", ""):
        table.add_column(heading, no_wrap=heading != "")
    for call in calls:
        began = datetime.fromtimestamp(call.started_at).strftime("%d.%m %H:%M:%S")
        who = call.number or "withheld"
        said = summary(call) if call.ending or call.talker else ""
        table.add_row(call.id, began, who, call.stage.value, said)
    Console(soft_wrap=True).print(table)


@app.command()
def show(
    call: Annotated[str, typer.Argument(help="The call, as `calls list` names it.")],
    as_json: JsonOption = False,
) -> None:
    """Show a call's timeline."""

    async def work() -> tuple[Call, list[JournalLine]] | None:
        async with _stores(None) as stores:
            for calls in stores:
                found = await calls.get(call)
                if found is not None:
                    return found, await calls.journal(call)
        return None

    known = run(work())
    if known is None:
        fail(f"There is no call {call}; ari-app calls list names the newest.")
    found, lines = known
    if as_json:
        journal = [orjson.loads(dump_line(line)) for line in lines]
        typer.echo(orjson.dumps({"call": orjson.Fragment(dump_call(found)), "journal": journal}))
        return
    console = Console(highlight=False)
    console.print(
        Text.assemble((found.id, "bold"), f"  {found.number or 'withheld number'}  {summary(found)}")
    )
    for line in lines:
        for sentence in narrate(line, found):
            console.print(written(sentence, found.started_at))


@app.command()
def refused(account: AccountOption = None, as_json: JsonOption = False) -> None:
    """List what is set aside: the CRM refused it, or failed on it while it took others. Oldest first."""

    async def work() -> list[Refusal]:
        async with _stores(account) as stores:
            return [refusal for calls in stores for refusal in await calls.outbox.refusals()]

    refusals = run(work())
    if as_json:
        for refusal in refusals:
            tell = tagged(refusal.tell) if refusal.tell is not None else None
            typer.echo(orjson.dumps({**asdict(refusal), "tell": tell}))
        return
    if not refusals:
        typer.echo("Nothing is set aside: the CRM has refused nothing.")
        return
    console = Console(highlight=False, soft_wrap=True)
    for refusal in refusals:
        moment = datetime.fromtimestamp(refusal.at).strftime("%d.%m %H:%M:%S")
        what = CRM_MESSAGES[type(refusal.tell)] if refusal.tell is not None else "?"
        console.print(Text.assemble((f"{moment}  {refusal.call}  {what}: ", ""), (refusal.problem, "yellow")))


@app.command()
def watch(account: AccountOption = None, as_json: JsonOption = False) -> None:
    """Watch calls as they happen, until Ctrl-C."""

    async def work() -> None:
        async with _stores(account) as stores, asyncio.TaskGroup() as group:
            for calls in stores:
                group.create_task(_watch(calls, as_json))

    try:
        run(work())
    except BaseExceptionGroup as group:
        fail(str(group.exceptions[0]))


async def _watch(calls: CallStore, as_json: bool) -> None:
    console = Console(highlight=False)
    async with calls.watching() as lines:
        async for line in lines:
            if as_json:
                typer.echo(dump_line(line))
                continue
            call = await calls.get(line.call)
            if call is None:
                continue
            for sentence in narrate(line, call):
                text = written(sentence, call.started_at)
                console.print(Text.assemble((f"{call.id[-4:]} ", "dim"), text))


def written(sentence: Sentence, began: float) -> Text:
    """Write a sentence with its moment: the clock's, and seconds since the call began."""
    clock = datetime.fromtimestamp(sentence.at).strftime("%H:%M:%S.%f")[:-3]
    moment = f"{clock}  {sentence.at - began:+7.2f}  "
    return Text.assemble((moment, "dim"), (sentence.text, COLOURS[sentence.tone]))
