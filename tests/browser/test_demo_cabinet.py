"""The demo's cabinet: whoever watches the demo opens it by the address in its first lines."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Windows

pytestmark = pytest.mark.asyncio(loop_scope="session")

_CABINET = re.compile(r"(http://\S+)(/account/\S+)")


@asynccontextmanager
async def demo() -> AsyncIterator[tuple[str, str]]:
    """Run the demo; give the address and the path that it names."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ari_app.cli", "demo"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            if found := _CABINET.search(line.decode()):
                yield found[1], found[2]
                return
        raise AssertionError("the demo did not name its cabinet")
    finally:
        process.send_signal(signal.SIGINT)
        await process.communicate()


async def test_the_address_that_the_demo_names_opens_a_shop_at_work(open_window: Windows) -> None:
    async with demo() as (site, path):
        window = await open_window(site)
        await window.open(path)
        await expect(window.page.get_by_text("Everything works.")).to_be_visible()
        await window.open("/live")
        await expect(window.page.locator("tbody tr").first).to_contain_text("Смирнова Ольга")
        await window.page.goto("about:blank")  # it would look for the demo when that has ended
