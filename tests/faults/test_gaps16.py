"""What is known after a gap, on Asterisk 16: it stamps its events, and knows when channels were answered."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ari_app.demo.pbx.asterisk import Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from tests.asterisk.pbx_files import prepared
from tests.faults import test_gaps as gaps
from tests.faults.served import ServedOffice
from tests.faults.wire import Wire
from tests.support.golden import Site, known_customer_answered
from tests.support.office import Office

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module")
def installation() -> Installation:
    return prepared(16)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    async with Asterisk(installation) as asterisk:
        yield Lab(asterisk)


@pytest.mark.parametrize(
    "story",
    [
        gaps.test_a_caller_who_comes_while_we_stand_still_has_waited_since_they_called,
        gaps.test_a_caller_found_after_a_restart_has_waited_since_they_called,
        gaps.test_an_answer_while_we_were_dead_is_dated_by_the_pbx,
        gaps.test_a_caller_who_talked_and_is_left_alone_while_we_were_dead_is_rung_no_group,
        gaps.test_a_talk_that_one_of_two_leaves_while_we_were_dead_is_as_long_as_it_was,
    ],
)
async def test_as_on_the_newest(served: ServedOffice, story: object) -> None:
    assert callable(story)
    await story(served)


async def test_requests_go_by_http(office: Office, wire: Wire) -> None:
    await known_customer_answered(Site(office))
    assert {way for way, _ in wire.asked} == {"HTTP"}
