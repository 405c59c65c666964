"""«Телефония»: what phones show, how long they ring, where a call goes when nobody takes it, recording."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, available_timezones

from aiohttp import web
from babel import Locale
from babel.core import get_global

from ari_app.accounts.account import RegisteredAccount
from ari_app.accounts.clickable import about
from ari_app.accounts.sections import DEFAULT_TIMEZONE, Notify
from ari_app.retailcrm.client import RetailCrm
from ari_app.retailcrm.errors import CrmError
from ari_app.retailcrm.pace import Pace
from ari_app.retailcrm.registration import (
    COUNTRIES,
    CUSTOMER_METHODS,
    NOTICE_METHODS,
    TASK_METHODS,
    lacking,
)
from cabinet.forms.destinations import Destinations, read_steps, shown_steps
from cabinet.forms.form import Filled, Flag, Form, Number, Secret, Text, Words, saved
from cabinet.frame.clients import HTTP, SERVICE
from cabinet.frame.language import chosen
from cabinet.frame.people import names_of
from cabinet.frame.rendering import page
from cabinet.frame.visits import Form as Sent
from cabinet.frame.visits import Visit, form_of
from cabinet.pages.telling import named

FORM = Form(
    RegisteredAccount,
    Text("calls.caller_name_prefix"),
    Text("calls.manager_caller_name"),
    Flag("calls.blank_unknown_caller"),
    Number("calls.ring_manager_seconds"),
    Number("calls.ring_group_seconds"),
    Flag("calls.ignore_manager_status"),
    Destinations("calls.fallback"),
    Destinations("calls.unknown"),
    Flag("calls.new_customers"),
    Flag("calls.record"),
    Text("calls.recording_format"),
    Number("calls.keep_days"),
    Flag("missed.task"),
    Number("missed.task_minutes"),
    Text("missed.task_for"),
    Text("missed.notify"),
    Text("missed.notify_group"),
    Text("webhook.url"),
    Secret("webhook.secret"),
    Number("alerts.minutes"),
    Text("alerts.group"),
    Words("mail.missed"),
    Words("mail.lost"),
    Words("mail.alerts"),
    Words("clicks.countries"),
    Words("clicks.short_numbers"),
    Flag("clicks.client_id_is_enough"),
    Words("api.addresses"),
    Text("crm.country"),
    Text("crm.timezone"),
)

_ALL_METHODS = frozenset((*TASK_METHODS, *NOTICE_METHODS, *CUSTOMER_METHODS))
_ONCE = {"Europe/Kyiv": "Europe/Kiev"}
"""Time zones that the names of cities are listed for under an older name."""


async def show(request: web.Request, visit: Visit) -> web.Response:
    """Show the settings."""
    return await _page(request, visit, FORM.show(request, visit.account))


async def save(request: web.Request, visit: Visit) -> web.Response:
    """Store what was typed, if it is right."""
    sent = await form_of(request)
    filled = await FORM.put(request, visit.account.id, lambda account: _read(request, account, sent))
    if filled.bad:
        return await _page(request, visit, filled)
    answer = saved("/telephony")
    if lacks := await _lacks(request, visit, sent):
        answer.headers["Location"] += "&" + urlencode({"lacks": ",".join(lacks)})
    return answer


async def _lacks(request: web.Request, visit: Visit, sent: Sent) -> list[str]:
    """Name the API's methods that the key may not use, of those that were just switched on."""
    before = visit.account.missed
    new = {
        TASK_METHODS: "task" in sent and not before.task,
        CUSTOMER_METHODS: "new_customers" in sent and not visit.account.calls.new_customers,
        NOTICE_METHODS: (bool(sent.get("notify")) and before.notify is Notify.NOBODY)
        or (bool(sent.get("group")) and not visit.account.alerts.group),
    }
    wanted = [method for methods, is_new in new.items() if is_new for method in methods]
    if not wanted:
        return []
    crm = visit.account.crm
    client = RetailCrm(request.app[HTTP], crm.url, crm.api_key.get_secret_value(), Pace())
    try:
        return lacking(await client.credentials(), wanted)
    except CrmError:
        return []  # a CRM that doesn't answer is told of on the first page


def _read(request: web.Request, account: RegisteredAccount, sent: Sent) -> Filled[RegisteredAccount]:
    """Read the form; a change after which callers are dropped is asked about."""
    filled = FORM.take(request, sent, account)
    drops = bool(account.calls.fallback) and not filled.texts["fallback"]
    return filled.refused("drops") if drops and not filled.bad and sent.get("sure") != "yes" else filled


class Choice(NamedTuple):
    """One of a list: what is stored, and what people read."""

    value: str
    shown: str


async def _page(request: web.Request, visit: Visit, filled: Filled[RegisteredAccount]) -> web.Response:
    locale, names = Locale.parse(chosen(request).language), await names_of(visit)
    texts = (filled.texts["fallback"], filled.texts["unknown"])
    offered = await visit.shop.directory.places() if visit.shop is not None else None
    stored = {step.place for text in texts for step in read_steps(text) if step.place}
    there = (*offered.queues, *offered.menus) if offered is not None else ()
    return page(
        request,
        "telephony.html",
        visit,
        status=filled.status,
        form=filled,
        extensions=[extension.code for extension in visit.account.extensions],
        names=names,
        extension_choices=[
            Choice(code, named(code, names))
            for code in sorted(extension.code for extension in visit.account.extensions)
        ],
        places=list(dict.fromkeys((*sorted(stored), *there))),
        offered=offered,
        shown_steps=shown_steps,
        countries=_countries(locale),
        own_countries=sorted(about(visit.account.crm.country)),
        zones=_zones(locale),
        default_zone=DEFAULT_TIMEZONE,
        mail_server=request.app[SERVICE].mail_server is not None,
        troubles=visit.shop.delivery.troubles if visit.shop is not None else [],
        lacks=[one for one in request.query.get("lacks", "").split(",") if one in _ALL_METHODS],
    )


def _countries(locale: Locale) -> list[Choice]:
    return [Choice(code, locale.territories.get(code, code)) for code in COUNTRIES]


def _zones(locale: Locale) -> list[Choice]:
    """Give the time zones of the countries in which retailCRM's shops are, from west to east."""
    territories: Mapping[str, str] = get_global("zone_territories")
    known = {zone for zone, country in territories.items() if country in COUNTRIES} & available_timezones()
    ahead = sorted((_hours(zone), zone) for zone in known)
    return [Choice(zone, f"UTC{hours:+g} {_city(zone, locale)}") for hours, zone in ahead]


def _city(zone: str, locale: Locale) -> str:
    named = locale.time_zones.get(zone) or locale.time_zones.get(_ONCE.get(zone, ""), {})
    return named.get("city") or zone.rpartition("/")[2].replace("_", " ")


def _hours(zone: str) -> float:
    """Say by how many hours a zone is ahead of UTC now."""
    ahead = datetime.now(ZoneInfo(zone)).utcoffset()
    return ahead.total_seconds() / 3600 if ahead is not None else 0.0
