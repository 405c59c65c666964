"""The demo: it ends well when every call went as planned and the CRM heard exactly what it had to."""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ari_app.calls.call import Way
from ari_app.demo.crm.rules import ToldCall, ToldEvent
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.show.people import ANNA, PYOTR, SHOP
from ari_app.demo.show.plans import PLANS
from ari_app.demo.show.run import run
from ari_app.demo.show.story import Narrator, Performance, named
from ari_app.demo.show.verdict import Observed, problems

PLAN = PLANS[0]
IN = ToldEvent.model_validate(
    {"phone": ANNA, "type": "in", "codes": ["101"], "callExternalId": "c1", "externalPhone": SHOP}
)
HANGUP = IN.model_copy(update={"type": "hangup", "hangup_status": "answered"})
UPLOAD = ToldCall.model_validate(
    {
        "date": "2026-01-01 12:00:00",
        "type": "in",
        "phone": ANNA,
        "result": "answered",
        "externalId": "c1",
        "code": "101",
        "duration": 2,
        "durationWaiting": 1,
        "recordUrl": "http://localhost/recordings/c1.wav",
        "externalPhone": SHOP,
    }
)
AS_PLANNED = Observed(
    sip_status=200,
    waited=1.2,
    talked=2.5,
    talkers=("101",),
    shown=("Иванова Анна",),
    events=(IN, HANGUP),
    uploads=(UPLOAD,),
    recording=2.4,
)


async def ari_app(*arguments: str) -> tuple[int | None, list[dict[str, Any]], str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ari_app.cli", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaint = await process.communicate()
    return process.returncode, [json.loads(line) for line in said.splitlines()], complaint.decode()


async def test_four_calls_show_the_product_and_end_as_planned() -> None:
    code, lines, complaint = await ari_app("demo", "--calls", "4", "--exit", "--json")
    *calls, summary = lines
    assert (code, complaint) == (0, ""), lines
    assert summary == {
        "summary": True,
        "ok": True,
        "calls": 4,
        "as_planned": 4,
        "failed": [],
        "log": None,
    }
    assert [call["plan"] for call in calls] == [
        "known-customer",
        "no-answer-group",
        "click-to-call",
        "transfer",
    ]
    assert [call["crm_uploads"][0]["type"] for call in calls] == ["in", "in", "out", "in"]
    assert [call["crm_uploads"][0]["result"] for call in calls] == ["answered"] * 4
    assert [call["talkers"] for call in calls] == [["101"], ["102"], ["101"], ["101", "102"]]
    assert all(call["recording_url"] for call in calls)


async def test_calls_that_begin_with_us_and_a_manager_who_is_away_go_as_planned(
    installation: Installation, tmp_path: Path
) -> None:
    names = ["at-dinner", "outgoing", "click-by-ajam"]
    performances: list[Performance] = []
    await run(
        installation,
        Narrator(),
        tmp_path,
        performances,
        stop=asyncio.Event(),
        plans=[plan for plan in PLANS if plan.name in names],
        calls=len(names),
        stay=False,
    )
    assert [(one.plan.name, one.problems) for one in performances] == [(name, []) for name in names]
    ways = [one.call.way for one in performances if one.call is not None]
    assert ways == [Way.ARI, Way.ARI, Way.AJAM]


def test_a_call_as_planned_has_no_problems() -> None:
    assert problems(PLAN.expected, AS_PLANNED, ANNA, SHOP) == []


@pytest.mark.parametrize(
    ("observed", "problem"),
    [
        (replace(AS_PLANNED, sip_status=486), "SIP 486 instead of 200"),
        (replace(AS_PLANNED, talkers=("102",)), "102 talked instead of 101"),
        (replace(AS_PLANNED, shown=(ANNA,)), f"the phones showed {ANNA} instead of Иванова Анна"),
        (replace(AS_PLANNED, events=(IN,)), "heard in 101 instead of in 101; hangup 101 answered"),
        (replace(AS_PLANNED, events=(HANGUP, IN)), "heard hangup 101 answered; in 101 instead of"),
        (replace(AS_PLANNED, events=(IN, IN, HANGUP)), "heard in 101; in 101; hangup 101 answered instead"),
        (replace(AS_PLANNED, uploads=()), "no result instead of in, answered, 101"),
        (replace(AS_PLANNED, uploads=(UPLOAD, UPLOAD)), "in, answered, 101; in, answered, 101 instead of"),
        (
            replace(AS_PLANNED, uploads=(UPLOAD.model_copy(update={"type": "out"}),)),
            "out, answered, 101 instead of in, answered, 101",
        ),
        (replace(AS_PLANNED, dialled=(PYOTR,)), f"{PYOTR} was dialled instead of nobody"),
        (replace(AS_PLANNED, talked=7.0, recording=7.0), "told 2 s of talking, the customer saw 7.0 s"),
        (replace(AS_PLANNED, waited=7.0), "told 1 s of waiting, the customer saw 7.0 s"),
        (replace(AS_PLANNED, recording=None), "no recording can be downloaded"),
        (replace(AS_PLANNED, recording=1.8), "the recording is 1.8 s long, the talk was 2.5 s"),
        (
            replace(AS_PLANNED, uploads=(UPLOAD.model_copy(update={"record_url": None}),)),
            "given no recording's link",
        ),
        (
            replace(AS_PLANNED, uploads=(UPLOAD.model_copy(update={"phone": "+7"}),)),
            f"told of +7 and {SHOP}",
        ),
        (replace(AS_PLANNED, violations=("upload twice",)), "must not be: upload twice"),
    ],
)
def test_whatever_is_not_as_planned_is_said(observed: Observed, problem: str) -> None:
    found = problems(PLAN.expected, observed, ANNA, SHOP)
    assert len(found) == 1
    assert problem in found[0]


def outgoing(message: ToldEvent | ToldCall, **fields: Any) -> Any:
    return message.model_copy(update={"phone": PYOTR, "external_phone": None, **fields})


DIALS = next(plan.expected for plan in PLANS if plan.name == "outgoing")
DIALLED = replace(
    AS_PLANNED,
    shown=(),
    dialled=("89265550134",),
    events=(outgoing(IN, type="out"), outgoing(HANGUP)),
    uploads=(outgoing(UPLOAD, type="out"),),
)


def test_a_call_that_begins_with_us_as_planned_has_no_problems() -> None:
    assert problems(DIALS, DIALLED, PYOTR, SHOP) == []


@pytest.mark.parametrize(
    ("observed", "problem"),
    [
        (replace(DIALLED, dialled=()), "nobody was dialled instead of 89265550134"),
        (replace(DIALLED, talkers=()), "nobody talked instead of 101"),
        (replace(DIALLED, events=(outgoing(IN), outgoing(HANGUP))), "heard in 101; hangup 101 answered"),
        (
            replace(DIALLED, uploads=(outgoing(UPLOAD, type="out", phone="89265550134"),)),
            "told of 89265550134 and no number of ours",
        ),
    ],
)
def test_of_a_call_that_begins_with_us_too(observed: Observed, problem: str) -> None:
    found = problems(DIALS, observed, PYOTR, SHOP)
    assert len(found) == 1
    assert problem in found[0]


def test_a_phone_that_should_have_been_left_alone_is_named() -> None:
    expected = replace(PLAN.expected, left_alone=("102",))
    assert problems(expected, replace(AS_PLANNED, rang=("101",)), ANNA, SHOP) == []
    assert problems(expected, replace(AS_PLANNED, rang=("101", "102")), ANNA, SHOP) == [
        "102 rang and should have been left alone"
    ]


def test_managers_are_named_and_other_figures_left_alone() -> None:
    assert named("101: busy; trying 102, 103") == "101 Ольга: busy; trying 102 Борис, 103 Вера"
    assert (
        named("+79161011022 waits 101.5 s at http://x:101/") == "+79161011022 waits 101.5 s at http://x:101/"
    )
