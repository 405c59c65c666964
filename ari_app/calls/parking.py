"""The moves when the PBX has put the customer's own channel into a parking lot.

A telephone sends it there (a REFER to the lot), and it leaves our bridge. From then on we neither join it nor
hang it up: whoever takes it out of the lot talks with the customer in a bridge of the PBX's own, and when
the lot's time is over the shop's dialplan rings whom it likes. So the customer's channel is followed as the
far half of a Local channel is: whom it dials, and who is in a bridge with it, hangs behind it. What is parked
behind a Local channel of ours is followed as any other transfer is.
"""

from __future__ import annotations

from ari_app.calls import happenings as h
from ari_app.calls.behind import end_members
from ari_app.calls.call import Call, Direction, Leg, LegState, Role, Stage, TimerName
from ari_app.calls.orders import AskPbx, HangUpReason, Watch
from ari_app.calls.outcome import LegResult
from ari_app.calls.talking import talk, wait_for
from ari_app.calls.trying import fallback, ring_again
from ari_app.calls.turn import Turn
from ari_app.calls.values import replace

PARKER_SECONDS = 30.0
"""How long who has parked the customer may listen to where; telephones hang up by themselves."""
STAYS_SECONDS = 5.0
"""Who is with the customer in our bridge so long after parking them has seen that the lot was full."""


def customer_parked(turn: Turn, _: h.CustomerParked) -> None:
    """The customer waits, not in our bridge: nobody of ours joins them or hangs them up."""
    call, customer = turn.call, turn.call.customer
    if customer is None or customer.state in (LegState.LEAVING, LegState.GONE):
        return
    if call.away:
        _parked_again(turn, customer)
        return
    turn.stop_ringing()
    parked = turn.change(replace(customer, far=customer.id, joined=False, does=None), LegState.UP)
    turn.call = replace(turn.call, keys_kept=False)
    wait_for(turn, parked)
    turn.order(Watch(parked.id))
    turn.set_timer(TimerName.PARKER, PARKER_SECONDS)


def _parked_again(turn: Turn, customer: Leg) -> None:
    """Whoever had taken the customer out of the lot has put them back; of a feature code no event tells."""
    if turn.call.stage is Stage.TALKING:
        end_members(turn, customer, LegResult.ANSWERED)
        wait_for(turn, turn.call.customer or customer)


def customer_stayed(turn: Turn, _: h.CustomerStayed) -> None:
    """The lot was full: the two talk on, or the customer waits on for whom they were transferred to.

    When nobody is left with them the fallback is rung. The PBX is asked what has become of a transfer.
    """
    call, customer = turn.call, turn.call.customer
    if customer is None or not call.away:
        return
    turn.clear_timer(TimerName.PARKER)
    turn.change(replace(customer, far=None, joined=True), LegState.UP)
    for member in call.members(customer):
        if member.pending:  # rung by the PBX, for who was parked
            turn.change(member, LegState.GONE, result=LegResult.NO_ANSWER)
    turn.tell_round()
    left = parker_of(call)
    if left is None:
        ring_again(turn, fallback(call))
    elif left.role is Role.CALLER or left.result is LegResult.ANSWERED:
        turn.call = replace(turn.call, stage=Stage.TALKING, talker_leg=left.id)
        turn.begin_talk()
    elif left.role is Role.TARGET and left.code is None:
        wait_for(turn, left)
        turn.pass_keys(through=False)
        turn.order(AskPbx((left.id,)))
    else:
        talk(turn, left, left.code)


def customer_returned(turn: Turn, _: h.CallerReturned) -> None:
    """The dialplan has brought a parked customer back to us: the fallback is rung."""
    call = turn.call
    if call.away and call.direction is Direction.IN:
        let_the_parker_go(turn)
        end_members(turn, call.caller, LegResult.NO_ANSWER)
        turn.change(replace(call.caller, far=None), LegState.UP)
        ring_again(turn, fallback(call))


def parker_of(call: Call) -> Leg | None:
    """Find who has parked the customer, or to whom they have transferred: who is left in our bridge."""
    here = (call.caller, *call.our_legs)
    others = (leg for leg in here if leg.joined and (leg.pending or leg.state is LegState.UP))
    return next((leg for leg in others if call.customer is None or leg.id != call.customer.id), None)


def has_stayed(call: Call, at: float) -> bool:
    """Tell at a moment whether a parked customer, seen in our bridge, has not been parked."""
    customer = call.customer
    if customer is None or not call.away:
        return False
    return parker_of(call) is None or at > customer.at + STAYS_SECONDS


def picked_up(turn: Turn, code: str | None) -> None:
    """Let the customer talk with who has taken them out of the lot, or was rung when its time was over."""
    call = turn.call
    turn.call = replace(
        call,
        stage=Stage.TALKING,
        talker=code,
        first_talker=call.first_talker or code,
        timers=call.lasting_timers,
        keys="",
    )
    turn.begin_talk()
    turn.tell_round(*filter(None, (code,)))
    let_the_parker_go(turn)


def let_the_parker_go(turn: Turn) -> None:
    """Hang up whoever is still in our bridge: the customer isn't."""
    turn.clear_timer(TimerName.PARKER)
    for leg in (turn.call.caller, *turn.call.our_legs):
        if leg.id != turn.call.talker_leg:
            turn.hang_up(leg, HangUpReason.NORMAL)
