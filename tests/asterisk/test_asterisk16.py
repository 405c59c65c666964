"""The same calls on Asterisk 16, the oldest that we serve: nothing may differ.

The golden scenarios use what differs in its ARI; the others here have their counterparts on the newest.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ari_app.demo.pbx.asterisk import Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Busy
from tests.asterisk import test_customer_keys as keys
from tests.asterisk.pbx_files import prepared
from tests.support.golden import GOLDEN, Scenario, Site, named
from tests.support.office import Office

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA = "+79161234567"
STRANGER = "+79037654321"


@pytest.fixture(scope="module")
def installation() -> Installation:
    return prepared(16)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    async with Asterisk(installation) as asterisk:
        yield Lab(asterisk)


@pytest.mark.parametrize("scenario", GOLDEN, ids=named)
async def test_golden(office: Office, scenario: Scenario) -> None:
    await scenario(Site(office))


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
    assert caller.answered_after is not None
    assert caller.answered_after < 2.5
    assert (await office.report()).upload.code == boris


@pytest.mark.parametrize("way", [keys.in_a_queue, keys.after_a_transfer, keys.called_from_a_telephone])
async def test_no_customer_transfers_or_parks_by_keys(office: Office, way: keys.Scenery) -> None:
    async with keys.listening(office.lab) as heard:
        await keys.presses_in_vain(office, heard, way)
