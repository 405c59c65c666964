"""A CRM, or a PBX's AJAM, that answers whatever it likes: nobody waits for it, and memory stays small."""

from __future__ import annotations

import time
import tracemalloc
from contextlib import suppress

import aiohttp
import orjson
import pytest
from aiohttp import web

from ari_app.asterisk.ajam import Ajam
from ari_app.asterisk.ajam_wire import AjamTarget, read_answer
from ari_app.asterisk.errors import PbxError
from ari_app.retailcrm.client import RetailCrm
from ari_app.retailcrm.errors import CrmError
from ari_app.retailcrm.pace import Pace
from tests.support.hostile import watched_loop
from tests.unit.test_hostile_pbx import pbx, saying

MOST_SECONDS = 0.1
MEGABYTE = 10**6

ANSWERS: dict[str, bytes] = {
    "a long word": orjson.dumps({"success": True, "manager": {"firstName": "я" * 900_000}}),
    "blanks": orjson.dumps({"success": True, "customer": {"firstName": " " * 3_000_000 + "x"}}),
    "empty lists": b'{"success":true,"manager":[' + b",".join([b"[]"] * 1_200_000) + b"]}",
    "empty objects": b'{"success":false,"errors":[' + b",".join([b"{}"] * 1_200_000) + b"]}",
    "many errors": b'{"success":false,"errors":{"'
    + b"f" * MEGABYTE
    + b'":['
    + b",".join([b'"e"'] * 40_000)
    + b"]}}",
    "deep errors": b'{"success":false,"errors":' + b'{"aaaa":' * 900 + b"1" + b"}" * 900 + b"}",
    "deeper than deep": b'{"success":false,"errors":' + b"[" * MEGABYTE,
    "a number": b'{"success":true,"manager":{"id":' + b"9" * 3_000_000 + b"}}",
    "a page": b"<html>" + b"<a>" * MEGABYTE,
    "many people": orjson.dumps({"success": True, "users": [{"id": 1, "firstName": "x"}] * 12_000}),
    "no text": b"\xff\xfe" * MEGABYTE,
    "keys": b'{"success":true,' + b",".join(b'"k%d":1' % one for one in range(45_000)) + b"}",
}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_no_answer_of_a_crm_holds_up_the_loop_or_fills_the_memory(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = ANSWERS[kind]

    async def say(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    async with pbx(say) as (session, url):
        crm = RetailCrm(session, url, "k" * 32, Pace.unlimited())
        with watched_loop(monkeypatch) as steps:
            for ask in (lambda: crm.manager_for("+79161234567", timeout=30), crm.users, crm.timezone):
                with suppress(CrmError):
                    await ask()
        assert steps.longest < MOST_SECONDS, steps.what
        tracemalloc.start()
        with suppress(CrmError):
            await crm.users()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 100 * MEGABYTE


AJAM = {
    "blocks": b"Response: Success\r\n\r\n" + b"a:\r\n\r\n" * 1_300_000,
    "lines": b"Response: Success\r\n" + b"a:\r\n" * 1_900_000 + b"\r\n",
    "many lines": b"Response: Success\r\n" + b"".join(b"a%d:1\r\n" % one for one in range(290_000)) + b"\r\n",
    "events": b"Response: Success\r\n\r\n" + b"Event: x\r\n\r\n" * 140_000,
    "one line": b"Response: " + b"x" * 7_000_000 + b"\r\n\r\n",
    "a long time": b"Response: Success\r\n\r\n"
    b"Event: CoreShowChannel\r\nUniqueid: 1\r\nLinkedid: 1\r\nChannel: x\r\n"
    b"ChannelStateDesc: Up\r\nBridgeId: \r\nApplication: \r\nConnectedLineNum: \r\nDuration: "
    + b"9" * MEGABYTE
    + b":0:0\r\n\r\nEvent: CoreShowChannelsComplete\r\nListItems: 1\r\n\r\n",
    "no end": b"Response: Success\r\n\r\n" + b"\r\n" * 100,
}


@pytest.mark.parametrize("kind", AJAM)
async def test_no_answer_of_ajam_holds_up_the_loop(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def say(_: web.Request) -> web.Response:
        return web.Response(body=AJAM[kind], content_type="text/plain")

    async with pbx(say) as (_, url), aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        ajam = Ajam(AjamTarget(url, "user", "password"), session, "shop", time.time, request_seconds=60)
        with watched_loop(monkeypatch) as steps, pytest.raises(PbxError):
            await ajam.channels()
    assert steps.longest < MOST_SECONDS, steps.what


def test_an_ajam_answer_has_so_many_lines_at_most() -> None:
    with pytest.raises(ValueError, match="lines"):
        read_answer(AJAM["lines"])


async def test_an_api_of_the_crm_that_says_anything_is_said_to_be_none() -> None:
    async with pbx(saying("{}")) as (session, url):
        with pytest.raises(CrmError):
            await RetailCrm(session, url, "k" * 32, Pace.unlimited()).timezone()
