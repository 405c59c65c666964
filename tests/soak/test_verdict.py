"""The judge of the soak is judged: what is told rightly passes, and whatever isn't is noticed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ari_app.demo.crm.account import EventTold
from ari_app.demo.crm.rules import ToldCall, ToldEvent
from tests.soak.faults import Happened
from tests.soak.plan import OF_COPIES, Kind, PlannedCall, PlannedFault, What, draw
from tests.soak.scenes import Rang, Seen
from tests.soak.told import Recorded, Told
from tests.soak.verdict import Judge

ANNA, OLGA, BORIS = "+79160000001", "201", "202"
BEGAN = 100.0
EPOCH = datetime(2026, 1, 15, 9, 0, tzinfo=UTC)
"""When the call began, which is 12:00:00 in Moscow."""


def talk(kind: Kind = Kind.KNOWN, *phones: Rang, **seen: Any) -> Seen:
    """Anna calls, Olga's telephone rings for 2 s, and they talk for 5 s."""
    call = PlannedCall(0.0, kind, 0, ANNA, 0, 1, rings=2.0, talks=5.0, patience=20.0)
    rang = phones or (Rang(OLGA, BEGAN + 0.2, BEGAN + 2, BEGAN + 7, refused=False),)
    facts: dict[str, Any] = {
        "ended": BEGAN + 7,
        "heard": True,
        "status": 200,
        "answered": BEGAN + 2,
        "shop": list(rang),
    }
    return Seen(call, OLGA, BEGAN, **(facts | seen))


def told(*codes: str, upload: dict[str, Any] | None = None, status: str = "answered", **more: Any) -> Told:
    """All that the CRM should hear of that talk, and what a test says instead."""
    rung = codes or (OLGA,)
    events = [("in", [code], None) for code in rung] + [("hangup", list(rung), status)]
    facts: dict[str, Any] = {
        "date": "2026-01-15 12:00:00",
        "type": "in",
        "phone": ANNA,
        "result": "answered",
        "externalId": "c1",
        "code": rung[-1],
        "duration": 5,
        "durationWaiting": 2,
        "recordUrl": "http://localhost/recordings/1.wav",
    }
    facts |= upload or {}
    known = Told(
        events=[
            EventTold(
                "crm1",
                EPOCH,
                ToldEvent.model_validate(
                    {"phone": ANNA, "type": kind, "codes": who, "hangupStatus": how, "callExternalId": "c1"}
                ),
            )
            for kind, who, how in events
        ],
        uploads=[
            ToldCall.model_validate({name: value for name, value in facts.items() if value is not None})
        ],
        uploaded_at=(EPOCH + timedelta(seconds=9)).timestamp(),
        recorded=Recorded(200, 5.0),
    )
    return replace(known, **more)


def wrong(seen: Seen, said: Told, *faults: tuple[What, float, float]) -> list[str]:
    """Judge it; a fault is what it was, and from when until when after the beginning."""
    happened = [
        Happened(PlannedFault(0, what, until - since, 0, True), BEGAN + since, BEGAN + until, BEGAN + until)
        for what, since, until in faults
    ]
    return judged(seen, said, *happened)


def judged(seen: Seen, said: Told, *happened: Happened) -> list[str]:
    return Judge(happened, [], BEGAN, EPOCH.timestamp()).wrong(seen, said)


def test_a_seed_is_a_plan() -> None:
    one, same, other = draw(1, 600), draw(1, 600), draw(2, 600)
    assert one == same
    assert one != other
    assert {call.kind for call in one.calls} == set(Kind)
    assert {fault.what for fault in one.faults} == set(What) - OF_COPIES
    assert {fault.what for fault in draw(1, 600, copies=2).faults} == set(What)
    assert len({call.number for call in one.calls}) == len(one.calls)


def test_what_is_told_as_it_was_is_right() -> None:
    assert wrong(talk(), told()) == []


@pytest.mark.parametrize(
    ("said", "fact"),
    [
        (told(upload={"result": "no answer", "duration": 0, "recordUrl": None}), "told as 'no answer'"),
        (told(upload={"code": BORIS}), f"names {BORIS}"),
        (told(upload={"code": None}), "names nobody"),
        (told(upload={"duration": 8}), "8.0 s of talking instead of 5.0 s"),
        (told(upload={"durationWaiting": 5}), "5.0 s of waiting instead of 2.0 s"),
        (told(upload={"date": "2026-01-15 12:00:09"}), "dated +9.0 s"),
        (told(upload={"recordUrl": None}), "no recording"),
        (told(recorded=Recorded(404, None)), "its recording doesn't download"),
        (told(recorded=Recorded(200, 1.0)), "a recording of 1.0 s instead of 5.0 s"),
        (told(uploads=[]), "0 uploads"),
        (told(uploads=told().uploads * 2), "2 uploads"),
        (told(events=told().popups), "0 hangups"),
        (told(events=told().events + told().hangups), "2 hangups"),
        (told(status="cancel"), "the hangup says cancel"),
        (told(BORIS, OLGA), f"told that {BORIS} rings"),
        (told(upload={"result": "unknown"}), "told as unknown"),
        (told(upload={"externalId": "c2"}), "told as 2 calls"),
        (told(uploaded_at=(EPOCH + timedelta(seconds=99)).timestamp()), "uploaded only 92 s after its end"),
        (told(complaints=["call c1: hangup told a second time"]), "told a second time"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_what_is_told_wrongly_is_noticed(said: Told, fact: str) -> None:
    assert any(text.startswith(fact) or fact in text for text in wrong(talk(), said))


def test_a_telephone_that_is_left_in_the_call_is_noticed() -> None:
    assert wrong(talk(left=[OLGA]), told()) == [f"left alone in the call, long after its end: {OLGA}"]


def test_a_caller_who_hears_nothing_is_noticed() -> None:
    silent = talk(shop=[], heard=False, status=487, answered=None, gave_up=True)
    assert "the caller heard nothing for 7.0 s" in wrong(silent, Told())


def test_the_last_who_talked_is_named_after_a_transfer() -> None:
    seen = talk(
        Kind.BLIND,
        Rang(OLGA, BEGAN + 0.2, BEGAN + 2, BEGAN + 4, refused=False),
        Rang(BORIS, BEGAN + 4, BEGAN + 4, BEGAN + 7, refused=False),
    )
    assert wrong(seen, told(OLGA, BORIS)) == []
    assert wrong(seen, told(OLGA, BORIS, upload={"code": OLGA})) == [
        f"names {OLGA} as who talked last instead of {BORIS}"
    ]


def test_who_talked_last_only_while_nothing_was_heard_need_not_be_named() -> None:
    seen = talk(
        Kind.BLIND,
        Rang(OLGA, BEGAN + 0.2, BEGAN + 2, BEGAN + 4, refused=False),
        Rang(BORIS, BEGAN + 4, BEGAN + 4, BEGAN + 7, refused=False),
    )
    as_was_known = told(OLGA, BORIS, upload={"code": OLGA})
    assert wrong(seen, as_was_known, (What.KILLED, 3.5, 8.0)) == []
    assert wrong(seen, as_was_known, (What.KILLED, 3.5, 5.0)) != []
    assert wrong(seen, as_was_known, (What.CRM_503, 3.5, 8.0)) != []
    nobody_of_them = told(OLGA, BORIS, upload={"code": "999"})
    assert wrong(seen, nobody_of_them, (What.KILLED, 3.5, 8.0)) != []


def test_of_two_who_answer_at_once_the_one_who_stays_has_talked() -> None:
    seen = talk(
        Kind.UNKNOWN,
        Rang(OLGA, BEGAN + 0.2, BEGAN + 2, BEGAN + 2.2, refused=False),
        Rang(BORIS, BEGAN + 0.2, BEGAN + 2, BEGAN + 7, refused=False),
    )
    assert wrong(seen, told(OLGA, BORIS)) == []
    assert wrong(seen, told(BORIS, OLGA)) != []


def test_who_talked_for_a_moment_at_the_end_may_be_named_or_the_one_before() -> None:
    seen = talk(
        Kind.BLIND,
        Rang(OLGA, BEGAN + 0.2, BEGAN + 2, BEGAN + 6.4, refused=False),
        Rang(BORIS, BEGAN + 6.4, BEGAN + 6.4, BEGAN + 7, refused=False),
    )
    assert wrong(seen, told(OLGA, BORIS)) == []
    assert wrong(seen, told(OLGA, BORIS, upload={"code": OLGA})) == []


def test_a_clock_that_is_set_moves_dates_and_no_durations() -> None:
    ahead = {"date": "2026-01-15 12:00:40"}
    assert wrong(talk(), told(upload=ahead), (What.CLOCK, 3.0, 6.0)) == []
    assert wrong(talk(), told(upload=ahead | {"duration": 45}), (What.CLOCK, 3.0, 6.0)) != []


def test_who_was_kept_waiting_by_us_is_told_with_the_telephones_time_or_the_callers() -> None:
    late = talk(answered=BEGAN + 5)
    assert wrong(late, told()) == []
    assert wrong(late, told(upload={"duration": 2, "durationWaiting": 5})) == []


def test_two_who_answered_while_nothing_was_heard_talk_no_longer_than_the_caller_did() -> None:
    phones = (
        Rang(OLGA, BEGAN + 0.2, BEGAN + 1, BEGAN + 17, refused=False),
        Rang(BORIS, BEGAN + 0.2, BEGAN + 2, BEGAN + 12, refused=False),
    )
    late = talk(Kind.KNOWN, *phones, answered=BEGAN + 11.9, ended=BEGAN + 17)
    said = told(OLGA, BORIS, upload={"code": OLGA, "durationWaiting": 12}, recorded=Recorded(200, 5.0))
    assert wrong(late, said, (What.WIRE_PULLED, 0.9, 11.5)) == []


def test_where_an_answer_may_have_been_missed_it_may_be_unknown_but_never_somebody_elses() -> None:
    unknown = told(
        upload={
            "result": "unknown",
            "code": None,
            "duration": None,
            "durationWaiting": None,
            "recordUrl": None,
        },
        status="failed",
    )
    gap = (What.KILLED, 1.5, 3.0)
    assert wrong(talk(), unknown, gap) == []
    assert wrong(talk(), unknown, (What.REDIS_KILLED, 1.5, 3.0)) == [
        "told as unknown, although nothing of it was lost"
    ]
    assert wrong(talk(), told(upload={"code": None}), gap) == []
    assert wrong(talk(), told(upload={"code": BORIS}), gap) == [
        f"names {BORIS} as who talked last instead of {OLGA}"
    ]
    missed = told(upload={"result": "no answer", "duration": 0, "recordUrl": None}, status="cancel")
    assert "told as 'no answer' instead of answered" in wrong(talk(), missed, gap)


def test_a_time_may_be_off_by_the_gap_that_it_lies_in() -> None:
    assert wrong(talk(), told(upload={"durationWaiting": 5, "duration": 2}), (What.WIRE_CUT, 1.5, 4.0)) == []
    assert wrong(talk(), told(upload={"durationWaiting": 9}), (What.WIRE_CUT, 1.5, 4.0)) != []
    assert wrong(talk(), told(upload={"durationWaiting": 5}), (What.CRM_SLOW, 1.5, 4.0)) != []


def test_a_recording_may_begin_late_by_what_held_us_up_at_the_answer() -> None:
    late = told(recorded=Recorded(200, 1.4))
    short = ["a recording of 1.4 s instead of 5.0 s"]
    assert wrong(talk(), late) == short
    assert wrong(talk(), late, (What.BLOCKED, 1.9, 4.5)) == []
    assert wrong(talk(), late, (What.WIRE_SLOW, 1.5, 9.0)) == []
    assert wrong(talk(), late, (What.BLOCKED, 3.5, 6.0)) == short  # after the answer
    none = told(upload={"recordUrl": None, "duration": 2})
    brief = talk(Kind.KNOWN, Rang(OLGA, BEGAN + 0.2, BEGAN + 2, BEGAN + 4, refused=False), ended=BEGAN + 4)
    assert wrong(brief, none) == ["no recording"]
    assert wrong(brief, none, (What.WIRE_SLOW, 1.5, 9.0)) == []
    assert wrong(talk(), told(recorded=Recorded(200, 9.0)), (What.BLOCKED, 1.9, 4.5)) != []


def test_a_recording_may_end_late_by_what_held_us_up_at_the_end() -> None:
    late, far_too_late = told(recorded=Recorded(200, 7.9)), told(recorded=Recorded(200, 9.0))
    assert wrong(talk(), late) == ["a recording of 7.9 s instead of 5.0 s"]
    assert wrong(talk(), late, (What.FROZEN, 6.4, 8.6)) == []
    assert wrong(talk(), far_too_late, (What.FROZEN, 6.4, 8.6)) != []
    assert wrong(talk(), late, (What.FROZEN, 3.8, 6.0)) != []  # it was over by then


def test_a_slow_wire_is_a_gap_only_from_when_the_pbx_was_not_heard() -> None:
    seen = talk(shop=[], reason="Q.850;cause=31", answered=BEGAN)
    slow = Happened(PlannedFault(0, What.WIRE_SLOW, 9.0, 0, True), BEGAN - 2, BEGAN + 9, BEGAN + 9)
    by_dialplan = ["the dialplan served the call although we were there"]
    assert judged(seen, Told(), slow) == by_dialplan
    assert judged(seen, Told(), replace(slow, unheard_since=BEGAN + 8.5)) == by_dialplan
    assert judged(seen, Told(), replace(slow, unheard_since=BEGAN + 0.5)) == []


def test_a_caller_who_gives_up_was_not_answered() -> None:
    seen = talk(
        Kind.GIVES_UP,
        Rang(OLGA, BEGAN + 0.2, None, BEGAN + 7, refused=False),
        status=487,
        answered=None,
        gave_up=True,
    )
    missed = {"result": "no answer", "duration": 0, "durationWaiting": 7, "recordUrl": None}
    assert wrong(seen, told(upload=missed, status="cancel")) == []
    assert wrong(seen, told()) != []


def test_on_a_slow_wire_the_caller_may_leave_before_the_telephone_rings_of_which_the_crm_is_told() -> None:
    left = talk(Kind.GIVES_UP, shop=[], status=487, answered=None, gave_up=True, ended=BEGAN + 4)
    missed = {"result": "no answer", "duration": 0, "durationWaiting": 4, "recordUrl": None}
    said = told(upload=missed, status="cancel")
    assert wrong(left, said) == [f"told that {OLGA} rings, whose telephone did not"]
    assert wrong(left, said, (What.WIRE_SLOW, -1.0, 9.0)) == []


def test_the_dialplan_serves_calls_only_while_we_are_away() -> None:
    seen = talk(shop=[], reason="Q.850;cause=31", answered=BEGAN)
    assert wrong(seen, Told(), (What.STOPPED, -1.0, 3.0)) == []
    assert wrong(seen, Told()) == ["the dialplan served the call although we were there"]
