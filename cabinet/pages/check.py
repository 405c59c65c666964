"""The check: the account's PBX and CRM are looked over line by line, each finding is shown as it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import cast

import structlog
from aiohttp import web

from ari_app.accounts.account import RegisteredAccount
from ari_app.check import everything
from ari_app.check.findings import Finding, Findings, State, bad
from ari_app.check.readiness import Step
from ari_app.service.service import Service
from cabinet.frame.clients import SERVICE
from cabinet.frame.language import chosen
from cabinet.frame.rendering import page
from cabinet.frame.visits import Visit, form_of
from cabinet.pages.findings import in_language

log = structlog.get_logger(__name__)

LONGEST_SECONDS = 90.0
"""How long a check may take in all; each of its questions has less (`ari_app.check.findings`)."""
_ORDER = (State.BAD, State.WARNING, State.UNKNOWN, State.GOOD)
AT_ONCE = 4
"""Checks of all accounts that are carried out at a time; others wait for their turn."""


@dataclass(slots=True, eq=False)
class Run:
    """One account's check. Moments are seconds since the epoch."""

    began_at: float
    findings: list[Finding] = field(default_factory=list)
    ended_at: float | None = None

    def count(self, state: State) -> int:
        """Say how many findings are so."""
        return sum(1 for finding in self.findings if finding.state is state)


class Checks:
    """The last check of each account; an account is checked once at a time."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(AT_ONCE)

    def of(self, account: RegisteredAccount) -> Run | None:
        """Give the last check of an account."""
        return self._runs.get(account.id)

    def begin(self, account: RegisteredAccount) -> None:
        """Check an account, unless that is under way."""
        before = self._runs.get(account.id)
        if before is not None and before.ended_at is None:
            return
        run = self._runs[account.id] = Run(time.time())
        task = asyncio.create_task(self._carry_out(account, run), name=f"check of {account.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry_out(self, account: RegisteredAccount, run: Run) -> None:
        try:
            async with asyncio.timeout(LONGEST_SECONDS), self._turns, everything.session() as session:
                service = self._service
                shop = service.shops.get(account.id)
                pace = service.pace_of(account.crm.api_key.get_secret_value())
                findings = everything.of_shop(
                    session,
                    account,
                    service.public_url,
                    True,
                    service.settings.pbx_networks,
                    pace,
                    await service.installation(),
                    came=shop is not None and shop.counts.led_here,
                )
                async with aclosing(cast(Findings, findings)) as coming:
                    async for finding in coming:
                        run.findings.append(finding)
                        if shop is not None and finding.step == Step.DIALPLAN and finding.state is State.GOOD:
                            shop.counts.led_here = True
        except TimeoutError:
            sentence = f"this was not known within {LONGEST_SECONDS:g} s, so some of it was not looked at"
            remedy = "look whether the machine and the network are overloaded, and check again"
            run.findings.append(bad("check", sentence, remedy))
        except Exception:  # the page says so, and shows what was found
            log.exception("a check failed", account=account.id)
            run.findings.append(bad("check", "the check itself failed", "look at the service's log"))
        finally:
            run.ended_at = time.time()


CHECKS = web.AppKey("checks", Checks)


def set_up(app: web.Application) -> None:
    """Prepare for checks; those that are under way end with the application."""
    app[CHECKS] = Checks(app[SERVICE])
    app.cleanup_ctx.append(_checks)


async def _checks(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[CHECKS].close()


async def show(request: web.Request, visit: Visit) -> web.Response:
    """Show what was found so far."""
    run = request.app[CHECKS].of(visit.account)
    language = chosen(request).language
    found = run.findings if run else []
    if run and run.ended_at:  # while it goes on, lines keep their places
        found = sorted(found, key=lambda finding: _ORDER.index(finding.state))
    findings = [in_language(finding, language) for finding in found]
    template = "parts/check.html" if request.headers.get("HX-Request") == "true" else "check.html"
    return page(request, template, visit, run=run, findings=findings, State=State)


async def begin(request: web.Request, visit: Visit) -> web.Response:
    """Begin a check, and go to the page that shows it."""
    await form_of(request)
    request.app[CHECKS].begin(visit.account)
    return web.Response(status=303, headers={"Location": "/check"})
