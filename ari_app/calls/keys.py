"""The moves when a manager presses keys while talking: the feature code that hands the customer over.

The PBX knows feature codes in its own dialplan, but not in a bridge of ours; so ``##102`` is read here. The
number is complete after 3 s without another key, or with ``#``.
"""

from __future__ import annotations

from ari_app.calls import happenings as h
from ari_app.calls.call import TimerName
from ari_app.calls.orders import HangUpReason
from ari_app.calls.outcome import Ending
from ari_app.calls.recording import record_again
from ari_app.calls.routing import People
from ari_app.calls.trying import fallback, ring_again
from ari_app.calls.turn import Turn
from ari_app.calls.values import replace

TRANSFER_CODE = "##"
KEY_SECONDS = 3.0
"""How long the next key is waited for."""


def key_pressed(turn: Turn, pressed: h.KeyPressed) -> None:
    """After `##` the manager's keys are an extension, to which the customer is handed over."""
    if pressed.channel != turn.call.talker_leg or turn.call.away:
        return
    keys = turn.call.keys + pressed.key
    if keys.startswith(TRANSFER_CODE):
        if len(keys) > len(TRANSFER_CODE) and pressed.key == "#":
            _hand_over(turn, keys[len(TRANSFER_CODE) : -1])
            return
        turn.set_timer(TimerName.KEYS, KEY_SECONDS)
    elif not TRANSFER_CODE.startswith(keys):
        keys = ""
    if keys != turn.call.keys:
        turn.call = replace(turn.call, keys=keys)


def keys_done(turn: Turn, expired: h.TimerExpired) -> None:
    """The extension is complete: the customer is handed over to it. A recording that broke off goes on.

    A trial has lasted long enough.
    """
    if expired.timer is TimerName.RECORDER:
        record_again(turn)
    elif expired.timer is TimerName.TRIAL:
        turn.finish(Ending.ANSWERED)
    elif expired.timer is TimerName.KEYS:
        _hand_over(turn, turn.call.keys[len(TRANSFER_CODE) :])


def _hand_over(turn: Turn, extension: str) -> None:
    """Let the customer wait while the extension is rung, and then the fallback; the manager is hung up."""
    call = turn.call
    turn.clear_timer(TimerName.KEYS)
    turn.call = replace(turn.call, keys="")
    manager = call.party(call.talker_leg or "")
    if manager is None or turn.own(extension) is None:
        return
    turn.hang_up(manager, HangUpReason.NORMAL)
    ring_again(turn, (People((extension,), call.policy.ring_manager_seconds), *fallback(call)))
