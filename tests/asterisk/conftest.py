"""What the tests on FreePBX's dialplan share."""

import pytest

from tests.asterisk.pbx_files import APP
from tests.support.office import Office

WAYS = {"as it is": None, "from-internal": "Local/##@from-internal/n"}
"""How the account reaches people: it says nothing, or names FreePBX's own context."""


@pytest.fixture
def shop(office: Office) -> Office:
    """The shop whose application the dialplan generated for FreePBX names."""
    office.app = APP
    office.pbx["outgoing"] = "from-internal"
    return office


@pytest.fixture(params=WAYS)
def reached(request: pytest.FixtureRequest, shop: Office) -> Office:
    """The same shop, by each way in which FreePBX's dialplan rings people."""
    if (channel := WAYS[request.param]) is not None:
        shop.pbx["channel_format"] = channel
    return shop
