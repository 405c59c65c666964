"""Which places of a PBX's dialplan a shop is offered to lead calls to."""

import pytest

from ari_app.asterisk.ajam_wire import AjamEvent
from ari_app.asterisk.places import MOST, Places, read_places


def step(context: str, exten: str, application: str, data: str = "", priority: str = "1") -> AjamEvent:
    fields = {"Context": context, "Extension": exten, "Priority": priority}
    return AjamEvent("ListDialplan", fields | {"Application": application, "AppData": data})


def included(context: str, other: str) -> AjamEvent:
    return AjamEvent("ListDialplan", {"Context": context, "IncludeContext": other})


def places(*dialplan: AjamEvent, queues: tuple[str, ...] = ()) -> Places:
    named = [AjamEvent("QueueSummary", {"Queue": name}) for name in queues]
    return read_places(dialplan, named, "retailcrm")


def test_a_queue_is_offered_as_it_is_typed() -> None:
    found = places(
        step("ext-queues", "400", "Answer"),
        step("ext-queues", "400", "Queue", "400,t,,", "2"),
        step("ext-queues", "h", "Hangup"),
    )
    assert found == Places(queues=("ext-queues,400",))


def test_a_queue_that_has_no_first_step_is_not_offered() -> None:
    assert places(step("ext-queues", "400", "Queue", "400", "2")) == Places()


@pytest.mark.parametrize(
    ("pattern", "offered"),
    [
        ("_[a-z].", ("queues,sales", "queues,support-2")),
        ("_s!", ("queues,sales", "queues,support-2")),
        ("_6XX", ("queues,600",)),
        ("_ZNX", ()),
        ("_[56]x[0-1]", ("queues,600",)),
        ("_[z-a].", ()),
        ("_6-0-0", ("queues,600",)),
    ],
)
def test_a_pattern_of_queues_is_offered_as_the_queues_that_it_takes(
    pattern: str, offered: tuple[str, ...]
) -> None:
    names = ("sales", "support-2", "600", "Большая", "")
    found = places(step("queues", pattern, "Queue", "${EXTEN},t"), queues=names)
    assert found == Places(queues=offered)


def test_a_pattern_whose_queue_is_named_otherwise_is_not_offered() -> None:
    assert places(step("queues", "_X.", "Queue", "${QUEUENAME}"), queues=("600",)) == Places()


def test_menus_and_voicemail_are_offered_and_subroutines_are_not() -> None:
    found = places(
        step("ivr-1", "s", "Background", "hello"),
        step("mail", "vm", "VoiceMail", "100@default"),
        step("mail", "pick-up", "NoOp"),
        step("macro-vm", "s", "VoiceMail", "100"),
        step("sub-record-check", "s", "NoOp"),
        step("transferred", "s", "NoOp"),
        step("transferred", "s", "Return", "", "2"),
        step("retailcrm-incoming", "s", "NoOp"),
        step("from-trunk", "s", "Stasis", "retailcrm,incoming,"),
    )
    assert found == Places(menus=("ivr-1,s,1", "mail,vm,1"))


def test_a_line_is_where_numbers_outside_are_dialled() -> None:
    found = places(
        step("default", "_[+0-9].", "Dial", "PJSIP/${EXTEN}@trunk,60"),
        step("second", "_8XXXXXXXXXX", "Dial", "PJSIP/${EXTEN:1}@trunk,60"),
        step("phones", "_XXX", "Dial", "PJSIP/${EXTEN},60"),
        step("phones", "_[1-3]X[0-9]", "Dial", "PJSIP/${EXTEN},60"),
        step("door", "_X.", "Dial", "PJSIP/100"),
        step("from-trunk", "_X.", "Stasis", "retailcrm,incoming,${EXTEN}"),
        step("retailcrm-outgoing", "_X.", "Dial", "PJSIP/${EXTEN}@trunk"),
    )
    assert found == Places(lines=("default", "second"))


def test_freepbx_lets_out_where_its_phones_dial() -> None:
    found = places(
        included("from-internal-additional", "outbound-allroutes"),
        step("outrt-1", "_X.", "Gosub", "macro-dialout-trunk,s,1(1,${EXTEN})"),
    )
    assert found.lines == ("from-internal",)


def test_what_can_not_be_typed_is_not_offered_and_not_too_much_is() -> None:
    odd = [step(context, "400", "Queue") for context in ("очередь", "a b", "a;b", "a,b", "x" * 80, "")]
    assert places(*odd) == Places()
    assert len(places(*(step("q", str(exten), "Queue") for exten in range(MOST + 1))).queues) == MOST


def test_what_else_the_pbx_says_is_no_place() -> None:
    assert (
        places(
            AjamEvent("ShowDialPlanComplete", {"ListItems": "0"}),
            AjamEvent("ListDialplan", {"Context": "x", "Switch": "Realtime/@"}),
            AjamEvent(
                "ListDialplan",
                {"Context": "x", "Extension": "1", "Priority": "hint", "Application": "PJSIP/1"},
            ),
        )
        == Places()
    )
