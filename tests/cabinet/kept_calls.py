"""Calls that are over, put into the log of a shop as the service would have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ari_app.calls import happenings as h
from ari_app.calls.call import Call, Direction, Leg, LegState, Recording, RecordingState, Role, Stage
from ari_app.calls.journal import JournalLine
from ari_app.calls.outcome import Ending
from ari_app.calls.routing import Policy
from ari_app.store.calls import CallStore, Step

ANNA, BORIS = "+79161234567", "+79035557788"


def over(
    ident: str,
    at: float,
    number: str | None = ANNA,
    talker: str | None = "101",
    ending: Ending = Ending.ANSWERED,
    direction: Direction = Direction.IN,
    account: str = "shop",
    **more: Any,
) -> Call:
    """A call that began at a moment, waited 5 s, and talked 60 s if it was answered."""
    answered = ending is Ending.ANSWERED
    caller = Leg(f"{ident}-1", Role.CALLER, LegState.GONE, at, began_at=at)
    call = Call(
        id=ident,
        account=account,
        stage=Stage.ENDED,
        direction=direction,
        started_at=at,
        caller=caller,
        number=number,
        external="+74951112233",
        policy=Policy("PJSIP/##", (), ()),
        talker=talker if answered else None,
        first_talker=talker if answered else None,
        told=(talker,) if talker else (),
        answered_at=at + 5 if answered else None,
        ended_at=at + 65 if answered else at + 5,
        ending=ending,
        reported=True,
    )
    return replace(call, **more)


async def keep(store: CallStore, *calls: Call) -> None:
    """Put calls into the log."""
    await store.write(
        [
            Step(
                call,
                JournalLine(
                    call.started_at,
                    call.id,
                    None,
                    Stage.ENDED,
                    h.CallArrived(call.started_at, call.caller.id, call.number, call.external),
                ),
            )
            for call in calls
        ]
    )


def recorded(name: str) -> Recording:
    """A recording that is in our store."""
    return Recording(RecordingState.STORED, file=name, seconds=60.0)
