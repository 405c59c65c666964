"""Phones of `chan_sip`, which the oldest Asterisk that we serve still has: ``channel_format = "SIP/##"``."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib import resources

import pytest
import pytest_asyncio

from ari_app.demo.pbx.asterisk import Asterisk
from ari_app.demo.pbx.customers import Customer
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Rings
from tests.asterisk.documented import old_asterisk
from tests.asterisk.pbx_files import prepared
from tests.support.office import Office
from tests.support.pace import at_this_pace

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA = "+79161234567"
STRANGER = "+79037654321"


@dataclass
class OldPbx:
    """The PBX, and the port that its phones call."""

    asterisk: Asterisk
    sip_port: int


@pytest.fixture(scope="module")
def installation() -> Installation:
    return prepared(16)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pbx(installation: Installation) -> AsyncIterator[OldPbx]:
    asterisk, sip_port = old_asterisk(installation)
    dialplan = resources.files("ari_app.demo.pbx").joinpath("conf/extensions.conf").read_text("utf-8")
    dialplan = dialplan.replace("Dial(PJSIP/${EXTEN},60)", "Dial(SIP/${EXTEN},60)")
    asterisk.files = {**asterisk.files, "extensions.conf": dialplan.replace("@queue_contexts@", "")}
    async with asterisk:
        yield OldPbx(asterisk, sip_port)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(pbx: OldPbx) -> Lab:
    return Lab(pbx.asterisk)


@pytest.fixture
def shop(office: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A shop whose phones are of `chan_sip`, and whose application the PBX's dialplan names."""
    toml = office.toml
    monkeypatch.setattr(
        office, "toml", lambda **calls: toml(**calls).replace("[pbx]", '[pbx]\nchannel_format = "SIP/##"')
    )
    office.app = "retailcrm"
    return office


async def test_a_known_customer_is_shown_by_name_and_recorded(shop: Office) -> None:
    (olga,) = shop.managers(1)
    shop.customer(ANNA, "Иванова Анна", manager=olga)
    await shop.open()
    async with shop.phone(olga, Answers(after=0.2)) as phone, shop.call(ANNA, talks=1.2) as caller:
        await caller.ended()
    report = await shop.report()
    assert (phone.calls[0].name, phone.calls[0].number) == ("Иванова Анна", ANNA)
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code, report.upload.duration) == ("answered", olga, 1)
    assert report.upload.record_url is not None


async def test_the_member_who_takes_the_call_from_a_queue_is_known_exactly(shop: Office) -> None:
    olga, boris = shop.managers(2)
    queue = shop.lab.queue()
    for code in (olga, boris):
        await shop.lab.asterisk.queue_add(queue, f"SIP/{code}")
    await shop.open(unknown=f"queue:queues,{queue}")
    async with (
        shop.phone(olga, Rings()) as silent,
        shop.phone(boris, Answers(after=0.5)),
        shop.call(STRANGER, talks=0.5) as caller,
    ):
        await caller.ended()
        await silent.is_free()
    report = await shop.report()
    both = sorted([olga, boris])
    assert report.told == [("in", both), ("hangup", both, "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", boris)


async def test_a_manager_calls_a_customer(shop: Office, pbx: OldPbx) -> None:
    (olga,) = shop.managers(1)
    await shop.open()
    dials = Customer(
        olga, ANNA, pbx.asterisk.ports.caller(), pbx.asterisk.folder, pbx.sip_port, talks=1.2, who="manager"
    )
    async with shop.lab.customer_phone(Answers(after=0.2)) as customer, dials as manager:
        await manager.ended()
        await customer.is_free()
    report = await shop.report()
    assert [call.to for call in customer.calls] == [ANNA]
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.type, report.upload.code, report.upload.phone) == ("out", olga, ANNA)


async def test_a_call_from_the_crm_rings_the_managers_phone_and_then_the_customers(shop: Office) -> None:
    (olga,) = shop.managers(1)
    await shop.open(manager_caller_name="Звонок из CRM")
    async with (
        shop.phone(olga, Answers(after=0.1, hangs_up_after=0.5)) as phone,
        shop.lab.customer_phone(Answers(after=0.1)) as customer,
    ):
        assert shop.shop.line.place_call(olga, ANNA, None, shop.account.pbx.outgoing) is not None
        await customer.is_free()
        await phone.is_free()
    report = await shop.report()
    assert phone.calls[0].name == "Звонок из CRM"
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)


async def test_a_customer_is_handed_over_to_a_colleague_and_the_recording_goes_on(shop: Office) -> None:
    olga, boris = shop.managers(2)
    shop.customer(ANNA, "Иванова Анна", manager=olga)
    await shop.open()
    async with (
        shop.phone(olga, Answers(after=0.1)) as hers,
        shop.phone(boris, Answers(after=0.3)) as his,
        shop.call(ANNA) as customer,
    ):
        await hers.answers()
        await shop.recorded()
        assert await hers.transfer(boris) == 200
        await his.answers()
        await shop.stage("talking")
        customer.hang_up()
        await his.is_free()
    report = await shop.report()
    assert report.told[-1] == ("hangup", sorted([olga, boris]), "answered")
    assert (report.upload.code, report.call.first_talker) == (boris, olga)
    assert report.call.recording.seconds == pytest.approx(report.call.talking, abs=at_this_pace(0.4))
