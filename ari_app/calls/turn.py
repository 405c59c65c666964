"""One turn of a call: the call as it becomes, and the orders that it gives on the way.

A `Turn` lives for the length of one `advance`; nothing of it leaves but its two results.
"""

from __future__ import annotations

from ari_app.calls.call import (
    Call,
    Direction,
    Leg,
    LegState,
    RecordingState,
    Role,
    Stage,
    TimerName,
    Way,
)
from ari_app.calls.orders import (
    Answer,
    CloseBridge,
    Dial,
    FetchRecording,
    FindFarHalf,
    HangUp,
    HangUpReason,
    Join,
    OpenBridge,
    Order,
    PassKeys,
    PlayRinging,
    Ring,
    Ringback,
    StopPlaying,
    StopRecording,
    TellHangup,
    TellResult,
    TellRinging,
)
from ari_app.calls.outcome import Ending, LegResult, whole_seconds
from ari_app.calls.routing import is_extension, is_internal
from ari_app.calls.values import replace

RECORDING_SECONDS = 8.0
"""How long after a call's end the PBX has to say that its recording is finished."""
FETCH_SECONDS = 60.0
"""How long a call's report waits for a finished recording to be fetched: an hour's file has 58 MB."""


class Turn:
    """Collects what one happening does to a call at a moment.

    `busy` are the extensions that can't be rung now, `codes` those that the account has (none: unknown).
    `now` is when it is dealt with: what is ordered, and waited for, begins only then.
    """

    def __init__(
        self,
        call: Call,
        at: float,
        busy: frozenset[str] = frozenset(),
        codes: frozenset[str] | None = None,
        now: float | None = None,
    ) -> None:
        self.call = call
        self.at = at
        self.now = at if now is None else max(at, now)
        self.busy = busy
        self.codes = codes
        self.orders: list[Order] = []

    @property
    def moment(self) -> float:
        """Now, but never before the call began or was answered, whatever the clock says."""
        return max(self.at, self.call.started_at, self.call.answered_at or self.call.started_at)

    def own(self, code: str | None) -> str | None:
        """Give an extension back if it is one of the account's."""
        if code is None or not is_extension(code):
            return None
        known = is_internal(code) if self.codes is None else code in self.codes
        return code if known else None

    def order(self, *orders: Order) -> None:
        """Give orders, in this order."""
        self.orders += orders

    def change(
        self,
        leg: Leg,
        state: LegState,
        *,
        result: LegResult | None = None,
        code: str | None = None,
    ) -> Leg:
        """Bring a leg (or the caller) into another state; a result or code once known stays.

        When a Local leg is gone, nobody is behind it any more.
        """
        up, gone = state is LegState.UP, state is LegState.GONE
        changed = replace(
            leg,
            state=state,
            at=self.at,
            result=leg.result or result,
            code=leg.code or code,
            rang=leg.rang or state is LegState.RINGING,
            answered_at=self.at if up and leg.answered_at is None else leg.answered_at,
            ended_at=self.at if gone and leg.ended_at is None else leg.ended_at,
        )
        self._put(changed)
        if gone and leg.leads_on:
            for member in self.call.members(leg):
                if member.alive:
                    self.change(member, LegState.GONE, result=LegResult.NO_ANSWER)
        return changed

    def _put(self, leg: Leg) -> None:
        if leg.role is Role.CALLER:
            self.call = replace(self.call, caller=leg)
        elif leg.role is Role.RECORDER:
            self.call = replace(self.call, recorder=leg)
        else:
            self.call = self.call.with_leg(leg)

    # -- legs ---------------------------------------------------------------------------------------------

    def ring(self, leg: Leg, endpoint: str, name: str, number: str) -> None:
        """Make a leg; it is dialled when it reports that it is ready. It shows `name` and `number`.

        All but the first leg of a call will be bridged. One into the dialplan is followed there.
        """
        if endpoint.startswith("Local/"):
            leg = replace(leg, far=leg.far_id)
        if leg.role is not Role.CALLER and not self.call.bridge_open:
            self.order(OpenBridge(self.call.bridge_id))
            self.call = replace(self.call, bridge_open=True)
        self._put(leg)
        waits = self.call.waiter
        self.order(
            Ring(
                leg=leg.id,
                endpoint=endpoint,
                name=name,
                number=number,
                originator=None if self.call.stage is Stage.CALLING else waits.id,
                far_id=leg.far_id if leg.leads_on else None,
                inbound=self.call.direction is Direction.IN,
                code=leg.code,
            )
        )

    def dial(self, leg: Leg, seconds: float | None) -> None:
        """Let a leg ring."""
        self.change(leg, LegState.DIALLED)
        self.order(Dial(leg.id, seconds))

    def follow(self, member: Leg) -> None:
        """Find out whom the dialplan dials behind a member that is a Local channel."""
        if member.local is not None:
            self.order(FindFarHalf(member.id, member.local))

    def join(self, *legs: Leg) -> None:
        """Put legs into the bridge, those that are not there yet."""
        outside = [leg for leg in legs if not leg.joined]
        if outside:
            for leg in outside:
                self._put(replace(leg, joined=True))
            self.order(Join(self.call.bridge_id, tuple(leg.id for leg in outside)))

    def pass_keys(self, *, through: bool) -> None:
        """Let what the customer presses through, or keep it from a dialplan that would obey it.

        In a channel that we didn't make (a transfer's), feature codes may be a customer's, too.
        """
        customer = self.call.customer
        if customer is not None and self.call.keys_kept is through:
            self.call = replace(self.call, keys_kept=not through)
            self.order(PassKeys(self.call.bridge_id, customer.id, through))

    def hang_up(self, leg: Leg, reason: HangUpReason, result: LegResult | None = None) -> None:
        """Ask for a leg's hang-up, once.

        What AJAM has placed is one channel for us: the customer's leg goes with the manager's.
        """
        if self.call.way is Way.AJAM and leg.role is Role.CUSTOMER:
            self.change(leg, LegState.GONE, result=result)
        elif leg.state not in (LegState.LEAVING, LegState.GONE):
            self.change(leg, LegState.LEAVING, result=result)
            self.order(HangUp(leg.id, reason))

    def answer(self, leg: Leg) -> None:
        """Answer the waiting party, if that wasn't done yet."""
        if leg.state is not LegState.UP:
            self.order(Answer(leg.id))

    def let_hear_ringing(self) -> None:
        """Let the waiting party hear ringing: by the PBX until it is answered, then in the bridge."""
        call = self.call
        if call.waiter.state is not LegState.UP and call.answered_at is None:
            self.order(Ringback(call.waiter.id))
        elif call.bridge_open and not call.plays_ringing:
            self.call = replace(call, plays_ringing=True, played_ringing=True)
            self.order(PlayRinging(call.bridge_id, call.ringing_name))

    def stop_ringing(self) -> None:
        """End the ringing in the bridge."""
        if self.call.plays_ringing:
            self.call = replace(self.call, plays_ringing=False)
            self.order(StopPlaying(self.call.ringing_name))

    # -- who talks ----------------------------------------------------------------------------------------

    def begin_talk(self) -> None:
        """From now on the customer talks with a person, if they didn't already."""
        call = self.call
        if call.talk_began is None:
            self.call = replace(call, talked=call.talked or 0.0, talk_began=self.moment)
        self.call = replace(self.call, left_to_dialplan=False)

    def end_talk(self) -> None:
        """From now on the customer waits for the next person."""
        call = self.call
        if call.talk_began is not None:
            seconds = max(0.0, self.moment - call.talk_began)
            self.call = replace(call, talked=(call.talked or 0.0) + seconds, talk_began=None)

    # -- recording ----------------------------------------------------------------------------------------

    def recording(self, state: RecordingState, **changes: str | float | None) -> None:
        """Note how far the recording has come."""
        self.call = replace(self.call, recording=replace(self.call.recording, state=state, **changes))  # type: ignore[arg-type]

    # -- timers -------------------------------------------------------------------------------------------

    def set_timer(self, name: TimerName, seconds: float) -> None:
        """Set a deadline so many seconds from now."""
        self.call = self.call.with_timer(name, self.now + seconds)

    def clear_timer(self, name: TimerName) -> None:
        """Clear a deadline, set or not."""
        self.call = self.call.without_timer(name)

    # -- what the CRM is told -----------------------------------------------------------------------------

    def tell_ringing(self, codes: tuple[str, ...]) -> None:
        """Tell the CRM which extensions are being rung, or call, each once a call."""
        number = self.call.number
        new = tuple(dict.fromkeys(code for code in codes if code not in self.call.told))
        if new and number is not None:
            self.call = replace(self.call, told=self.call.told + new)
            self.order(TellRinging(self.at, number, self.call.external, new, self.call.direction))

    def tell_round(self, *also: str) -> None:
        """Tell the CRM of the members who were gathered in this round."""
        gathered = (*self.call.round, *also)
        self.clear_timer(TimerName.ROUND)
        self.call = replace(self.call, round=())
        self.tell_ringing(gathered)

    def report(self) -> None:
        """Tell the CRM what the call was, once."""
        call = self.call
        if call.reported:
            return
        self.call = replace(call, reported=True).without_timer(TimerName.RECORDING)
        if call.number is None or call.ending is None or call.trial is not None:
            return
        answered = call.ending is Ending.ANSWERED
        self.order(
            TellResult(
                at=self.at,
                started_at=call.started_at,
                phone=call.number,
                external=call.external,
                code=whose(call),
                ending=call.ending,
                waiting=whole_seconds(call.waiting),
                talking=whole_seconds(call.talking),
                recording=call.recording.file if answered else None,
                direction=call.direction,
            )
        )

    # -- the end ------------------------------------------------------------------------------------------

    def finish(self, ending: Ending, *, seen_at: float | None = None) -> None:
        """End the call: hang everyone up, close the recording, tell the CRM.

        A call in which somebody has talked was answered, whatever came after. `seen_at` is given when nobody
        saw the end: the last moment at which the call was known to be up.
        """
        self.tell_round()
        began = self.call.answered_at or self.call.started_at
        if self.call.answered_at is not None and self.call.talker_leg is not None:
            ending = Ending.ANSWERED
        if self.call.in_doubt and ending is not Ending.ANSWERED:
            ending = Ending.UNKNOWN
        self.call = replace(
            self.call,
            stage=Stage.ENDING,
            ending=ending,
            ended_at=self.moment if seen_at is None else max(began, seen_at),
            end_unseen=seen_at is not None,
            timers=(),
            sought=(),
            plays_ringing=False,
        )
        if self.call.caller.alive:
            self.hang_up(self.call.caller, farewell(self.call, self.call.caller))
        for leg in self.call.legs:
            if leg.role is Role.MEMBER:
                self._end_member(leg)
            elif leg.alive:
                self.hang_up(leg, HangUpReason.NORMAL, LegResult.CALLER_LEFT)
        self._stop_recording()
        if self.call.told and self.call.number is not None:
            self.order(TellHangup(self.at, self.call.number, self.call.external, self.call.told, ending))
        if self.call.recording.awaited:
            finished = self.call.recording.state is RecordingState.FINISHED
            self.set_timer(TimerName.RECORDING, FETCH_SECONDS if finished else RECORDING_SECONDS)
        else:
            self.report()
        self.tidy()

    def _stop_recording(self) -> None:
        """Close the file: it is closed when the channel that is recorded ends. Then it is fetched."""
        call, recorder = self.call, self.call.recorder
        records = recorder is not None and recorder.state is LegState.UP
        if recorder is not None:
            self.hang_up(recorder, HangUpReason.NORMAL)
        if call.recording.state is not RecordingState.RUNNING or records:
            return
        if recorder is None:  # an earlier version has recorded the bridge
            self.order(StopRecording(call.recording_name))
        else:  # it had ended, or never begun
            self.recording(RecordingState.FINISHED)
            self.order(FetchRecording(call.recording_name, closed=recorder.state is LegState.GONE))

    def _end_member(self, leg: Leg) -> None:
        if leg.alive:
            self.change(leg, LegState.GONE, result=LegResult.CALLER_LEFT)

    def tidy(self) -> None:
        """Remove the bridge when the last channel is gone, and end the call when nothing is left to do."""
        call = self.call
        if call.caller.alive and call.stage is not Stage.DIALPLAN:
            return
        if any(leg.alive for leg in call.our_legs):
            return
        if call.stage is Stage.ENDING and call.recorder is not None and call.recorder.alive:
            return
        if call.bridge_open:
            self.order(CloseBridge(call.bridge_id))
            self.call = call = replace(call, bridge_open=False)
        if call.stage is Stage.ENDING and call.reported and not call.recording.awaited:
            self.call = replace(call, stage=Stage.ENDED, timers=())


def whose(call: Call) -> str | None:
    """Name the manager whose call it was: the one who talked last, or else the one who should have."""
    if call.ending is Ending.ANSWERED:
        return call.talker
    if call.ending is Ending.UNKNOWN:
        return None
    if call.direction is Direction.OUT:
        return call.caller.code
    tried = (leg.code for leg in call.legs if leg.role is Role.MANAGER)
    should = (call.responsible, *call.told, *call.passed_over, *call.absent, *tried)
    return None if call.handed_on or call.left_to_dialplan else next(filter(None, should), None)


def managers_of(call: Call) -> frozenset[str]:
    """Name those whose call it was: who talked or called, or else who was rung or should have been."""
    talked = {call.talker, call.first_talker}
    if call.direction is Direction.OUT:
        talked.add(call.caller.code)
    named = {code for code in talked if code}
    return frozenset(named or {code for code in (whose(call), *call.told) if code})


_FAREWELL = {Ending.ANSWERED: HangUpReason.NORMAL, Ending.BUSY: HangUpReason.BUSY}


def farewell(call: Call, leg: Leg) -> HangUpReason:
    """Say why a channel of the call is hung up."""
    if leg.role is Role.CALLER:
        return _FAREWELL.get(call.ending, HangUpReason.NO_ANSWER) if call.ending else HangUpReason.NORMAL
    elsewhere = leg.result is LegResult.ELSEWHERE
    return HangUpReason.ANSWERED_ELSEWHERE if elsewhere else HangUpReason.NORMAL
