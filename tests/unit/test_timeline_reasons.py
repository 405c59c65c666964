"""The journal says why no extension is told, and why it isn't known whether anybody answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ari_app.calls import happenings as h
from ari_app.calls.call import Call, Doing, Stage
from ari_app.calls.flow import advance, begin, known_as
from ari_app.calls.journal import JournalLine
from ari_app.calls.routing import Policy, parse_destinations
from ari_app.timeline.timeline import narrate

CALLER = "caller-channel"
TRUNK = "PJSIP/trunk-0000002a"
MENU = "dialplan:ivr,s,1"


def told(unknown: str, *happenings: h.Happening) -> list[str]:
    """Let a stranger call, and tell the call's journal."""
    policy = Policy("PJSIP/##", (), parse_destinations(unknown, 60))
    first = h.CallArrived(0.0, CALLER, "+79161234567", "+74951112233")
    call, orders = begin("c1", "shop", policy, first)
    lines = [JournalLine(0.0, call.id, None, call.stage, first, orders)]
    for happening in (h.CustomerUnknown(1.0), *happenings):
        before: Call = call
        known = known_as(call, happening)
        call, orders = advance(call, known)
        lines.append(JournalLine(known.at, call.id, before.stage, call.stage, known, orders))
    call = replace(call, stage=Stage.ENDED)
    return [sentence.text for line in lines for sentence in narrate(line, call)]


def in_a_queue(member: str, local: str | None = None) -> tuple[h.Happening, ...]:
    ready = h.LegReady(2.0, "c1-1")
    return ready, h.MemberRung(3.0, "c1-1-2", member, None, local=local)


def test_a_mobile_that_is_nobodys_has_no_extension() -> None:
    said = told(
        "queue:sales,600",
        *in_a_queue(TRUNK),
        h.MemberAnswered(4.0, "c1-1-2", TRUNK, None),
        h.CallerEnded(9.0, 16),
    )
    assert "nobody's telephone: no extension is told" in said
    assert "no extension is told: who talked last is nobody of the account" in said


def test_a_mobile_by_follow_me_is_whose_follow_me_it_was() -> None:
    local = "Local/101@follow-me-00000001;1"
    inner = "c1-1/Local/101@follow-me"
    said = told(
        "queue:sales,600",
        h.LegReady(2.0, "c1-1"),
        h.MemberRung(3.0, "c1-1-2", local, "101", local="near"),
        h.FarHalfFound(3.0, inner, "far", up=False),
        h.MemberRung(3.1, "far", TRUNK, None),
        h.MemberAnswered(4.0, "far", TRUNK, None),
        h.MemberAnswered(4.1, "c1-1-2", local, "101", local="near"),
        h.CallerEnded(9.0, 16),
    )
    assert "nobody's telephone: it counts as 101's, who led there" in said
    assert not [sentence for sentence in said if sentence.startswith("no extension")]


@pytest.mark.parametrize(
    ("happenings", "why"),
    [
        (
            (h.CallerAnswered(2.0), h.CallerEnded(9.0, 16)),
            "no extension is told: the customer was last in the dialplan, with nobody",
        ),
        (
            (h.DialplanDoes(2.0, CALLER, Doing.MEETS), h.CallerEnded(9.0, 16)),
            "the PBX doesn't say who talks in a conference, or with a parked customer",
        ),
        ((h.CallerEnded(9.0, 16, known_up_at=2.0),), "nobody heard the PBX before the end"),
    ],
    ids=["voicemail", "conference", "unheard"],
)
def test_the_end_in_the_dialplan_says_why(happenings: tuple[h.Happening, ...], why: str) -> None:
    said = told(MENU, *happenings)
    assert why in said
    known = "nobody answered" if "with nobody" in why else "whether anybody answered can't be known"
    assert [sentence for sentence in said if sentence.startswith(known)]


def test_a_call_that_a_manager_answers_needs_no_reasons() -> None:
    answered = h.MemberAnswered(4.0, "c1-1-2", "PJSIP/101-0000002a", "101")
    said = told("queue:sales,600", h.LegReady(2.0, "c1-1"), answered, h.CallerEnded(9.0, 16))
    assert not [sentence for sentence in said if "extension is told" in sentence or "nobody" in sentence]
