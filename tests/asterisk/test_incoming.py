"""A customer calls: who is rung, who talks, and what the CRM is told."""

import struct

from ari_app.demo.pbx.asterisk import UNREACHABLE
from ari_app.demo.pbx.phones import Answers, Busy, Declines, Rings
from tests.support.office import OUR_NUMBER, Office

ANNA = "+79161234567"
STRANGER = "+79037654321"


async def test_a_known_customer_reaches_the_responsible_manager(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(fallback=f"group:{boris}")
    async with office.phone(olga, Answers(after=0.2)) as phone, office.call(ANNA, talks=1.2) as caller:
        await caller.ended()
    report = await office.report()

    assert caller.status == 200
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    upload = report.upload
    assert (upload.result, upload.code, upload.duration) == ("answered", olga, 1)
    assert (upload.phone, upload.external_phone, upload.type) == (ANNA, OUR_NUMBER, "in")
    assert upload.duration_waiting == 0
    assert phone.calls[0].name == "Иванова Анна"
    assert phone.calls[0].number == ANNA


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
    assert caller.provisional[0][1] < 0.5
    assert (await office.report()).upload.result == "answered"


async def test_the_recording_is_stored_and_removed_from_the_pbx(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Answers(after=0.1)), office.call(ANNA, talks=1.5) as caller:
        await caller.ended()
    report = await office.report()

    name = report.upload.record_url.rsplit("/", 1)[1]
    assert office.service is not None
    wav = office.service.recordings.path_of(name).read_bytes()
    channels, rate = struct.unpack_from("<HI", wav, 22)
    (bits,) = struct.unpack_from("<H", wav, 34)
    assert (channels, rate, bits) == (1, 8000, 16)
    assert 1.2 < (len(wav) - 44) / 16000 < 1.9


async def test_a_shop_that_doesnt_record_gets_no_link(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(record=False)
    async with office.phone(olga, Answers(after=0.1)), office.call(ANNA, talks=0.3) as caller:
        await caller.ended()
    report = await office.report()
    assert report.upload.record_url is None
    assert report.upload.result == "answered"


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
    assert (report.upload.code, report.upload.duration_waiting) == (boris, 1)
    assert silent.calls[0].over


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
    assert caller.answered_after < 1.5
    assert report.upload.code == boris


async def test_a_manager_whose_phone_is_gone_or_doesnt_exist_is_passed_over_at_once(office: Office) -> None:
    boris, unplugged, unknown = office.managers(1)[0], UNREACHABLE, "499"
    office.hire(unplugged)
    office.customer(ANNA, "Иванова Анна", manager=unplugged)
    await office.open(fallback=f"group:{unknown};group:{boris}")
    async with office.phone(boris, Answers(after=0.1)), office.call(ANNA, talks=0.3) as caller:
        await caller.ended()
    assert caller.answered_after is not None
    assert caller.answered_after < 1.5
    assert (await office.report()).upload.code == boris


async def test_a_manager_who_declines_leaves_the_caller_to_the_group(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(fallback=f"group:{boris}")
    async with (
        office.phone(olga, Declines(after=0.2)),
        office.phone(boris, Answers(after=0.1)),
        office.call(ANNA, talks=0.3) as caller,
    ):
        await caller.ended()
    report = await office.report()
    assert report.upload.code == boris
    assert any(f"{olga}: declined" in line for line in await office.story(report.call))


async def test_an_unknown_customer_is_rung_where_unknown_customers_go(office: Office) -> None:
    olga, boris = office.managers(2)
    await office.open(fallback=f"group:{olga}", unknown=f"group:{boris}")
    async with (
        office.phone(olga, Rings()) as fallback,
        office.phone(boris, Answers(after=0.1)) as phone,
        office.call(STRANGER, talks=0.3) as caller,
    ):
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [boris]), ("hangup", [boris], "answered")]
    assert phone.calls[0].name == STRANGER
    assert fallback.calls == []


async def test_the_callers_name_carries_the_shops_prefix(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(caller_name_prefix="Магазин")
    async with office.phone(olga, Answers(after=0.1)) as phone, office.call(ANNA, talks=0.2) as caller:
        await caller.ended()
    await office.report()
    assert phone.calls[0].name == "Магазин: Иванова Анна"


async def test_a_customer_who_gives_up_while_waiting_is_reported_as_missed(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Rings()) as phone, office.call(ANNA) as caller:
        await phone.rings()
        caller.hang_up()
        await caller.ended()
        await phone.is_free()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "cancel")]
    upload = report.upload
    assert (upload.result, upload.code, upload.duration, upload.record_url) == ("no answer", olga, 0, None)


async def test_when_everyone_is_busy_the_caller_hears_busy(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(fallback=f"group:{boris}")
    async with office.phone(olga, Busy()), office.phone(boris, Busy()), office.call(ANNA) as caller:
        await caller.ended()
    report = await office.report()
    assert caller.status == 486
    assert report.told[-1] == ("hangup", sorted([olga, boris]), "busy")
    assert (report.upload.result, report.upload.code) == ("busy", olga)


async def test_when_nobody_answers_the_caller_is_told_so(office: Office) -> None:
    olga, boris = office.managers(2)
    await office.open(unknown=f"group:{olga},{boris}", ring_group_seconds=1)
    async with office.phone(olga, Rings()), office.phone(boris, Busy()), office.call(STRANGER) as caller:
        await caller.ended()
    report = await office.report()
    assert caller.status == 480
    assert "cause=19" in caller.reason
    assert report.told == [
        ("in", sorted([olga, boris])),
        ("hangup", sorted([olga, boris]), "no answered"),
    ]
    assert (report.upload.result, report.upload.code) == ("no answer", olga)


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
    assert (report.upload.result, report.upload.duration) == ("answered", 1)


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
