"""A person who watches the calls in the cabinet ends one, on the real PBX."""

from ari_app.calls.happenings import HangUpAsked
from ari_app.demo.pbx.phones import Answers, Rings
from tests.support.office import Office

ANNA = "+79161234567"


def end_the_call(office: Office) -> None:
    """Press «hang up» at the only call."""
    assert office.service is not None
    line = office.service.shops[office.account.id].line
    (call,) = line.calls
    line.put(call.id, HangUpAsked(line.clock(), "192.0.2.7"))


async def test_two_who_talk_are_parted_and_their_recording_is_kept(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Answers(after=0.1)), office.call(ANNA) as caller:
        await caller.answered()
        await office.recorded()
        end_the_call(office)
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.result == "answered"
    assert report.upload.record_url


async def test_a_caller_who_waits_and_the_phone_that_rings_for_them_are_let_go(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Rings()) as phone, office.call(ANNA) as caller:
        await phone.rings()
        end_the_call(office)
        await caller.ended()
    assert caller.status is not None
    assert caller.status >= 400
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "no answered")]
    assert report.upload.result == "no answer"
