"""The dialplan of the module's instruction, as it stands there, on the oldest Asterisk, against the service.

`documented/` holds its lines; what was mended in them is told in docs/dialplan.md. `Macro()`, `DeadAGI()`,
`chan_sip`, event2.sh and the HTTP API are the real ones, and the CRM is told the truth.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
import pytest_asyncio

from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Behaviour, Busy, Rings
from tests.asterisk.documented import Documented, old_asterisk
from tests.asterisk.pbx_files import prepared
from tests.support.event2 import until
from tests.support.office import Office

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA = "+79161234567"
STRANGER = "+79037654321"
QUEUE = "74951112255"

in_both_forms = pytest.mark.parametrize("flow", ["text", "json"])
in_plain_asterisk = pytest.mark.parametrize("flow", ["text"])
on_freepbx = pytest.mark.parametrize("flow", ["freepbx"])


@pytest.fixture(scope="module")
def installation() -> Installation:
    return prepared(16)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    asterisk, _ = old_asterisk(installation)
    async with asterisk:
        yield Lab(asterisk)


@pytest_asyncio.fixture(loop_scope="session")
async def shop(office: Office, flow: str) -> AsyncIterator[Documented]:
    shop = Documented(office, flow)
    yield shop
    assert shop.complaints() == []


@in_both_forms
async def test_a_known_customers_name_is_on_their_managers_phone_and_the_call_is_told_with_its_recording(
    shop: Documented,
) -> None:
    office = shop.office
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    began = datetime.now().replace(microsecond=0)
    async with shop.serves():
        async with (
            office.phone(olga, Answers(after=1.2)) as phone,
            office.call(ANNA, talks=2.3) as caller,
        ):
            await caller.ended()
        report = await office.report()
    assert (phone.calls[0].name, phone.calls[0].number) == ("Иванова Анна", ANNA)
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    upload = report.upload
    assert (upload.type, upload.phone, upload.result, upload.code) == ("in", ANNA, "answered", olga)
    assert upload.duration in (2, 3)
    assert upload.duration_waiting in (1, 2)
    assert upload.record_url
    wav = shop.recording(upload.record_url)
    assert 2.0 < (len(wav) - 44) / 16000 < 4.5
    since = datetime.fromisoformat(str(upload.date)) - began
    assert since % timedelta(minutes=15) < timedelta(seconds=30)  # the PBX's zone may be another


@in_both_forms
async def test_an_unknown_customer_rings_the_queue_with_their_number(shop: Documented) -> None:
    office = shop.office
    olga, boris = office.managers(2)
    async with (
        shop.serves(team=f"{olga}%2C{boris}"),
        shop.members(f"SIP/{olga}", f"SIP/{boris}"),
        office.phone(olga, Rings()) as silent,
        office.phone(boris, Answers(after=1.2)) as phone,
        office.call(STRANGER) as caller,
    ):
        await phone.answers()
        await asyncio.sleep(2.2)  # they talk
        caller.hang_up()
        await caller.ended()
        await silent.is_free()
        report = await office.report()
    assert (phone.calls[0].name, phone.calls[0].number) == (STRANGER, STRANGER)
    assert report.told == [("in", sorted([olga, boris])), ("hangup", sorted([olga, boris]), "answered")]
    upload = report.upload
    assert (upload.type, upload.phone, upload.result, upload.code) == ("in", STRANGER, "answered", boris)
    assert upload.duration in (2, 3)
    assert upload.duration_waiting in (1, 2)
    assert len(shop.recording(upload.record_url)) > 2 * 16_000


@in_plain_asterisk
async def test_a_number_without_its_plus_is_known_all_the_same(shop: Documented) -> None:
    office = shop.office
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    async with shop.serves():
        async with (
            office.phone(olga, Answers(after=0.1)) as phone,
            office.call("89161234567", talks=0.3) as caller,
        ):
            await caller.ended()
        report = await office.report()
    assert (phone.calls[0].name, phone.calls[0].number) == ("Иванова Анна", "89161234567")
    assert (report.upload.phone, report.upload.code) == (ANNA, olga)


@in_plain_asterisk
async def test_a_customer_of_nobodys_is_shown_by_name_to_whoever_answers(shop: Documented) -> None:
    office = shop.office
    (olga,) = office.managers(1)
    office.customer(ANNA, 'ООО "Ромашка, сад" (опт')
    async with (
        shop.serves(team=olga),
        shop.members(f"SIP/{olga}"),
        office.phone(olga, Answers(after=0.1)) as phone,
        office.call(ANNA) as caller,
    ):
        await phone.answers()
        await caller.answered()
        caller.hang_up()
        await caller.ended()
        report = await office.report()
    assert phone.calls[0].name == "ООО Ромашка сад опт"
    assert (report.upload.result, report.upload.code) == ("answered", olga)


@in_both_forms
async def test_a_customer_who_gives_up_while_their_manager_is_rung_is_missed_by_that_manager(
    shop: Documented,
) -> None:
    office = shop.office
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    async with shop.serves():
        async with office.phone(olga, Rings()) as phone, office.call(ANNA) as caller:
            await phone.rings()
            caller.hang_up()
            await caller.ended()
            await phone.is_free()
        report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "cancel")]
    upload = report.upload
    assert (upload.result, upload.code, upload.duration) == ("no answer", olga, 0)
    assert upload.record_url is None


@in_plain_asterisk
async def test_a_manager_who_is_busy_leaves_the_call_to_the_queue_and_who_takes_it_there_is_told(
    shop: Documented,
) -> None:
    office = shop.office
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    async with (
        shop.serves(team=boris),
        shop.members(f"SIP/{boris}"),
        office.phone(olga, Busy()),
        office.phone(boris, Answers(after=0.1)) as phone,
        office.call(ANNA) as caller,
    ):
        await phone.answers()
        await caller.answered()
        caller.hang_up()
        await caller.ended()
        report = await office.report()
    assert phone.calls[0].name == "Иванова Анна"
    both = sorted([olga, boris])
    assert report.told == [("in", [olga]), ("in", [boris]), ("hangup", both, "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", boris)


@in_plain_asterisk
async def test_a_call_to_a_managers_own_number_is_told_with_how_it_ended(shop: Documented) -> None:
    office = shop.office
    (olga,) = office.managers(1)
    async with shop.serves():
        async with (
            office.phone(olga, Answers(after=0.1)),
            office.lab.call(STRANGER, f"74951113{olga}", talks=1.2) as caller,
        ):
            await caller.ended()
        report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.code, report.upload.phone) == (olga, STRANGER)
    assert report.upload.duration in (1, 2)


@in_plain_asterisk
async def test_a_customer_who_leaves_the_queue_is_missed_with_the_time_that_they_waited(
    shop: Documented,
) -> None:
    office = shop.office
    olga, boris = office.managers(2)
    async with (
        shop.serves(),
        shop.members(f"SIP/{olga}"),
        office.phone(olga, Rings()) as phone,
        office.lab.call(STRANGER, QUEUE, gives_up_after=2.2) as caller,
    ):
        await caller.ended()
        await phone.is_free()
        report = await office.report()
    everybody = sorted([olga, boris])
    assert report.told == [("in", everybody), ("hangup", everybody, "cancel")]
    upload = report.upload
    assert (upload.result, upload.code, upload.duration) == ("no answer", None, 0)
    assert upload.duration_waiting in (2, 3)


@in_plain_asterisk
async def test_of_a_list_with_commas_macro_passes_the_first_extension_only(shop: Documented) -> None:
    office = shop.office
    olga, boris = office.managers(2)
    async with (
        shop.serves(team=f"{olga},{boris}"),
        shop.members(f"SIP/{boris}"),
        office.phone(boris, Answers(after=0.1)) as phone,
        office.lab.call(STRANGER, QUEUE) as caller,
    ):
        await phone.answers()
        await caller.answered()
        caller.hang_up()
        await caller.ended()
        report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.code == boris


@in_plain_asterisk
async def test_a_withheld_number_reaches_the_queue_and_the_crm_is_not_told(shop: Documented) -> None:
    office = shop.office
    (olga,) = office.managers(1)
    async with (
        shop.serves(team=olga),
        shop.members(f"SIP/{olga}"),
        office.phone(olga, Answers(after=0.1)),
        office.call("anonymous", talks=0.1) as caller,
    ):
        await caller.ended()
        call = await office.ended()
    assert (call.number, call.talker) == (None, olga)
    assert office.crm_account.events == []
    assert office.crm_account.uploads == []


@in_plain_asterisk
async def test_while_the_service_is_away_the_queue_rings_and_the_end_is_told_with_the_next_calls(
    shop: Documented,
) -> None:
    office = shop.office
    (olga,) = office.managers(1)
    async with shop.serves() as url, shop.members(f"SIP/{olga}"), office.phone(olga, Answers(after=0.1)):
        await shop.turn_to("http://127.0.0.1:9")
        async with office.call(ANNA, talks=0.1) as caller:
            await caller.ended()
        assert caller.status == 200
        await until(lambda: bool(shop.script.kept()), "the end was not kept")
        await shop.script.rests()
        await shop.turn_to(url)
        async with office.call(STRANGER, talks=0.1) as caller:
            await caller.ended()
        await office.report(calls=2)
    told = {upload.call.phone: upload.call for upload in office.crm_account.uploads}
    assert [(told[number].result, told[number].code) for number in (ANNA, STRANGER)] == [
        ("answered", olga)
    ] * 2


@in_plain_asterisk
@pytest.mark.parametrize(("customer", "result"), [(Answers(after=1.2), "answered"), (Busy(), "busy")])
async def test_an_outgoing_call_is_told_when_it_begins_and_when_it_ends(
    shop: Documented, customer: Behaviour, result: str
) -> None:
    office = shop.office
    (olga,) = office.managers(1)
    async with shop.serves():
        async with (
            office.lab.customer_phone(customer) as phone,
            office.lab.dial(olga, ANNA, talks=2.3) as manager,
        ):
            await manager.ended()
        report = await office.report()
    assert phone.calls[0].to == ANNA
    assert report.told == [("out", [olga]), ("hangup", [olga], result)]
    upload = report.upload
    assert (upload.type, upload.phone, upload.result, upload.code) == ("out", ANNA, result, olga)
    if result == "answered":
        assert upload.duration in (2, 3)
        assert upload.duration_waiting in (1, 2)
        assert len(shop.recording(upload.record_url)) > 2 * 16_000


@on_freepbx
async def test_on_freepbx_a_known_customer_reaches_their_manager_and_the_end_is_told(
    shop: Documented,
) -> None:
    office = shop.office
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    async with shop.serves():
        async with office.phone(olga, Answers(after=1.2)) as phone, office.call(ANNA, talks=2.3) as caller:
            await caller.ended()
        report = await office.report()
    assert (phone.calls[0].name, phone.calls[0].number) == ("Иванова Анна", ANNA)
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.upload.duration in (2, 3)
    assert report.upload.duration_waiting in (1, 2)
    assert len(shop.recording(report.upload.record_url)) > 2 * 16_000


@on_freepbx
async def test_on_freepbx_a_customer_who_gives_up_is_missed_by_their_manager(shop: Documented) -> None:
    office = shop.office
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    async with shop.serves():
        async with office.phone(olga, Rings()) as phone, office.call(ANNA) as caller:
            await phone.rings()
            caller.hang_up()
            await caller.ended()
            await phone.is_free()
        report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "cancel")]
    assert (report.upload.result, report.upload.code) == ("no answer", olga)


@on_freepbx
async def test_on_freepbx_an_unknown_customer_returns_to_the_queue_and_who_answers_there_is_told(
    shop: Documented,
) -> None:
    office = shop.office
    olga, boris = office.managers(2)
    members = [f"Local/{code}@from-queue/n" for code in (olga, boris)]
    async with (
        shop.serves(),
        shop.members(*members),
        office.phone(olga, Rings()) as silent,
        office.phone(boris, Answers(after=1.2)) as phone,
        office.call(STRANGER) as caller,
    ):
        await phone.answers()
        await asyncio.sleep(2.2)  # they talk
        caller.hang_up()
        await caller.ended()
        await silent.is_free()
        report = await office.report()
    everybody = sorted([olga, boris])
    assert phone.calls[0].name == STRANGER
    assert report.told == [("in", everybody), ("hangup", everybody, "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", boris)
    assert report.upload.duration in (2, 3)
    assert report.upload.duration_waiting in (1, 2)
    assert report.upload.record_url
