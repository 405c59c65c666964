"""What the demo shows: one plan a call, with how it must go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ari_app.demo.pbx.phones import Answers, Behaviour, Busy, Declines, Rings
from ari_app.demo.show.acts import Act, CallsUs, Dials, IsClicked, IsHandedOver
from ari_app.demo.show.circumstances import AsUsual, AtDinner, Circumstance, CrmIsSilent, WithoutAri
from ari_app.demo.show.people import (
    ANNA,
    ANNA_SHOWN,
    BORIS,
    OLGA,
    PYOTR,
    PYOTR_SHOWN,
    QUEUE,
    QUEUE_MEMBERS,
    STRANGER,
    VERA,
    WITHHELD,
)
from ari_app.demo.show.theatre import CallFields
from ari_app.demo.show.verdict import Expected, Result, Told

GROUP = f"group:{BORIS},{VERA}"
CALLER_NAME = "Звонок из CRM"


@dataclass(frozen=True, slots=True)
class Plan:
    """One call: how it is placed, what the phones do, how the account is set, and how it must go."""

    name: str
    title: str
    """What is about to be shown, in plain words."""
    act: Act
    expected: Expected
    phones: Mapping[str, Behaviour] = field(default_factory=dict)
    calls: CallFields = field(default_factory=lambda: {"fallback": GROUP})
    """The fields of the account's section `calls` that matter."""
    circumstance: Circumstance = field(default_factory=AsUsual)


PLANS = (
    Plan(
        "known-customer",
        "A known customer reaches the responsible manager",
        CallsUs(ANNA),
        Expected(
            200,
            (Told("in", (OLGA,)), Told("hangup", (OLGA,), "answered")),
            Result("answered", OLGA),
            talkers=(OLGA,),
            recorded=True,
            shown=ANNA_SHOWN,
        ),
        {OLGA: Answers(after=1.2)},
    ),
    Plan(
        "no-answer-group",
        "The manager doesn't answer in 3 s: the group is rung",
        CallsUs(ANNA),
        Expected(
            200,
            (
                Told("in", (OLGA,)),
                Told("in", (BORIS, VERA)),
                Told("hangup", (OLGA, BORIS, VERA), "answered"),
            ),
            Result("answered", BORIS),
            talkers=(BORIS,),
            recorded=True,
            shown=ANNA_SHOWN,
        ),
        {OLGA: Rings(), BORIS: Answers(after=1.2), VERA: Rings()},
        {"ring_manager_seconds": 3, "fallback": GROUP},
    ),
    Plan(
        "click-to-call",
        "A click in the CRM: the manager's phone rings, then the customer's",
        IsClicked(PYOTR, "8 (926) 555-01-34", OLGA, Answers(after=1.0, hangs_up_after=2.5)),
        Expected(
            200,
            (Told("out", (OLGA,)), Told("hangup", (OLGA,), "answered")),
            Result("answered", OLGA, "out"),
            talkers=(OLGA,),
            recorded=True,
            shown=CALLER_NAME,
            dialled=("89265550134",),
        ),
        {OLGA: Answers(after=1.2)},
        {"manager_caller_name": CALLER_NAME},
    ),
    Plan(
        "transfer",
        "The manager hands the customer over to a colleague: still one call",
        IsHandedOver(ANNA, OLGA, BORIS),
        Expected(
            200,
            (Told("in", (OLGA,)), Told("in", (BORIS,)), Told("hangup", (OLGA, BORIS), "answered")),
            Result("answered", BORIS),
            talkers=(OLGA, BORIS),
            recorded=True,
            shown=ANNA_SHOWN,
        ),
        {OLGA: Answers(after=1.0), BORIS: Answers(after=1.2)},
    ),
    Plan(
        "unknown-customer",
        "The CRM doesn't know the customer: the group for unknown customers is rung",
        CallsUs(STRANGER),
        Expected(
            200,
            (Told("in", (BORIS, VERA)), Told("hangup", (BORIS, VERA), "answered")),
            Result("answered", VERA),
            talkers=(VERA,),
            recorded=True,
            shown=STRANGER,
        ),
        {BORIS: Rings(), VERA: Answers(after=1.0)},
        {"unknown": GROUP},
    ),
    Plan(
        "gives-up",
        "The customer hangs up while waiting: the CRM learns whom to call back",
        CallsUs(ANNA, gives_up_after=2.5),
        Expected(
            487,
            (Told("in", (OLGA,)), Told("hangup", (OLGA,), "cancel")),
            Result("no answer", OLGA),
            shown=ANNA_SHOWN,
        ),
        {OLGA: Rings()},
    ),
    Plan(
        "busy-group",
        "The manager is on the phone: the group is rung at once",
        CallsUs(ANNA),
        Expected(
            200,
            (
                Told("in", (OLGA,)),
                Told("in", (BORIS, VERA)),
                Told("hangup", (OLGA, BORIS, VERA), "answered"),
            ),
            Result("answered", VERA),
            talkers=(VERA,),
            recorded=True,
            shown=ANNA_SHOWN,
        ),
        {OLGA: Busy(), BORIS: Rings(), VERA: Answers(after=1.0)},
    ),
    Plan(
        "at-dinner",
        "The manager is at dinner, as the CRM says: the group is rung at once",
        CallsUs(ANNA),
        Expected(
            200,
            (Told("in", (BORIS, VERA)), Told("hangup", (BORIS, VERA), "answered")),
            Result("answered", VERA),
            talkers=(VERA,),
            recorded=True,
            shown=ANNA_SHOWN,
            left_alone=(OLGA,),
        ),
        {OLGA: Rings(), BORIS: Rings(), VERA: Answers(after=1.0)},
        circumstance=AtDinner(OLGA),
    ),
    Plan(
        "everyone-busy",
        "Everyone is busy: the customer hears it at once, and so does the CRM",
        CallsUs(ANNA),
        Expected(
            486,
            (
                Told("in", (OLGA,)),
                Told("in", (BORIS, VERA)),
                Told("hangup", (OLGA, BORIS, VERA), "busy"),
            ),
            Result("busy", OLGA),
            shown=ANNA_SHOWN,
        ),
        {OLGA: Busy(), BORIS: Busy(), VERA: Busy()},
    ),
    Plan(
        "queue",
        "An Asterisk Queue(): the member who takes the call is known exactly",
        CallsUs(PYOTR),
        Expected(
            200,
            (Told("in", QUEUE_MEMBERS), Told("hangup", QUEUE_MEMBERS, "answered")),
            Result("answered", VERA),
            talkers=(VERA,),
            recorded=True,
            shown=PYOTR_SHOWN,
        ),
        {BORIS: Rings(), VERA: Answers(after=1.2)},
        {"fallback": f"queue:{QUEUE}"},
    ),
    Plan(
        "outgoing",
        "The manager dials a customer: recorded, and told to the CRM",
        Dials(PYOTR, "89265550134", OLGA, Answers(after=1.2)),
        Expected(
            200,
            (Told("out", (OLGA,)), Told("hangup", (OLGA,), "answered")),
            Result("answered", OLGA, "out"),
            talkers=(OLGA,),
            recorded=True,
            dialled=("89265550134",),
        ),
        calls={},
    ),
    Plan(
        "click-by-ajam",
        "A click in the CRM while ARI is away: AJAM places the call, unrecorded",
        IsClicked(ANNA, ANNA, OLGA, Answers(after=1.0, hangs_up_after=2.5)),
        Expected(
            200,
            (Told("out", (OLGA,)), Told("hangup", (OLGA,), "answered")),
            Result("answered", OLGA, "out"),
            talkers=(OLGA,),
            shown=CALLER_NAME,
            dialled=(ANNA,),
        ),
        {OLGA: Answers(after=1.2)},
        {"manager_caller_name": CALLER_NAME},
        WithoutAri(),
    ),
    Plan(
        "declines-dialplan",
        "The manager declines: the caller goes on to the shop's own voice menu",
        CallsUs(ANNA, talks=None),
        Expected(
            200,
            (Told("in", (OLGA,)), Told("hangup", (OLGA,), "answered")),
            Result("answered", None),
            shown=ANNA_SHOWN,
        ),
        {OLGA: Declines(after=1.0)},
        {"fallback": "dialplan:menu,answers,1"},
    ),
    Plan(
        "withheld-number",
        "A withheld number: served and recorded, and the CRM is told nothing",
        CallsUs(WITHHELD),
        Expected(200, (), None, talkers=(BORIS,), recorded=True),
        {BORIS: Answers(after=1.0), VERA: Rings()},
        {"unknown": GROUP},
    ),
    Plan(
        "crm-silent",
        "The CRM doesn't say who calls: after 2 s the call goes on without it",
        CallsUs(ANNA),
        Expected(
            200,
            (Told("in", (BORIS, VERA)), Told("hangup", (BORIS, VERA), "answered")),
            Result("answered", BORIS),
            talkers=(BORIS,),
            recorded=True,
            shown=ANNA,
        ),
        {BORIS: Answers(after=1.0), VERA: Rings()},
        {"unknown": GROUP},
        circumstance=CrmIsSilent(),
    ),
)
