"""AJAM that misbehaves: another page, silence, half an answer, a session that is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from structlog.testing import capture_logs

from ari_app.asterisk import ajam as ajam_module
from ari_app.asterisk import ajam_wire
from ari_app.asterisk.ajam import Ajam, AjamTarget
from ari_app.asterisk.errors import PbxDenied, PbxError, PbxRefused, PbxUnavailable, PbxUnknown
from ari_app.asterisk.pbx_state import PbxState
from ari_app.calls.call import Way

Reaction = Callable[[web.Request], Awaitable[web.StreamResponse]]

PASSWORD = "hunter2"
REQUEST_SECONDS = 0.3

EVERYTHING = ("Originate", "CoreShowChannels", "Hangup", "WaitEvent", "Ping")


class FakePbx:
    """The manager interface of a PBX, as far as we use it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        """The actions, in order."""
        self.reactions: dict[str, Reaction] = {}
        """What happens instead of an answer to an action; under ``""``, to every action."""
        self.allowed: tuple[str, ...] = EVERYTHING
        self.events: list[str] = []
        """Told to the next who waits for events."""
        self._sessions: set[str] = set()
        self._count = 0

    def expire(self) -> None:
        """End all sessions."""
        self._sessions.clear()

    def count(self, action: str) -> int:
        return self.asked.count(action)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert request.query_string == ""
        assert PASSWORD not in str(request.headers)
        form = dict(parse_qsl(await request.text()))
        action = form["action"]
        self.asked.append(action)
        reaction = self.reactions.get(action) or self.reactions.get("")
        if reaction is not None:
            return await reaction(request)
        return self._answer(action, form, request.cookies.get("mansession_id"))

    def _answer(self, action: str, form: dict[str, str], cookie: str | None) -> web.Response:
        if action == "Login":
            return self._log_in(form)
        if cookie not in self._sessions or (action in EVERYTHING and action not in self.allowed):
            return _text("Error", "Message: Permission denied")
        if action == "ListCommands":
            return _text("Success", *(f"{name}: What it does.  (Priv: x)" for name in self.allowed))
        if action == "CoreShowChannels":
            return _text("Success", "", "Event: CoreShowChannelsComplete", "ListItems: 0")
        if action == "WaitEvent":
            told, self.events = self.events, []
            blocks = [f"\r\nEvent: {name}" for name in [*told, "WaitEventComplete"]]
            return _text("Success", "Message: Waiting for Event completed.", *blocks)
        return _text("Success", "Message: done")

    def _log_in(self, form: dict[str, str]) -> web.Response:
        if form["secret"] != PASSWORD:
            return _text("Error", "Message: Authentication failed")
        self._count += 1
        cookie = f"{self._count:08x}"
        self._sessions.add(cookie)
        answer = _text("Success", "Message: Authentication accepted")
        answer.headers["Set-Cookie"] = f'mansession_id="{cookie}"; Version=1; Max-Age=60'
        return answer


def _text(response: str, *lines: str) -> web.Response:
    return web.Response(text="\r\n".join([f"Response: {response}", *lines]) + "\r\n\r\n")


# -- what a server may do instead of answering --------------------------------------------------------------


def status(code: int) -> Reaction:
    async def react(_: web.Request) -> web.Response:
        return web.Response(status=code, text="<html>no</html>")

    return react


async def html(_: web.Request) -> web.Response:
    return web.Response(text="<html><title>Router</title></html>", content_type="text/html")


async def nothing(_: web.Request) -> web.Response:
    return web.Response(text="")


async def silence(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def close(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def half(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"Response: Success\r\n\r\n")
    return await close(request)


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        while True:
            await response.write(b"Response: Success\r\n" * 1000)
    except ConnectionError:
        return response


MISBEHAVIOURS = [html, nothing, silence, close, half, endless, status(500), status(503)]


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ajam_wire, "LONGEST_ANSWER", 100_000)


@pytest.fixture
async def pbx() -> FakePbx:
    return FakePbx()


@pytest.fixture
async def ajam(pbx: FakePbx) -> AsyncIterator[Ajam]:
    async with at(pbx) as ajam:
        yield ajam


@asynccontextmanager
async def at(pbx: FakePbx, password: str = PASSWORD) -> AsyncIterator[Ajam]:
    app = web.Application()
    app.router.add_post("/asterisk/rawman", pbx.handle)
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        target = AjamTarget(str(server.make_url("/asterisk/")), "asterisk", password)
        yield Ajam(target, session, "shop", request_seconds=REQUEST_SECONDS)


async def place(ajam: Ajam) -> None:
    await ajam.originate(
        channel_id="shop-1-1",
        channel="PJSIP/101",
        caller_name="Call from CRM",
        caller_number="+79161234567",
        context="default",
        exten="+79161234567",
        priority=1,
        ring_seconds=20,
    )


# -- nothing was done ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOURS)
async def test_a_call_is_not_placed_when_there_is_no_logging_in(
    pbx: FakePbx, ajam: Ajam, misbehaviour: Reaction
) -> None:
    pbx.reactions["Login"] = misbehaviour
    with pytest.raises(PbxUnavailable) as error:
        await place(ajam)
    assert pbx.count("Originate") == 0
    assert (ajam.state, ajam.usable, ajam.problem) == (PbxState.UNREACHABLE, False, str(error.value))


async def test_nobody_at_the_address_is_unavailable() -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        ajam = Ajam(AjamTarget(f"http://127.0.0.1:{unused_port()}/asterisk/", "a", "b"), session, "shop")
        with pytest.raises(PbxUnavailable) as error:
            await place(ajam)
    assert error.value.way is Way.AJAM
    assert not ajam.usable


@pytest.mark.parametrize(("code", "words"), [(404, "webenabled=yes"), (302, "no AJAM"), (400, "no AJAM")])
async def test_another_server_at_the_address_is_named(
    pbx: FakePbx, ajam: Ajam, code: int, words: str
) -> None:
    pbx.reactions[""] = status(code)
    with pytest.raises(PbxUnavailable, match=words):
        await ajam.channels()


async def test_a_wrong_password_is_denied(pbx: FakePbx) -> None:
    async with at(pbx, password="wrong") as ajam:
        with pytest.raises(PbxDenied):
            await place(ajam)
    assert ajam.state is PbxState.DENIED


async def test_an_address_that_may_not_reach_the_pbx_is_denied(pbx: FakePbx, ajam: Ajam) -> None:
    pbx.reactions[""] = status(403)
    with pytest.raises(PbxDenied):
        await place(ajam)


async def test_a_session_without_a_cookie_is_none(pbx: FakePbx, ajam: Ajam) -> None:
    async def no_cookie(_: web.Request) -> web.Response:
        return _text("Success", "Message: Authentication accepted")

    pbx.reactions["Login"] = no_cookie
    with pytest.raises(PbxUnavailable, match="cookie"):
        await ajam.channels()


# -- it may have been done ----------------------------------------------------------------------------------


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOURS)
async def test_a_call_whose_answer_is_lost_is_neither_placed_again_nor_given_up(
    pbx: FakePbx, ajam: Ajam, misbehaviour: Reaction
) -> None:
    pbx.reactions["Originate"] = misbehaviour
    with pytest.raises(PbxUnknown):
        await place(ajam)
    assert pbx.count("Originate") == 1
    del pbx.reactions["Originate"]
    assert await ajam.channels() == []
    assert ajam.usable


# -- sessions -----------------------------------------------------------------------------------------------


async def test_a_call_is_placed_though_the_session_was_over(pbx: FakePbx, ajam: Ajam) -> None:
    await ajam.channels()
    pbx.expire()
    await place(ajam)
    assert pbx.asked.count("Originate") == 2  # the first was not permitted


async def test_actions_at_the_same_time_open_one_session(pbx: FakePbx, ajam: Ajam) -> None:
    await asyncio.gather(*(ajam.channels() for _ in range(5)))
    assert pbx.count("Login") == 1
    pbx.expire()
    await asyncio.gather(*(ajam.channels() for _ in range(5)))
    assert pbx.count("Login") == 2


async def test_a_right_that_is_lacking_is_no_session_that_is_over(pbx: FakePbx, ajam: Ajam) -> None:
    pbx.allowed = ("Originate", "CoreShowChannels", "Ping")
    await ajam.channels()
    with pytest.raises(PbxRefused, match="lacks the right"):
        await ajam.hang_up("shop-1-1")
    assert pbx.count("Login") == 1
    assert ajam.usable


async def test_a_user_who_may_not_place_calls_is_told_before_a_call(pbx: FakePbx, ajam: Ajam) -> None:
    pbx.allowed = ("Ping",)
    with pytest.raises(PbxDenied, match="write = originate,reporting"):
        await place(ajam)
    assert pbx.count("Originate") == 0


async def test_a_call_goes_on_without_ears(pbx: FakePbx, ajam: Ajam) -> None:
    """A PBX may let a user in only once (allowmultiplelogin=no)."""
    await ajam.channels()

    async def in_use(_: web.Request) -> web.Response:
        return _text("Error", "Message: Login Already In Use")

    pbx.reactions["Login"] = in_use
    await place(ajam)
    assert ajam.usable


async def test_a_session_that_keeps_cookies_is_not_taken() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ValueError, match="cookies"):
            Ajam(AjamTarget("http://pbx/", "a", "b"), session, "shop")


# -- what the log says --------------------------------------------------------------------------------------


async def test_one_line_says_that_it_broke_and_one_that_it_is_back(pbx: FakePbx, ajam: Ajam) -> None:
    await ajam.channels()
    with capture_logs() as logs:
        pbx.reactions[""] = close
        for _ in range(3):
            with pytest.raises(PbxError):
                await ajam.channels()
        pbx.reactions.clear()
        for _ in range(3):
            await ajam.channels()
    assert [line["event"] for line in logs] == ["AJAM does not work", "AJAM works"]
    assert PASSWORD not in str(logs)


@pytest.mark.parametrize("misbehaviour", [*MISBEHAVIOURS, status(404), status(403)])
async def test_no_error_shows_the_password(pbx: FakePbx, ajam: Ajam, misbehaviour: Reaction) -> None:
    pbx.reactions[""] = misbehaviour
    with pytest.raises(PbxError) as error:
        await ajam.channels()
    cause = error.value.__cause__
    assert PASSWORD not in f"{error.value!r} {cause!r} {ajam.problem}"


# -- how it stands, kept known ------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ajam_module, "FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(ajam_module, "LAST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(ajam_module, "WAIT_SECONDS", 0)


@asynccontextmanager
async def running(ajam: Ajam) -> AsyncIterator[None]:
    work = asyncio.create_task(ajam.run())
    try:
        yield
        assert not work.done()
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def until(ajam: Ajam, state: PbxState) -> None:
    async with asyncio.timeout(60):
        while True:
            if ajam.state is state:
                return
            await asyncio.sleep(0.005)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("misbehaviour", [*MISBEHAVIOURS, status(404)])
async def test_that_it_is_away_and_back_is_known_without_a_call(
    pbx: FakePbx, ajam: Ajam, misbehaviour: Reaction
) -> None:
    pbx.reactions[""] = misbehaviour
    async with running(ajam):
        await until(ajam, PbxState.UNREACHABLE)
        pbx.reactions.clear()
        await until(ajam, PbxState.CONNECTED)


@pytest.mark.usefixtures("quick")
async def test_what_broke_in_a_call_is_looked_at_at_once(pbx: FakePbx, ajam: Ajam) -> None:
    async with running(ajam):
        await until(ajam, PbxState.CONNECTED)
        pbx.reactions["Originate"] = close
        with pytest.raises(PbxUnknown):
            await place(ajam)
        assert ajam.state is PbxState.UNREACHABLE
        await until(ajam, PbxState.CONNECTED)


async def test_a_wrong_password_isnt_tried_again_and_again(pbx: FakePbx) -> None:
    """Else the PBX would ban our address, and ARI's with it."""
    async with at(pbx, password="wrong") as ajam, running(ajam):
        await until(ajam, PbxState.DENIED)
        await asyncio.sleep(0)
        assert pbx.count("Login") == 1


# -- events -------------------------------------------------------------------------------------------------


async def first_event(ajam: Ajam) -> str:
    async with asyncio.timeout(60):
        async for event in ajam.events():
            return event.name
    raise AssertionError


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("misbehaviour", [*MISBEHAVIOURS, status(404)])
async def test_events_go_on_when_the_pbx_is_back(pbx: FakePbx, ajam: Ajam, misbehaviour: Reaction) -> None:
    pbx.reactions["WaitEvent"] = misbehaviour
    listening = asyncio.create_task(first_event(ajam))
    async with asyncio.timeout(60):
        while True:
            if pbx.count("WaitEvent") >= 2:
                break
            await asyncio.sleep(0.005)
    pbx.events.append("Hangup")
    pbx.reactions.clear()
    assert await listening == "Hangup"


async def test_events_go_on_in_a_new_session(pbx: FakePbx, ajam: Ajam) -> None:
    await place(ajam)
    pbx.expire()
    pbx.events.append("Newstate")
    assert await first_event(ajam) == "Newstate"


async def test_a_pbx_that_doesnt_wait_isnt_asked_without_a_pause(pbx: FakePbx, ajam: Ajam) -> None:
    """So it is with httptimeout=10 or less, and for who may not hear what happens on a busy PBX."""
    loop = asyncio.get_running_loop()
    asked: list[float] = []

    async def at_once(_: web.Request) -> web.Response:
        asked.append(loop.time())
        told = "Hangup" if len(asked) == 3 else "WaitEventComplete"
        return _text("Success", "", f"Event: {told}")

    pbx.reactions["WaitEvent"] = at_once
    began = loop.time()
    assert await first_event(ajam) == "Hangup"
    assert asked[2] - began >= 1.8 * ajam_module.SHORTEST_WAIT_SECONDS


async def test_a_new_listener_takes_over(pbx: FakePbx, ajam: Ajam) -> None:
    old = asyncio.create_task(first_event(ajam))
    await asyncio.sleep(0)
    new = asyncio.create_task(first_event(ajam))
    with pytest.raises(AssertionError):
        await old
    pbx.events.append("Hangup")
    assert await new == "Hangup"


# -- what a page is offered ----------------------------------------------------------------------------------


async def test_the_places_are_read_and_that_nothing_has_a_queue_is_no_trouble(
    pbx: FakePbx, ajam: Ajam
) -> None:
    async def dialplan(_: web.Request) -> web.Response:
        step = (
            "Event: ListDialplan",
            "Context: menu",
            "Extension: s",
            "Priority: 1",
            "Application: WaitExten",
        )
        return _text("Success", "Message: DialPlan list will follow", "", *step)

    async def no_such_action(_: web.Request) -> web.Response:
        return _text("Error", "Message: Invalid/unknown command: QueueSummary")

    pbx.reactions |= {"ShowDialPlan": dialplan, "QueueSummary": no_such_action}
    assert (await ajam.places("retailcrm")).menus == ("menu,s,1",)


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOURS)
async def test_a_dialplan_that_is_not_shown_says_nothing_of_whether_ajam_works(
    pbx: FakePbx, ajam: Ajam, misbehaviour: Reaction
) -> None:
    pbx.reactions["ShowDialPlan"] = misbehaviour
    with pytest.raises(PbxError):
        await ajam.places("retailcrm")
    assert ajam.usable


async def test_a_dialplan_that_is_refused_is_told_from_one_that_has_nothing(pbx: FakePbx, ajam: Ajam) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return _text("Error", "Message: Permission denied")

    pbx.reactions["ShowDialPlan"] = refuse
    with pytest.raises(PbxRefused, match="Permission denied"):
        await ajam.places("retailcrm")


async def test_a_wrong_password_is_not_tried_again_and_again_for_a_page(pbx: FakePbx) -> None:
    async with at(pbx, "wrong") as ajam:
        with pytest.raises(PbxDenied):
            await ajam.places("retailcrm")
        assert not ajam.usable
