"""A PBX may be anybody's: whatever it says, the loop in which all accounts are served is not held up."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import orjson
import pytest
from structlog.testing import capture_logs

from ari_app.asterisk import event_stream
from ari_app.asterisk.ari import LONGEST_DESCRIPTION, Ari, AriTransport
from ari_app.asterisk.errors import PbxUnavailable, PbxUnknown
from ari_app.asterisk.event_stream import EventStream
from ari_app.asterisk.events import Heard, NewCaller
from ari_app.asterisk.pbx import Pbx, PbxTarget
from ari_app.bounded import Allowance, read_json
from ari_app.network.reach import ANYWHERE, Passage
from ari_app.service.slow_steps import SlowSteps
from ari_app.steps import begin
from tests.support.hostile import HostilePbx, hostile_pbx, watched_loop

MOST_SECONDS = 0.1
"""So long a step may take, on any machine."""


class Listener:
    """Notes what is heard, as a line does."""

    def __init__(self) -> None:
        self.heard_of: list[Heard] = []
        self.callers: list[NewCaller] = []
        self.last = asyncio.Event()

    def heard(self, heard: Heard) -> None:
        self.heard_of.append(heard)
        if heard.key == "the last":
            self.last.set()

    def arrived(self, caller: NewCaller, at: float) -> None:
        self.callers.append(caller)

    def lost(self, unnoticed: float) -> None: ...

    def replaced(self) -> None: ...

    async def connected(self, startup: str) -> None: ...


@asynccontextmanager
async def listening(hostile: HostilePbx, **more: Any) -> AsyncIterator[Listener]:
    """Hear what it says."""
    target = PbxTarget(hostile.url, "user", "password", "shop", "PJSIP/##")
    listener = Listener()
    async with aiohttp.ClientSession() as session:
        pbx = Pbx(target, Passage(ANYWHERE, session), "shop")
        work = asyncio.create_task(EventStream(pbx, **more).run(listener))
        try:
            yield listener
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


def key_pressed(channel: str) -> bytes:
    return orjson.dumps({"type": "ChannelDtmfReceived", "channel": {"id": channel}, "digit": "1"})


LONG = 200_000
ORNAMENTS = (
    "a",
    " ",
    "@",
    "/",
    ";",
    "<",
    "(",
    "-",
    "+",
    "0",
    "\t",
    "1 x",
    "/a@",
    "a-00000000",
    ",ext",
    "sip:",
)
"""What long words are made of."""


def channel(word: str, number: str = "101") -> dict[str, Any]:
    return {
        "id": word,
        "name": word,
        "state": "Up",
        "caller": {"name": word, "number": number},
        "connected": {"name": word, "number": number},
        "dialplan": {"app_name": word, "app_data": word, "context": word, "exten": word},
    }


def events_with(word: str) -> list[bytes]:
    """An event of each kind, in which every text is the same long word."""
    one, other = channel(word, word), channel(f"Local/{word}", word)
    pjsip = channel(f"PJSIP/{word}", word)
    events: list[dict[str, Any]] = [
        {"type": "StasisStart", "channel": one, "args": ["incoming", word, word]},
        {"type": "StasisStart", "channel": other, "args": [], "replace_channel": one},
        {"type": "ChannelStateChange", "channel": pjsip},
        {"type": "ChannelDialplan", "channel": one, "dialplan_app": word},
        {"type": "ChannelDtmfReceived", "channel": one, "digit": word},
        {"type": "ChannelDestroyed", "channel": one, "cause": 16, "tech_cause": "0"},
        {"type": "Dial", "caller": one, "peer": pjsip, "dialstatus": ""},
        {"type": "Dial", "caller": one, "peer": other, "dialstatus": "ANSWER"},
        {"type": "Dial", "peer": one, "dialstatus": "", "forward": word},
        {"type": "Dial", "peer": one, "dialstatus": "", "forward": f"PJSIP/{word}"},
        {"type": "BridgeAttendedTransfer", "transferee": one, "transfer_target": pjsip, "result": "Success"},
        {
            "type": "BridgeBlindTransfer",
            "transferee": one,
            "channel": pjsip,
            "exten": word,
            "result": "Success",
        },
        {"type": "RecordingFinished", "recording": {"name": word}},
        {"type": "RecordingFailed", "recording": {"name": word, "cause": word}},
        {"type": word, "timestamp": word},
    ]
    return [orjson.dumps({"timestamp": "2026-01-01T00:00:00.000+0000", **event}) for event in events]


@pytest.mark.parametrize("ornament", ORNAMENTS)
async def test_no_event_however_long_its_words_holds_up_the_loop(
    ornament: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = []
    for length in (2_000, LONG // 8):
        word = ornament * (length // len(ornament))
        events += [event for event in events_with(word) if len(event) < event_stream.LONGEST_EVENT]
    async with hostile_pbx() as hostile, listening(hostile) as listener:
        with watched_loop(monkeypatch) as steps:
            await hostile.says(*events, b'{"type":["x"]}', b"[" * 900, b"nonsense", key_pressed("the last"))
            async with asyncio.timeout(60):
                await listener.last.wait()
    assert steps.longest < MOST_SECONDS, steps.what


async def test_an_event_that_is_too_long_ends_the_connection_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with hostile_pbx() as hostile, listening(hostile) as listener:
        with watched_loop(monkeypatch) as steps:
            await hostile.says(key_pressed("somebody"))
            first = hostile.listener
            with suppress(ConnectionError):  # it may be closed before all of it is sent
                await hostile.says(b'{"type":"' + b"x" * 50_000_000)
            async with asyncio.timeout(60):
                while hostile.listener is first:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await hostile.says(key_pressed("the last"))
            async with asyncio.timeout(60):
                await listener.last.wait()
    # the PBX, which makes the event and sends it, runs in the same loop
    assert steps.longest < 10 * MOST_SECONDS, steps.what


async def test_more_events_than_a_pbx_may_send_are_heard_late_and_it_is_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_stream, "EVENTS_SECONDS", 1.0)
    monkeypatch.setattr(event_stream, "PONG_SECONDS", 60.0)  # on a busy machine it is no dead PBX
    async with hostile_pbx() as hostile, listening(hostile, events_a_second=40) as listener:
        with capture_logs() as log:
            began = time.monotonic()
            await hostile.says(*[key_pressed("somebody")] * 250, key_pressed("the last"))
            async with asyncio.timeout(60):
                await listener.last.wait()
    assert time.monotonic() - began >= 1.8
    assert len(listener.heard_of) == 251
    assert [line["event"] for line in log].count(
        "the PBX sends more events than it may: they are heard late"
    ) == 1


def test_an_allowance_is_used_up_and_comes_back() -> None:
    now = [0.0]
    allowance = Allowance(10, 2, clock=lambda: now[0])
    assert allowance.take(20) == (0, False)
    assert allowance.used == 1
    waits, said = zip(*(allowance.take(1) for _ in range(2)), strict=True)
    assert waits == pytest.approx((0.1, 0.2))
    assert said == (True, False)
    now[0] = 2.2
    assert allowance.take(20) == (0, False)


# -- what it answers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", ["listing", "declaration", "many declarations", "paths"])
async def test_a_description_has_four_megabytes_in_all(hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hostile_pbx() as hostile, aiohttp.ClientSession() as session:
        await Ari.open(session, hostile.url, "user", "password")  # as it is, it is one
        heavy = b",".join([b'{"path":"/x","operations":[]}'] * 400_000 if hidden != "paths" else [])
        listing = orjson.loads(hostile.files["/ari/api-docs/resources.json"])
        match hidden:
            case "listing":
                hostile.files["/ari/api-docs/resources.json"] = b'{"apis":[' + heavy + b"]}"
            case "declaration":
                hostile.files["/ari/api-docs/channels.json"] = b'{"basePath":"","apis":[' + heavy + b"]}"
            case "many declarations":
                part = b'{"basePath":"","apis":[' + heavy[: 3_000_000 // 30 * 30 - 1] + b"]}"
                hostile.files["/ari/api-docs/channels.json"] = part
                listing["apis"] *= 10
                hostile.files["/ari/api-docs/resources.json"] = orjson.dumps(listing)
            case "paths":
                channels = orjson.loads(hostile.files["/ari/api-docs/channels.json"])
                channels["basePath"] = "x" * 1_000_000
                hostile.files["/ari/api-docs/channels.json"] = orjson.dumps(channels)
        del heavy
        tracemalloc.start()
        with watched_loop(monkeypatch) as steps, pytest.raises((PbxUnavailable, PbxUnknown)):
            await Ari.open(session, hostile.url, "user", "password")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 25 * LONGEST_DESCRIPTION
    assert steps.longest < 10 * MOST_SECONDS, steps.what  # traced, and with the PBX in the same loop


async def test_pbxs_that_describe_themselves_alike_share_that_and_nothing_else() -> None:
    async with hostile_pbx() as one, hostile_pbx() as other, hostile_pbx() as older:
        one.answers["/ari/channels"], other.answers["/ari/channels"] = b'["of one"]', b'["of the other"]'
        channels = orjson.loads(older.files["/ari/api-docs/channels.json"])
        channels["apis"] = [api for api in channels["apis"] if api["path"] != "/channels/create"]
        older.files["/ari/api-docs/channels.json"] = orjson.dumps(channels)
        at_another_address = orjson.loads(other.files["/ari/api-docs/channels.json"])
        other.files["/ari/api-docs/channels.json"] = orjson.dumps(
            {**at_another_address, "basePath": "http://elsewhere:8088/ari"}
        )
        async with aiohttp.ClientSession() as session:
            aris = [await Ari.open(session, pbx.url, "user", "password") for pbx in (one, other, older)]
            assert [await ari("channels", "list") for ari in aris] == [["of one"], ["of the other"], []]
            assert aris[0]._client is aris[1]._client is not aris[2]._client
            assert [ari.knows("channels", "create", "app") for ari in aris[:2]] == [True, True]
            with pytest.raises(AttributeError):
                aris[2].knows("channels", "create", "app")


async def test_who_asks_at_once_what_exists_shares_the_answer_and_it_goes_when_nobody_needs_it() -> None:
    async with hostile_pbx() as hostile, aiohttp.ClientSession() as session:
        target = PbxTarget(hostile.url, "user", "password", "shop", "PJSIP/##")
        pbx = Pbx(target, Passage(ANYWHERE, session), "shop")
        pbx._ari = await Ari.open(session, hostile.url, "user", "password")
        one, other = await asyncio.gather(pbx.snapshot(), pbx.snapshot())
        assert one is other
        last = await pbx.snapshot()
        assert last is not one
        gone = weakref.ref(last)
        del last
        await asyncio.sleep(0)  # the step that has brought it holds it
        gc.collect()
        assert gone() is None


async def test_an_answer_of_a_million_empty_things_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hostile_pbx() as hostile, aiohttp.ClientSession() as session:
        hostile.answers["/ari/channels"] = b"[" + b",".join([b"[]"] * 4_000_000) + b"]"
        ari = await Ari.open(session, hostile.url, "user", "password")
        with watched_loop(monkeypatch) as steps, pytest.raises(PbxUnknown):
            await ari("channels", "list")
        assert steps.longest < MOST_SECONDS, steps.what
        reply = await AriTransport(session, hostile.url, "user", "password").request("GET", "/ari/bridges")
        assert reply.read() == []


def test_json_is_read_up_to_so_many_values() -> None:
    assert read_json(b'{"a":[1,2,3]}', 5) == {"a": [1, 2, 3]}
    with pytest.raises(ValueError, match="more than 3 values"):
        read_json('{"a":[1,2,3]}', 3)
    with pytest.raises(ValueError, match="depth"):
        read_json(b"[" * 5_000 + b"]" * 5_000, 10_000)


# -- the log ------------------------------------------------------------------------------------------------


async def test_a_slow_step_is_named_in_the_log() -> None:
    def work() -> None:
        until = time.thread_time() + 0.4
        while time.thread_time() < until:
            pass

    async def somebody() -> None:
        begin("Dial", "shop.retailcrm.ru")
        work()

    slow = SlowSteps()
    with capture_logs() as log, slow.at_work():
        await asyncio.create_task(somebody(), name="shop.retailcrm.ru pbx")
        async with asyncio.timeout(30):
            while not slow.count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    line = next(line for line in log if line["event"] == "a slow step held up the others")
    assert (line["task"], line["step"]) == ("shop.retailcrm.ru pbx", "Dial shop.retailcrm.ru")
    assert line["worked"] >= 0.3
