"""A real browser: Chromium without a screen. What a page complains of fails the test that opened it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Page, Request, Response, async_playwright

WIDE, TABLET, PHONE = 1280, 800, 390
"""Pixels: a desk's screen, a tablet's and a phone's."""
Scheme: TypeAlias = Literal["light", "dark"]

_LOCALES = {"ru": "ru-RU", "en": "en-US"}
_ENDED_BY_THE_BROWSER = "net::ERR_ABORTED"
"""The page was left, the player has heard enough, or a file is saved instead of shown."""


@asynccontextmanager
async def chromium(program: Path) -> AsyncIterator[Browser]:
    """Start the machine's own Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program, args=["--mute-audio", "--autoplay-policy=no-user-gesture-required"]
        )
        try:
            yield browser
        finally:
            await browser.close()


class Window:
    """A window on one site, with cookies of its own."""

    def __init__(self, page: Page, site: str) -> None:
        self.page = page
        self.site = site
        self.complaints: list[str] = []
        self.expected: set[int] = set()
        """Statuses that are part of the test, such as the 422 of a form with a mistake."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"an error in a script: {error}"))
        page.on("requestfailed", self._failed)
        page.on("request", self._asked)
        page.on("response", self._answered)

    async def open(self, path: str) -> None:
        """Open a page of the site."""
        await self.page.goto(self.site + path)

    async def overflow(self) -> int:
        """Give how many pixels the page is wider than the window."""
        wider: int = await self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return wider

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.complaints.append(f"the console says: {message.text}")  # what failed to load is told below

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.site + "/", "data:", "blob:")):
            self.complaints.append(f"{urlsplit(self.page.url).path} asks another host: {request.url}")

    def _failed(self, request: Request) -> None:
        if request.failure != _ENDED_BY_THE_BROWSER:
            self.complaints.append(f"{request.url} failed: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.complaints.append(f"{response.url} answered {response.status}")


@asynccontextmanager
async def window(
    browser: Browser, site: str, *, language: str = "ru", width: int = WIDE, scheme: Scheme = "light"
) -> AsyncIterator[Window]:
    """Open a window on a site, whose reader has a language and a colour scheme."""
    context = await browser.new_context(
        locale=_LOCALES[language],
        viewport={"width": width, "height": 900 if width == WIDE else 844},
        color_scheme=scheme,
        timezone_id="Europe/Moscow",
        reduced_motion="reduce",
    )
    context.set_default_timeout(15_000)
    try:
        yield Window(await context.new_page(), site)
    finally:
        await context.close()
