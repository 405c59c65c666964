"""One real Asterisk for the whole run; each test takes extensions of its own from it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ari_app.demo.asterisk import Asterisk
from ari_app.demo.lab import Lab
from ari_app.demo.machine import Installation, prepare


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of this folder in the loop that Asterisk was started in."""
    for item in items:
        if "asterisk" in item.path.parts and item.get_closest_marker("asyncio"):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def installation() -> Installation:
    return prepare()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    async with Asterisk(installation) as asterisk:
        yield Lab(asterisk)
