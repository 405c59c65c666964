"""What a PBX has that we can't follow, or that works against us: old applications, telephones that are gone,
a trunk that hides its callers, ring times shorter than ours, recordings beside ours.

Where people are reached through the dialplan is read off the dialplan itself, which AJAM shows; without it
only what the PBX's functions tell is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ari_app.accounts.account import Account
from ari_app.calls import Dialplan as Place
from ari_app.calls import Queue
from ari_app.check.dialplan import Line, shown
from ari_app.check.findings import Finding, Findings, warning
from ari_app.check.look import NothingThere
from ari_app.check.pbx import CannotRead, Pbx

MOST = 50
"""So many extensions, and so many trunks, are looked at: each takes a few questions."""
_SHOWN = 4
_LOCAL = re.compile(r"Local/##@([^/,]+)", re.IGNORECASE)
_SECONDS = re.compile(r"[^,]*,\s*([0-9]+)(?:[,.]|$)")
_FORCED = re.compile(r"sub-record-check,.*[(,](?:force|yes|always)[,)]")
_RECORDERS = ("mixmonitor", "monitor")
_FREEPBX_RECORDS = re.compile(r"(?:sub-record|macro-one-touch|macro-mixmon|recordcheck|recq|recconf)")
"""FreePBX's own contexts that may record; whether they do is decided by whoever calls them."""


async def telephones(pbx: Pbx, account: Account) -> Findings:
    """Is one of several telephones of an extension away?"""
    if not pbx.lets_in:
        return
    for extension in account.extensions[:MOST]:
        endpoint = account.policy().endpoint(extension.code)
        if not endpoint.startswith("PJSIP/"):
            continue
        try:
            states = await _contacts(pbx, endpoint.removeprefix("PJSIP/"))
        except CannotRead:
            return
        away = [uri for uri, state in states if state == "Unreachable"]
        if away and len(states) > 1:
            yield warning(
                "phones",
                f"{extension.code}: {len(away)} of {len(states)} telephones can't be reached and don't "
                f"ring: {_some(away)}",
                "switch it on, or remove it from the extension: asterisk -rx 'pjsip show contacts'",
            )


async def _contacts(pbx: Pbx, endpoint: str) -> list[tuple[str, str]]:
    """List the telephones of an endpoint: address and state, as ``pjsip show contacts`` has them."""
    found = []
    for aor in _words(await pbx.read(f"PJSIP_ENDPOINT({endpoint},aors)")):
        for contact in _words(await pbx.read(f"PJSIP_AOR({aor},contact)")):
            uri = await pbx.read(f"PJSIP_CONTACT({contact},uri)")
            found.append((uri, await pbx.read(f"PJSIP_CONTACT({contact},status)")))
    return found


def _words(listed: str) -> list[str]:
    return [word.strip() for word in listed.split(",") if word.strip()]


async def trunks(pbx: Pbx, account: Account) -> Findings:
    """Does a trunk give all callers one number?"""
    dialplan = await shown(pbx)
    if dialplan is None or not pbx.lets_in:
        return
    ours = dialplan.leading_to(dialplan.incoming(pbx.settings.stasis_app))
    own = {account.policy().endpoint(code).removeprefix("PJSIP/") for code in account.codes}
    try:
        endpoints = (await pbx.endpoints()).get("PJSIP", {})
        others = sorted((name for name in endpoints if name not in own), key=str.isdecimal)  # trunks first
        for name in others[:MOST]:
            callerid = await pbx.read(f"PJSIP_ENDPOINT({name},callerid)")
            if callerid.strip("<> ") in ("", "unknown", '""'):
                continue
            if await pbx.read(f"PJSIP_ENDPOINT({name},context)") in ours:
                yield warning(
                    "lines",
                    f"the trunk {name} hides who calls: all its callers are given {callerid} (callerid)",
                    f"remove callerid from the endpoint {name} in pjsip.conf, and: pjsip reload",
                )
    except CannotRead:
        return


async def between(pbx: Pbx, account: Account) -> Findings:
    """Does the dialplan through which people are reached stand in our way?"""
    dialplan = await shown(pbx)
    if dialplan is None:
        return
    reached = dialplan.behind(_ways(account))
    steps = [step for step in dialplan.steps if step.context in reached]
    if finding := await _macros(pbx, steps):
        yield finding
    for finding in _short(steps, dialplan.behind(_local(account)), account):
        yield finding
    async for finding in _freepbx_times(pbx, account):
        yield finding
    if account.policy().record:
        before = dialplan.leading_to(dialplan.incoming(pbx.settings.stasis_app))
        for finding in _recorded([step for step in dialplan.steps if step.context in reached | before]):
            yield finding


def _ways(account: Account) -> Iterator[str]:
    """Name the contexts in which people are reached."""
    yield from _local(account)
    policy = account.policy()
    for place in (*policy.fallback, *policy.unknown):
        if isinstance(place, Queue | Place):
            yield place.context
    yield account.outside("").context


def _local(account: Account) -> list[str]:
    return _LOCAL.findall(account.pbx.channel_format)


async def _macros(pbx: Pbx, steps: list[Line]) -> Finding | None:
    macros = [step for step in steps if step.application.lower() in ("macro", "macroif", "macroexclusive")]
    if not macros or not pbx.lets_in:
        return None
    try:
        loaded = (await pbx.ari("GET", "asterisk/modules/app_macro.so")).status
    except NothingThere:
        return None
    if loaded != 404:
        return None
    return warning(
        "dialplan",
        f"Macro() is used in {_places(macros)}, but this Asterisk has no such application: calls end there",
        "write it with Gosub() (Asterisk 21 has no Macro any more); before that: module load app_macro.so",
    )


def _short(steps: list[Line], within: frozenset[str], account: Account) -> Iterator[Finding]:
    """A telephone behind ``Local/`` that is rung for a shorter time than we wait."""
    wanted = account.policy().ring_manager_seconds
    for step in steps:
        seconds = _SECONDS.match(step.data) if step.application.lower() == "dial" else None
        if seconds is not None and step.context in within and int(seconds[1]) < wanted:
            yield warning(
                "dialplan",
                f"{step.place} rings for {seconds[1]} s only, calls.ring_manager_seconds is {wanted:g} s: "
                "voicemail or Follow Me takes the call before the next destination is tried",
                "set ring_manager_seconds lower, or the time there higher (on FreePBX: Ring Time, Follow Me)",
            )
            return


async def _freepbx_times(pbx: Pbx, account: Account) -> Findings:
    """FreePBX's own ring time, and Follow Me, where people are rung through its dialplan."""
    contexts = [context for context in _local(account) if not context.startswith(pbx.settings.stasis_app)]
    if not contexts:
        return
    wanted = account.policy().ring_manager_seconds
    try:
        usual = await pbx.read("GLOBAL(RINGTIMER)")
        for extension in account.extensions[:MOST]:
            code = extension.code
            seconds = _number(await pbx.in_database("AMPUSER", f"{code}/ringtimer")) or _number(usual)
            if await pbx.in_database("AMPUSER", f"{code}/followme/ddial") == "DIRECT":
                seconds = _number(await pbx.in_database("AMPUSER", f"{code}/followme/prering")) or seconds
            if 0 < seconds < wanted:
                yield warning(
                    "dialplan",
                    f"FreePBX rings {code} for {seconds} s only, calls.ring_manager_seconds is "
                    f"{wanted:g} s: voicemail or Follow Me takes the call before the next destination "
                    "is tried",
                    "set ring_manager_seconds lower, or the time there higher (on FreePBX: Ring Time, "
                    "Follow Me)",
                )
    except CannotRead:
        return


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _recorded(steps: list[Line]) -> Iterator[Finding]:
    records = [
        step
        for step in steps
        if (step.application.lower() in _RECORDERS and not _FREEPBX_RECORDS.match(step.context))
        or _FORCED.search(step.data)
    ]
    if records:
        yield warning(
            "dialplan",
            f"calls are recorded twice: by us, and by the PBX in {_places(records)}",
            "remove it there (on FreePBX: Call Recording: Don't Care, in the route, queue or extension), or "
            "set calls.record = false",
        )


def _places(steps: Iterable[Line]) -> str:
    return _some(list(dict.fromkeys(step.place for step in steps)))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
