"""AJAM's answers as text: what is read, and what is not taken for an answer."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ari_app.asterisk.ajam_wire import AjamChannel, AjamTarget, check, quoted, read_answer, read_channels

LIST_BEGINS = "Response: Success\r\nEventList: start\r\nMessage: Channels will follow\r\n\r\n"
CHANNEL = (
    "Event: CoreShowChannel\r\nChannel: PJSIP/101-0000000a\r\nChannelState: 6\r\nChannelStateDesc: Up\r\n"
    'CallerIDNum: 101\r\nCallerIDName: Ольга: \\"Оля\\"\r\nConnectedLineNum: +79161234567\r\n'
    "AccountCode: \r\nUniqueid: shop-1-1\r\nLinkedid: shop-1-1\r\nApplication: Dial\r\n"
    "Duration: 01:02:03\r\nBridgeId: \r\n\r\n"
)


def list_ends(channels: int) -> str:
    return f"Event: CoreShowChannelsComplete\r\nEventList: Complete\r\nListItems: {channels}\r\n\r\n"


def test_a_refusal_is_read() -> None:
    answer = read_answer(b"Response: Error\r\nMessage: Permission denied\r\n\r\n")
    assert (answer.refused, answer.not_permitted, answer.message) == (True, True, "Permission denied")
    assert not read_answer(b"Response: Error\r\nMessage: No such channel\r\n\r\n").not_permitted
    assert not read_answer(b"Response: Success\r\nPing: Pong\r\n\r\n").refused


def test_events_follow_the_response() -> None:
    answer = read_answer(
        b"Response: Success\r\nMessage: Waiting for Event completed.\r\n\r\n"
        b"Event: Hangup\r\nUniqueid: shop-1-1\r\nCause: 16\r\nCause-txt: Normal Clearing\r\nEmpty:\r\n\r\n"
        b"Event: WaitEventComplete\r\n\r\n"
    )
    assert [event.name for event in answer.events] == ["Hangup", "WaitEventComplete"]
    assert answer.events[0].fields["Cause-txt"] == "Normal Clearing"
    assert answer.events[0].fields["Empty"] == ""


def test_a_channel_is_read() -> None:
    (channel,) = read_channels(read_answer((LIST_BEGINS + CHANNEL + list_ends(1)).encode()))
    assert channel == AjamChannel(
        id="shop-1-1",
        linked_id="shop-1-1",
        name="PJSIP/101-0000000a",
        state="Up",
        bridge_id=None,
        application="Dial",
        connected_number="+79161234567",
        seconds=3723,
    )


def test_a_callers_name_in_another_encoding_hides_no_channel() -> None:
    body = (LIST_BEGINS + CHANNEL + list_ends(1)).encode("cp1251")
    assert len(read_channels(read_answer(body))) == 1


def test_no_channels_are_a_whole_list_too() -> None:
    assert read_channels(read_answer((LIST_BEGINS + list_ends(0)).encode())) == []


def test_a_channel_that_changes_while_it_is_listed_is_one_as_it_is_now() -> None:
    now = CHANNEL.replace("ChannelStateDesc: Up", "ChannelStateDesc: Ringing")
    assert now != CHANNEL
    (channel,) = read_channels(read_answer((LIST_BEGINS + CHANNEL + now + list_ends(2)).encode()))
    assert channel.state == "Ringing"


@pytest.mark.parametrize(
    "text",
    [
        LIST_BEGINS + CHANNEL,
        LIST_BEGINS + CHANNEL + list_ends(2),
        LIST_BEGINS + CHANNEL.replace("Uniqueid", "Other") + list_ends(1),
        LIST_BEGINS + CHANNEL.replace("01:02:03", "long") + list_ends(1),
    ],
)
def test_half_a_list_of_channels_is_none(text: str) -> None:
    answer = read_answer(text.encode())
    with pytest.raises(ValueError, match=r"whole|has no|unpack|invalid"):
        read_channels(answer)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Response: Success\r\n\r\n</body></html>",
        b"Response: Success",
        b"Response: Success\r\nMessage: Channels wi",
        "Response: Success\r\n\r\n".encode("utf-16"),
        b"\x00\x01\x02",
        b"Event: Hangup\r\n\r\n",
        b"<ajax-response><response type='object'/></ajax-response>\r\n\r\n",
    ],
)
def test_what_is_no_answer_isnt_taken_for_one(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"no answer of AJAM|not whole"):
        read_answer(body)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    for whole in (body, b"Response: Success\r\n\r\nEvent: CoreShowChannel\r\n" + body + b"\r\n\r\n"):
        try:
            read_channels(read_answer(whole))
        except ValueError:
            continue


@given(
    st.text(), st.sampled_from([*map(chr, range(32)), "\x7f", "\x85", "\x9f", "\u2028", "\u2029", "\ud800"])
)
def test_no_control_character_gets_through(text: str, control: str) -> None:
    with pytest.raises(ValueError, match="exten holds a control character"):
        check([("context", "default"), ("exten", text + control)])


def test_a_caller_cannot_add_a_field_to_a_channel_that_is_read() -> None:
    """Asterisk itself escapes what callers send; the first of two fields counts nevertheless."""
    forged = CHANNEL.replace("AccountCode: \r\n", "AccountCode: \r\nChannel: PJSIP/forged\r\n")
    (channel,) = read_channels(read_answer((LIST_BEGINS + forged + list_ends(1)).encode()))
    assert channel.name == "PJSIP/101-0000000a"


@given(st.text(alphabet=string.printable + "Ёж"))
def test_a_quoted_value_is_one_value(text: str) -> None:
    said = quoted(text)
    assert said[0] == said[-1] == '"'
    inside = said[1:-1].replace("\\\\", "").replace('\\"', "")
    assert '"' not in inside
    assert "\\" not in inside


def test_the_password_is_not_shown() -> None:
    assert "hunter2" not in repr(AjamTarget("http://pbx/", "asterisk", "hunter2"))
