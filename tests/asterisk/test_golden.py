"""The golden scenarios on the newest Asterisk."""

import pytest

from tests.support.golden import GOLDEN, Scenario, Site, named
from tests.support.office import Office


@pytest.mark.parametrize("scenario", GOLDEN, ids=named)
async def test_golden(office: Office, scenario: Scenario) -> None:
    await scenario(Site(office))
