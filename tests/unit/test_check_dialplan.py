"""What is said of a shop's dialplan, and which numbers its lines are tried with."""

import pytest

from ari_app.asterisk.ajam_wire import AjamEvent
from ari_app.check.dialplan import Dialplan, judge
from ari_app.check.findings import State
from ari_app.check.places import sample_numbers


def dialplan(*lines: str) -> Dialplan:
    """Read lines such as ``from-trunk _X. 1 Stasis retailcrm,incoming`` and ``from-trunk < other``."""
    events = []
    for line in lines:
        context, exten, rest = line.split(" ", 2)
        if exten == "<":
            events.append(AjamEvent("ListDialplan", {"Context": context, "IncludeContext": rest}))
            continue
        priority, application, data = [*rest.split(" ", 2), ""][:3]
        fields = {"Context": context, "Extension": exten, "Priority": priority}
        events.append(AjamEvent("ListDialplan", {**fields, "Application": application, "AppData": data}))
    return Dialplan.of(tuple(events))


INCOMING = ("retailcrm-incoming s 1 Stasis retailcrm,incoming", "retailcrm-incoming s 2 Hangup")
OUTGOING = "retailcrm-let-out _X. 1 Stasis retailcrm,outgoing,${EXTEN}"


def states(*lines: str) -> list[State]:
    return [one.state for one in judge(dialplan(*lines), "retailcrm")]


def test_a_dialplan_that_is_included_is_good() -> None:
    assert states(*INCOMING, OUTGOING, "from-trunk < retailcrm-incoming") == [State.GOOD]


def test_freepbx_comes_by_a_custom_destination() -> None:
    custom = "customdests dest-1 2 Gosub retailcrm-incoming,s,1()"
    assert states(*INCOMING, OUTGOING, custom) == [State.GOOD]


def test_what_nobody_includes_may_be_a_trunks_own_context() -> None:
    assert states(*INCOMING, OUTGOING) == [State.GOOD, State.UNKNOWN]


def test_a_shops_own_context_needs_nobody_to_include_it() -> None:
    lines = (line.replace("retailcrm-incoming", "from-trunk") for line in INCOMING)
    assert states(*lines, OUTGOING) == [State.GOOD]


def test_callers_must_have_somewhere_to_go_without_us() -> None:
    found = list(judge(dialplan("from-trunk _X. 1 Stasis retailcrm,incoming", OUTGOING), "retailcrm"))
    assert [one.state for one in found] == [State.GOOD, State.BAD]
    assert "[from-trunk] _X." in found[1].sentence


def test_another_application_is_not_ours() -> None:
    assert states("from-trunk _X. 1 Stasis retailcrm2,incoming", OUTGOING) == [State.BAD]


def test_without_outgoing_the_crm_does_not_hear_of_the_phones_calls() -> None:
    assert states(*INCOMING, "from-trunk < retailcrm-incoming") == [State.GOOD, State.WARNING]


@pytest.mark.parametrize(
    ("country", "numbers"),
    [
        ("RU", ["+79123456789", "79123456789", "89123456789"]),
        ("ES", ["+34612345678", "34612345678", "612345678"]),
    ],
)
def test_lines_are_tried_with_numbers_as_people_write_them(country: str, numbers: list[str]) -> None:
    assert sample_numbers(country) == numbers


WAYS = (
    "from-trunk < ours",
    "ours s 1 Stasis retailcrm,incoming",
    "queues sales 1 Goto inner,s,1",
    "inner s 1 Queue sales",
    "inner < custom",
    "custom s 1 Goto inner,s,1",
    "apart s 1 Hangup",
)


def test_what_a_context_leads_to_is_what_it_includes_or_names() -> None:
    assert dialplan(*WAYS).behind(["queues"]) == {"queues", "inner", "custom"}


def test_what_leads_to_us_is_found_backwards() -> None:
    shop = dialplan(*WAYS)
    assert shop.leading_to(shop.incoming("retailcrm")) == {"ours", "from-trunk"}
