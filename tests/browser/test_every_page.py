"""What holds for every page: nothing that shuts anybody out, nothing heavy, nothing from elsewhere."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Request
from redis.asyncio import Redis

from ari_app.store.connection import connect
from tests.browser import lively
from tests.browser.axe import is_open_to_all
from tests.browser.conftest import Windows
from tests.browser.pages import TABS
from tests.browser.windows import PHONE, TABLET, WIDE, Window
from tests.cabinet.cabinet_shop import CabinetShop, cabinet_shop

pytestmark = pytest.mark.asyncio(loop_scope="session")

HEAVIEST = 150_000
"""Bytes that come over the wire for a page with everything that it needs, when nothing is in the cache."""
PAGES = [*TABS, "/calls?number=8", "/calls?manager=999", "/calls/{call}", "/nowhere", "/sign-in"]


@dataclass(frozen=True)
class Lively:
    """A shop with a history, and a call of it that was recorded."""

    cabinet: CabinetShop
    call: str

    async def show(self, window: Window, page: str) -> None:
        """Open a page as the shop's administrator; the door as a stranger."""
        if page == "/nowhere":
            window.expected.add(404)
        if page != "/sign-in":
            await window.open(f"/account/{self.cabinet.secret}")
        await window.open(page.format(call=self.call))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lively]:
    async with cabinet_shop(redis, tmp_path_factory.mktemp("shop")) as cabinet:
        await lively.fill(redis, cabinet.shop.account, ["101", "102", "103"], ["+74951112233"], 31)
        call = await cabinet.call(sound=lively.sound(2))
        await cabinet.shop.reports("in", uniqueid="1700000000.77")
        yield Lively(cabinet, call)
        assert cabinet.crm.violations == []


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize("page", PAGES)
async def test_axe_finds_nothing_serious(
    shop: Lively, open_window: Windows, page: str, language: str
) -> None:
    """At a desk by day, and on a phone by night."""
    window = await open_window(shop.cabinet.address, language=language, width=WIDE)
    await shop.show(window, page)
    await is_open_to_all(window)
    await window.page.emulate_media(color_scheme="dark")
    await window.page.set_viewport_size({"width": PHONE, "height": 844})
    await is_open_to_all(window)


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_fits_every_screen_and_is_light(shop: Lively, open_window: Windows, page: str) -> None:
    window = await open_window(shop.cabinet.address, language="ru", width=PHONE)
    loaded: list[Request] = []
    window.page.on("requestfinished", lambda request: loaded.append(request))
    await shop.show(window, page)
    here = window.page.url
    needed = [one for one in reversed(loaded) if _needed(one, here)]  # what comes again is in the cache
    sizes = {one.url: (await one.sizes())["responseBodySize"] for one in needed}
    assert len(sizes) > 4
    assert sum(sizes.values()) < HEAVIEST, sizes
    for width in (PHONE, TABLET, WIDE):
        await window.page.set_viewport_size({"width": width, "height": 900})
        assert await window.overflow() == 0, width


def _needed(request: Request, page: str) -> bool:
    return request.url == page or "/static/" in request.url
