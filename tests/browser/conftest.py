"""What the tests in a real browser share: one Chromium, and windows whose complaints fail the test."""

from collections.abc import AsyncIterator, Generator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from redis.asyncio import Redis

from ari_app.demo.pbx.machine import CannotPrepare, prepare_browser
from ari_app.store.connection import connect
from tests.browser.windows import WIDE, Scheme, Window, chromium, window
from tests.cabinet.cabinet_shop import CabinetShop, cabinet_shop

_FAILED = pytest.StashKey[bool]()

expect.set_options(timeout=15_000)


class Windows(Protocol):
    async def __call__(
        self, site: str, *, language: str = "en", width: int = WIDE, scheme: Scheme = "light"
    ) -> Window: ...


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember that a test has failed, for the windows that it leaves open."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    try:
        program = prepare_browser()
    except CannotPrepare as problem:
        pytest.fail(str(problem))
    async with chromium(program) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def open_window(
    browser: Browser, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Windows]:
    """Opens windows; a picture and a trace of each are kept beside a test that failed."""
    opened: list[Window] = []
    async with AsyncExitStack() as stack:

        async def open_one(
            site: str, *, language: str = "en", width: int = WIDE, scheme: Scheme = "light"
        ) -> Window:
            one = await stack.enter_async_context(
                window(browser, site, language=language, width=width, scheme=scheme)
            )
            await one.page.context.tracing.start(snapshots=True)
            opened.append(one)
            return one

        yield open_one
        failed = request.node.stash.get(_FAILED, False) or any(one.complaints for one in opened)
        for number, one in enumerate(opened, 1):
            if failed:
                await one.page.screenshot(path=tmp_path / f"window-{number}.png", full_page=True)
            trace = tmp_path / f"window-{number}.zip"
            await one.page.context.tracing.stop(**{"path": trace} if failed else {})
        assert [complaint for one in opened for complaint in one.complaints] == []


@pytest_asyncio.fixture(loop_scope="session")
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet
        assert cabinet.crm.violations == []
