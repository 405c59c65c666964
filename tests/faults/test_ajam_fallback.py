"""Click-to-call while ARI is away: the same call goes by AJAM, and the CRM hears of it all the same."""

from __future__ import annotations

import pytest

from ari_app.calls.call import Way
from ari_app.demo.pbx.phones import Answers, Busy, Declines, Rings
from tests.asterisk.test_click_to_call import ANNA, click
from tests.faults.wire import Fault, Wire
from tests.support.office import Office


async def without_ari(office: Office, wire: Wire) -> None:
    """Switch ARI off; AJAM goes on working."""
    wire.spoil(r"\w+ /asterisk/ari/", Fault.LOST, times=10**6)
    wire.cut()
    await office.until(lambda: not office.listening, "the cut was not noticed")


async def test_the_manager_and_the_customer_talk_and_the_crm_hears_of_it(office: Office, wire: Wire) -> None:
    (olga,) = office.managers(1)
    await office.open(manager_caller_name="Звонок из CRM")
    await without_ari(office, wire)
    async with (
        office.phone(olga, Answers(after=0.2)) as phone,
        office.lab.customer_phone(Answers(after=0.3)) as customer,
    ):
        click(office, olga)
        await customer.answers()
        await office.stage("talking")
        customer.hang_up()
        await phone.is_free()
    report = await office.report()
    assert report.call.way is Way.AJAM
    assert (phone.calls[0].name, phone.calls[0].number) == ("Звонок из CRM", ANNA)
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.type, report.upload.code, report.upload.result) == ("out", olga, "answered")
    assert report.upload.record_url is None
    assert any("AJAM" in line for line in await office.story(report.call))


async def into_the_dialplan(office: Office, behind: str) -> None:
    """Let the line lead on through a Local channel."""
    dialled = f"dialplan add extension _[+0-9].,1,Dial(Local/${{EXTEN}}@{behind}/n,20) into nested replace"
    for command in (
        dialled,
        "dialplan add extension _[+0-9].,1,Answer() into says replace",
        "dialplan add extension _[+0-9].,2,Wait(1) into says replace",
    ):
        await office.lab.asterisk.command(command)
    office.pbx["outgoing"] = "nested"


async def test_a_customer_behind_a_local_channel_answers(office: Office, wire: Wire) -> None:
    (olga,) = office.managers(1)
    await into_the_dialplan(office, "default")
    await office.open()
    await without_ari(office, wire)
    async with (
        office.phone(olga, Answers(after=0.1)) as phone,
        office.lab.customer_phone(Answers(after=0.3)) as customer,
    ):
        click(office, olga)
        await customer.answers()
        await office.stage("talking")
        customer.hang_up()
        await phone.is_free()
    report = await office.report()
    assert (report.upload.code, report.upload.result) == (olga, "answered")


async def test_a_dialplan_that_answers_behind_a_local_channel_is_nobody(office: Office, wire: Wire) -> None:
    (olga,) = office.managers(1)
    await into_the_dialplan(office, "says")
    await office.open()
    await without_ari(office, wire)
    async with office.phone(olga, Answers(after=0.1)) as phone:
        click(office, olga)
        await phone.answers()
        await phone.is_free()
    report = await office.report()
    assert report.upload.result != "answered"
    assert (report.upload.code, report.upload.duration) == (olga, 0)


@pytest.mark.parametrize(
    "behaviour", [Rings(), Declines(after=0.1), Busy()], ids=["silent", "declines", "busy"]
)
async def test_a_manager_who_cant_be_had(
    office: Office, wire: Wire, behaviour: Rings | Declines | Busy
) -> None:
    (olga,) = office.managers(1)
    await office.open(ring_manager_seconds=1)
    await without_ari(office, wire)
    async with office.phone(olga, behaviour) as phone, office.lab.customer_phone(Answers()) as customer:
        click(office, olga)
        await phone.is_free()
        report = await office.report()
    assert customer.calls == []
    assert (report.told, report.upload.result, report.upload.code) == ([], "failed", olga)


async def test_a_manager_who_hangs_up_while_the_customer_rings(office: Office, wire: Wire) -> None:
    (olga,) = office.managers(1)
    await office.open()
    await without_ari(office, wire)
    async with (
        office.phone(olga, Answers(after=0.1)) as phone,
        office.lab.customer_phone(Rings()) as customer,
    ):
        click(office, olga)
        await customer.rings()
        await office.until(lambda: bool(office.shop.line.calls[0].told), "nobody was told")
        phone.hang_up()
        await customer.is_free()
    report = await office.report()
    assert report.told == [("out", [olga]), ("hangup", [olga], "cancel")]


async def test_a_customer_who_is_busy(office: Office, wire: Wire) -> None:
    (olga,) = office.managers(1)
    await office.open()
    await without_ari(office, wire)
    async with office.phone(olga, Answers(after=0.1)) as phone, office.lab.customer_phone(Busy()):
        click(office, olga)
        await phone.is_free()
    report = await office.report()
    assert report.upload.result == "busy"


async def test_a_request_that_ari_refuses_is_made_by_ajam(office: Office, wire: Wire) -> None:
    (olga,) = office.managers(1)
    await office.open()
    wire.spoil(r"POST /asterisk/ari/channels/create", Fault.ERROR_500)
    async with (
        office.phone(olga, Answers(after=0.1, hangs_up_after=2.0)) as phone,
        office.lab.customer_phone(Answers(after=0.1)),
    ):
        click(office, olga)
        await phone.is_free()
    report = await office.report()
    assert report.call.way is Way.AJAM
    assert len(phone.calls) == 1
    assert report.upload.result == "answered"


async def test_ajam_itself_is_cut_off_for_a_moment(office: Office, wire: Wire) -> None:
    (olga,) = office.managers(1)
    await office.open()
    await without_ari(office, wire)
    async with (
        office.phone(olga, Answers(after=0.1)) as phone,
        office.lab.customer_phone(Rings()) as customer,
    ):
        click(office, olga)
        await customer.rings()
        wire.cut()
        customer.answer()
        await customer.answers()
        await office.stage("talking")
        customer.hang_up()
        await phone.is_free()
    report = await office.report()
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]


async def test_ari_that_comes_back_leaves_the_call_alone(office: Office, wire: Wire) -> None:
    (olga,) = office.managers(1)
    await office.open()
    wire.refuse()
    await office.until(lambda: not office.listening, "the cut was not noticed")
    await wire.mend()
    await office.until(lambda: office.listening, "ARI did not come back")
    async with (
        office.phone(olga, Answers(after=0.1)) as phone,
        office.lab.customer_phone(Answers(after=0.1)) as customer,
    ):
        wire.spoil(r"POST /asterisk/ari/channels/create", Fault.ERROR_500)
        click(office, olga)
        await customer.answers()
        await office.stage("talking")
        wire.cut()
        await office.until(lambda: not office.listening, "the cut was not noticed")
        await office.until(lambda: office.listening, "ARI did not come back")
        assert phone.talking
        phone.hang_up()
        await customer.is_free()
    report = await office.report()
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]


async def test_the_documented_rights_are_enough(office: Office, wire: Wire) -> None:
    (olga,) = office.managers(1)
    office.ami_username = "documented"
    await office.open()
    await without_ari(office, wire)
    async with (
        office.phone(olga, Answers(after=0.1)) as phone,
        office.lab.customer_phone(Answers(after=2.5)) as customer,
    ):
        click(office, olga)
        await customer.answers()
        await office.stage("talking")
        phone.hang_up()
        await customer.is_free()
    report = await office.report()
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)


async def test_on_an_asterisk_whose_ari_is_switched_off_the_call_goes_by_ajam(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open()
    asterisk = office.lab.asterisk
    await asterisk.switch_ari(False)
    try:
        await office.until(lambda: not office.listening, "that ARI is off was not noticed")
        async with (
            office.phone(olga, Answers(after=0.1)) as phone,
            office.lab.customer_phone(Answers(after=0.1)) as customer,
        ):
            click(office, olga)
            await customer.answers()
            await office.stage("talking")
            customer.hang_up()
            await phone.is_free()
            report = await office.report()
    finally:
        await asterisk.switch_ari(True)
    assert report.call.way is Way.AJAM
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]
    await office.until(lambda: office.listening, "ARI did not come back")
