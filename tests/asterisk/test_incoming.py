"""A customer calls: who is rung, who talks, and what the CRM is told."""

import aiohttp
import pytest

from ari_app.asterisk import recordings
from ari_app.calls import happenings as h
from ari_app.calls import whole_seconds
from ari_app.demo.pbx.asterisk import UNREACHABLE
from ari_app.demo.pbx.phones import Answers, Busy, Rings
from ari_app.store.events import EventStore, What
from tests.support.office import Office, Report
from tests.support.pace import at_this_pace

ANNA = "+79161234567"
STRANGER = "+79037654321"


async def test_the_caller_hears_ringing_at_once_and_is_answered_only_by_a_person(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Rings()) as phone, office.call(ANNA) as caller:
        await caller.ringing()
        await phone.rings()
        assert caller.status is None
        phone.answer()
        await caller.answered()
        caller.hang_up()
        await caller.ended()
    assert caller.provisional[0][0] == 180
    assert caller.provisional[0][1] < at_this_pace(0.5)
    report = await office.report()
    assert report.upload.result == "answered"
    assert await was_up_at_its_end(office, report)


async def was_up_at_its_end(office: Office, report: Report) -> bool:
    """Tell whether the telephone that rang first was answered, as the PBX shows it at its end."""
    ends = [line.event for line in await office.calls.journal(report.call.id)]
    return next(end.up for end in ends if isinstance(end, h.LegEnded))


async def test_a_shop_that_doesnt_record_gets_no_link(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(record=False)
    async with office.phone(olga, Answers(after=0.1)), office.call(ANNA, talks=0.3) as caller:
        await caller.ended()
    report = await office.report()
    assert report.upload.record_url is None
    assert report.upload.result == "answered"


async def test_a_shop_that_wants_mp3_gets_its_link_and_the_file_plays(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(recording_format="mp3")
    async with office.phone(olga, Answers(after=0.1)), office.call(ANNA, talks=1.5) as caller:
        await caller.ended()
    report = await office.report()
    recording = report.call.recording
    assert recording.seconds == pytest.approx(1.5, abs=at_this_pace(0.5))
    assert report.upload.record_url is not None
    name = report.upload.record_url.rpartition("/")[2]
    assert (name, name[40:]) == (recording.file, ".mp3")
    async with office.web() as site, aiohttp.ClientSession() as session:
        async with session.get(f"{site}/recordings/{name}", headers={"Range": "bytes=0-1"}) as answer:
            assert (answer.status, answer.content_type) == (206, "audio/mpeg")
            assert await answer.read() == b"\xff\xe3"
        async with session.get(f"{site}/recordings/{name[:40]}.wav") as answer:
            assert answer.status == 404
    assert await office.left_on_pbx() == []


async def test_a_recording_that_cant_become_mp3_is_kept_as_wav_and_that_is_said(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "CONVERT_SECONDS", 0.0)
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(recording_format="mp3")
    async with office.phone(olga, Answers(after=0.1)), office.call(ANNA, talks=2) as caller:
        await caller.ended()
    report = await office.report()
    assert (report.upload.record_url or "").endswith(".wav")

    async def said() -> str | None:
        found, _ = await EventStore(office.redis, report.call.account).newest(50)
        return next((one.values["call"] for one in found if one.what is What.RECORDING_NOT_CONVERTED), None)

    assert await office.eventually(said, "nothing says that it stays WAV") == report.call.id


async def test_a_stranger_is_a_customer_of_who_has_answered_and_the_next_call_opens_their_card(
    office: Office,
) -> None:
    (olga,) = office.managers(1)
    await office.open(unknown=f"group:{olga}", new_customers=True)
    async with office.phone(olga, Answers(after=0.1)):
        async with office.call(STRANGER, talks=0.3) as caller:
            await caller.ended()
        await office.report()
        await office.crm_account.wait_until(lambda crm: bool(crm.customers.made), timeout=60)
        async with office.call(STRANGER, talks=0.3) as caller:
            await caller.ended()
    report = await office.report(2)
    (made,) = office.crm_account.customers.made
    assert made.manager_id == next(user.user_id for user in office.account.extensions if user.code == olga)
    cards = [told.customer for told in office.crm_account.events if told.event.type == "in"]
    assert cards == [None, made]
    assert report.call.known


async def test_a_manager_who_doesnt_answer_leaves_the_caller_to_the_group(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(ring_manager_seconds=1, fallback=f"group:{boris}")
    async with (
        office.phone(olga, Rings()) as silent,
        office.phone(boris, Answers(after=0.2)),
        office.call(ANNA, talks=0.5) as caller,
    ):
        await caller.ended()
    report = await office.report()
    assert caller.status == 200
    assert report.told == [("in", [olga]), ("in", [boris]), ("hangup", sorted([olga, boris]), "answered")]
    assert report.upload.code == boris
    assert 1 <= report.call.waiting < 1 + at_this_pace(1)
    assert silent.calls[0].over
    assert not await was_up_at_its_end(office, report)


async def test_a_busy_manager_is_passed_over_at_once(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(fallback=f"group:{boris}")
    async with (
        office.phone(olga, Busy()),
        office.phone(boris, Answers(after=0.1)),
        office.call(ANNA, talks=0.3) as caller,
    ):
        await caller.ended()
    report = await office.report()
    assert caller.answered_after is not None
    assert caller.answered_after < at_this_pace(1.5)
    assert report.upload.code == boris


async def test_a_manager_whose_phone_is_gone_or_doesnt_exist_is_passed_over_at_once(office: Office) -> None:
    boris, unplugged, unknown = office.managers(1)[0], UNREACHABLE, "499"
    office.hire(unplugged)
    office.hire(unknown)
    office.customer(ANNA, "Иванова Анна", manager=unplugged)
    await office.open(fallback=f"group:{unknown};group:{boris}")
    async with office.phone(boris, Answers(after=0.1)), office.call(ANNA, talks=0.3) as caller:
        await caller.ended()
    assert caller.answered_after is not None
    assert caller.answered_after < at_this_pace(1.5)
    assert (await office.report()).upload.code == boris


async def test_the_callers_name_carries_the_shops_prefix(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(caller_name_prefix="Магазин")
    async with office.phone(olga, Answers(after=0.1)) as phone, office.call(ANNA, talks=0.2) as caller:
        await caller.ended()
    await office.report()
    assert phone.calls[0].name == "Магазин: Иванова Анна"


async def test_when_nobody_can_be_reached_the_call_failed(office: Office) -> None:
    unplugged = UNREACHABLE
    office.hire(unplugged)
    await office.open(unknown=f"group:{unplugged}")
    async with office.call(STRANGER) as caller:
        await caller.ended()
    report = await office.report()
    assert report.told == []  # nobody's telephone has rung
    assert (report.upload.result, report.upload.code) == ("failed", unplugged)


async def test_a_manager_who_hangs_up_first_ends_the_call(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Answers(after=0.1, hangs_up_after=1.1)), office.call(ANNA) as caller:
        await caller.ended()
    report = await office.report()
    assert caller.ended_by == "other side"
    assert (report.upload.result, report.upload.duration) == ("answered", whole_seconds(report.call.talking))
    assert 1 <= report.call.talking < 2


async def test_a_withheld_number_is_served_and_logged_but_the_crm_is_not_told(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open(unknown=f"group:{olga}")
    async with office.phone(olga, Answers(after=0.1)), office.call("anonymous", talks=0.5) as caller:
        await caller.ended()
    call = await office.ended()
    assert caller.status == 200
    assert call.number is None
    assert call.recording.file is not None
    assert {request.route for request in office.crm_account.requests} <= {"settings", "users"}


async def test_who_asked_to_be_anonymous_is_so_also_where_the_trunk_knows_them(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(unknown=f"group:{olga}")
    async with (
        office.phone(olga, Answers(after=0.1)) as phone,
        office.call("anonymous", asserted=ANNA, name="Anna", talks=0.5) as caller,
    ):
        await caller.ended()
    call = await office.ended()
    assert (caller.status, call.number, call.name) == (200, None, None)
    assert ANNA[1:] not in f"{phone.calls[0].number} {phone.calls[0].name}"
    assert "Anna" not in (phone.calls[0].name or "")
    assert {request.route for request in office.crm_account.requests} <= {"settings", "users"}


async def test_whom_the_trunk_asserts_without_being_asked_to_be_silent_is_known(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)),
        office.call(STRANGER, asserted=ANNA, talks=0.2) as caller,
    ):
        await caller.ended()
    assert (await office.report()).upload.phone == ANNA


@pytest.mark.parametrize(("number", "name"), [("0", ""), ("0000000000", "Restricted"), ("unknown", "Anna")])
async def test_what_a_line_says_instead_of_a_number_is_told_to_nobody(
    office: Office, number: str, name: str
) -> None:
    (olga,) = office.managers(1)
    await office.open(unknown=f"group:{olga}")
    async with office.phone(olga, Answers(after=0.1)), office.call(number, name=name, talks=0.2) as caller:
        await caller.ended()
    call = await office.ended()
    assert (caller.status, call.number, call.told) == (200, None, ())


async def test_an_early_sound_of_the_managers_phone_reaches_the_caller(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.5, early_media=True)),
        office.call(ANNA, talks=0.2) as caller,
    ):
        await caller.ended()
    await office.report()
    assert 183 in [status for status, _ in caller.provisional]


async def test_two_calls_at_once_dont_mix(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    office.customer(STRANGER, "Петров Пётр", manager=boris)
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.2)),
        office.phone(boris, Answers(after=0.1)),
        office.call(ANNA, talks=0.6) as anna,
        office.call(STRANGER, talks=0.3) as pyotr,
    ):
        await anna.ended()
        await pyotr.ended()
    await office.report(2)
    talkers = {upload.call.phone: upload.call.code for upload in office.crm_account.uploads}
    assert talkers == {ANNA: olga, STRANGER: boris}
