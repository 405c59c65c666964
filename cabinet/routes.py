"""Every address of the web application, and who answers there. Pages for readers who are signed in say so.

What only the copy of the service knows that holds the account is asked `at_holder`.
Where HEAD isn't wanted, it isn't taken for GET: it would place a call, or write down a whole file for nobody.
"""

from __future__ import annotations

from aiohttp import web

from cabinet.api import calls, data, event, manager, metrics, openapi, recordings, reference
from cabinet.callbacks import clicks, marketplace, module
from cabinet.frame import assets
from cabinet.frame.visits import signed_in
from cabinet.pages import (
    api_access,
    asterisk,
    call_log,
    call_me,
    check,
    door,
    events,
    extensions,
    information,
    live,
    missed,
    numbers,
    reader,
    statistics,
    telephony,
)

ROUTES = [
    # files, and how the service is
    web.get("/recordings/{name}", recordings.recording),
    web.get("/static/{name}", assets.give),
    web.get("/data/event2.sh", data.script),
    web.get("/api-access/reference", reference.show),
    web.get("/healthz", metrics.alive),
    web.get("/readyz", metrics.ready),
    # what retailCRM asks and tells
    web.get("/crm/call", clicks.call, allow_head=False),
    web.post("/crm/call", clicks.call),
    web.get("/crm/status", clicks.status, allow_head=False),
    web.post("/crm/status", clicks.status),
    web.get("/crm/call/{key}", clicks.call, allow_head=False),
    web.post("/crm/call/{key}", clicks.call),
    web.get("/crm/status/{key}", clicks.status, allow_head=False),
    web.post("/crm/status/{key}", clicks.status),
    web.post("/crm/activity/{key}", module.activity),
    web.post("/crm/settings/{key}", module.settings),
    web.get("/crm/config", marketplace.config),
    web.post("/crm/register", marketplace.register),
    # the cabinet's door
    web.post("/language", reader.choose),
    web.get("/sign-in", door.ask),
    web.post("/sign-in", door.sign_in),
    web.post("/sign-out", door.sign_out),
    web.get("/account/{secret}", door.from_crm, allow_head=False),
    web.post("/account/{secret}", door.from_crm),
    web.get("/door/{ticket}", door.by_link, allow_head=False),
    web.post("/door/{ticket}", door.open_by_link),
    # the cabinet's pages
    web.get("/", signed_in(information.show, at_holder=True)),
    web.get("/check", signed_in(check.show, at_holder=True)),
    web.post("/check", signed_in(check.begin, at_holder=True)),
    web.get("/call-me", signed_in(call_me.show, at_holder=True)),
    web.post("/call-me", signed_in(call_me.ring, at_holder=True)),
    web.get("/extensions", signed_in(extensions.show, at_holder=True)),
    web.get("/extensions/progress", signed_in(extensions.progress, at_holder=True)),
    web.post("/extensions/synchronise", signed_in(extensions.synchronise, at_holder=True)),
    web.post("/extensions/match", signed_in(extensions.match, at_holder=True)),
    web.post(r"/extensions/{user:[0-9]{1,18}}", signed_in(extensions.save, at_holder=True)),
    web.get("/numbers", signed_in(numbers.show, at_holder=True)),
    web.post("/numbers", signed_in(numbers.add)),
    web.post(r"/numbers/{number:\+?[0-9]{2,15}}", signed_in(numbers.save)),
    web.get("/asterisk", signed_in(asterisk.show, at_holder=True)),
    web.post("/asterisk", signed_in(asterisk.save)),
    web.post("/asterisk/check", signed_in(asterisk.check)),
    web.post("/asterisk/files", signed_in(asterisk.files)),
    web.get("/telephony", signed_in(telephony.show, at_holder=True)),
    web.post("/telephony", signed_in(telephony.save, at_holder=True)),
    web.get("/api-access", signed_in(api_access.show)),
    web.post("/api-access/client-id", signed_in(api_access.renew)),
    web.post("/api-access/address", signed_in(api_access.renew_address)),
    web.post("/api-access/recordings", signed_in(api_access.revoke_links)),
    web.get("/api-access/dialplan/{kind}.zip", signed_in(api_access.dialplan)),
    web.post("/api-access/tokens", signed_in(api_access.make_token)),
    web.post("/api-access/tokens/{ident}/revoke", signed_in(api_access.revoke_token)),
    web.get("/statistics", signed_in(statistics.show)),
    web.get("/statistics.csv", signed_in(statistics.save)),
    web.get("/live", signed_in(live.show, at_holder=True)),
    web.post("/live/hang-up", signed_in(live.hang_up, at_holder=True)),
    web.get("/live/calls", signed_in(live.stream, at_holder=True), allow_head=False),
    web.get("/missed", signed_in(missed.show, at_holder=True)),
    web.post("/missed/call", signed_in(missed.call_back, at_holder=True)),
    web.post("/missed/close", signed_in(missed.close)),
    web.get("/calls", signed_in(call_log.show)),
    web.get("/calls.csv", signed_in(call_log.save), allow_head=False),
    web.get("/calls/{id}", signed_in(call_log.show_one)),
    web.get("/events", signed_in(events.show)),
    web.post("/events/send-again", signed_in(events.send_again, at_holder=True)),
]

FIGURES = [
    # at a port of their own
    web.get("/metrics", metrics.metrics),
]

API = [
    # below /api
    web.get("/manager", manager.answer, allow_head=False),
    web.get("/event", event.answer, allow_head=False),
    web.post("/event", event.answer),
    web.get("/calls", calls.answer, allow_head=False),
    web.get("/openapi.json", openapi.answer, allow_head=False),
]
