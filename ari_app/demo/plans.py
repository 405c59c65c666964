"""What the demo shows: the people, and one plan a call with how it must go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ari_app.demo.phones import Answers, Behaviour, Busy, Declines, Rings
from ari_app.demo.retailcrm import Customer, Manager, Silent
from ari_app.demo.retailcrm_faults import Kind
from ari_app.demo.verdict import Expected, Result, Told

SHOP = "+74951204560"
OLGA, BORIS, VERA = "101", "102", "103"
MANAGERS = (
    Manager(id=1, first_name="Ольга", last_name="Смирнова", code=OLGA),
    Manager(id=2, first_name="Борис", last_name="Кузнецов", code=BORIS),
    Manager(id=3, first_name="Вера", last_name="Соколова", code=VERA),
)
QUEUE = "sales"
QUEUE_MEMBERS = (BORIS, VERA)

ANNA, PYOTR = "+79161234567", "+79265550134"
STRANGER, WITHHELD = "+79037654321", "anonymous"
CUSTOMERS = (
    Customer(id=1, first_name="Анна", last_name="Иванова", phones=(ANNA,), manager_id=1),
    Customer(id=2, first_name="Пётр", last_name="Волков", phones=(PYOTR,)),
)
ANNA_SHOWN, PYOTR_SHOWN = "Иванова Анна", "Волков Пётр"
GROUP = f"group:{BORIS},{VERA}"


@dataclass(frozen=True, slots=True)
class Plan:
    """One call: who calls, what the phones do, how the account is set, and how it must go."""

    name: str
    title: str
    """What is about to be shown, in plain words."""
    number: str
    expected: Expected
    phones: Mapping[str, Behaviour]
    calls: Mapping[str, str | int] = field(default_factory=lambda: {"fallback": GROUP})
    """The fields of the account's section `calls` that matter."""
    talks: float | None = 2.5
    """Seconds after the answer until the customer hangs up; None: waits for the other side."""
    gives_up_after: float | None = None
    crm_fault: Kind | None = None
    """What befalls the CRM when it is asked for the customer."""


PLANS = (
    Plan(
        "known-customer",
        "A known customer reaches the responsible manager",
        ANNA,
        Expected(
            200,
            (Told("in", (OLGA,)), Told("hangup", (OLGA,), "answered")),
            Result("answered", OLGA),
            talker=OLGA,
            recorded=True,
            shown=ANNA_SHOWN,
        ),
        {OLGA: Answers(after=1.2)},
    ),
    Plan(
        "no-answer-group",
        "The manager doesn't answer in 3 s: the group is rung",
        ANNA,
        Expected(
            200,
            (
                Told("in", (OLGA,)),
                Told("in", (BORIS, VERA)),
                Told("hangup", (OLGA, BORIS, VERA), "answered"),
            ),
            Result("answered", BORIS),
            talker=BORIS,
            recorded=True,
            shown=ANNA_SHOWN,
        ),
        {OLGA: Rings(), BORIS: Answers(after=1.2), VERA: Rings()},
        {"ring_manager_seconds": 3, "fallback": GROUP},
    ),
    Plan(
        "unknown-customer",
        "The CRM doesn't know the customer: the group for unknown customers is rung",
        STRANGER,
        Expected(
            200,
            (Told("in", (BORIS, VERA)), Told("hangup", (BORIS, VERA), "answered")),
            Result("answered", VERA),
            talker=VERA,
            recorded=True,
            shown=STRANGER,
        ),
        {BORIS: Rings(), VERA: Answers(after=1.0)},
        {"unknown": GROUP},
    ),
    Plan(
        "gives-up",
        "The customer hangs up while waiting: the CRM learns whom to call back",
        ANNA,
        Expected(
            487,
            (Told("in", (OLGA,)), Told("hangup", (OLGA,), "cancel")),
            Result("no answer", OLGA),
            shown=ANNA_SHOWN,
        ),
        {OLGA: Rings()},
        gives_up_after=2.5,
    ),
    Plan(
        "busy-group",
        "The manager is on the phone: the group is rung at once",
        ANNA,
        Expected(
            200,
            (
                Told("in", (OLGA,)),
                Told("in", (BORIS, VERA)),
                Told("hangup", (OLGA, BORIS, VERA), "answered"),
            ),
            Result("answered", VERA),
            talker=VERA,
            recorded=True,
            shown=ANNA_SHOWN,
        ),
        {OLGA: Busy(), BORIS: Rings(), VERA: Answers(after=1.0)},
    ),
    Plan(
        "everyone-busy",
        "Everyone is busy: the customer hears it at once, and so does the CRM",
        ANNA,
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
        PYOTR,
        Expected(
            200,
            (Told("in", QUEUE_MEMBERS), Told("hangup", QUEUE_MEMBERS, "answered")),
            Result("answered", VERA),
            talker=VERA,
            recorded=True,
            shown=PYOTR_SHOWN,
        ),
        {BORIS: Rings(), VERA: Answers(after=1.2)},
        {"fallback": f"queue:{QUEUE}"},
    ),
    Plan(
        "declines-dialplan",
        "The manager declines: the caller goes on to the shop's own voice menu",
        ANNA,
        Expected(
            200,
            (Told("in", (OLGA,)), Told("hangup", (OLGA,), "answered")),
            Result("answered", None),
            shown=ANNA_SHOWN,
        ),
        {OLGA: Declines(after=1.0)},
        {"fallback": "dialplan:menu,answers,1"},
        talks=None,
    ),
    Plan(
        "withheld-number",
        "A withheld number: served and recorded, and the CRM is told nothing",
        WITHHELD,
        Expected(200, (), None, talker=BORIS, recorded=True),
        {BORIS: Answers(after=1.0), VERA: Rings()},
        {"unknown": GROUP},
    ),
    Plan(
        "crm-silent",
        "The CRM doesn't say who calls: after 2 s the call goes on without it",
        ANNA,
        Expected(
            200,
            (Told("in", (BORIS, VERA)), Told("hangup", (BORIS, VERA), "answered")),
            Result("answered", BORIS),
            talker=BORIS,
            recorded=True,
            shown=ANNA,
        ),
        {BORIS: Answers(after=1.0), VERA: Rings()},
        {"unknown": GROUP},
        crm_fault=Silent(),
    ),
)
