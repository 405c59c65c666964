"""What is reached by HTTP: recordings, health, metrics."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from redis.asyncio import Redis

from ari_app.service.service import Service
from ari_app.settings import Settings
from cabinet.app import make_app, make_metrics_app
from cabinet.frame.proxies import counted_as

Client: TypeAlias = TestClient[web.Request, web.Application]

NAME = "0123456789abcdef0123456789abcdef01234567.wav"


@pytest.fixture
async def service(tmp_path: Path) -> Service:
    return Service(Settings(data_dir=tmp_path, _env_file=None), Redis(), "s" * 32, "web")


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with TestClient(TestServer(make_app(service))) as client:
        yield client


def keep(service: Service, name: str, content: bytes) -> None:
    path = service.recordings.path_of(name)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)


async def test_a_recording_is_given_to_who_knows_its_name(service: Service, client: Client) -> None:
    keep(service, NAME, b"RIFF" + bytes(100))
    answer = await client.get(f"/recordings/{NAME}")
    assert answer.status == 200
    assert answer.content_type == "audio/wav"
    assert await answer.read() == b"RIFF" + bytes(100)


async def test_a_recording_that_a_pbx_has_sent_may_be_mp3(service: Service, client: Client) -> None:
    name = NAME.replace(".wav", ".mp3")
    keep(service, name, b"ID3" + bytes(100))
    answer = await client.get(f"/recordings/{name}")
    assert (answer.status, answer.content_type) == (200, "audio/mpeg")


async def test_a_part_of_a_recording_is_given(service: Service, client: Client) -> None:
    keep(service, NAME, b"0123456789")
    answer = await client.get(f"/recordings/{NAME}", headers={"Range": "bytes=2-4"})
    assert answer.status == 206
    assert await answer.read() == b"234"


@pytest.mark.parametrize(
    "name", ["..%2f..%2fsecret.key", "x.wav", NAME.upper(), NAME.replace(".wav", ".mp3")]
)
async def test_nothing_else_is_given(service: Service, client: Client, name: str) -> None:
    keep(service, NAME, b"0123456789")
    assert (await client.get(f"/recordings/{name}")).status == 404


async def test_the_service_is_alive_before_it_is_ready(service: Service, client: Client) -> None:
    assert (await client.get("/healthz")).status == 200
    assert (await client.get("/readyz")).status == 503
    service.loaded.set()
    answer = await client.get("/readyz")
    assert answer.status == 503, "nor without Redis"
    assert await answer.json() == {"ready": False, "redis": False, "accounts": 0, "connected": 0}


async def test_metrics_are_in_prometheus_format_at_a_port_of_their_own(
    service: Service, client: Client
) -> None:
    async with TestClient(TestServer(make_metrics_app(service))) as prometheus:
        answer = await prometheus.get("/metrics")
        assert answer.status == 200
        assert "# TYPE ari_app_calls gauge" in await answer.text()
        assert (await prometheus.get("/sign-in")).status == 404
    assert (await client.get("/metrics")).status == 404


@pytest.mark.parametrize(
    ("headers", "count"),
    [
        ({}, 0),
        ({"X-Forwarded-For": "203.0.113.1"}, 1),
        ({"X-Forwarded-For": "203.0.113.1, 10.0.0.1"}, 2),
        ({"Forwarded": "for=203.0.113.1"}, 1),
        ({"X-Real-IP": "203.0.113.1"}, 1),
    ],
)
async def test_who_asks_for_health_learns_how_many_proxies_named_them(
    client: Client, headers: dict[str, str], count: int
) -> None:
    assert (await client.get("/healthz", headers=headers)).headers["X-Ari-App-Proxies"] == str(count)


@pytest.mark.parametrize(
    ("remote", "headers", "counted"),
    [
        ("8.8.8.8", {}, "8.8.8.8"),
        ("2a00:1450::1", {}, "2a00:1450::/64"),
        ("::ffff:8.8.8.8", {}, "8.8.8.8"),
        ("127.0.0.1", {}, None),
        ("10.1.2.3", {}, None),
        ("fe80::1%eth0", {}, None),
    ],
)
async def test_visitors_count_by_their_address_unless_it_is_a_proxys(
    client: Client, remote: str, headers: dict[str, str], counted: str | None
) -> None:
    assert counted_as(asked(client, remote, headers)) == counted


async def test_visitors_of_a_proxy_that_nobody_counts_are_told_apart(client: Client) -> None:
    names = {
        counted_as(asked(client, "127.0.0.1", {"X-Forwarded-For": said}))
        for said in ("203.0.113.1", "203.0.113.2", "203.0.113.1, 203.0.113.2")
    }
    assert len(names - {None}) == 3


def asked(client: Client, remote: str, headers: dict[str, str]) -> web.Request:
    return make_mocked_request("GET", "/", headers=headers, app=client.app).clone(remote=remote)
