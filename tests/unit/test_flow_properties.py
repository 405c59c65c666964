"""What holds for every call, in two worlds: one in which anything is said of anybody, and an office whose PBX
tells the truth, but may lose, repeat and refuse.
"""

from __future__ import annotations

import typing
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ari_app.calls import happenings as h
from ari_app.calls.call import Call, Doing, Stage, TimerName, Way
from ari_app.calls.flow import MOVES
from ari_app.calls.routing import People, Policy
from ari_app.calls.table import CHANGES
from tests.support.people import SimulatedOffice
from tests.support.witness import (
    CALLER,
    CODES,
    HAPPENINGS,
    NUMBER,
    ORDERS,
    OUTSIDE,
    START,
    Witness,
    random_busy,
    random_telephones,
)

steady = settings(derandomize=True, deadline=None, database=None)
"""The same calls each time. Their chances come from true `Random`s: Hypothesis' own cost it four times as
much as the calls, and led to fewer kinds of steps."""


# -- anything is said of anybody --------------------------------------------------------------------------


def random_happening(random: Random, call: Call, at: float, about: type) -> h.Happening:
    """Say something that need not be true."""
    pick = random.choice
    leg = pick((*(leg.id for leg in call.our_legs), call.caller.id, "c1-9"))
    if about is h.CustomerParked and call.customer is not None:
        leg = call.customer.id  # nobody else is parked so
    member = f"PJSIP/{pick(CODES)}-0000002{pick('ab')}"
    code = pick((*CODES, None))
    up_at = pick((None, at - 10, START - 10, at + 10))
    cause = pick((0, 16, 17, 19, 20, 21, 26, 38, 58, 999))
    match about:
        case h.CallArrived:
            return h.CallArrived(at, CALLER, NUMBER, None)
        case h.CallDialled:
            return h.CallDialled(at, CALLER, "101", NUMBER, None, OUTSIDE)
        case h.CallClicked:
            return h.CallClicked(at, "101", NUMBER, None, OUTSIDE, Way.ARI)
        case h.WayBlocked:
            return h.WayBlocked(at, leg, "away")
        case h.PartyReplaced:
            old = pick((*(one.id for one in call.legs), call.caller.id))
            return h.PartyReplaced(
                at, old, pick(("new1", "new2", leg)), pick((True, False)), pick(("102", None)), code
            )
        case h.FarHalfFound:
            return h.FarHalfFound(at, leg, pick(("far1", "far2")), pick((True, False)))
        case h.CustomerFound:
            return h.CustomerFound(at, pick(("Anna", None)), pick((code, "no extension", "")))
        case h.CallerEnded:
            return h.CallerEnded(at, cause, up_at)
        case h.LegReady | h.LegRinging | h.LegAnswered:
            return typing.cast(h.Happening, about(at, leg))
        case h.TelephonesFound:
            found = tuple(h.Telephones(one, random_telephones(random, one)) for one in CODES)
            return h.TelephonesFound(at, pick((call.attempt, call.attempt, 0)), found)
        case h.LegForwarded:
            way = pick((OUTSIDE, None))
            return h.LegForwarded(at, leg, pick(CODES), "internal", pick((True, False)), way)
        case h.LegEnded:
            return h.LegEnded(at, leg, cause, pick((None, 603, 403)), up_at, pick((True, False)))
        case h.LegRefused:
            return h.LegRefused(at, leg, "no")
        case h.MemberRung | h.MemberAnswered:
            return typing.cast(h.Happening, about(at, leg, member, code))
        case h.FarHalfEnded:
            return h.FarHalfEnded(at, leg, cause)
        case h.DialplanDoes:
            return h.DialplanDoes(at, leg, pick(tuple(Doing)))
        case h.KeyPressed:
            return h.KeyPressed(at, pick((leg, call.talker_leg or leg)), pick("109*####"))
        case h.CustomerParked:
            return h.CustomerParked(at, leg, member, "700")
        case h.MemberTransferred:
            return h.MemberTransferred(at, leg, member, "102")
        case h.MemberEnded:
            return h.MemberEnded(at, leg, member, pick(("ANSWER", "BUSY", "NOANSWER", "CANCEL", "WHAT")))
        case h.TimerExpired:
            return h.TimerExpired(at, pick(tuple(TimerName)))
        case h.RecordingFailed | h.OutcomeUnknown:
            return typing.cast(h.Happening, about(at, "why"))
        case h.ClockSet:
            return h.ClockSet(at, pick((-1.5, 3600.0)))
        case h.RecordingStored:
            return h.RecordingStored(at, "file.wav", pick((0.0, 3.5, 500.0)))
        case h.PbxSaid:
            everyone = [call.caller.id, *(leg.id for leg in call.our_legs), "c1-9"]
            facts = tuple(
                h.ChannelFact(
                    ident,
                    pick(("Down", "Ring", "Ringing", "Up")),
                    pick((True, False)),
                    talks_to,
                    code,
                    answered_at=pick((None, at - 5, at - 0.5)),
                    left_at=pick((None, at - 0.2)),
                )
                for ident in everyone
                for talks_to in (pick((None, None, member)),)
                if random.random() < 0.8
            )
            asked = tuple(ident for ident in everyone if random.random() < 0.8)
            restarted, deaf = random.random() < 0.1, pick((True, False))
            ends = tuple(
                h.LegEnded(at - 0.1, ident, cause, up=pick((True, False)))
                for ident in everyone
                if deaf and random.random() < 0.3
            )
            return h.PbxSaid(
                at,
                asked,
                facts,
                pick((True, False)),
                at - 1,
                restarted,
                deaf=deaf,
                ends=ends,
                recorded=deaf and random.random() < 0.1,
            )
    return typing.cast(h.Happening, about(at))


@settings(steady, max_examples=800)
@given(st.randoms(use_true_random=True), st.integers(0, 40), st.integers(1, 60))
def test_a_call_keeps_its_word_whatever_is_said_of_it(random: Random, before: int, steps: int) -> None:
    office = SimulatedOffice(random, faulty=False)
    for _ in range(before):
        office.live()
    witness, at = office.witness, office.at
    rare = {h.CallerEnded, h.PbxSaid, h.ServiceStopping}
    often = [kind for kind in HAPPENINGS if kind not in rare]
    for _ in range(steps):
        at += random.choice((0.0, 0.1, 1.0, 30.0, -5.0))
        about = random.choice(HAPPENINGS if random.random() < 0.2 else often)
        if random.random() < 0.6:
            about = random.choice([kind for stage, kind in MOVES if stage is witness.call.stage] or often)
        witness.advance(random_happening(random, witness.call, at, about), random_busy(random))


@pytest.mark.parametrize("happening", HAPPENINGS, ids=lambda kind: str(kind.__name__))
def test_an_ended_call_is_deaf(happening: type) -> None:
    random = Random(1)
    arrived = h.CallArrived(START, CALLER, NUMBER, None)
    witness = Witness(Policy("PJSIP/##", (People(("101",), 20),), ()), arrived)
    witness.advance(h.CallerEnded(START + 1, 16))
    assert witness.call.over
    assert witness.advance(random_happening(random, witness.call, START + 2, happening)) == ()


# -- a PBX that tells the truth ---------------------------------------------------------------------------


def test_a_fair_pbx_brings_every_call_to_its_end_by_the_ways_of_the_diagram_and_nothing_outlives_it() -> None:
    seen: set[tuple[Stage | None, Stage]] = set()
    for seed in range(1500):
        pbx = SimulatedOffice(Random(seed), faulty=False)
        for _ in range(seed % 81):
            pbx.live()
        pbx.come_to_an_end()
        assert pbx.call.over, seed
        assert pbx.channels == {}, seed
        assert pbx.bridge is None, seed
        assert not pbx.recording, seed
        assert pbx.listener is None, seed
        seen |= pbx.witness.changes
    rare = {(Stage.TALKING, Stage.DIALPLAN)}  # told as a story in test_flow_keys.py
    assert seen | rare == set(CHANGES)


@settings(steady, max_examples=400)
@given(st.randoms(use_true_random=True), st.integers(0, 80))
def test_a_pbx_that_loses_orders_and_news_is_made_up_for_by_asking_it(random: Random, steps: int) -> None:
    pbx = SimulatedOffice(random, faulty=True)
    for _ in range(steps):
        pbx.live()
    pbx.come_to_an_end()
    assert pbx.call.over
    assert pbx.channels == {}


# -- the model as a whole ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [HAPPENINGS, ORDERS], ids=["happenings", "orders"])
def test_every_happening_and_order_has_a_name_of_its_own(kinds: tuple[type, ...]) -> None:
    assert len({kind.__name__ for kind in kinds}) == len(kinds)


def test_every_move_is_about_a_happening_and_says_what_it_does() -> None:
    for (stage, happening), move in MOVES.items():
        assert happening in HAPPENINGS
        assert move.__doc__, (stage, happening)
    first = {h.CallArrived, h.CallDialled, h.CallClicked}
    assert set(HAPPENINGS) - {happening for _, happening in MOVES} == first
