"""What may befall a copy of the service that holds an account, and what is to be true afterwards."""

import signal
from typing import Any

from tests.faults.copies import Copy, SharedOffice


async def killed(shared: SharedOffice, holder: Copy) -> None:
    shared.crm_account.repeats_allowed = True  # what was in flight then is told again
    holder.send(signal.SIGKILL)
    await holder.ended()


async def stopped(shared: SharedOffice, holder: Copy) -> None:
    holder.send(signal.SIGSTOP)


async def cut_from_redis(shared: SharedOffice, holder: Copy) -> None:
    shared.to_redis.cut(holder.pid)


async def cut_from_the_pbx(shared: SharedOffice, holder: Copy) -> None:
    shared.to_pbx.cut(holder.pid)


async def cut_from_both(shared: SharedOffice, holder: Copy) -> None:
    shared.to_redis.cut(holder.pid)
    shared.to_pbx.cut(holder.pid)


async def cut_off(shared: SharedOffice, **calls: Any) -> tuple[Copy, Copy]:
    """Start two copies, and cut the holder off from Redis; the other one stands still until it is woken."""
    one, other = await shared.open_two(**calls)
    other.send(signal.SIGSTOP)
    await cut_from_redis(shared, one)
    return one, other


async def come_back(shared: SharedOffice, holder: Copy) -> None:
    """Let a former holder go on, and wait until it knows that it is none any more."""
    if holder.process is None or holder.process.returncode is not None:
        return
    holder.send(signal.SIGCONT)
    shared.to_redis.mend(holder.pid)
    shared.to_pbx.mend(holder.pid)
    await shared.let_go(holder)


async def told_once(shared: SharedOffice, calls: int = 1) -> None:
    """Make sure that each call was uploaded once, and its end told once."""
    account = shared.crm_account
    assert len(account.uploads) == calls
    assert len({upload.call.external_id for upload in account.uploads}) == calls
    assert sum(told.event.type == "hangup" for told in account.events) == calls
