"""The PBX is cut off, restarted or answers wrongly: each call goes as it says, and is reported once."""

import json
import time

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from ari_app.accounts.reading import read_account
from ari_app.demo.crm.simulator import SimulatedCrm
from ari_app.demo.pbx.phones import Answers, Rings
from ari_app.store.accounts import Accounts
from tests.faults.wire import Fault, Wire
from tests.support.office import API_KEY, SECRET_KEY, Office
from tests.support.pace import at_this_pace

ANNA = "+79161234567"
STRANGER = "+79037654321"


# -- the event stream is cut ------------------------------------------------------------------------------


async def test_callers_beyond_the_most_calls_at_once_go_on_in_the_dialplan(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open(unknown=f"group:{olga}")
    office.shop.line.most = 1
    with capture_logs() as log:
        async with office.phone(olga, Rings()) as phone, office.call("+79160000001") as first:
            await phone.rings()
            async with office.call("+79160000002") as second:
                await second.ended()
            assert second.status == 200
            assert "cause=31" in second.reason  # the lab's dialplan, without us
            assert office.shop.line.admission.turned_away == 1
            phone.answer()
            await first.answered()
            first.hang_up()
            await first.ended()
    assert [line["event"] for line in log if line["log_level"] == "error"] == [
        "callers go on in the dialplan: there is no room for more calls"
    ]
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]


async def test_a_phone_that_is_answered_while_the_wire_is_cut_talks(office: Office, wire: Wire) -> None:
    olga, boris = office.managers(2)
    await office.open(unknown=f"group:{olga},{boris}")
    async with (
        office.phone(olga, Rings()) as phone,
        office.phone(boris, Rings()) as other,
        office.call(STRANGER) as caller,
    ):
        await phone.rings()
        await other.rings()
        wire.refuse()
        phone.answer()
        await phone.answers()
        await wire.mend()
        await caller.answered()
        await other.is_free()
        caller.hang_up()
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", sorted([olga, boris])), ("hangup", sorted([olga, boris]), "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert other.calls[0].answered_elsewhere


async def test_two_people_go_on_talking_while_the_wire_is_cut(office: Office, wire: Wire) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Answers(after=0.1)) as phone, office.call(ANNA) as caller:
        await office.recorded()
        wire.cut()
        await office.until(lambda: not office.listening, "the cut was not noticed")
        await office.until(lambda: office.listening, "the PBX was not taken again")
        assert phone.talking
        caller.hang_up()
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.record_url
    assert not report.call.end_unseen


async def test_a_talk_that_ends_while_the_wire_is_cut_is_dated_by_its_recording(
    office: Office, wire: Wire
) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Answers(after=0.1)) as phone, office.call(ANNA) as caller:
        await office.recorded()
        answered = (await phone.answers()).at
        wire.refuse()
        await office.until(lambda: time.monotonic() - answered > 1.5, "they don't talk")
        caller.hang_up()
        phone.hang_up()
        await caller.ended()
        await phone.is_free()
        talked = time.monotonic() - answered
        await wire.mend()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.upload.record_url
    assert abs(report.call.talking - talked) < at_this_pace(0.6)


async def test_a_caller_who_gives_up_while_the_wire_is_cut_is_reported_as_missed(
    office: Office, wire: Wire
) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Rings()) as phone, office.call(ANNA) as caller:
        await phone.rings()
        await office.stage("ringing")
        wire.refuse()
        caller.hang_up()
        await caller.ended()
        await wire.mend()
        await phone.is_free()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "cancel")]
    assert (report.upload.result, report.upload.code) == ("no answer", olga)


async def test_a_wire_that_falls_silent_is_noticed_and_the_call_goes_on(office: Office, wire: Wire) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Rings()) as phone, office.call(ANNA) as caller:
        await phone.rings()
        await office.stage("ringing")
        wire.fall_silent()
        phone.answer()
        await phone.answers()
        await office.until(lambda: not office.listening, "the silence was not noticed")
        await wire.mend()
        await caller.answered()
        await office.stage("talking")
        caller.hang_up()
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]


async def test_a_customer_who_calls_while_the_wire_is_cut_is_served_by_the_dialplan(
    office: Office, wire: Wire
) -> None:
    (olga,) = office.managers(1)
    await office.open(unknown=f"group:{olga}")
    wire.refuse()
    await office.until(lambda: not office.listening, "the cut was not noticed")
    async with office.call(STRANGER) as caller:
        await caller.ended()
    assert (caller.status, caller.ended_by) == (200, "other side")
    assert "cause=31" in caller.reason
    await wire.mend()
    await office.until(lambda: office.listening, "the PBX was not taken again")
    async with office.phone(olga, Answers(after=0.1)), office.call(STRANGER, talks=0.3) as caller:
        await caller.ended()
    assert (await office.report()).upload.code == olga


# -- requests go wrong ------------------------------------------------------------------------------------

REQUESTS = {
    "following the caller": r"POST .*/subscription",
    "ringing to the caller": r"POST .*/ring\b",
    "the telephones": r"GET .*/variable\?.*DIAL_CONTACTS",
    "the bridge": r"POST .*/bridges/[^/]*\?",
    "a phone": r"POST .*/channels/create",
    "dialling": r"POST .*/dial",
    "joining": r"POST .*/addChannel",
    "the answer": r"POST .*/answer",
    "recording": r"POST .*/record\?",
    "hanging up": r"DELETE .*/channels/",
    "closing the bridge": r"DELETE .*/bridges/",
}


@pytest.mark.parametrize("by_http", [False, True], ids=["socket", "http"])
@pytest.mark.parametrize("fault", [Fault.LOST, Fault.ANSWER_LOST], ids=["lost", "answer-lost"])
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
async def test_a_request_that_gets_lost_does_not_harm_the_call(
    office: Office, wire: Wire, request_: str, fault: Fault, by_http: bool
) -> None:
    """Over the event socket the events are lost with it."""
    wire.old = by_http
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    wire.spoil(request_, fault)
    async with office.phone(olga, Answers(after=0.3)), office.call(ANNA) as caller:
        await caller.answered()
        await office.stage("talking")
        began = time.monotonic()
        await office.until(lambda: time.monotonic() - began > 0.7, "they don't talk")
        caller.hang_up()
        await caller.ended()
        report = await office.report()
    assert wire.hits == 1
    assert any(way == "socket" for way, _ in wire.asked) != by_http
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.upload.record_url


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.ANSWER_LOST], ids=["lost", "answer-lost"])
async def test_a_caller_whose_sending_on_gets_lost_is_sent_on_all_the_same(
    office: Office, wire: Wire, fault: Fault
) -> None:
    await office.open(unknown="dialplan:menu,answers,1")
    wire.spoil(r"POST .*/continue", fault)
    async with office.call(STRANGER) as caller:
        await caller.ended()
    report = await office.report()
    assert wire.hits == 1
    assert (caller.status, caller.ended_by) == (200, "other side")
    assert (report.upload.result, report.upload.duration) == ("no answer", 0)


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.ANSWER_LOST], ids=["lost", "answer-lost"])
async def test_a_caller_who_gives_up_is_noticed_though_following_them_failed(
    office: Office, wire: Wire, fault: Fault
) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    wire.spoil(REQUESTS["following the caller"], fault)
    async with office.phone(olga, Rings()) as phone, office.call(ANNA) as caller:
        await phone.rings()
        caller.hang_up()
        await caller.ended()
        await phone.is_free()
    report = await office.report()
    assert wire.hits == 1
    assert report.told == [("in", [olga]), ("hangup", [olga], "cancel")]


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.ANSWER_LOST], ids=["before", "after"])
async def test_the_wire_is_cut_while_a_phone_is_dialled(office: Office, wire: Wire, fault: Fault) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    wire.spoil(REQUESTS["dialling"], fault, then=wire.cut)
    async with office.phone(olga, Answers(after=0.2)), office.call(ANNA, talks=0.5) as caller:
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.ANSWER_LOST], ids=["before", "after"])
async def test_the_wire_is_cut_at_the_moment_of_the_answer(office: Office, wire: Wire, fault: Fault) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    wire.spoil(REQUESTS["the answer"], fault, then=wire.cut)
    async with office.phone(olga, Answers(after=0.2)), office.call(ANNA) as caller:
        await caller.answered()
        await office.stage("talking")
        await office.until(lambda: wire.hits == 1, "nothing was cut")
        await office.until(lambda: office.listening, "the PBX was not taken again")
        caller.hang_up()
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)


async def test_a_call_goes_over_the_event_socket(office: Office, wire: Wire) -> None:
    """By HTTP go the file of its recording, and lists."""
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    wire.asked.clear()
    async with office.phone(olga, Answers(after=0.2)), office.call(ANNA, talks=0.5) as caller:
        await caller.ended()
    assert (await office.report()).upload.record_url
    by_http = [request for way, request in wire.asked if way == "HTTP"]
    assert len(wire.asked) - len(by_http) >= 12
    assert all(request.startswith("GET ") and "/variable" not in request for request in by_http)


# -- what the socket says ---------------------------------------------------------------------------------


async def test_garbage_and_strange_events_change_nothing(office: Office, wire: Wire) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    stranger = {"id": "1234.5", "name": "PJSIP/1-00000001", "state": "Up"}
    nobody = {"id": f"{office.app}-0123456789abcdef-1", "name": "PJSIP/1-00000002", "state": "Up"}
    async with office.phone(olga, Answers(after=0.1)) as phone, office.call(ANNA) as caller:
        before = await office.stage("talking")
        for channel in (stranger, nobody, {}):
            for kind in ("ChannelDestroyed", "ChannelStateChange", "StasisEnd", "Dial", "NeverHeardOf"):
                wire.say(json.dumps({"type": kind, "cause": 16, "channel": channel}).encode())
        for garbage in (b"", b"{", b"[]", b"null", b'"text"', b"{}", b'{"type": []}', b"\x00\x01"):
            wire.say(garbage)
        wire.say(b'{"type": "RecordingFinished", "recording": {"name": "nobody"}}')
        async with office.call(STRANGER) as other:
            await other.ended()
        assert phone.talking
        assert office.listening
        assert [call for call in office.shop.line.calls if call.id == before.id] == [
            await office.calls.get(before.id)
        ]
        caller.hang_up()
        await caller.ended()
    report = await office.report(2)
    assert (report.upload.result, report.upload.code) == ("answered", olga)


# -- the PBX is restarted ---------------------------------------------------------------------------------


async def test_a_pbx_that_crashes_ends_its_calls_and_takes_new_ones(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    office.customer(STRANGER, "Петров Пётр", manager=boris)
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as talking,
        office.phone(boris, Rings()) as ringing,
        office.call(ANNA) as anna,
        office.call(STRANGER) as pyotr,
    ):
        await anna.answered()
        await ringing.rings()
        await office.stage("talking")
        await office.stage("ringing")
        with capture_logs() as log:
            await office.lab.asterisk.restart(hard=True)
            await office.report(2)
        for gone in (talking, ringing, anna, pyotr):
            await gone.vanish()
    of = {upload.call.phone: upload.call for upload in office.crm_account.uploads}
    assert (of[ANNA].result, of[ANNA].code) == ("answered", olga)
    assert (of[STRANGER].result, of[STRANGER].code, of[STRANGER].duration) == ("failed", boris, 0)
    assert [line["event"] for line in log].count("the PBX is connected") == 1
    ends = {event.event.hangup_status for event in office.crm_account.events if event.event.type == "hangup"}
    assert ends == {"answered", "failed"}

    async with office.phone(olga, Answers(after=0.1)), office.call(ANNA, talks=0.3) as caller:
        await caller.ended()
    assert (await office.report(3)).upload.result == "answered"


# -- a PBX that doesn't let us in disturbs nobody else ----------------------------------------------------


async def neighbour(office: Office, crm: SimulatedCrm, port: int, password: str) -> str:
    """Give the service a second account, and return its name."""
    key = "n" * 32
    account = next((one for one in crm.accounts if one.key == key), None) or crm.account(key=key)
    asterisk = office.lab.asterisk
    text = (
        office.toml()
        .replace(API_KEY, key)
        .replace(office.crm_account.url, account.url)
        .replace(office.app, f"{office.app}n")
        .replace(f"http_port = {office.pbx_port}", f"http_port = {port}")
        .replace(asterisk.ari_password, password)
    )
    return (await Accounts(office.redis, SECRET_KEY).apply(read_account(text), keep_client_id=True)).id


def connected(log: list[EventDict], name: str) -> bool:
    """Whether the log says that an account's PBX is connected."""
    return any(line["event"] == "the PBX is connected" and line.get("account") == name for line in log)


async def test_a_pbx_that_refuses_the_password_disturbs_no_other_account(
    office: Office, crm: SimulatedCrm
) -> None:
    (olga,) = office.managers(1)
    asterisk = office.lab.asterisk
    office.customer(ANNA, "Иванова Анна", manager=olga)
    with capture_logs() as log:
        name = await neighbour(office, crm, asterisk.http_port, "wrong")
        await office.open()
        async with office.phone(olga, Answers(after=0.1)), office.call(ANNA, talks=1.5) as caller:
            await caller.ended()
        assert (await office.report()).upload.result == "answered"
        assert office.service is not None
        assert office.service.ready
        await neighbour(office, crm, asterisk.http_port, asterisk.ari_password)
        await office.until(lambda: office.hears(name), "the neighbour was not connected")
        await office.until(lambda: connected(log, name), "nobody was told that it is connected")
    said = [(line["event"], line.get("problem")) for line in log if line.get("account") == name]
    assert said.count(("the PBX is not connected", "the PBX answers 401 to user and password")) == 1
    assert [event for event, _ in said].count("the PBX is not connected") == 1
    assert [event for event, _ in said].count("the PBX is connected") == 1


async def test_a_pbx_that_is_unreachable_disturbs_no_other_account(office: Office, crm: SimulatedCrm) -> None:
    (olga,) = office.managers(1)
    asterisk = office.lab.asterisk
    office.customer(ANNA, "Иванова Анна", manager=olga)
    async with Wire(asterisk.http_port) as wire:
        wire.refuse()
        with capture_logs() as log:
            name = await neighbour(office, crm, wire.port, asterisk.ari_password)
            await office.open()
            async with office.phone(olga, Answers(after=0.1)), office.call(ANNA, talks=1.0) as caller:
                await caller.ended()
            assert (await office.report()).upload.result == "answered"
            assert office.service is not None
            assert office.service.ready
            await wire.mend()
            await office.until(lambda: office.hears(name), "the neighbour was not connected", 30)
            await office.until(lambda: connected(log, name), "nobody was told that it is connected")
        said = [line["event"] for line in log if line.get("account") == name]
        assert said.count("the PBX is not connected") == 1
        assert said.count("the PBX is connected") == 1
        await office.stop()


# -- recordings -------------------------------------------------------------------------------------------


async def test_a_pbx_that_cannot_record_is_named_at_the_start_and_calls_go_on_without_links(
    office: Office,
) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    folder = office.lab.asterisk.recordings
    aside = folder.with_name("aside")
    folder.rename(aside)
    try:
        with capture_logs() as log:
            await office.open()
            await office.until(
                lambda: any("the PBX cannot record" in line["event"] for line in log), "nothing was said"
            )
        async with office.phone(olga, Answers(after=0.1)), office.call(ANNA, talks=0.5) as caller:
            await caller.ended()
        report = await office.report()
    finally:
        aside.rename(folder)
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.upload.record_url is None
    assert any("no recording" in line for line in await office.story(report.call))


async def test_a_recording_that_cant_be_fetched_at_first_is_asked_for_again(
    office: Office, wire: Wire
) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    wire.spoil(r"GET .*/recordings/stored/.*/file", Fault.ERROR_500)
    wire.spoil(r"GET .*/recordings/stored/.*/file", Fault.LOST)
    wire.spoil(r"GET .*/recordings/stored/.*/file", Fault.NOT_YET)
    async with office.phone(olga, Answers(after=0.1)), office.call(ANNA, talks=0.5) as caller:
        await caller.ended()
    report = await office.report()
    assert report.upload.record_url
    assert wire.hits == 3


async def test_a_recording_that_could_not_be_removed_from_the_pbx_goes_with_the_next_one(
    office: Office, wire: Wire
) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    wire.spoil(r"DELETE .*/recordings/stored/", Fault.ERROR_500)
    async with office.phone(olga, Answers(after=0.1)):
        for calls in (1, 2):
            async with office.call(ANNA, talks=0.5) as caller:
                await caller.ended()
            assert (await office.report(calls)).upload.record_url
    assert wire.hits == 1
    await office.is_clean()


async def test_a_recording_that_was_to_be_removed_as_the_wire_broke_goes_when_it_is_back(
    office: Office, wire: Wire
) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    wire.spoil(r"DELETE .*/recordings/stored/", Fault.LOST, then=wire.cut)
    async with office.phone(olga, Answers(after=0.1)):
        async with office.call(ANNA, talks=0.5) as caller:
            await caller.ended()
        assert (await office.report()).upload.record_url
    assert wire.hits == 1
    await office.is_clean()


async def test_a_recording_that_takes_long_to_fetch_is_told_with_its_link(office: Office, wire: Wire) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    wire.spoil(r"GET .*/recordings/stored/.*/file", Fault.ERROR_500, times=6)
    async with office.phone(olga, Answers(after=0.1)), office.call(ANNA, talks=0.5) as caller:
        await caller.ended()
    upload = await office.crm_account.wait_for_upload(timeout=60)
    call = await office.ended(upload.call.external_id)
    assert call.ended_at is not None
    assert upload.received.timestamp() - call.ended_at > 8
    assert upload.call.result == "answered"
    assert upload.call.record_url is not None
