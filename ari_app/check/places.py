"""Everybody and every place that the account names: telephones, lines, destinations."""

from __future__ import annotations

import phonenumbers

from ari_app.accounts.account import Account
from ari_app.accounts.dialplan_names import named_context, named_exten
from ari_app.asterisk.phones import state_of
from ari_app.calls import Dialplan, Outside, People, Queue, for_an_outside_line
from ari_app.check import readiness
from ari_app.check.findings import Finding, Findings, State, bad, good, unknown, warning
from ari_app.check.pbx import CannotRead, Pbx
from ari_app.check.readiness import Step

_SHOWN = 12
_FREEPBX = "from-internal"
"""Begins the names of the contexts that FreePBX's phones dial in; they take any number, if only to say no."""
_ROUTES = "outbound-allroutes"
"""FreePBX's outbound routes."""


async def phones(pbx: Pbx, account: Account) -> Findings:
    """Does the PBX know the phone of each extension, and can it be reached now?"""
    codes = [extension.code for extension in account.extensions]
    codes += [code for code in rung_besides(account) if code not in codes]
    if not codes:
        yield readiness.missing(Step.EXTENSIONS)
        return
    if not pbx.lets_in:
        return
    try:
        endpoints = await pbx.endpoints()
    except CannotRead as problem:
        yield unknown("phones", f"the PBX doesn't name its phones: {problem}", "check again")
        return
    states: dict[str, list[str]] = {}
    for code in codes:
        state = await _state(pbx, account.policy().endpoint(code), endpoints)
        states.setdefault(state, []).append(code)
    for state, found in sorted(states.items()):
        yield _phones(state, found, account)
    match readiness.somebody_is_registered(account, endpoints):
        case False:
            yield readiness.missing(Step.TELEPHONE)
        case None if not states.keys() & {"unseen", "unknown"}:
            yield readiness.unseen(Step.TELEPHONE)
        case _:
            pass  # what is not known of a telephone was said


def rung_besides(account: Account) -> list[str]:
    """Give the extensions of the account's groups that aren't in [[extensions]]."""
    policy = account.policy()
    rung = (place.codes for place in (*policy.fallback, *policy.unknown) if isinstance(place, People))
    return list(dict.fromkeys(code for codes in rung for code in codes if code not in account.codes))


async def _state(pbx: Pbx, channel: str, endpoints: dict[str, dict[str, str]]) -> str:
    """Say how an extension's phone stands: as ARI says, or ``missing``, or ``unseen``."""
    technology, _, name = channel.partition("/")
    if technology.lower() == "local":
        exten, _, context = name.partition("@")
        try:
            return "online" if await pbx.has_place(context.partition("/")[0], exten) else "missing"
        except CannotRead:
            return "unseen"
    return state_of(channel, endpoints)


def _phones(state: str, codes: list[str], account: Account) -> Finding:
    named = _some(codes)
    example = account.policy().endpoint(codes[0])
    match state:
        case "online":
            return good("phones", f"can be reached, as far as the PBX knows: {named}")
        case "missing":
            return bad(
                "phones",
                f"the PBX doesn't know {named}: there is no {example}",
                "check the extension in the account, pbx.channel_format, and the endpoint on the PBX "
                "(pjsip show endpoints)",
            )
        case "offline":
            return warning(
                "phones",
                f"not registered now: {named}; callers are sent on at once",
                "switch the phone on, or check its name and password (pjsip show contacts)",
            )
        case _:
            return unknown(
                "phones", f"whether {named} can be reached isn't known to the PBX", f"call {example} yourself"
            )


async def lines(pbx: Pbx, account: Account) -> Findings:
    """Do the places that let calls out take ordinary numbers?"""
    if not pbx.lets_in and not pbx.commands:
        return
    named = {"pbx.outgoing": account.outside("")}
    for index, phone in enumerate(account.external_phones):
        if phone.outgoing is not None:
            named[f"external_phones[{index}].outgoing"] = account.outside("", phone.outgoing)
    seen = set()
    for field, line in named.items():
        if (line.context, line.priority) not in seen:
            seen.add((line.context, line.priority))
            for finding in await _line(pbx, field, line, _as_dialled(account)):
                yield finding


def _as_dialled(account: Account) -> list[str]:
    """Give sample numbers as they are dialled: with the outside line's digit where the shop has one."""
    country, digit = account.crm.country, account.pbx.outside_prefix
    numbers = (for_an_outside_line(number, digit, country) for number in sample_numbers(country))
    return list(dict.fromkeys(numbers))


def sample_numbers(country: str) -> list[str]:
    """Give a number of a country as people and CRMs write it, a mobile one where there are such."""
    for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
        number = phonenumbers.example_number_for_type(country, kind)
        if number is not None:
            break
    else:
        return []
    whole = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    return list(dict.fromkeys([whole, whole.removeprefix("+"), "".join(filter(str.isdigit, national))]))


async def _line(pbx: Pbx, field: str, line: Outside, numbers: list[str]) -> list[Finding]:
    where = f"[{line.context}]" + (f" at priority {line.priority}" if line.priority != 1 else "")
    look = f"asterisk -rx 'dialplan show {line.context}'"
    routed = numbers
    if numbers and line.context.startswith(_FREEPBX):
        try:
            routed = await _routed(pbx, numbers)
            if not routed:
                return [
                    bad(
                        "lines",
                        f"{field}: FreePBX has no outbound route that takes {', '.join(numbers)}: "
                        "nothing lets calls out, and customers can't be called",
                        "make one (Connectivity -> Outbound Routes) that takes your customers' numbers; "
                        f"see asterisk -rx 'dialplan show {_ROUTES}'",
                    )
                ]
        except CannotRead:
            pass  # the same is said below
    if not numbers:
        return [unknown("lines", f"{field}: we know no number of this country to try {where} with", look)]
    try:
        taken = [number for number in routed if await pbx.has_place(line.context, number, line.priority)]
        led = line.priority == 1 or await pbx.has_place(line.local, numbers[0])
    except CannotRead as problem:
        return [unknown("lines", f"{field}: whether {where} takes numbers isn't known: {problem}", look)]
    found = []
    if not taken:
        found.append(
            bad(
                "lines",
                f"{field}: {where} takes no number outside ({', '.join(numbers)}), or isn't there at all: "
                "customers can't be called",
                f"name the context that lets calls out in {field}; see {look}",
            )
        )
    elif left := [number for number in numbers if number not in taken]:
        found.append(
            warning(
                "lines",
                f"{field}: {where} takes {', '.join(taken)}, but not {', '.join(left)}",
                "numbers are dialled as the CRM has them: let it take your customers', too",
            )
        )
    else:
        found.append(good("lines", f"{field}: {where} takes numbers such as {numbers[0]}"))
    if not led:
        found.append(
            bad(
                "lines",
                f"{field}: there is no [{line.local}], by which we get to priority {line.priority}",
                "put what ari-app dialplan writes onto the PBX, and: dialplan reload",
            )
        )
    return found


async def _routed(pbx: Pbx, numbers: list[str]) -> list[str]:
    """Give those that FreePBX lets out: that its phones' context takes them, by our line, is no proof.

    A context of that name on another PBX is looked at as any other.

    Raises:
        CannotRead
    """
    ours = f"{pbx.settings.stasis_app}-outgoing"
    if not (await pbx.has_context(_ROUTES) or await pbx.has_place(ours, numbers[0])):
        return numbers
    return [number for number in numbers if await pbx.has_place(_ROUTES, number)]


async def destinations(pbx: Pbx, account: Account) -> Findings:
    """Are the places there to which unanswered and unknown callers are sent?"""
    policy = account.policy()
    if not readiness.everybody_has_a_place(account):
        yield readiness.missing(Step.DESTINATION)
    if not pbx.lets_in and not pbx.commands:
        return
    places = dict.fromkeys((*policy.fallback, *policy.unknown))
    for place in places:
        if isinstance(place, Queue | Dialplan):
            for finding in await _destination(pbx, place):
                yield finding


async def _destination(pbx: Pbx, place: Queue | Dialplan) -> list[Finding]:
    priority = place.priority if isinstance(place, Dialplan) else 1
    shown = f"{place.kind}:{place.context},{place.exten}" + (f",{priority}" if priority != 1 else "")
    look = f"asterisk -rx 'dialplan show {place.exten}@{place.context}'"
    app = pbx.settings.stasis_app
    named = (named_context(app), named_exten(place.context, place.exten, priority))
    try:
        if not await pbx.has_place(place.context, place.exten, priority):
            return [
                bad(
                    "destinations",
                    f"{shown} isn't in the dialplan: callers who are sent there are lost",
                    f"correct calls.fallback or calls.unknown, or the dialplan; see {look}",
                )
            ]
        if isinstance(place, Dialplan) and not await pbx.has_place(*named):
            return [
                warning(
                    "destinations",
                    f"{shown} is there, but callers come there without the customer's name",
                    f"put what ari-app dialplan writes onto the PBX: [{named[0]}] leads there",
                )
            ]
    except CannotRead as problem:
        return [Finding("destinations", State.UNKNOWN, f"{shown}: {problem}", look)]
    return [good("destinations", f"{shown} is there")]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
