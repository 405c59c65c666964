"""«Информация»: can calls come, what is still to be done before they can, and how to mend what isn't well."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from aiohttp import web

from ari_app.asterisk.pbx_state import PbxState
from ari_app.calls import Direction
from ari_app.check import readiness
from ari_app.check.findings import Finding, State
from ari_app.check.readiness import Facts, Step
from ari_app.service.service import Service
from ari_app.service.shop import Shop
from ari_app.store.connection import check_persistence, running_for
from ari_app.store.ledger import NEARLY
from cabinet.frame.clients import SERVICE
from cabinet.frame.language import chosen
from cabinet.frame.rendering import page
from cabinet.frame.visits import Visit
from cabinet.pages.findings import cause, in_language


@dataclass(frozen=True, slots=True)
class Health:
    """How one part is. The template has the words for each `part` and `state`.

    `state` is ``good``, ``waiting`` (it isn't known yet), ``bad``, ``off`` (not set up) or ``switched
    off``; `since` is seconds since the epoch; `detail` is the part's own complaint, in its own words.
    """

    part: str
    state: str
    since: float | None = None
    detail: str | None = None
    why: str = ""
    """What kind of trouble it is, by which the template chooses the remedy."""
    count: int = 0
    last: float | None = None
    """When it last did what it was asked."""
    aside: int = 0
    """How much of it is set aside, for a person to look at."""
    to: tuple[str, ...] = ()
    """The addresses that it is about, of messages to several."""


async def show(request: web.Request, visit: Visit) -> web.Response:
    """Show how everything is."""
    part = request.headers.get("HX-Request") == "true"
    health = [
        *(await _of_shop(visit, visit.shop) if visit.shop else await _of_newcomer(visit)),
        await _of_redis(request.app[SERVICE]),
    ]
    language = chosen(request).language
    shown = [replace(one, detail=cause(one.detail, language)) if one.detail else one for one in health]
    to_do = [in_language(one, language) for one in readiness.judge(await _facts(visit))]
    template = "parts/health.html" if part else "information.html"
    return page(request, template, visit, health=shown, to_do=to_do, steps=_steps(to_do))


def _steps(to_do: list[Finding]) -> list[tuple[str, State]]:
    """Give each step with how it stands; what can't be known before another is done isn't known."""
    missing = {one.step: one.state for one in to_do}
    first = State.UNKNOWN if missing.get(Step.PBX.value) else State.GOOD
    behind = (Step.TELEPHONE, Step.DIALPLAN)
    return [(one.value, missing.get(one.value, first if one in behind else State.GOOD)) for one in Step]


async def _facts(visit: Visit) -> Facts:
    """Find out which steps of the set-up are done."""
    account, shop = visit.account, visit.shop
    told = await visit.staff.told_digest()
    extensions = readiness.somebody_can_be_rung(account)
    destination = readiness.everybody_has_a_place(account)
    if shop is None:
        crm = (await _of_newcomer(visit))[0].state
        known = {"good": True, "bad": False}.get(crm)
        return Facts(known, told is not None, False, extensions, None, destination, None)
    telephones = await shop.directory.telephones()
    crm_state = _of_crm(shop).state
    return Facts(
        crm=None if crm_state == "waiting" else crm_state != "bad",
        module=told is not None and shop.activity.on,
        pbx=_PBX_STANDS.get(shop.line.pbx.state, False),
        extensions=extensions,
        telephone=None if telephones is None else readiness.somebody_is_registered(account, telephones),
        destination=destination,
        dialplan=True if shop.counts.led_here or _comes(shop) else None,
    )


_PBX_STANDS = {PbxState.CONNECTED: True, PbxState.CONNECTING: None}


def _comes(shop: Shop) -> bool:
    return any(call.direction is Direction.IN and call.trial is None for call in shop.line.calls)


async def _of_newcomer(visit: Visit) -> list[Health]:
    """Say what is known where no shop is at work: whether the CRM gave its employees' names."""
    state = "off" if visit.account.pbx is None else "waiting"
    parts = [Health(part, state) for part in ("ari", "ajam")]
    read = await visit.staff.synchronisation()
    if read is None or read.ended_at is None:
        return [Health("crm", "waiting"), *parts]
    if read.problem:
        return [Health("crm", "bad", read.ended_at, read.detail or None), *parts]
    return [Health("crm", "good", last=read.ended_at), *parts]


async def _of_shop(visit: Visit, shop: Shop) -> list[Health]:
    pbx, ajam = shop.line.pbx, shop.ajam
    return [
        _of_crm(shop),
        Health("ari", _state(pbx.state), pbx.since, pbx.problem, pbx.why),
        Health("ajam", _state(ajam.state), ajam.since, ajam.problem, ajam.why)
        if ajam
        else Health("ajam", "off"),
        _of_outbox(shop, await visit.calls.outbox.refused_count()),
        *_of_messages(shop),
        *_of_room(shop),
    ]


def _of_messages(shop: Shop) -> list[Health]:
    """Say what does not work of what the shop has switched on beside telephony; else nothing.

    Addresses that are not written to for one reason stand together.
    """
    parts: dict[tuple[str, str], Health] = {}
    for one in shop.delivery.troubles:
        before = parts.get((one.what, one.problem))
        to = (*before.to, one.to) if before is not None else (one.to,) if one.to else ()
        since = min(before.since or one.since, one.since) if before is not None else one.since
        parts[one.what, one.problem] = Health(one.what, "bad", since, one.problem, one.kind, to=to)
    return list(parts.values())


def _of_room(shop: Shop) -> list[Health]:
    """Say that the room for calls, or for what waits for Redis, is nearly taken; else nothing."""
    rooms = {"calls": shop.line.room_taken, "steps": shop.ledger.room_taken}
    return [Health(part, "bad", count=int(100 * taken)) for part, taken in rooms.items() if taken >= NEARLY]


def _of_outbox(shop: Shop, aside: int) -> Health:
    """Say what waits for the CRM, and what of it is set aside."""
    delivery = shop.delivery
    bad = aside or delivery.unread or (delivery.problem and delivery.backlog)
    state = "bad" if bad else "good"
    return Health("outbox", state, detail=delivery.unread, count=delivery.backlog, aside=aside)


def _of_crm(shop: Shop) -> Health:
    """Say whether the CRM answers, takes what it is told, and has telephony switched on."""
    crm, delivery = shop.crm_health, shop.delivery
    if not shop.activity.on:
        return Health("crm", "switched off", shop.activity.since, last=crm.answered_at)
    if crm.problem is not None:
        why = "denied" if crm.denied else "silent"
        return Health("crm", "bad", crm.since, crm.problem, why, last=crm.answered_at)
    if delivery.problem is not None:
        return Health("crm", "bad", delivery.since, delivery.problem, "takes nothing", last=crm.answered_at)
    return Health("crm", "good" if crm.since else "waiting", crm.since, last=crm.answered_at)


def _state(state: PbxState) -> str:
    return {PbxState.CONNECTED: "good", PbxState.CONNECTING: "waiting"}.get(state, "bad")


async def _of_redis(service: Service) -> Health:
    since = time.time() - await running_for(service.redis)
    problem = await check_persistence(service.redis) or service.redis_room.problem
    return Health("redis", "bad" if problem else "good", since, problem)
