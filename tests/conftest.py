"""What the tests share: one Redis, one real Asterisk, and a shop for each test that wants one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ari_app.demo.crm.simulator import SimulatedCrm
from ari_app.demo.pbx.asterisk import Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import SOFTPHONE, CannotPrepare, Installation, prepare, prepare_program
from ari_app.store.connection import connect
from ari_app.store.server import private_redis
from tests.support import pace
from tests.support.office import API_KEY, Office

IN_ASTERISKS_LOOP = {"asterisk", "browser", "faults"}


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of these folders in the loop that Asterisk was started in.

    Side by side, tests that share what their module has started stay in one worker, and begin first: each
    such group takes long.
    """
    for item in items:
        if IN_ASTERISKS_LOOP & set(item.path.parts) and item.get_closest_marker("asyncio"):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
        if (group := _shares_with_its_module(item)) is not None:
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


def pytest_runtest_setup() -> None:
    """Measure the machine's pace for each test of its own."""
    pace.begin()


def _shares_with_its_module(item: pytest.Item) -> str | None:
    """Name what a test uses of its module: two tests of one name use the same PBX."""
    if not isinstance(item, pytest.Function):
        return None
    if "browser" in item.path.parts:
        return "browser"  # one at a time is enough for two processors
    found = item._fixtureinfo.name2fixturedefs
    shared = {name for name, fixtures in found.items() if fixtures[-1].scope == "module"}
    if not shared:
        return None
    chosen = item.callspec.params if hasattr(item, "callspec") else {}
    return "-".join([item.path.stem, *(str(chosen[name]) for name in sorted(shared & chosen.keys()))])


@pytest.fixture(scope="session")
def installation() -> Installation:
    return prepare()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    async with Asterisk(installation) as asterisk:
        yield Lab(asterisk)


@pytest.fixture(scope="session")
def linphone() -> None:
    """Have the program; where it can't be had, the tests with it fail."""
    try:
        prepare_program(SOFTPHONE)
    except CannotPrepare as problem:
        pytest.fail(str(problem))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with private_redis(tmp_path_factory.mktemp("redis"), own=True, temporary=True) as url:
        yield url


@pytest_asyncio.fixture(loop_scope="session")
async def crm() -> AsyncIterator[SimulatedCrm]:
    """A simulated retailCRM; a test in which it was told something wrong fails."""
    async with SimulatedCrm() as crm:
        yield crm
        assert crm.violations == []


@pytest_asyncio.fixture(loop_scope="session")
async def office(lab: Lab, crm: SimulatedCrm, redis_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    """A shop; a test that leaves something of it on the PBX, live in Redis or untold fails."""
    redis = connect(redis_url)
    await redis.flushdb()
    office = Office(lab, crm, crm.account(key=API_KEY), redis, tmp_path)
    try:
        yield office
        if office.service is not None:
            await office.is_clean()
    finally:
        await asyncio.shield(office.stop())
        await redis.aclose()
