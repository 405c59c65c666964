"""Phones of `chan_sip`, which the oldest Asterisk that we serve still has: ``channel_format = "SIP/##"``."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib import resources

import pytest
import pytest_asyncio

from ari_app.demo.pbx.asterisk import UNREACHABLE, Asterisk
from ari_app.demo.pbx.customers import Customer
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Declines
from tests.asterisk.documented import old_asterisk
from tests.asterisk.pbx_files import prepared
from tests.support.golden import (
    ANNA,
    ANNAS_NAME,
    EVERYWHERE,
    Scenario,
    Site,
    manager_declines_and_the_group_answers,
    named,
)
from tests.support.office import Office

pytestmark = pytest.mark.asyncio(loop_scope="session")


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
def shop(office: Office) -> Office:
    """A shop whose phones are of `chan_sip`, and whose application the PBX's dialplan names."""
    office.pbx["channel_format"] = "SIP/##"
    office.app = "retailcrm"
    return office


class SipSite(Site):
    """Telephones of `chan_sip`; `Lab.bridged` reads channels of the other kind."""

    async def queue(self, *codes: str) -> str:
        queue = self.office.lab.queue()
        for code in codes:
            await self.office.lab.asterisk.queue_add(queue, f"SIP/{code}")
        return f"queue:queues,{queue}"

    async def bridged(self, code: str) -> None:
        pass


@pytest.mark.parametrize(
    "scenario",
    [one for one in EVERYWHERE if one is not manager_declines_and_the_group_answers],  # see below
    ids=named,
)
async def test_golden(shop: Office, scenario: Scenario) -> None:
    await scenario(SipSite(shop))


async def test_a_manager_who_declines_leaves_the_caller_to_the_group_when_the_time_is_over(
    shop: Office,
) -> None:
    """`chan_sip` doesn't say by ARI that a telephone declines: it seems to ring until its time is over."""
    olga, boris = shop.managers(2)
    shop.customer(ANNA, ANNAS_NAME, manager=olga)
    await shop.open(ring_manager_seconds=1, fallback=f"group:{boris}")
    async with (
        shop.phone(olga, Declines(after=0.1)),
        shop.phone(boris, Answers(after=0.2)),
        shop.call(ANNA, talks=0.5) as caller,
    ):
        await caller.ended()
    report = await shop.report()
    assert caller.status == 200
    assert (report.upload.result, report.upload.code) == ("answered", boris)


async def test_a_telephone_that_is_registered_nowhere_is_passed_over_and_not_told(shop: Office) -> None:
    shop.hire(UNREACHABLE)
    (boris,) = shop.managers(1)
    shop.customer(ANNA, ANNAS_NAME, manager=UNREACHABLE)
    await shop.open(fallback=f"group:{UNREACHABLE},{boris}")
    async with shop.phone(boris, Answers(after=0.2)), shop.call(ANNA, talks=0.3) as caller:
        await caller.ended()
    report = await shop.report()
    assert report.told == [("in", [boris]), ("hangup", [boris], "answered")]
    assert report.upload.code == boris


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
