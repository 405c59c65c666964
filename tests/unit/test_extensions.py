"""Whose phone a channel is."""

import pytest

from ari_app.accounts.owners import Owners
from ari_app.asterisk.events import Extensions


@pytest.mark.parametrize(
    ("channel_format", "channel", "code"),
    [
        ("PJSIP/##", "PJSIP/101-0000002a", "101"),
        ("SIP/##", "SIP/101-0000002a", "101"),
        ("SIP/##", "PJSIP/102-0000002a", "102"),
        ("PJSIP/##", "SIP/102-0000002a", "102"),
        ("PJSIP/office-##", "PJSIP/office-101-0000002a", "101"),
        ("PJSIP/##", "PJSIP/trunk-0000002a", None),
        ("PJSIP/##", "DAHDI/101-0000002a", None),
        ("Local/##@from-internal", "Local/101@from-internal-0000002a;1", "101"),
    ],
)
def test_an_extension_is_read_off_its_channel(channel_format: str, channel: str, code: str | None) -> None:
    assert Extensions(channel_format).code_of(channel) == code


@pytest.mark.parametrize(
    "member",
    [
        *("Local/89035554433@from-queue-0000002a;1", "Local/+79035554433@from-queue-0000002a;1"),
        *("Local/989035554433@from-queue-0000002a;1", "Local/98-0000002a;1", "Local/99@x-0000002a;1"),
    ],
)
def test_a_mobile_is_its_owners_also_behind_the_outside_lines_digit(member: str) -> None:
    people = Owners(frozenset({"101"}), mobiles={"+79035554433": "101"}, outside_prefix="9")
    assert Extensions("PJSIP/##", lambda: people).code_of(member) == ("101" if "5554433" in member else None)
