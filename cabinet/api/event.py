"""``GET|POST /api/event``: what a dialplan of the shop's own reports of its calls."""

from __future__ import annotations

from contextlib import AsyncExitStack

import structlog
from aiohttp import web

from ari_app.asterisk.recordings import RecordingStore
from ari_app.asterisk.uploads import BadFile, Draft
from ari_app.calls import (
    AsGiven,
    Direction,
    EndReported,
    FileReported,
    Report,
    RingingReported,
    Source,
    WebAnalytics,
    ending_of,
    tellable,
)
from ari_app.network.reach import leads_inside
from ari_app.service.reported import Taken
from ari_app.service.shop import Shop
from cabinet.api.answers import NotAdmitted, UnknownClient, Wrong, refusal
from cabinet.api.fields import LONGEST_QUERY, Fields
from cabinet.api.upload import Body
from cabinet.frame.clients import SERVICE, NotReady, Unknown, shop_for
from cabinet.frame.proxies import address_of

log = structlog.get_logger(__name__)

TYPES = ("in", "out", "hangup", "upload")


async def answer(request: web.Request) -> web.Response:
    """Take a report. Once this answers 200 it is kept, and the CRM will hear of it."""
    service = request.config_dict[SERVICE]
    fields = Fields()
    fields.add(request.query.items())

    async def allowed() -> str:
        shop = await _shop(request, fields)
        if "type" in fields and _type(fields) != "upload":
            raise Wrong("type", "expected upload, since a file is sent")
        return shop.account

    async with AsyncExitStack() as stack:
        body = Body(request, fields, service, stack, allowed)
        admitted = "clientId" in fields
        if admitted:
            (await _shop(request, fields)).reported.admit()
        try:
            file = await body.read()
            shop = await _shop(request, fields)
            if not admitted:
                shop.reported.admit()
            report = await _report(request, shop, fields, file)
        except OSError as error:
            log.error("a recording can't be stored", problem=str(error))
            return refusal(503, "The file can't be stored now; send it again later.")
        taken = await shop.reported.take(report)
        if isinstance(report, FileReported):
            await _forget_unwanted(shop, report, taken, service.recordings)
    return web.json_response({"success": True, "call": shop.reported.id_of(report.channel), "taken": taken})


async def _forget_unwanted(shop: Shop, came: FileReported, taken: Taken, recordings: RecordingStore) -> None:
    """Remove a file that no call has: we have our own, or another one came before."""
    if taken is Taken.REPEATED:
        call = await shop.calls.get(shop.reported.id_of(came.channel))
        if call is not None and call.recording.file == came.file:
            return
    if taken is not Taken.NEW:
        recordings.remove_file(shop.account, came.file)


async def _shop(request: web.Request, fields: Fields) -> Shop:
    try:
        client_id = fields.text("clientId")
    except Wrong:  # none that anybody has; two that differ are nobody's either
        raise UnknownClient from None
    try:
        shop = await shop_for(request, client_id)
    except Unknown:
        raise UnknownClient from None
    except NotReady:
        raise Wrong("clientId", "the service has only just started; send this again", 503) from None
    if not shop.dialplan_access.admits(address_of(request)):
        raise NotAdmitted
    return shop


def _type(fields: Fields) -> str:
    fields.required("type")
    return fields.one_of("type", *TYPES)


async def _report(request: web.Request, shop: Shop, fields: Fields, file: Draft | None) -> Report:
    kind, at = _type(fields), shop.now
    if kind == "upload":
        channel = fields.unique_id()
        if file is None:
            raise Wrong("file", "is missing")
        store = request.config_dict[SERVICE].recordings
        try:
            name, seconds = await file.keep(store, shop.reported.id_of(channel))
        except BadFile:
            raise Wrong("file", "expected a WAV or MP3 file") from None
        return FileReported(at, channel, name, seconds)
    if file is not None:
        raise Wrong("type", "expected upload, since a file is sent")
    fields.required("uniqueid", "phone", "code")
    by = address_of(request)
    return _end(shop, fields, at, by) if kind == "hangup" else _ringing(shop, fields, Direction(kind), at, by)


def _ringing(shop: Shop, fields: Fields, direction: Direction, at: float, by: str) -> RingingReported:
    codes = _ours(shop, fields)
    nobody_named = direction is Direction.IN and not fields.codes()
    if nobody_named:
        codes = tuple(sorted(shop.settings.codes))
    if direction is Direction.OUT and len(fields.codes()) != 1:
        raise Wrong("code", "expected one extension")
    analytics = WebAnalytics(
        fields.optional("campaign_name"),
        fields.optional("campaign_code"),
        fields.optional("queryString", LONGEST_QUERY),
    )
    return RingingReported(
        at=at,
        channel=fields.unique_id(),
        direction=direction,
        number=_customer(shop, fields, direction),
        external=tellable(shop.desk.normal_form(fields.phone("extPhone"))),
        codes=shop.dialplan_access.shown_to(codes, everybody=nobody_named),
        analytics=analytics if direction is Direction.IN and analytics != WebAnalytics() else None,
        by=by,
    )


def _end(shop: Shop, fields: Fields, at: float, by: str) -> EndReported:
    codes, talking, word = _ours(shop, fields), fields.seconds("duration"), fields.text("status")
    ending, known = ending_of(word, talking)
    source = Source(
        **{name: fields.optional(f"source_{name}") for name in Source.__dataclass_fields__},
    )
    link = fields.link()
    if link is not None and leads_inside(link):
        shop.dialplan_access.note_inside_link(shop.reported.id_of(fields.unique_id()))
        link = None
    direction = Direction(fields.one_of("direct", "in", "out")) if fields.text("direct") else None
    ended = EndReported(
        at=at,
        channel=fields.unique_id(),
        direction=direction,
        number=_customer(shop, fields, direction),
        external=tellable(shop.desk.normal_form(fields.phone("extPhone"))),
        code=codes[0] if len(codes) == 1 else None,  # who of several talked is not guessed
        ending=ending,
        waiting=fields.seconds("hold"),
        talking=talking,
        given=AsGiven(fields.date(), link, source if source != Source() else None),
        awaits_file=fields.text("record").lower() == "wait",
        by=by,
    )
    if not known:
        shop.dialplan_access.note_unknown_status(word, shop.reported.id_of(ended.channel))
    return ended


def _ours(shop: Shop, fields: Fields) -> tuple[str, ...]:
    """Give the extensions that are somebody's: a queue's or a mobile's number is nobody's."""
    codes = tuple(code for code in fields.codes() if not code.startswith("+"))
    return tuple(code for code in codes if code in shop.settings.codes) if shop.settings.codes else codes


def _customer(shop: Shop, fields: Fields, direction: Direction | None) -> str | None:
    """Give the customer's number in E.164; None when it is withheld, or of a kind that no customer has.

    What a manager has dialled may begin with the digit of the outside line.
    """
    number = fields.phone("phone")
    return tellable(
        shop.desk.number_of(number) if direction is Direction.OUT else shop.desk.normal_form(number)
    )
