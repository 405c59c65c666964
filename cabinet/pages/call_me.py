"""«Позвонить мне сейчас»: an extension rings as when a customer calls, and each step says how it went."""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog
from aiohttp import web

from ari_app.calls import Call, e164
from ari_app.check import trial
from ari_app.check.findings import Finding, State
from ari_app.control.trials import NotTried, WhyNot
from ari_app.service.click_to_call import TooMany
from cabinet.forms.typed import Typed, texts_in
from cabinet.frame.language import chosen
from cabinet.frame.people import names_of
from cabinet.frame.rendering import page
from cabinet.frame.visits import Visit, form_of
from cabinet.pages.findings import in_language

log = structlog.get_logger(__name__)

PATH = "/call-me"


@dataclass(frozen=True, slots=True)
class Shown:
    """The last trial, and what it has shown so far."""

    call: Call
    findings: tuple[Finding, ...]
    goes_on: bool

    def count(self, state: State) -> int:
        """Say how many steps are so."""
        return sum(1 for finding in self.findings if finding.state is state)


async def show(request: web.Request, visit: Visit) -> web.Response:
    """Show the last trial, and let another be begun."""
    shown = await _last(visit)
    code = request.query.get("code", shown.call.trial if shown and shown.call.trial else "")
    number = (shown.call.number if shown else None) or next(iter(visit.account.numbers), "")
    return await _page(request, visit, Typed({"code": code, "number": number}), shown)


async def ring(request: web.Request, visit: Visit) -> web.Response:
    """Have an extension rung, and go to the page that shows what becomes of it."""
    typed = Typed(texts_in(await form_of(request), "code", "number"))
    code, number = typed.texts["code"], typed.texts["number"]
    caller = e164(number, visit.account.crm.country)
    if code not in visit.account.codes:
        typed = typed.refused(code="code")
    if number and (caller is None or not caller.startswith("+")):
        typed = typed.refused(number="number")
    if typed.bad:
        return await _page(request, visit, typed, None)
    try:
        if visit.shop is None:
            raise NotTried(WhyNot.AWAY)
        call = await visit.shop.try_out(code, caller, chosen(request).gettext("Trial call"))
    except TooMany:
        return await _page(request, visit, typed.refused("many"), None)
    except NotTried as problem:
        log.info("a trial call was not begun", account=visit.account.id, code=code, why=str(problem))
        other = await _last(visit) if problem.why is WhyNot.GOES_ON else None
        return await _page(request, visit, typed, other, trial.not_begun(problem))
    log.info("a trial call is begun from the cabinet", account=visit.account.id, call=call, code=code)
    return web.Response(status=303, headers={"Location": PATH})


async def _page(
    request: web.Request, visit: Visit, typed: Typed, shown: Shown | None, problem: Finding | None = None
) -> web.Response:
    language = chosen(request).language
    part = request.headers.get("HX-Request") == "true" and request.method == "GET"
    return page(
        request,
        "parts/call_me.html" if part else "call_me.html",
        visit,
        status=typed.status,
        typed=typed,
        codes=sorted(visit.account.codes, key=lambda code: (len(code), code)),
        names=await names_of(visit),
        shown=shown,
        steps=[in_language(one, language) for one in shown.findings] if shown else [],
        problem=in_language(problem, language) if problem else None,
        State=State,
    )


async def _last(visit: Visit) -> Shown | None:
    """Find the trial that goes on, or else the last one, as it is kept."""
    lives = [call for call in visit.shop.line.calls if call.trial is not None] if visit.shop else []
    call = max(lives, key=lambda call: call.started_at, default=None)
    if call is None:
        call = next(iter(await visit.calls.trials(1)), None)
    if call is None:
        return None
    journal = await visit.calls.journal(call.id)
    now = visit.shop.now if visit.shop is not None else time.time()
    return Shown(call, trial.judge(call, journal), trial.goes_on(call, journal, now))
