"""A live call that was deaf for a while: what ends before the PBX has said what is true waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

from ari_app.calls import Call, JournalLine, Order
from ari_app.calls import happenings as h
from ari_app.calls import orders as o
from ari_app.calls.call import Stage
from ari_app.calls.outcome import Ending
from ari_app.control.live_call import MOST_WAITING, LiveCall
from tests.support.story import CALLER, START, Story

BACK = START + 12


class Desk:
    """Takes note that there was a step."""

    account = "shop"
    codes = frozenset({"101"})

    def __init__(self) -> None:
        self.stepped = asyncio.Event()

    async def write(self, call: Call, line: JournalLine) -> None:
        """Keep a step."""
        self.stepped.set()


class Line:
    """A line on which the PBX says what is true when the test lets it."""

    def __init__(self) -> None:
        self.desk: Any = Desk()
        self.listening = True
        self.live: LiveCall
        self.asked: list[tuple[str, ...]] = []
        self.facts_to_say: tuple[h.ChannelFact, ...] = ()
        self.may_say, self.said_all = asyncio.Event(), asyncio.Event()

    def clock(self) -> float:
        return BACK

    async def carry_out(self, call: Call, order: Order) -> None:
        """All is carried out."""

    def busy(self, call: Call) -> frozenset[str]:
        return frozenset()

    def stepped(self, before: Call, call: Call) -> None:
        """Nobody asks."""

    @property
    def facts(self) -> Line:
        """Whom the call asks."""
        return self

    async def of(self, call: Call, channels: tuple[str, ...]) -> h.PbxSaid:
        """Say it; a question about some channels leaves the call deaf."""
        self.asked.append(channels)
        await self.may_say.wait()
        self.live.deaf = len(channels) < 2
        if not self.live.deaf:
            self.said_all.set()
        return h.PbxSaid(BACK, channels, self.facts_to_say, False, START + 5, deaf=True)


async def test_a_caller_who_hangs_up_before_the_pbx_has_said_what_was_missed_had_been_answered() -> None:
    line = Line()
    line.facts_to_say = (h.ChannelFact("c1-1", "Up", True, answered_at=START + 8),)
    live = line.live = LiveCall(line, Story().found("101").wait(5).call)  # type: ignore[arg-type]
    live.deaf = True
    live.task = asyncio.create_task(live.run(None, ()))
    live.put(h.OutcomeUnknown(BACK, "the PBX is connected again"))
    live.put(h.LegEnded(BACK, CALLER, 16, up=True))
    await live.settled()
    assert live.call.stage is Stage.RINGING
    line.may_say.set()
    await line.desk.stepped.wait()
    await live.settled()
    assert (live.call.ending, live.call.talker) == (Ending.ANSWERED, "101")
    assert (live.call.answered_at, live.call.ended_at) == (START + 8, BACK)
    live.task.cancel()


async def test_a_call_of_which_the_pbx_has_not_said_all_is_asked_about_again() -> None:
    line = Line()
    line.facts_to_say = (h.ChannelFact(CALLER, "Ring", True), h.ChannelFact("c1-1", "Ringing", True))
    live = line.live = LiveCall(line, Story().found("101").wait(5).call)  # type: ignore[arg-type]
    live.deaf = True
    line.may_say.set()
    live.task = asyncio.create_task(live.run(None, ()))
    await live._carry_out((o.AskPbx((CALLER,)),))
    await line.said_all.wait()
    assert line.asked == [(CALLER,), (CALLER, "c1-1")]
    live.task.cancel()


async def test_a_call_to_which_more_happens_than_it_can_have_asks_the_pbx_what_is_true() -> None:
    line = Line()
    line.facts_to_say = (h.ChannelFact(CALLER, "Ring", True), h.ChannelFact("c1-1", "Ringing", True))
    live = line.live = LiveCall(line, Story().found("101").wait(5).call)  # type: ignore[arg-type]
    line.may_say.set()
    for _ in range(50 * MOST_WAITING):
        live.put(h.KeyPressed(BACK, CALLER, "1"))
    assert len(live._mailbox) == MOST_WAITING + 1
    live.task = asyncio.create_task(live.run(None, ()))
    await line.said_all.wait()
    await live.settled()
    assert line.asked == [(CALLER, "c1-1")]
    assert live.call.stage is Stage.RINGING
    live.task.cancel()
