"""Where a call goes: how destinations are written, and which a call tries."""

import pytest

from ari_app.calls.routing import (
    IN_TURN_SECONDS,
    BadDestination,
    Destination,
    Dialplan,
    People,
    Policy,
    Queue,
    is_extension,
    parse_destinations,
    plan,
    way_out,
)

GROUP = People(("103", "104"), 60)
POLICY = Policy("PJSIP/##", fallback=(GROUP,), unknown=(Queue("sales"),), ring_manager_seconds=25)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("group:101,102", (People(("101", "102"), 45),)),
        ("group:101", (People(("101",), 45),)),
        ("group:*55, 102#", (People(("*55", "102#"), 45),)),
        ("group:101>102", (People(("101",), IN_TURN_SECONDS), People(("102",), IN_TURN_SECONDS))),
        ("queue:sales", (Queue("sales", "s"),)),
        ("queue:ext-queues,600", (Queue("ext-queues", "600"),)),
        ("dialplan:ivr,s,1", (Dialplan("ivr", "s", 1),)),
        ("GROUP: 101 ; Queue:sales;", (People(("101",), 45), Queue("sales"))),
        ("", ()),
    ],
)
def test_destinations_are_read_as_they_are_documented(written: str, read: tuple[Destination, ...]) -> None:
    assert parse_destinations(written, together_seconds=45) == read


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("101,102", "a destination is group:101,102"),
        ("fax:101", "a destination is group:101,102"),
        ("group", "a destination is group:101,102"),
        ("group:", "a group is extensions of digits"),
        ("group:anna", "a group is extensions of digits"),
        ("group:101,102>103", "a group is extensions of digits"),
        ("group:101,101", "stands in the group twice"),
        ("group:101>101", "stands in the group twice"),
        ("group:101/n@evil", "a group is extensions of digits"),
        ("queue:", "a queue is queue:CONTEXT"),
        ("queue:sales,", "a queue is queue:CONTEXT"),
        ("queue:a,b,c", "a queue is queue:CONTEXT"),
        ("dialplan:ivr,s", "dialplan:CONTEXT,EXTEN,PRIORITY"),
        ("dialplan:ivr,s,first", "dialplan:CONTEXT,EXTEN,PRIORITY"),
        ("dialplan:i v r,s,1", "dialplan:CONTEXT,EXTEN,PRIORITY"),
        ("dialplan:ivr,s,0", "dialplan:CONTEXT,EXTEN,PRIORITY"),
        ("dialplan:ivr,s,²", "dialplan:CONTEXT,EXTEN,PRIORITY"),
    ],
)
def test_a_destination_written_wrongly_is_named_with_what_was_expected(written: str, expected: str) -> None:
    with pytest.raises(BadDestination) as refusal:
        parse_destinations(f"queue:sales;{written}", together_seconds=60)
    assert expected in str(refusal.value)
    assert repr(written) in str(refusal.value)


def test_a_known_customer_with_a_manager_reaches_the_manager_then_the_fallback() -> None:
    assert plan(POLICY, known=True, responsible="101") == (People(("101",), 25), GROUP)


def test_a_known_customer_without_a_manager_reaches_the_fallback() -> None:
    assert plan(POLICY, known=True, responsible=None) == (GROUP,)


def test_an_unknown_customer_has_a_destination_of_their_own() -> None:
    assert plan(POLICY, known=False, responsible=None) == (Queue("sales"),)


def test_an_unknown_customer_reaches_the_fallback_where_nothing_else_is_set() -> None:
    assert plan(Policy("PJSIP/##", fallback=(GROUP,), unknown=()), False, None) == (GROUP,)


def test_a_waiting_caller_can_be_sent_on_to_a_queue_or_a_dialplan_destination() -> None:
    assert way_out((GROUP, Queue("sales", "600"), Dialplan("ivr", "s", 3))) == Dialplan("sales", "600", 1)
    assert way_out((Dialplan("ivr", "s", 3), Queue("sales"))) == Dialplan("ivr", "s", 3)
    assert way_out((GROUP,)) is None


@pytest.mark.parametrize("code", ["101", "*97", "1#", "0" * 20])
def test_digits_star_and_hash_make_an_extension(code: str) -> None:
    assert is_extension(code)


@pytest.mark.parametrize("code", ["", "a", "101 ", "10\n", "101&102", "0" * 21, "１０１"])
def test_nothing_else_may_become_a_part_of_a_channels_name(code: str) -> None:
    assert not is_extension(code)


def test_the_channel_format_names_an_extensions_channel() -> None:
    assert POLICY.endpoint("101") == "PJSIP/101"
