"""A call's mailbox: what has happened to it, in order, for one reader."""

from __future__ import annotations

import asyncio

from ari_app.calls import happenings as h
from ari_app.control.mailbox import Mailbox

FIRST, SECOND = ((at, h.CallerAnswered(at)) for at in (1.0, 2.0))


async def test_letters_are_taken_in_the_order_in_which_they_came() -> None:
    mailbox = Mailbox()
    comes = mailbox.comes()
    mailbox.put(FIRST)
    mailbox.put(SECOND)
    await comes
    assert [mailbox.take(), mailbox.take()] == [FIRST, SECOND]
    assert not mailbox


async def test_who_stops_to_wait_when_a_letter_comes_leaves_it_to_the_next() -> None:
    mailbox = Mailbox()
    mailbox.comes().cancel()
    mailbox.put(FIRST)
    assert mailbox.take() == FIRST


async def test_all_is_settled_when_the_last_letter_is_dealt_with_not_when_it_is_taken() -> None:
    mailbox = Mailbox()
    await mailbox.settled()
    mailbox.put(FIRST)
    waiting = asyncio.create_task(mailbox.settled())
    await asyncio.sleep(0)
    mailbox.take()
    assert not waiting.done()
    mailbox.put(SECOND)
    mailbox.dealt_with()
    await asyncio.sleep(0)
    assert not waiting.done()
    mailbox.take()
    mailbox.dealt_with()
    await waiting
