"""A PBX's address that somebody typed doesn't lead into the service's own network."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ari_app.asterisk.ari import AriTransport
from ari_app.asterisk.errors import PbxUnavailable
from ari_app.asterisk.event_stream import EventStream
from ari_app.asterisk.pbx import Pbx, PbxTarget
from ari_app.asterisk.pbx_state import PbxState
from ari_app.network.reach import ANYWHERE, NotOutside, Passage, Reach, Turnstile, passage, read_networks
from ari_app.settings import BadSettings, read_settings

INSIDE = [
    *("127.0.0.1", "127.1.2.3", "0.0.0.0", "0.1.2.3"),  # ourselves
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),  # private
    *("169.254.169.254", "100.64.0.1", "100.127.255.255"),  # link-local, CGNAT
    *("224.0.0.1", "239.255.255.255", "255.255.255.255", "240.0.0.1"),  # multicast, broadcast, reserved
    *("192.0.2.1", "198.18.0.1", "203.0.113.7"),  # for documents and benchmarks
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1", "ff0e::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1"),
    *("2002:7f00:1::", "2002:c0a8:101::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1"),
]
OUTSIDE = ["8.8.8.8", "100.63.255.255", "172.32.0.1", "2a00:1450:4010:c0e::65", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_not_reached(address: str) -> None:
    assert not Reach().allows(address)
    assert ANYWHERE.allows(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_outside_is_reached(address: str) -> None:
    assert Reach().allows(address)


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "2130706433", "0x7f.1", "127.0.0.1:80"])
def test_what_is_no_address_is_not_reached(text: str) -> None:
    assert not Reach().allows(text)


def test_the_operator_allows_networks() -> None:
    reach = Reach(read_networks(["10.8.0.0/16", "fd00:1::/32", "127.0.0.1"]))
    for address in ("10.8.255.1", "::ffff:10.8.0.1", "fd00:1::7", "127.0.0.1"):
        assert reach.allows(address), address
    for address in ("10.9.0.1", "fd00:2::7", "127.0.0.2", "192.168.0.1"):
        assert not reach.allows(address), address


def test_this_machines_own_address_is_inside_also_when_it_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    class Ours(real):  # type: ignore[misc, valid-type]
        """This machine has 8.8.8.8, and nothing else."""

        def bind(self, address: Any) -> None:
            if address[0] != "8.8.8.8":
                raise OSError

    monkeypatch.setattr(socket, "socket", Ours)
    assert not Reach().allows("8.8.8.8")
    assert Reach().allows("8.8.4.4")


# -- connecting --


class Door:
    """A door behind the firewall: an HTTP server on this machine that counts who comes."""

    def __init__(self) -> None:
        self.knocks = 0
        self.elsewhere: str | None = None
        self.port = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.knocks += 1
        if self.elsewhere is not None and request.path != "/elsewhere":
            raise web.HTTPFound(self.elsewhere)
        return web.Response(text="secret")


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", door.answer)
    async with TestServer(app) as server:
        door.port = server.port or 0
        door.elsewhere = None
        yield door


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"])
async def test_no_door_of_this_machine_is_opened(door: Door, host: str) -> None:
    async with passage(Reach()) as to:
        with pytest.raises(aiohttp.ClientError):
            await to.session.get(f"http://{host}:{door.port}/")
        with pytest.raises(NotOutside):
            await to.reach.connect(host.strip("[]"), door.port)
    assert door.knocks == 0


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "017700000001"])
async def test_an_odd_spelling_opens_no_door_either(door: Door, host: str) -> None:
    async with passage(Reach()) as to:
        with pytest.raises(aiohttp.ClientError):
            await to.session.get(f"http://{host}:{door.port}/")
        with pytest.raises(OSError, match=r"own network|not known|No address"):
            await to.reach.connect(host, door.port)
    assert door.knocks == 0


async def test_a_name_that_means_something_else_by_then_opens_no_door(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: Iterator[str] = iter(["127.0.0.1"] * 4)

    def resolve(host: Any, port: Any, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with passage(Reach()) as to:
        with pytest.raises(aiohttp.ClientConnectorError) as refused:
            await to.session.get(f"http://pbx.example.com:{door.port}/")
        assert isinstance(refused.value.os_error, NotOutside)
        with pytest.raises(NotOutside):
            await to.reach.connect("pbx.example.com", door.port)
    assert door.knocks == 0


async def test_what_the_operator_allows_is_reached(door: Door) -> None:
    reach = Reach(read_networks(["127.0.0.0/8"]))
    async with passage(reach) as to, to.session.get(f"http://127.0.0.1:{door.port}/") as answer:
        assert answer.status == 200
    with closing(await reach.connect("localhost", door.port)) as connection:
        assert connection.getpeername()[1] == door.port


# -- redirects --


async def test_a_pbx_that_sends_us_elsewhere_is_no_pbx(door: Door) -> None:
    door.elsewhere = "/elsewhere"
    async with aiohttp.ClientSession() as session:
        transport = AriTransport(session, f"http://127.0.0.1:{door.port}/", "user", "password")
        with pytest.raises(PbxUnavailable, match="302"):
            await transport.request("GET", "/ari/asterisk/info")
        async with await transport.download("recordings/stored/x/file") as answer:
            assert answer.status == 302
    assert door.knocks == 2


class _Ears:
    def heard(self, heard: Any) -> None: ...
    def arrived(self, caller: Any, at: float) -> None: ...
    def lost(self, unnoticed: float) -> None: ...

    def replaced(self) -> None: ...
    async def connected(self, startup: str) -> None: ...


@asynccontextmanager
async def _pbx(door: Door, reach: Reach) -> AsyncIterator[Pbx]:
    async with passage(reach) as to:
        target = PbxTarget(f"http://127.0.0.1:{door.port}/", "user", "password", "shop", "PJSIP/##")
        yield Pbx(target, Passage(reach, to.session), "shop")


async def test_the_event_stream_goes_only_where_a_pbx_may_be(door: Door) -> None:
    async with _pbx(door, Reach()) as pbx:
        with pytest.raises(PbxUnavailable, match="own network"):
            await EventStream(pbx)._connect_and_listen(_Ears())
        with pytest.raises(NotOutside):
            await EventStream(pbx)._wire()
    assert (door.knocks, pbx.state) == (0, PbxState.CONNECTING)


def test_the_operator_names_networks_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARI_APP_PBX_NETWORKS", "10.8.0.0/16, 127.0.0.1,fd00::/8")
    assert read_settings().pbx_networks == read_networks(["10.8.0.0/16", "127.0.0.1/32", "fd00::/8"])
    monkeypatch.setenv("ARI_APP_PBX_NETWORKS", "10.8.0.1/16")
    with pytest.raises(BadSettings, match=r"10\.8\.0\.0/16"):
        read_settings()
    monkeypatch.setenv("ARI_APP_PBX_NETWORKS", "pbx.example.com")
    with pytest.raises(BadSettings, match="PBX_NETWORKS"):
        read_settings()


def test_pbxs_that_are_lost_at_one_moment_are_connected_again_one_after_the_other() -> None:
    now = [50.0]
    door = Turnstile(100, lambda: now[0])
    assert [door.wait() for _ in range(500)] == pytest.approx([number / 100 for number in range(500)])
    now[0] = 55.1
    assert door.wait() == 0.0
