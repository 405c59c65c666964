"""The same calls on Asterisk 16, the oldest that we serve: nothing may differ.

The golden scenarios use what differs in its ARI; the others here have their counterparts on the newest.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from ari_app.demo.pbx.asterisk import Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Busy
from tests.asterisk import test_customer_keys as keys
from tests.asterisk import test_softphones as softphones
from tests.asterisk import test_trial as trials
from tests.asterisk.pbx_files import prepared
from tests.support.golden import GOLDEN, Scenario, Site, named
from tests.support.office import Office
from tests.support.pace import at_this_pace

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


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Дем'яненко Мар'яна", "Дем'яненко Мар'яна"),
        ("O'Brien Conor", "O'Brien Conor"),
        ("\U0001f600" * 90, "\U0001f600" * 63),
    ],
)
async def test_a_name_is_shown_as_it_is_written_and_the_call_has_its_sound(
    office: Office, name: str, shown: str
) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, name, manager=olga)
    await office.open()
    async with office.phone(olga, Answers(after=0.2)) as phone, office.call(ANNA, talks=1.2) as caller:
        await caller.ended()
    report = await office.report()
    assert phone.calls[0].name == shown
    assert office.service is not None
    stored = office.service.recordings.path_of(report.upload.record_url.rsplit("/", 1)[1])
    assert stored.stat().st_size > 16000


async def test_who_asked_to_be_anonymous_is_so_also_where_the_trunk_knows_them(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(unknown=f"group:{olga}")
    async with (
        office.phone(olga, Answers(after=0.1)) as phone,
        office.call("anonymous", asserted=ANNA, name="Anna", talks=0.3) as caller,
    ):
        await caller.ended()
    assert (await office.ended()).number is None
    assert ANNA[1:] not in f"{phone.calls[0].number}"


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
    assert caller.answered_after < at_this_pace(2.5)
    assert (await office.report()).upload.code == boris


async def test_a_trial_call_is_heard_and_recorded(office: Office) -> None:
    await trials.test_what_is_heard_of_the_customer_is_in_the_recording(office)


@pytest.mark.parametrize("way", [keys.in_a_queue, keys.after_a_transfer, keys.called_from_a_telephone])
async def test_no_customer_transfers_or_parks_by_keys(office: Office, way: keys.Scenery) -> None:
    async with keys.listening(office.lab) as heard:
        await keys.presses_in_vain(office, heard, way)


@pytest.mark.usefixtures("linphone")
@pytest.mark.parametrize("story", softphones.ON_THE_OLDEST, ids=lambda story: story.__name__)
async def test_a_telephone_that_nobody_here_wrote(
    office: Office, story: Callable[[Office], Awaitable[None]]
) -> None:
    await story(office)
