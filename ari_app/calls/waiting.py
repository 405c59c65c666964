"""The moves of a call while somebody waits for an answer: arriving and ringing. One small function for each
thing that can happen; the first line of its docstring is its line in the state table of the documents.
"""

from __future__ import annotations

from ari_app.calls import happenings as h
from ari_app.calls import trial
from ari_app.calls.behind import became_of
from ari_app.calls.call import Direction, Leg, LegState, Role, Stage, TimerName, Way
from ari_app.calls.dialplan import dialplan_answered, given_up_in_vain
from ari_app.calls.names import clean_name
from ari_app.calls.orders import HangUp, HangUpReason, LookUp, Ringback, Watch
from ari_app.calls.outcome import LINE_FAILURES, Ending, LegResult, unanswered
from ari_app.calls.recording import record_again
from ari_app.calls.routing import People, is_extension, plan, way_out
from ari_app.calls.talking import talk, tell_out
from ari_app.calls.trying import (
    DIAL_MARGIN_SECONDS,
    current,
    doubt_the_silent,
    give_up_the_silent,
    ring_telephones,
    send_to_dialplan,
    try_next,
    try_next_when_done,
)
from ari_app.calls.turn import Turn
from ari_app.calls.values import replace

LOOK_UP_SECONDS = 2.0
"""How long a caller waits for the CRM to say who they are."""

# -- arriving ------------------------------------------------------------------------------------------------


def greet(turn: Turn, _: h.CallArrived) -> None:
    """The caller hears ringing; the CRM is asked who calls (a withheld number is routed as unknown)."""
    caller = turn.call.caller.id
    turn.order(Watch(caller), Ringback(caller))
    if turn.call.number is None:
        _route(turn, known=False)
        return
    turn.set_timer(TimerName.LOOK_UP, LOOK_UP_SECONDS)
    turn.order(LookUp(turn.call.number))


def customer_found(turn: Turn, found: h.CustomerFound) -> None:
    """The responsible manager is rung, else the fallback."""
    responsible = found.responsible if found.responsible and is_extension(found.responsible) else None
    name = clean_name(found.name) or turn.call.name
    turn.call = replace(turn.call, name=name, responsible=responsible)
    _route(turn, known=True)


def customer_unknown(turn: Turn, _: h.CustomerUnknown) -> None:
    """The destination for unknown customers is rung."""
    _route(turn, known=False)


def look_up_expired(turn: Turn, expired: h.TimerExpired) -> None:
    """The CRM was too slow: the call goes on as an unknown customer's."""
    if expired.timer is TimerName.LOOK_UP:
        _route(turn, known=False)


def _route(turn: Turn, known: bool) -> None:
    turn.clear_timer(TimerName.LOOK_UP)
    destinations = plan(turn.call.policy, known, turn.call.responsible)
    if turn.call.trial is not None:
        destinations = trial.destinations(turn.call.trial)
    turn.call = replace(turn.call, stage=Stage.RINGING, known=known, destinations=destinations)
    try_next(turn)


# -- ringing -------------------------------------------------------------------------------------------------


def leg_ready(turn: Turn, ready: h.LegReady) -> None:
    """The leg is dialled; one that rings alone is bridged first, so that early media is heard."""
    leg = turn.call.leg(ready.leg)
    if leg is None or leg.state is not LegState.PLACED:
        stray_leg(turn, ready)
        return
    destination = turn.call.destinations[leg.attempt]
    if turn.call.rings_alone(leg):
        turn.join(turn.call.waiter, leg)
    if leg.leads_on:
        turn.order(Watch(leg.far_id))
    leg = turn.call.leg(ready.leg) or leg
    turn.dial(leg, destination.seconds + DIAL_MARGIN_SECONDS if isinstance(destination, People) else None)


def stray_leg(turn: Turn, ready: h.LegReady) -> None:
    """A leg that had been given up but turns up all the same is hung up."""
    leg = turn.call.leg(ready.leg)
    if leg is not None and not leg.alive:
        turn.order(HangUp(leg.id))


def leg_ringing(turn: Turn, ringing: h.LegRinging) -> None:
    """Noted; a manager who waits for the customer hears ringing."""
    leg = turn.call.leg(ringing.leg)
    if leg is None or leg.state not in (LegState.PLACED, LegState.DIALLED):
        return
    turn.change(leg, LegState.RINGING)
    if leg.role is Role.CUSTOMER:
        tell_out(turn)
        if turn.call.waiter.state is LegState.UP:
            turn.let_hear_ringing()


def leg_answered(turn: Turn, answered: h.LegAnswered) -> None:
    """The first answer wins: who waits is answered and joined, the others hung up as answered elsewhere.

    Behind a leg into the dialplan a telephone tells of its answer; without one the dialplan has answered.
    """
    leg = turn.call.leg(answered.leg)
    if leg is None or not leg.pending:
        return
    leg = turn.change(leg, LegState.UP)
    if turn.call.way is Way.AJAM:
        talk(turn, leg, turn.call.caller.code)
    elif leg.leads_on:
        dialplan_answered(turn, leg)
    else:
        talk(turn, leg, answered.code or leg.code)


def leg_ended(turn: Turn, ended: h.LegEnded) -> None:
    """When the last leg of a destination is gone, the next destination is tried at once."""
    leg = turn.call.leg(ended.leg)
    if leg is None or not leg.alive:
        return
    if leg.id == turn.call.waiter.id:
        _gave_up(turn, leg, ended.cause, ended.known_up_at)
        return
    turn.change(leg, LegState.GONE, result=became_of(turn.call, leg, ended))
    try_next_when_done(turn)
    doubt_the_silent(turn, current(turn.call))


def leg_refused(turn: Turn, refused: h.LegRefused) -> None:
    """The leg counts as unreachable; after the last one the next destination is tried."""
    leg = turn.call.leg(refused.leg)
    if leg is not None and leg.state is LegState.PLACED:
        turn.change(leg, LegState.GONE, result=LegResult.UNREACHABLE)
    elif leg is not None and leg.state is LegState.DIALLED:  # it was made: its channel may be there still
        turn.hang_up(leg, HangUpReason.NORMAL, LegResult.UNREACHABLE)
    else:
        return
    try_next_when_done(turn)


def ring_expired(turn: Turn, expired: h.TimerExpired) -> None:
    """Phones not answered in time are hung up, the next destination is tried; a queue's round is told.

    What rings nobody any more, for 1 s, is given up. Where the PBX doesn't say in time which telephones there
    are, it is to choose one; a telephone that gives no sign of life is given up when its manager has refused
    at another.
    """
    if expired.timer is TimerName.ROUND:
        turn.tell_round()
    elif expired.timer is TimerName.VAIN:
        given_up_in_vain(turn)
    elif expired.timer is TimerName.RECORDER:
        record_again(turn)
    elif expired.timer is TimerName.TRIAL:
        turn.finish(Ending.ANSWERED)
    elif expired.timer is TimerName.TELEPHONES:
        turn.clear_timer(TimerName.TELEPHONES)
        ring_telephones(turn, dict.fromkeys(one.code for one in turn.call.sought))
    elif expired.timer is TimerName.SILENT:
        give_up_the_silent(turn, current(turn.call))
        try_next_when_done(turn)
    elif expired.timer is TimerName.RING:
        for leg in current(turn.call):
            turn.hang_up(leg, HangUpReason.NORMAL, LegResult.NO_ANSWER)
        try_next(turn)


def caller_ended(turn: Turn, ended: h.CallerEnded) -> None:
    """The waiting caller hung up (or the line failed): everyone is hung up and the CRM is told."""
    if turn.call.waiter.id == turn.call.caller.id:
        _gave_up(turn, turn.call.caller, ended.cause, ended.known_up_at)
    else:  # a manager who has transferred the customer
        turn.change(turn.call.caller, LegState.GONE)


def _gave_up(turn: Turn, leg: Leg, cause: int, known_up_at: float | None) -> None:
    turn.change(leg, LegState.GONE)
    tried = [one.result for one in turn.call.legs if one.result is not None]
    ending = Ending.FAILED if cause in LINE_FAILURES else Ending.GAVE_UP
    if turn.call.left_to_dialplan:  # voicemail, a menu: nobody had answered
        ending = Ending.NOT_ANSWERED
    if turn.call.way is Way.AJAM and tried:  # the dialplan hung up when it had tried the customer in vain
        ending = unanswered(tried)
    turn.finish(ending, seen_at=known_up_at)


def stopping(turn: Turn, _: h.ServiceStopping) -> None:
    """A caller who waits is sent on to the account's queue or dialplan destination, if any; a trial ends."""
    call = turn.call
    if call.direction is Direction.OUT:
        return  # the PBX joins manager and customer without us
    if call.trial is not None:  # nobody else is to hear of it
        turn.finish(Ending.GAVE_UP)
        return
    ahead = call.destinations[max(call.attempt, 0) :]
    way = way_out(ahead) or way_out(call.policy.fallback) or way_out(call.policy.unknown)
    if way is not None:
        turn.call = replace(turn.call, stage=Stage.RINGING)
        send_to_dialplan(turn, way)
