"""Whatever a visitor sends, and wherever to: nobody else waits for it."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import pytest

from cabinet.frame.rendering import compile_templates
from tests.cabinet.shop import CLIENT_ID, ReportingShop
from tests.support.hostile import watched_loop

MOST_SECONDS = 0.1
LONG = 50_000
WORDS = (" ", "a", "0", "/", "<", "(", "\u0430", "-0", "x1")
PATHS = ("/api/manager", "/api/event", "/crm/call", "/crm/status", "/crm/activity", "/sign-in", "/", "/calls")
NAMES = (
    "phone",
    "code",
    "uniqueid",
    "status",
    "path",
    "date",
    "queryString",
    "clientId",
    "userId",
    "activity",
)


@pytest.mark.parametrize("word", WORDS)
async def test_no_address_however_long_holds_up_the_loop(
    shop: ReportingShop, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = quote(word * (LONG // len(quote(word))))
    await compile_templates(shop.client.app)
    with watched_loop(monkeypatch) as steps:
        for path in PATHS:
            for name in NAMES if path.startswith("/api/") else NAMES[:1]:
                known = "" if name == "clientId" else f"clientId={CLIENT_ID}&type=in&"
                answer = await shop.client.get(f"{path}?{known}{name}={long}", allow_redirects=False)
                assert answer.status < 500
    assert steps.longest < MOST_SECONDS, steps.what


FORM = "application/x-www-form-urlencoded"
BODIES = {
    "a million fields": (FORM, b"a&" * 500_000),
    "fields without end": (FORM, b"code[]=1&" * 7_000),
    "blanks": (FORM, b"phone=" + b"+" * 65_000),
    "an object of lists": ("application/json", b'{"a":[' + b",".join([b"[]"] * 330_000) + b"]}"),
    "a deep object": ("application/json", b'{"a":' * 10_000),
    "many keys": ("application/json", b"{" + b",".join(b'"k%d":""' % one for one in range(5_000)) + b"}"),
    "parts": ("multipart/form-data; boundary=x", b"--x\r\n\r\n\r\n" * 6_000 + b"--x--"),
    "half a part": ("multipart/form-data; boundary=x", b"--x\r\n" + b"a: b\r\n" * 100_000),
    "dashes": ("multipart/form-data; boundary=-", b"-" * 900_000),
}


@pytest.mark.parametrize("kind", BODIES)
async def test_no_body_holds_up_the_loop(
    shop: ReportingShop, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content_type, body = BODIES[kind]
    await compile_templates(shop.client.app)
    with watched_loop(monkeypatch) as steps:
        for path in ("/api/event", "/crm/call", "/crm/activity", "/crm/settings", "/sign-in"):
            answer = await shop.client.post(
                f"{path}?clientId={CLIENT_ID}", data=body, headers={"Content-Type": content_type}
            )
            assert 400 <= answer.status < 500 or path == "/sign-in"
    assert steps.longest < MOST_SECONDS, steps.what


@pytest.mark.parametrize(
    "name", ["Accept-Language", "Cookie", "X-Forwarded-For", "Accept", "Range", "Content-Type", "Forwarded"]
)
async def test_no_header_holds_up_the_loop(
    shop: ReportingShop, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await compile_templates(shop.client.app)
    with watched_loop(monkeypatch) as steps:
        for word in ("a", ",", ";", "a,", "a;q=0.1,", "a=b; ", " ", "1.1.1.1, ", "bytes=0-1,", '"', "\\"):
            value = f"x{word * (7_900 // len(word))}x"
            answer = await shop.client.get("/sign-in", headers={"Accept": "text/html", name: value})
            assert answer.status < 500
    assert steps.longest < MOST_SECONDS, steps.what


@pytest.mark.parametrize("expects", [b"100-continue", b"\xea\xff", b"200-ok"])
async def test_whatever_a_visitor_expects_is_answered(shop: ReportingShop, expects: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", shop.client.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: " + expects + b"\r\n\r\n")
    said = await reader.read()
    writer.close()
    await writer.wait_closed()
    began = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200" if expects == b"100-continue" else b"HTTP/1.1 417"
    assert said.startswith(began)
