"""`ari-app check --call`: an extension rings as when a customer calls, and each step says how it went.

The PBX is asked by us; the service that listens to it takes the call, as a trial from the cabinet, and writes
down what becomes of it. We read that.
"""

from __future__ import annotations

import asyncio
import time

from ari_app.accounts.account import Account
from ari_app.asterisk.errors import PbxDenied, PbxError, PbxRefused
from ari_app.asterisk.events import Trial
from ari_app.asterisk.pbx import Pbx, PbxTarget
from ari_app.check import trial as shown
from ari_app.check.findings import Findings, State
from ari_app.control.trials import COMES_SECONDS, NotTried, WhyNot, place
from ari_app.network.reach import IPNetwork, Reach, passage
from ari_app.store.calls import CallStore

NAME = "Trial call"
"""What the telephone shows unless the CRM knows the number."""
LOOK_SECONDS = 0.25


async def try_out(
    account: Account, code: str, number: str | None, calls: CallStore, networks: tuple[IPNetwork, ...]
) -> Findings:
    """Have an extension rung, and say of each step how it went, as soon as that is sure.

    `number` is whose call it is to be, in E.164; `networks` are `Settings.pbx_networks`.

    Raises:
        StoreUnavailable: what becomes of it can't be read.
    """
    reach = Reach(networks, anywhere=not account.pbx.guarded)
    try:
        async with passage(reach) as to_pbx:
            pbx = Pbx(PbxTarget.of(account.pbx), to_pbx, account.id)
            trial = await _begin(pbx, code, number, calls)
    except NotTried as problem:
        yield shown.not_begun(problem)
        return
    said = 0
    while True:
        call = await calls.get(trial.call)
        assert call is not None  # a call that has come isn't forgotten for days
        journal = await calls.journal(call.id)
        findings, over = shown.judge(call, journal), not shown.goes_on(call, journal, time.time())
        while said < len(findings) and (over or findings[said].state is not State.UNKNOWN):
            yield findings[said]
            said += 1
        if over:
            return
        await asyncio.sleep(LOOK_SECONDS)


async def _begin(pbx: Pbx, code: str, number: str | None, calls: CallStore) -> Trial:
    """Let the trial begin; it has when the service has written of its call."""
    if any(call.trial is not None and call.ending is None for call in await calls.live()):
        raise NotTried(WhyNot.GOES_ON)
    await _heard(pbx)
    trial = pbx.ids.new_trial(code)
    await place(pbx, trial, number, NAME)
    try:
        async with asyncio.timeout(COMES_SECONDS):
            while await calls.get(trial.call) is None:  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        raise NotTried(WhyNot.NEVER_CAME) from None
    return trial


async def _heard(pbx: Pbx) -> None:
    """Make sure that somebody listens: the PBX would send the call on without us."""
    try:
        ari = await pbx.reach()
        await ari("applications", "get", applicationName=pbx.target.stasis_app)
    except (PbxRefused, PbxDenied) as refusal:
        away = isinstance(refusal, PbxRefused)
        raise NotTried(WhyNot.AWAY, "no service listens to it" if away else str(refusal)) from refusal
    except (PbxError, OSError) as problem:
        raise NotTried(WhyNot.AWAY, str(problem)) from problem
