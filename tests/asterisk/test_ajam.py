"""AJAM on the real Asterisk: what a call, its channels and its events look like to us."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from ari_app.asterisk.ajam import Ajam, AjamChannel, AjamEvent, AjamTarget
from ari_app.asterisk.errors import PbxDenied, PbxError, PbxRefused, PbxUnavailable
from ari_app.asterisk.pbx_state import PbxState
from ari_app.demo.pbx.asterisk import UNREACHABLE
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.phones import Answers, Busy, Declines, Fate, Rings

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA = "+79161234567"

_calls = itertools.count(1)


class Desk:
    """A lab with an Ajam at work, and the cookies of its sessions."""

    def __init__(self, lab: Lab, ajam: Ajam, cookies: list[str]) -> None:
        self.lab = lab
        self.ajam = ajam
        self._cookies = cookies

    async def place(self, extension: str, **how: Any) -> str:
        """Place a call; return the id of the channel that rings."""
        ident = str(how.pop("channel_id", f"desk-{next(_calls)}-1"))
        call: dict[str, Any] = {
            "channel": f"PJSIP/{extension}",
            "caller_name": "Звонок из CRM",
            "caller_number": ANNA,
            "context": "default",
            "exten": ANNA,
            "priority": 1,
            "ring_seconds": 20.0,
        }
        await self.ajam.originate(channel_id=ident, **{**call, **how})
        return ident

    async def legs(self, ident: str) -> list[AjamChannel]:
        """List the channels of a call, the manager's first."""
        legs = [channel for channel in await self.ajam.channels() if channel.linked_id == ident]
        return sorted(legs, key=lambda leg: leg.id != ident)

    async def until(self, ident: str, true: Callable[[list[AjamChannel]], bool]) -> list[AjamChannel]:
        """Wait until something holds of a call's channels."""
        async with asyncio.timeout(60):
            while True:
                legs = await self.legs(ident)
                if true(legs):
                    return legs
                await asyncio.sleep(0.02)  # looking again: the deadline decides, here and below

    async def opened(self, sessions: int) -> None:
        """Wait until so many sessions were opened since the last ones ended."""
        async with asyncio.timeout(60):
            while True:
                if len(self._cookies) >= sessions:
                    return
                await asyncio.sleep(0.01)

    async def expire(self) -> None:
        """End all sessions, as the PBX does when they are not used."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            for cookie in self._cookies:
                headers = {"Cookie": f"mansession_id={cookie}"}
                url = f"{self.ajam.target.url}rawman"
                await session.post(url, data={"action": "Logoff"}, headers=headers)
        self._cookies.clear()


@asynccontextmanager
async def at_desk(lab: Lab, username: str | None = None, password: str | None = None) -> AsyncIterator[Desk]:
    asterisk = lab.asterisk
    target = AjamTarget(
        f"http://{asterisk.host}:{asterisk.http_port}/{asterisk.http_prefix}/",
        username or asterisk.ami_username,
        password or asterisk.ami_password,
    )
    cookies: list[str] = []

    async def note(_: object, __: object, params: aiohttp.TraceRequestEndParams) -> None:
        cookies.extend(morsel.value for morsel in params.response.cookies.values())

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(note)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trace_configs=[trace]) as session:
        yield Desk(lab, Ajam(target, session, "shop"), cookies)


@pytest_asyncio.fixture(loop_scope="session")
async def desk(lab: Lab) -> AsyncIterator[Desk]:
    async with at_desk(lab) as desk:
        yield desk
        assert await desk.ajam.channels() == []


@pytest.fixture
def extension(lab: Lab) -> str:
    return lab.extensions(1)[0]


# -- the connection ---------------------------------------------------------------------------------------


async def test_it_is_known_at_once_that_ajam_works(desk: Desk) -> None:
    assert (desk.ajam.state, desk.ajam.usable) == (PbxState.CONNECTING, True)
    running = asyncio.create_task(desk.ajam.run())
    async with asyncio.timeout(60):
        while True:
            await asyncio.sleep(0.01)
            if desk.ajam.state is not PbxState.CONNECTING:
                break
    running.cancel()
    assert (desk.ajam.state, desk.ajam.problem) == (PbxState.CONNECTED, None)


async def test_a_wrong_password_is_told_from_an_absent_pbx_and_is_shown_nowhere(lab: Lab) -> None:
    async with at_desk(lab, password="hunter2-wrong") as desk:
        with capture_logs() as logs, pytest.raises(PbxDenied) as denied:
            await desk.ajam.channels()
        assert (desk.ajam.state, desk.ajam.usable) == (PbxState.DENIED, False)
        assert "refuses user and password" in str(desk.ajam.problem)
        shown = f"{logs} {denied.value!r} {desk.ajam.target!r} {desk.ajam.problem}"
    assert "hunter2" not in shown


async def test_a_wrong_prefix_says_what_to_mend(lab: Lab) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        url = f"http://{lab.asterisk.host}:{lab.asterisk.http_port}/pbx/"
        ajam = Ajam(AjamTarget(url, "a", "b"), session, "shop")
        with pytest.raises(PbxUnavailable, match=r"http_prefix.*webenabled=yes"):
            await ajam.channels()


# -- placing a call ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["Звонок из CRM", 'Оля "Пусть, (всегда;" Петрова', "Анна <b> & Ко = 1", "${EPOCH} \\ $[1+1] %41", ""],
)
async def test_the_phone_shows_name_and_number_as_they_were_given(
    desk: Desk, extension: str, name: str
) -> None:
    async with desk.lab.phone(extension, Rings()) as phone:
        ident = await desk.place(extension, caller_name=name)
        call = await phone.rings()
        await desk.ajam.hang_up(ident)
        await phone.is_free()
    assert (call.name, call.number) == (name, ANNA)


async def test_the_call_goes_on_where_it_should_and_the_customer_isnt_called_by_themselves(
    desk: Desk, extension: str
) -> None:
    async with (
        desk.lab.phone(extension, Answers(after=0.1)) as phone,
        desk.lab.customer_phone(Answers(after=0.1, hangs_up_after=0.2)) as customer,
    ):
        await desk.place(extension)
        await customer.is_free()
        await phone.is_free()
    assert phone.calls[0].fate is Fate.LEFT
    assert customer.calls[0].number != ANNA
    assert customer.calls[0].name != "Звонок из CRM"


async def test_another_priority_is_where_the_call_goes_on(desk: Desk, extension: str) -> None:
    async with desk.lab.phone(extension, Answers(after=0.1)) as phone:
        await desk.place(extension, context="without-us", exten="5551234", priority=4)
        await phone.is_free()
    assert phone.calls[0].reason == "Q.850;cause=31"
    assert "without us: 5551234" not in desk.lab.asterisk.log()


@pytest.mark.parametrize("where", [{"context": "nowhere"}, {"exten": "abc"}, {"priority": 9}])
async def test_a_call_that_leads_nowhere_is_refused_and_rings_nobody(
    desk: Desk, extension: str, where: dict[str, Any]
) -> None:
    async with desk.lab.phone(extension, Rings()) as phone:
        with pytest.raises(PbxRefused) as refused:
            await desk.place(extension, **where)
        assert await desk.ajam.channels() == []
    assert refused.value.said == "Extension does not exist."
    assert phone.calls == []
    assert desk.ajam.usable


async def test_the_phone_stops_ringing_in_time(desk: Desk, extension: str) -> None:
    async with desk.lab.phone(extension, Rings()) as phone:
        await desk.place(extension, ring_seconds=0.5)
        await phone.is_free()
    assert phone.calls[0].fate is Fate.CANCELLED


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0", "\x85", "\u2028"])
async def test_nothing_that_ends_a_line_reaches_the_pbx(desk: Desk, end: str) -> None:
    for field in ("caller_name", "caller_number", "channel", "context", "exten", "channel_id"):
        with pytest.raises(ValueError, match=r"control character|no channel's id"):
            await desk.place(UNREACHABLE, **{field: f"x{end}Action: Logoff"})
    assert desk.ajam.state is PbxState.CONNECTING  # nothing was sent


# -- hanging up -------------------------------------------------------------------------------------------


async def test_who_talks_is_hung_up_and_who_is_gone_counts_as_hung_up(desk: Desk, extension: str) -> None:
    async with (
        desk.lab.phone(extension, Answers(after=0.1)) as phone,
        desk.lab.customer_phone(Answers(after=0.1)) as customer,
    ):
        ident = await desk.place(extension)
        await customer.answers()
        await desk.ajam.hang_up(ident)
        await phone.is_free()
        await customer.is_free()
        await desk.ajam.hang_up(ident)
    assert (phone.calls[0].fate, customer.calls[0].fate) == (Fate.LEFT, Fate.LEFT)


async def test_no_pattern_hangs_up_other_peoples_calls(desk: Desk, extension: str) -> None:
    async with desk.lab.phone(extension, Rings()) as phone:
        ident = await desk.place(extension)
        await phone.rings()
        with pytest.raises(ValueError, match="no channel's id"):
            await desk.ajam.hang_up("/.*/")
        await desk.until(ident, lambda legs: len(legs) == 1)  # one that changes may be left out of a list
        await desk.ajam.hang_up(ident)
        await phone.is_free()


# -- what is true -----------------------------------------------------------------------------------------


async def test_the_list_of_channels_tells_who_rings_and_who_talks(desk: Desk, extension: str) -> None:
    async with (
        desk.lab.phone(extension, Rings()) as phone,
        desk.lab.customer_phone(Rings()) as customer,
    ):
        ident = await desk.place(extension)
        await phone.rings()
        (manager,) = await desk.until(ident, lambda legs: legs[0].state == "Ringing")
        assert manager.name.startswith(f"PJSIP/{extension}-")
        assert (manager.id, manager.linked_id, manager.bridge_id) == (ident, ident, None)
        assert manager.connected_number == ANNA
        phone.answer()
        await customer.rings()
        legs = await desk.until(ident, lambda legs: legs[-1].state == "Ringing")
        assert [(leg.state, leg.application) for leg in legs] == [("Up", "Dial"), ("Ringing", "AppDial")]
        customer.answer()
        manager, other = await desk.until(ident, lambda legs: legs[0].bridge_id is not None)
        assert manager.bridge_id == other.bridge_id
        assert 0 <= manager.seconds < 10
        customer.hang_up()
        await phone.is_free()
        await desk.until(ident, lambda legs: legs == [])


# -- events -----------------------------------------------------------------------------------------------


class HeardCall:
    """The events of one call, as words, while they are heard."""

    def __init__(self, desk: Desk) -> None:
        self.lines: list[str] = []
        self._desk = desk
        self._heard = asyncio.Event()

    @asynccontextmanager
    async def followed(self, ident: str) -> AsyncIterator[None]:
        listening = asyncio.create_task(self._listen(ident))
        try:
            yield
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def until(self, line: str) -> None:
        async with asyncio.timeout(60):
            while line not in self.lines:
                self._heard.clear()
                await self._heard.wait()

    def of(self, who: str) -> list[str]:
        """What became of one channel, which is told in order; between channels and bridges there is none."""
        return [line for line in self.lines if line.startswith(who) and not line.endswith("talks")]

    async def _listen(self, ident: str) -> None:
        async for event in self._desk.ajam.events():
            line = _told(event, ident)
            if line is not None:
                self.lines.append(line)
                self._heard.set()


def _told(event: AjamEvent, ident: str) -> str | None:
    fields = event.fields
    if ident not in (fields.get("Linkedid"), fields.get("DestLinkedid"), fields.get("Uniqueid")):
        return None
    who = "manager" if fields.get("Uniqueid", fields.get("DestUniqueid")) == ident else "customer"
    match event.name:
        case "Newstate":
            return f"{who} {fields['ChannelStateDesc']}"
        case "DialEnd":
            return f"dialled by {who if 'Uniqueid' in fields else 'us'}: {fields['DialStatus']}"
        case "OriginateResponse":
            return f"originate {fields['Response']}"
        case "BridgeEnter":
            return f"{who} talks"
        case "Hangup":
            return f"{who} gone {fields['Cause']}"
    return None


async def test_the_events_tell_a_whole_call(desk: Desk, extension: str) -> None:
    story = HeardCall(desk)
    async with (
        desk.lab.phone(extension, Answers(after=0.1)) as phone,
        desk.lab.customer_phone(Answers(after=0.1, hangs_up_after=0.2)) as customer,
    ):
        ident = await desk.place(extension)
        await phone.answers()
        await customer.rings()
        async with story.followed(ident):  # late: what happened since is heard all the same
            await story.until("manager gone 16")
            await story.until("customer gone 16")
    for who in ("manager", "customer"):
        assert story.of(who) == [f"{who} Ringing", f"{who} Up", f"{who} gone 16"]
    assert {
        "originate Success",
        "dialled by us: ANSWER",
        "dialled by manager: ANSWER",
        "manager talks",
        "customer talks",
    } <= set(story.lines)


async def test_the_events_tell_why_nobody_talked(desk: Desk, extension: str) -> None:
    for behaviour, cause in ((Declines(after=0.1), 21), (Busy(), 17)):
        story = HeardCall(desk)
        async with desk.lab.phone(extension, behaviour) as phone:
            async with story.followed(ident := await desk.place(extension)):
                await story.until(f"manager gone {cause}")
            await phone.is_free()
        assert "originate Failure" in story.lines, ident


async def test_an_unreachable_phone_is_told_by_the_originate_alone(desk: Desk) -> None:
    story = HeardCall(desk)
    async with story.followed(await desk.place(UNREACHABLE)):
        await story.until("originate Failure")
    assert story.lines == ["originate Failure"]


async def test_a_session_that_is_over_is_opened_again_in_the_middle_of_a_call(
    desk: Desk, extension: str
) -> None:
    story = HeardCall(desk)
    async with (
        desk.lab.phone(extension, Rings()) as phone,
        desk.lab.customer_phone(Answers(after=0.1)) as customer,
    ):
        ident = await desk.place(extension)
        async with story.followed(ident):
            await story.until("manager Ringing")
            await desk.expire()
            await desk.opened(1)  # the events'; what happens between is not heard
            phone.answer()
            await story.until("manager talks")
            assert len(await desk.legs(ident)) == 2
            await desk.expire()
            await desk.ajam.hang_up(ident)
            await customer.is_free()
    assert desk.ajam.usable


async def test_a_session_that_is_over_doesnt_hinder_the_next_call(desk: Desk, extension: str) -> None:
    await desk.ajam.channels()
    await desk.expire()
    async with desk.lab.phone(extension, Rings()) as phone:
        ident = await desk.place(extension)
        await phone.rings()
        await desk.expire()
        await desk.ajam.hang_up(ident)
        await phone.is_free()
    assert phone.calls[0].fate is Fate.CANCELLED


# -- rights -----------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="session")
async def users(lab: Lab) -> AsyncIterator[None]:
    """Users with fewer rights; each user's name says which."""
    file = lab.asterisk.folder / "etc" / "manager.conf"
    before = file.read_text()
    file.write_text(
        before
        + _user("documented", read="cdr,reporting,originate", write="reporting,originate")
        + _user("reporter", read="call", write="reporting")
    )
    await lab.asterisk.command("manager reload")
    yield
    file.write_text(before)
    await lab.asterisk.command("manager reload")


def _user(name: str, read: str, write: str) -> str:
    return f"\n[{name}]\nsecret = secret\nread = {read}\nwrite = {write}\n"


@pytest.mark.usefixtures("users")
async def test_the_documented_rights_suffice_to_call_and_to_see_but_not_to_hang_up(
    lab: Lab, extension: str
) -> None:
    async with (
        at_desk(lab, "documented", "secret") as desk,
        lab.phone(extension, Rings()) as phone,
    ):
        ident = await desk.place(extension)
        await phone.rings()
        await desk.until(ident, lambda legs: [leg.state for leg in legs] == ["Ringing"])
        with pytest.raises(PbxRefused, match="lacks the right"):
            await desk.ajam.hang_up(ident)
        phone.decline()
        await phone.is_free()
        await desk.until(ident, lambda legs: legs == [])
        assert desk.ajam.usable


@pytest.mark.usefixtures("users")
async def test_a_user_who_may_not_place_calls_is_told_from_the_start(lab: Lab) -> None:
    async with at_desk(lab, "reporter", "secret") as desk:
        with pytest.raises(PbxError):
            await desk.ajam.channels()
    assert desk.ajam.problem == "the AMI user lacks a right: write = originate in manager.conf"
    assert not desk.ajam.usable
