"""How an account goes to another copy: it is offered while we are deaf; who lost it hands its calls in."""

from __future__ import annotations

import asyncio

import structlog

from ari_app.calls import Call, Stage
from ari_app.control.switchboard import Line
from ari_app.service.changes import Changes
from ari_app.store.calls import CallStore, Step
from ari_app.store.leases import Lease
from ari_app.store.ledger import Ledger

log = structlog.get_logger(__name__)

DEAF_SECONDS = 0.4
"""After so long without the PBX, a copy that reaches it may have the account."""
FIRST_SECONDS = 3.0
"""The same while we have just taken the account: on a busy machine two would else pass it to and fro."""
FOUND_SECONDS = 3.0
"""How long the other copy may take to hear the PBX and to take the callers who are not talking."""


async def offer_when_deaf(line: Line, lease: Lease, changes: Changes) -> None:
    """Offer the account to a copy that reaches the PBX, while we don't, for ever."""
    deaf, patience = 0.0, FIRST_SECONDS
    listened = line.listening
    while True:
        if line.listening is not listened:
            listened = line.listening
            changes.note()  # whoever is shown the calls is shown that they are known, or aren't
        if line.listening:
            deaf, patience = 0.0, DEAF_SECONDS
            lease.offer(False)
            await line.turned.wait()
            line.turned.clear()
        else:
            lease.offer(deaf > patience)
            await asyncio.sleep(DEAF_SECONDS / 2)
            deaf += DEAF_SECONDS / 2


async def hand_in(account: str, ledger: Ledger, store: CallStore) -> None:
    """Give the calls to whoever has the account now of which Redis has never heard.

    Who isn't talking, that copy takes as a new caller, who isn't handed in. But it may not have found
    them: they have gone meanwhile, or wait in the dialplan, or somebody has just answered.

    Raises:
        StoreUnavailable: some are not handed in yet.
    """
    calls: dict[str, list[Step]] = {}
    for step in ledger.unwritten:
        calls.setdefault(step.call.id, []).append(step)
    unheard_of = [steps for steps in calls.values() if steps[0].line.before is None]
    talking_or_over = [steps for steps in unheard_of if not _may_be_found(steps[-1].call)]
    others = [steps for steps in unheard_of if _may_be_found(steps[-1].call)]
    for steps in talking_or_over:
        await store.hand_in(steps, unless_found=steps[-1].call.ending is None)
    if others:
        await asyncio.sleep(FOUND_SECONDS)  # that copy finds its callers, and writes them down
    for steps in others:
        await store.hand_in(steps, unless_found=True)
    if unheard_of:
        message = "calls are handed in of which the next holder can't know"
        log.info(message, account=account, calls=len(unheard_of))


def _may_be_found(call: Call) -> bool:
    """Tell whether the next holder may have found who calls as a new caller."""
    return call.ending is None and call.stage is not Stage.TALKING
