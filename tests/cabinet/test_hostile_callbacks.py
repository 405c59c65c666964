"""Requests to the CRM's callbacks that no CRM sends."""

import asyncio
import gzip
import io
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from ari_app.service.click_to_call import LIMITS, Clicks
from ari_app.service.service import Service
from ari_app.service.shop import Shop
from cabinet.app import make_app
from cabinet.callbacks import fields
from tests.cabinet.clicking import ID, Client, Line, ask, asking, two_shops


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with two_shops(tmp_path) as service:
        yield service


@pytest.fixture
def shop(service: Service) -> Shop:
    return service.shops["one.retailcrm.ru"]


@pytest.fixture
def line(shop: Shop) -> Line:
    line = Line()
    shop.clicks = Clicks(shop.current, line, lambda: 0.0, LIMITS)
    return line


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with TestClient(TestServer(make_app(service))) as client:
        yield client


async def test_a_field_that_says_two_things_is_refused(client: Client, line: Line) -> None:
    twice = f"/crm/call?clientId={ID}&code=101&code=102&phone=112"
    assert (await ask(client, twice))[0] == 400
    same = f"/crm/call?clientId={ID}&code=101&code=101&phone=89161234567"
    assert (await ask(client, same))[0] == 200
    assert set(line.placed) == {("101", "89161234567")}


async def test_an_array_is_no_field(client: Client, line: Line) -> None:
    for query in ("code[]=101", "code[0]=101", "code%5B%5D=101"):
        status, body = await ask(client, f"/crm/call?clientId={ID}&phone=112&{query}")
        assert (status, body["errorMsg"]) == (400, "code and userId are missing")
    assert line.placed == {}


async def test_a_file_is_no_field(client: Client, line: Line) -> None:
    form = aiohttp.FormData()
    form.add_field("phone", b"112", filename="phone.txt")
    status, body = await ask(client, "/crm/call", "POST", params={"clientId": ID, "code": "101"}, data=form)
    assert (status, body["errorMsg"].split()[0]) == (400, "phone")
    assert line.placed == {}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("multipart", [False, True])
async def test_a_huge_form_is_not_read(client: Client, line: Line, chunked: bool, multipart: bool) -> None:
    async def body() -> AsyncIterator[bytes]:
        with_boundary = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n' if multipart else b"x="
        yield with_boundary
        for _ in range(160):
            yield b"7" * 65_536

    kind = "multipart/form-data; boundary=b" if multipart else "application/x-www-form-urlencoded"
    whole = b"".join([part async for part in body()])
    try:
        answer = await client.post(
            "/crm/call",
            params=asking(),
            data=body() if chunked else io.BytesIO(whole),
            headers={"Content-Type": kind},
        )
    except aiohttp.ClientConnectionError:
        pass  # the door was shut while it was still being sent
    else:
        assert answer.status == 413
        assert (await answer.json())["success"] is False
    assert line.placed == {}
    assert (await ask(client, "/crm/call", params=asking()))[0] == 200


async def test_a_form_that_never_comes_is_not_waited_for(
    client: Client, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fields, "FORM_SECONDS", 0.05)
    over = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"phone="
        await over.wait()

    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.post("/crm/call", params=asking(), data=body(), headers=headers)
    assert answer.status == 408
    over.set()
    assert line.placed == {}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"phone=\xff\xfe"),
        ("application/x-www-form-urlencoded", b"phone=\x00"),
        ("application/x-www-form-urlencoded; charset=nonsense", b"phone=112"),
        ("application/x-www-form-urlencoded; charset=utf-7", b"phone=+AHg"),
        ("multipart/form-data", b"phone=112"),
        ("multipart/form-data; boundary=", b"--\r\n"),
        ("multipart/form-data; boundary=b", b"nothing like it"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="phone"\r\n\r\n11'),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="phone"\r\n'
            b"Content-Transfer-Encoding: base64\r\n\r\n!\r\n--b--\r\n",
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="phone"\r\n'
            b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n--b--\r\n",
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="phone"\r\n'
            b"Content-Transfer-Encoding: nonsense\r\n\r\n112\r\n--b--\r\n",
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="phone"\r\n'
            + b"X: x\r\n" * 1000
            + b"\r\n112\r\n--b--\r\n",
        ),
        (
            "multipart/form-data; boundary=b",
            b"--b\r\nX: " + b"x" * 20_000 + b"\r\n\r\n112\r\n--b--\r\n",
        ),
        ("multipart/form-data; boundary=b", b"--b\r\n: \x00\r\n\r\n112\r\n--b--\r\n"),
        ("multipart/form-data; boundary=" + "b" * 100, b"--b\r\n\r\n112\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\n112\r\n--b--\r\n"),
    ],
)
async def test_a_broken_form_is_refused_in_a_sentence(
    client: Client, line: Line, kind: str, body: bytes
) -> None:
    given = {"clientId": ID, "code": "101"}
    status, _ = await ask(
        client, "/crm/call", "POST", params=given, data=body, headers={"Content-Type": kind}
    )
    assert status == 400
    assert line.placed == {}


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_form_that_isnt_packed_as_it_says_is_refused(client: Client, line: Line, coding: str) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": coding}
    answer = await client.post("/crm/call", params=asking(), data=b"phone=112", headers=headers)
    assert answer.status == 400
    assert line.placed == {}


async def test_a_form_that_unpacks_to_far_more_is_refused(client: Client, line: Line) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}
    packed = gzip.compress(b"phone=" + b"1" * 10_000_000)
    answer = await client.post("/crm/call", params=asking(), data=packed, headers=headers)
    assert answer.status == 413
    assert line.placed == {}


@pytest.mark.parametrize("query", ["%", "%ff%fe", "a=%00", "&&&", "=", "clientId=%ff", "clientId=%ed%a0%80"])
async def test_a_broken_query_is_a_strangers(client: Client, query: str) -> None:
    assert (await client.get(f"/crm/call?{query}")).status in (400, 401)
