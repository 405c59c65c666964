"""The pictures of the documents: `.venv/bin/python -m tests.browser.pictures` draws docs/pictures anew.

The shop is the demo's, on a real Asterisk. Its calls of this moment and the one whose timeline is shown are
real ones; the weeks before are made up.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, expect

from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import prepare, prepare_browser
from ari_app.demo.pbx.phones import Answers, Rings
from ari_app.demo.show.people import ANNA, BORIS, MANAGERS, OLGA, PYOTR, SHOP, STRANGER, VERA
from ari_app.demo.show.plans import PLANS
from ari_app.demo.show.theatre import Theatre, set_up
from tests.browser import lively
from tests.browser.png import pack
from tests.browser.windows import Window, chromium, window

PICTURES = Path(__file__).parents[2] / "docs/pictures"
LARGEST = 150_000
"""Bytes of a picture."""
WEEKS = 4
_ENDINGS = {"en": "", "ru": "-ru"}


async def main() -> None:
    """Draw all."""
    PICTURES.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="pictures-"))
    settings = {"fallback": f"group:{BORIS},{VERA}", "unknown": f"group:{BORIS},{VERA}"}
    async with chromium(prepare_browser()) as browser, set_up(prepare(), folder, settings) as theatre:
        assert theatre.shop is not None
        codes = [manager.code for manager in MANAGERS if manager.code]
        await lively.fill(
            theatre.service.redis, theatre.shop.settings, codes, [SHOP, "+74957770011"], 7 * WEEKS
        )
        await _learn_names(browser, theatre)
        call = await _hand_over(theatre)
        for language, ending in _ENDINGS.items():
            await _picture(browser, theatre, language, f"/calls/{call}", f"call{ending}")
            await _picture(browser, theatre, language, "/statistics", f"statistics{ending}")
        await _live(browser, theatre)


async def _learn_names(browser: Browser, theatre: Theatre) -> None:
    """Let the cabinet ask the CRM what the employees are called."""
    async with _reader(browser, theatre, "en") as reader:
        await reader.open("/extensions")
        await reader.page.get_by_role("button", name="Synchronise users").click()
        await expect(reader.page.get_by_text("Смирнова").first).to_be_visible()


@asynccontextmanager
async def _reader(browser: Browser, theatre: Theatre, language: str) -> AsyncIterator[Window]:
    async with window(browser, theatre.settings.public_url, language=language) as reader:
        await reader.open(theatre.cabinet.removeprefix(theatre.settings.public_url))
        yield reader


async def _hand_over(theatre: Theatre) -> str:
    """Let a customer be handed over by a manager to a colleague; give the call's id."""
    plan = next(plan for plan in PLANS if plan.name == "transfer")
    async with AsyncExitStack() as stack:
        phones = {
            code: await stack.enter_async_context(theatre.lab.phone(code, behaviour))
            for code, behaviour in plan.phones.items()
        }
        await plan.act.play(theatre, phones)
    await theatre.until(lambda: bool(theatre.crm_account.uploads), "the CRM was not told of the call")
    return theatre.crm_account.uploads[0].call.external_id


async def _live(browser: Browser, theatre: Theatre) -> None:
    """Draw three calls of this moment: one talks, one is rung, one waits for the group."""
    lab: Lab = theatre.lab
    async with (
        lab.phone(OLGA, Answers(after=0.1)) as olga,
        lab.phone(BORIS, Answers(after=0.1)) as boris,
        lab.phone(VERA, Rings()) as vera,
        lab.call(ANNA, SHOP.lstrip("+")) as anna,
    ):
        await anna.answered()
        async with lab.call(PYOTR, SHOP.lstrip("+")) as pyotr:
            await pyotr.answered()
            async with lab.call(STRANGER, SHOP.lstrip("+")) as stranger:
                await stranger.ringing()
                for language, ending in _ENDINGS.items():
                    await _picture(browser, theatre, language, "/live", f"live{ending}")
                stranger.hang_up()
                await stranger.ended()
            pyotr.hang_up()
            await pyotr.ended()
        anna.hang_up()
        await anna.ended()
        assert olga.calls
        assert boris.calls
        assert vera.calls


async def _picture(browser: Browser, theatre: Theatre, language: str, path: str, name: str) -> None:
    async with _reader(browser, theatre, language) as reader:
        await reader.open(path)
        await expect(reader.page.locator("h1")).to_be_visible()
        if path == "/live":  # the first call has gone on for a while
            talks = reader.page.locator("[data-since]").last
            await expect(talks).to_have_text(re.compile(r"0:(0[7-9]|[1-9]\d)"), timeout=15_000)
        height = await reader.page.evaluate("document.body.getBoundingClientRect().height")
        await reader.page.set_viewport_size({"width": 1280, "height": min(900, round(height))})
        file = PICTURES / f"{name}.png"
        shot = await reader.page.screenshot()
        file.write_bytes(await asyncio.to_thread(pack, shot))  # it takes seconds, and the service goes on
        assert file.stat().st_size <= LARGEST, f"{file}: {file.stat().st_size} bytes"
        assert reader.complaints == []
        print(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file, file.stat().st_size)


if __name__ == "__main__":
    asyncio.run(main())
