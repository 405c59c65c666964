"""Altered requests on every route: by strangers, by who knows the clientId, and by who is signed in."""

import asyncio
import gc
import gzip
import json
import random
import re
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import structlog
from redis.asyncio import Redis

from cabinet.routes import API, ROUTES
from tests.cabinet.cabinet_shop import CabinetShop, Reader, cabinet_shop
from tests.cabinet.shop import ANNA
from tests.cabinet.test_api_upload import wav
from tests.fuzz.mutations import (
    JUNK,
    LONG,
    MOST_GROWTH_MB,
    MOST_STEP_SECONDS,
    SEED,
    altered,
    memory_mb,
    torn,
)
from tests.support.hostile import watched_loop

TIMES = 100_000 if LONG else 300
AT_ONCE = 50
A_VISIT = 100
"""So many requests are made with what one visit gave: a session, a form's token, the clientId."""
ANSWER_SECONDS = 30.0

ADDRESSES = [
    *((route.method, route.path) for route in ROUTES),
    *((route.method, f"/api{route.path}") for route in API),
]
FIELDS: dict[str, Any] = {
    "type": "in",
    "uniqueid": "1700000000.1",
    "phone": ANNA,
    "code": "101",
    "status": "ANSWER",
    "hold": "5",
    "duration": "30",
    "date": "2026-01-02 03:04:05",
    "direct": "in",
    "record": "wait",
    "ignoreStatus": "1",
    "path": "https://rec.example.com/1.wav",
    "extPhone": "+74951112233",
    "queryString": "a=b",
    "userId": "1",
    "period": "week",
    "from": "2026-01-01",
    "to": "2026-01-02",
    "cursor": "1.1_x",
    "limit": "50",
    "next": "/",
    "crm": "http://127.0.0.1:1",
    "key": "k",
    "name": "BI",
    "language": "ru",
    "back": "/",
    "call": "x",
    "activity": '{"active": true}',
    "register": '{"systemUrl": "x"}',
    "settings": '{"a": 1}',
    "systemUrl": "http://127.0.0.1:1",
    "number": "+74951112233",
    "countries": "RU",
    "addresses": "10.0.0.0/8",
    "fallback_kind": "group",
    "host": "127.0.0.1",
    "http_port": "9",
    "version": "0",
    "sure": "no",
}


class Visit:
    """What was learned by coming in: a cookie, a form's token, the account's clientId and secret."""

    def __init__(self, cookie: str, token: str, client_id: str, secret: str) -> None:
        self.cookie, self.token, self.client_id, self.secret = cookie, token, client_id, secret


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet
    gc.collect()  # aiohttp leaves the files of forms that broke off to it: not to a later test's


@pytest.fixture
def failures() -> Iterator[list[Any]]:
    """What was logged as a failure of ours."""
    found: list[Any] = []

    def note(_: Any, level: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        if level in ("error", "critical", "exception"):
            found.append(event)
        raise structlog.DropEvent

    structlog.configure(processors=[note])
    yield found
    structlog.reset_defaults()


async def come_in(cabinet: CabinetShop) -> Visit:
    account = await cabinet.shop.service.accounts.find(cabinet.shop.account.id)
    assert account is not None
    assert account.crm.cabinet_secret is not None
    secret = account.crm.cabinet_secret.get_secret_value()
    async with cabinet.reader() as reader:
        await cabinet.shop.changed(lambda now: True)
        cabinet.shop.service.doors.add(account)  # it may have been changed just now
        await reader.get(f"/account/{secret}")
        token = await reader.token("/telephony")
        cookie = next(one.value for one in reader.client.session.cookie_jar if one.key == "cabinet")
    return Visit(cookie, token, account.crm.client_id.get_secret_value(), secret)


def request_of(rng: random.Random, visit: Visit) -> list[bytes]:
    """Make a request, in the pieces in which it is sent."""
    method, path = rng.choice(ADDRESSES)
    if rng.random() < 0.05:
        method = rng.choice(("PUT", "HEAD", "OPTIONS", "DELETE", "TRACE", "get", "PROPFIND"))
    path = re.sub(r"\{[^}]*\}+", lambda _: filled(rng, visit), path)
    names = rng.sample(list(FIELDS), rng.randrange(1, 9))
    fields = {"clientId": visit.client_id, "token": visit.token} | {name: FIELDS[name] for name in names}
    if rng.random() < 0.6:
        fields = altered(rng, fields)
    body, kind = b"", None
    if method in ("POST", "PUT"):
        body, kind = body_of(rng, fields)
    query = query_of(rng, fields) if rng.random() < 0.8 else ""
    headers = {"Host": "127.0.0.1", "Accept": rng.choice(("text/html", "*/*", "application/json", "\\\xff"))}
    if rng.random() < 0.7:
        headers["Cookie"] = f"cabinet={visit.cookie}"
    if kind is not None:
        headers["Content-Type"] = kind
    for name in (
        "X-Forwarded-For",
        "Accept-Language",
        "Range",
        "Authorization",
        "Cookie",
        "HX-Request",
        "Expect",
    ):
        if rng.random() < 0.04:
            headers[name] = re.sub(r"[\r\n\0]", "", str(rng.choice(JUNK)))[:3000]
    if rng.random() < 0.15:
        packing = rng.choice(("gzip", "deflate", "br", "zstd", "nonsense"))
        headers["Content-Encoding"] = packing
        body = packed(packing, body)
        body = torn(rng, body) if rng.random() < 0.3 else body
    if rng.random() < 0.1:
        headers["Transfer-Encoding"] = "chunked"
        body = b"%x\r\n%s\r\n%s" % (len(body), body, rng.choice((b"0\r\n\r\n", b"zz\r\n", b"")))
    else:
        length = len(body) + (rng.choice((-1, 1, 10**9, 10**20)) if rng.random() < 0.05 else 0)
        headers["Content-Length"] = str(max(0, length))
    lines = [
        f"{method} {path}{query} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items()),
        "",
        "",
    ]
    head = "\r\n".join(lines).encode("utf-8", "replace")
    said = (torn(rng, head) if rng.random() < 0.05 else head) + body
    if rng.random() < 0.1:
        cut = sorted(rng.randrange(len(said) + 1) for _ in range(rng.randrange(1, 6)))
        return [said[a:b] for a, b in zip([0, *cut], [*cut, len(said)], strict=True)]
    return [said]


def request_batch(rng: random.Random, visit: Visit) -> list[list[bytes]]:
    return [request_of(rng, visit) for _ in range(AT_ONCE)]


def packed(packing: str, body: bytes) -> bytes:
    return gzip.compress(body) if packing == "gzip" else zlib.compress(body) if packing == "deflate" else body


def filled(rng: random.Random, visit: Visit) -> str:
    known = (
        visit.secret,
        visit.client_id,
        "x",
        "1",
        "asterisk",
        "+74951112233",
        "cabinet.css",
        "a" * 40 + ".wav",
    )
    return quote(str(rng.choice(known if rng.random() < 0.6 else JUNK))[:2000], safe="") or "x"


def query_of(rng: random.Random, fields: Any) -> str:
    pairs = fields.items() if isinstance(fields, dict) else [("a", fields)]
    text = urlencode([(str(name)[:200], str(value)[:1500]) for name, value in pairs], errors="replace")
    if rng.random() < 0.1:
        text = text.replace("%", "%%" if rng.random() < 0.5 else "%f", 1)
    return f"?{text}"


def body_of(rng: random.Random, fields: Any) -> tuple[bytes, str]:
    charset = rng.choice(
        ("", "", "; charset=utf-8", "; charset=utf-16", "; charset=nonsense", "; charset=idna")
    )
    match rng.randrange(5):
        case 0:
            return query_of(rng, fields)[1:].encode(), f"application/x-www-form-urlencoded{charset}"
        case 1:
            return torn(rng, json.dumps(fields).encode()), f"application/json{charset}"
        case 2:
            sound = wav(0.1) if rng.random() < 0.5 else bytes(rng.randrange(100_000))
            part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="1.wav"\r\n\r\n' + sound
            field = b'\r\n--x\r\nContent-Disposition: form-data; name="type"\r\n\r\nupload\r\n--x--\r\n'
            whole = part + field
            return torn(rng, whole) if rng.random() < 0.5 else whole, "multipart/form-data; boundary=x"
        case 3:
            return bytes(rng.randrange(256) for _ in range(rng.randrange(300))), f"text/plain{charset}"
        case _:
            return b"a=" + b"%41" * rng.choice(
                (1, 1000, 100_000, 400_000)
            ), "application/x-www-form-urlencoded"


async def asked(host: str, port: int, pieces: list[bytes], rng: random.Random) -> int:
    """Send a request; give the status, 0 when the connection is closed without one."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if rng.random() < 0.03:  # whoever asked is gone
            return 0
        async with asyncio.timeout(1.0):
            line = await reader.readline()
        return int(line.split(b" ")[1]) if line.startswith(b"HTTP/") else 0
    except (OSError, TimeoutError):  # it waits for what never comes
        return 0
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.filterwarnings("ignore::aiohttp.multipart.BadContentDispositionHeader")
@pytest.mark.filterwarnings("ignore::aiohttp.multipart.BadContentDispositionParam")
async def test_altered_requests_on_every_route(
    cabinet: CabinetShop, failures: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, host, port = random.Random(SEED), "127.0.0.1", cabinet.server.port
    assert port is not None
    async with cabinet.reader() as owner:  # templates are read once, when a page is first shown
        await owner.enter(cabinet)
        await warmed_up(owner)
    statuses: dict[int, int] = {}
    began: float | None = None

    async def one(pieces: list[bytes], about: int) -> None:
        status = await asked(host, port, pieces, rng)
        statuses[status] = statuses.get(status, 0) + 1
        assert status < 500 or status == 503, (about, SEED, b"".join(pieces)[:3000])
        assert not failures, (about, SEED, failures, b"".join(pieces)[:3000])

    async def batch(visit: Visit, at: int) -> list[bytes]:
        made = await asyncio.to_thread(request_batch, rng, visit)
        async with asyncio.timeout(ANSWER_SECONDS):
            await asyncio.gather(*(one(pieces, at) for pieces in made))
        return [b"".join(pieces)[:300] for pieces in made]

    first_visit = await come_in(cabinet)
    for at in range(A_VISIT // AT_ONCE):  # what is made once, such as a page's template, is made now
        await batch(first_visit, at)
    with watched_loop(monkeypatch) as steps:
        for first in range(0, TIMES, A_VISIT):
            visit = await come_in(cabinet)
            if first >= TIMES // 5 and began is None:
                began = memory_mb()
            for at in range(first, min(first + A_VISIT, TIMES), AT_ONCE):
                heads = await batch(visit, at)
                assert steps.longest < MOST_STEP_SECONDS, (at, SEED, steps.longest, steps.what, heads)
    assert began is not None
    assert memory_mb() - began < MOST_GROWTH_MB
    assert statuses.get(200, 0) > TIMES / 50, statuses


async def warmed_up(owner: Reader) -> None:
    for method, path in ADDRESSES:
        if method == "GET" and "{" not in path and path != "/live/calls":
            await owner.get(path)
