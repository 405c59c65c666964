"""``GET|POST /api/event``: what a dialplan of the shop's own reports of its calls."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack

import structlog
from aiohttp import web

from ari_app.asterisk.uploads import BadFile, Draft
from ari_app.calls.call import AsGiven, Direction, Source
from ari_app.calls.orders import WebAnalytics
from ari_app.calls.reported import EndReported, FileReported, Report, RingingReported, ending_of
from ari_app.service.reported import Taken
from ari_app.service.shop import Shop
from cabinet.api.answers import UnknownClient, Wrong, refusal
from cabinet.api.fields import LONGEST_QUERY, Fields
from cabinet.api.upload import Body
from cabinet.frame.clients import SERVICE, shop_of

log = structlog.get_logger(__name__)

TYPES = ("in", "out", "hangup", "upload")
_TELLABLE = re.compile(r"\+?[0-9]{2,15}")


async def answer(request: web.Request) -> web.Response:
    """Take a report. Once this answers 200 it is kept, and the CRM will hear of it."""
    service = request.config_dict[SERVICE]
    fields = Fields()
    fields.add(request.query.items())

    def allowed() -> None:
        _shop(request, fields)
        if "type" in fields and _type(fields) != "upload":
            raise Wrong("type", "expected upload, since a file is sent")

    async with AsyncExitStack() as stack:
        body = Body(request, fields, service, stack, allowed)
        if "clientId" in fields:
            _shop(request, fields)
        try:
            file = await body.read()
            shop = _shop(request, fields)
            report = await _report(request, shop, fields, file)
        except OSError as error:
            log.error("a recording can't be stored", problem=str(error))
            return refusal(503, "The file can't be stored now; send it again later.")
        taken = await shop.reported.take(report)
        if taken is Taken.OURS and isinstance(report, FileReported):
            service.recordings.path_of(report.file).unlink(missing_ok=True)  # we have our own
    return web.json_response({"success": True, "call": shop.reported.id_of(report.channel), "taken": taken})


def _shop(request: web.Request, fields: Fields) -> Shop:
    service = request.config_dict[SERVICE]
    shop = shop_of(service, fields.text("clientId"))
    if shop is None and not service.settled:
        raise Wrong("clientId", "the service has only just started; send this again", 503)
    if shop is None:
        raise UnknownClient
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
    return _end(shop, fields, at) if kind == "hangup" else _ringing(shop, fields, Direction(kind), at)


def _ringing(shop: Shop, fields: Fields, direction: Direction, at: float) -> RingingReported:
    codes = fields.codes()
    if direction is Direction.IN and not codes:
        codes = tuple(sorted(shop.settings.codes))
    if direction is Direction.OUT and len(codes) != 1:
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
        number=_number(shop, fields, "phone"),
        external=_number(shop, fields, "extPhone"),
        codes=codes,
        analytics=analytics if direction is Direction.IN and analytics != WebAnalytics() else None,
    )


def _end(shop: Shop, fields: Fields, at: float) -> EndReported:
    codes, talking = fields.codes(), fields.seconds("duration")
    ending = ending_of(fields.text("status"), talking)
    if ending is None:
        raise Wrong("status", "expected ANSWER, ANSWERED, NOANSWER, BUSY, CANCEL, CONGESTION or CHANUNAVAIL")
    source = Source(
        **{name: fields.optional(f"source_{name}") for name in Source.__dataclass_fields__},
    )
    return EndReported(
        at=at,
        channel=fields.unique_id(),
        direction=Direction(fields.one_of("direct", "in", "out")) if fields.text("direct") else None,
        number=_number(shop, fields, "phone"),
        external=_number(shop, fields, "extPhone"),
        code=codes[0] if len(codes) == 1 else None,  # who of several talked is not guessed
        ending=ending,
        waiting=fields.seconds("hold"),
        talking=talking,
        given=AsGiven(fields.date(), fields.link(), source if source != Source() else None),
        awaits_file=fields.text("record").lower() == "wait",
    )


def _number(shop: Shop, fields: Fields, name: str) -> str | None:
    """Give a number in E.164; None when it is withheld, or of a kind that the CRM has no customers for."""
    number = shop.desk.normal_form(fields.phone(name))
    return number if number is not None and _TELLABLE.fullmatch(number) else None
