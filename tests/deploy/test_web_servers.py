"""The web servers that the documents show, before the service: who asks is told, streams and files pass."""

import asyncio
import io
import os
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ari_app.demo.pbx.machine import CannotPrepare, prepare_program
from cabinet.api.metrics import alive

DEPLOY = Path(__file__).parents[2] / "deploy"
LIMIT = 100 * 10**6
Started = Callable[[Path, int, int], AbstractContextManager[str]]


@contextmanager
def running(*command: str | Path, **environment: str) -> Iterator[None]:
    server = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        yield
    finally:
        server.terminate()
        server.wait(10)


def program(name: str) -> Path:
    """Have a program; where it can't be had, the tests with it fail."""
    try:
        return prepare_program(name)
    except CannotPrepare as problem:
        pytest.fail(str(problem))


@contextmanager
def nginx(folder: Path, port: int, behind: int) -> Iterator[str]:
    """Run nginx with our sample; only ports, addresses and the certificate's place are others."""
    certificate, key = folder / "fullchain.pem", folder / "privkey.pem"
    subprocess.run(
        (
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=calls.example.com"),
            *("-days", "1", "-keyout", key, "-out", certificate),
        ),
        check=True,
        capture_output=True,
    )
    site = (DEPLOY / "nginx.conf").read_text("utf-8")
    for was, becomes in (
        ("listen 80;", f"listen unix:{folder}/plain.sock;"),
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{port} ssl http2;"),
        ("/etc/letsencrypt/live/calls.example.com", str(folder)),
        ("127.0.0.1:8080", f"127.0.0.1:{behind}"),
    ):
        assert was in site
        site = site.replace(was, becomes)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    whole = f"pid {folder}/pid; events {{}} http {{ access_log off; {folders} {site} }}"
    (folder / "nginx.conf").write_text(f"user root; daemon off; error_log stderr; {whole}", "utf-8")
    with running(program("nginx"), "-c", folder / "nginx.conf", "-e", "stderr"):
        yield f"https://127.0.0.1:{port}"


@contextmanager
def caddy(folder: Path, port: int, behind: int) -> Iterator[str]:
    """Run Caddy with our sample; without TLS, because nobody outside would give it a certificate."""
    site = (DEPLOY / "Caddyfile").read_text("utf-8")
    assert "app:8080" in site
    (folder / "Caddyfile").write_text(
        "{\n\tadmin off\n}\n" + site.replace("app:8080", f"127.0.0.1:{behind}"), "utf-8"
    )
    home = {"SITE": f"http://127.0.0.1:{port}", "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with running(program("caddy"), "run", "--config", folder / "Caddyfile", **home):
        yield f"http://127.0.0.1:{port}"


class Behind:
    """What stands behind the web server: health as the service tells it, a stream, and a place for files."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()
        self.addresses: list[str | None] = []

    async def health(self, request: web.Request) -> web.Response:
        self.addresses.append(request.headers.get("X-Forwarded-For"))
        return await alive(request)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Say something; and more only when that was heard."""
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b"data: first\n\n")
        await asyncio.wait_for(self.heard.wait(), 20)
        await answer.write(b"data: second\n\n")
        return answer

    async def upload(self, request: web.Request) -> web.Response:
        size = 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
        return web.Response(text=str(size))


async def answering(client: aiohttp.ClientSession, address: str) -> None:
    """Wait until the web server takes connections."""
    async with asyncio.timeout(30):
        while True:
            try:
                async with client.get(f"{address}/healthz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectorError:
                pass
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("started", [nginx, caddy])
async def test_who_asks_is_told_and_streams_and_files_pass(
    started: Started, tmp_path: Path, unused_tcp_port: int
) -> None:
    behind = Behind()
    app = web.Application(client_max_size=2 * LIMIT)
    app.add_routes(
        [
            web.get("/healthz", behind.health),
            web.get("/stream", behind.stream),
            web.post("/upload", behind.upload),
        ]
    )
    nobodys = ssl.create_default_context()
    nobodys.check_hostname, nobodys.verify_mode = False, ssl.CERT_NONE
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=nobodys)) as client,
    ):
        assert server.port is not None
        with started(tmp_path, unused_tcp_port, server.port) as address:
            await answering(client, address)
            invented = {"X-Forwarded-For": "203.0.113.1, 203.0.113.2"}
            async with client.get(f"{address}/healthz", headers=invented) as answer:
                assert answer.headers["X-Ari-App-Proxies"] == "1"
            assert behind.addresses[-1] == "127.0.0.1"
            async with client.get(f"{address}/stream") as answer:
                assert await answer.content.readuntil(b"\n\n") == b"data: first\n\n"
                behind.heard.set()
                assert await answer.content.readuntil(b"\n\n") == b"data: second\n\n"
            async with client.post(f"{address}/upload", data=io.BytesIO(bytes(LIMIT))) as answer:
                assert (answer.status, await answer.text()) == (200, str(LIMIT))
