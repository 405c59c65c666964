"""The moves of a caller who was sent on into the shop's own dialplan, and is followed there to the end.

The caller's own channel runs the dialplan, so it is followed as the far half of a Local channel is: a person
has answered when a telephone has. Where people may talk without any telephone being dialled, in a conference
or from a parking lot, nobody can know whether they did.
"""

from __future__ import annotations

from ari_app.calls import happenings as h
from ari_app.calls.behind import end_members, local_leg, member_leg, put_through
from ari_app.calls.call import Doing, LegState, Stage, TimerName
from ari_app.calls.members import member_answered, member_rung
from ari_app.calls.orders import Ringback
from ari_app.calls.outcome import Ending, LegResult
from ari_app.calls.recording import record_again
from ari_app.calls.routing import plan
from ari_app.calls.trying import try_next, without_dialplan
from ari_app.calls.turn import Turn
from ari_app.calls.values import replace


def dialplan_answered(turn: Turn, _: h.CallerAnswered) -> None:
    """The shop's dialplan answered the caller: that is nobody's answer."""
    if turn.call.caller.pending:
        turn.change(turn.call.caller, LegState.UP)


def telephone_rung(turn: Turn, rung: h.MemberRung) -> None:
    """Members rung within 0.2 s are one round, of which the CRM is told once."""
    if local_leg(turn.call, rung.leg) is None:
        return
    if _talks(turn):
        dialler = turn.call.party(rung.leg)
        again = dialler is not None and (dialler is turn.call.caller or dialler.state is LegState.UP)
        if not again or member_leg(turn.call, rung).state is LegState.UP:
            return  # another way to the one who talks, about to be given up
        _talked(turn, left=rung.leg)
    member_rung(turn, rung)


def telephone_answered(turn: Turn, answered: h.MemberAnswered) -> None:
    """Who answers at a telephone talks: the CRM is told of those who were rung."""
    member_answered(turn, answered)


def dialplan_does(turn: Turn, said: h.DialplanDoes) -> None:
    """Noted; a talk is over when the dialplan goes on after it."""
    if local_leg(turn.call, said.leg) is not turn.call.caller:
        return
    if _talks(turn) and put_through(turn.call, said.leg):
        _talked(turn, left=said.leg)
    turn.call = replace(turn.call, meets=turn.call.meets or said.does is Doing.MEETS)
    leg = turn.call.party(said.leg)
    if leg is turn.call.caller:
        turn.call = replace(turn.call, caller=replace(leg, does=said.does))
    elif leg is not None:
        turn.call = turn.call.with_leg(replace(leg, does=said.does))


def transferred(turn: Turn, transferred: h.MemberTransferred) -> None:
    """Who talked there has sent the caller on to somebody else, in the dialplan."""
    if local_leg(turn.call, transferred.leg) is turn.call.caller and _talks(turn):
        _talked(turn, left=transferred.leg)


def round_told(turn: Turn, expired: h.TimerExpired) -> None:
    """The CRM is told who is being rung; a recording that broke off goes on."""
    if expired.timer is TimerName.ROUND:
        turn.tell_round()
    elif expired.timer is TimerName.RECORDER:
        record_again(turn)
    elif expired.timer is TimerName.TRIAL:
        turn.finish(Ending.ANSWERED)


def caller_returned(turn: Turn, _: h.CallerReturned) -> None:
    """The caller comes back to us: their destinations are tried again, but for those in the dialplan."""
    _talked(turn)
    call = turn.call
    again = plan(call.policy, call.known, call.responsible)
    turn.call = replace(
        call,
        stage=Stage.RINGING,
        destinations=without_dialplan(again),
        attempt=-1,
        handed_on=False,
        answered_at=call.answered_at if call.talker_leg is not None else None,
        caller=replace(call.caller, joined=False, far=None, does=None),
    )
    turn.order(Ringback(call.caller.id))
    try_next(turn)


def caller_ended(turn: Turn, ended: h.CallerEnded) -> None:
    """The caller is gone: the CRM is told, answered if a person has; unknown where that wasn't seen."""
    call = turn.call
    followed = call.caller.far is not None  # by versions before this one it wasn't
    seen = followed and ended.known_up_at is None and not call.meets
    if call.talker_leg is None:  # for those, the dialplan's answer was one
        turn.call = replace(call, answered_at=None)
    turn.change(turn.call.caller, LegState.GONE)
    turn.finish(Ending.NOT_ANSWERED if seen else Ending.UNKNOWN, seen_at=ended.known_up_at)


def _talks(turn: Turn) -> bool:
    return turn.call.talk_began is not None


def _talked(turn: Turn, *, left: str = "") -> None:
    """The talk with a person is over; the caller goes on in the dialplan, behind the channels to `left`."""
    turn.end_talk()
    end_members(turn, turn.call.caller, LegResult.ANSWERED, left=left)
