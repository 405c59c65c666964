"""What is true on a PBX at one moment, read off the channels and bridges that ARI lists."""

from __future__ import annotations

from typing import Any

from ari_app.accounts.owners import Owners
from ari_app.asterisk.events import Extensions
from ari_app.asterisk.snapshot import Snapshot
from ari_app.calls import Doing
from ari_app.calls import happenings as h

PEOPLE = Owners(frozenset({"101", "102"}), mobiles={"+79035554433": "102"})
ANNA = "79161234567"


def channel(
    ident: str, name: str, state: str = "Up", app: str = "", caller: str = "", connected: str = ""
) -> Any:
    """Write a channel as ARI does."""
    return {
        "id": ident,
        "name": name,
        "state": state,
        "caller": {"number": caller, "name": ""},
        "connected": {"number": connected, "name": ""},
        "dialplan": {"context": "internal", "exten": "600", "app_name": app, "app_data": "600,t"},
    }


def snapshot(*channels: Any, bridges: tuple[tuple[str, ...], ...] = ()) -> Snapshot:
    listed = {one["id"]: one for one in channels}
    inside = {f"bridge-{number}": those for number, those in enumerate(bridges)}
    return Snapshot(listed, inside, frozenset(), Extensions("PJSIP/##", lambda: PEOPLE))


def test_a_telephone_of_nobodys_is_whose_mobile_the_local_channel_before_it_dials() -> None:
    seen = snapshot(
        channel("far", "Local/600@internal-00000001;2"),
        channel("near-2", "Local/89035554433@from-queue-00000002;1"),
        channel("far-2", "Local/89035554433@from-queue-00000002;2"),
        channel("mobile", "PJSIP/trunk-00000003"),
        bridges=(("far", "near-2"), ("far-2", "mobile")),
    )
    found = seen.telephone_behind("far")
    assert found is not None
    assert (found.id, found.code) == ("mobile", "102")


def test_whom_a_queue_rings_is_seen_though_nobody_heard_it_begin() -> None:
    seen = snapshot(
        channel("far", "Local/600@internal-00000001;2", app="Queue", caller=ANNA),
        channel("his", "PJSIP/101-00000002", "Ringing", "AppQueue", "600", ANNA),
        channel("made", "PJSIP/102-00000003", "Down", "AppQueue", "600", ANNA),
        channel("other", "PJSIP/103-00000004", "Ringing", "AppQueue", "600", "79037654321"),
        channel("dialled", "PJSIP/104-00000005", "Ringing", "AppDial", "600", ANNA),
        channel("talks", "PJSIP/105-00000006", "Up", "AppQueue", "600", ANNA),
    )
    assert seen.behind("far", 1.0) == (
        Doing.QUEUES,
        [
            h.MemberRung(1.0, "far", "PJSIP/101-00000002", "101"),
            h.MemberRung(1.0, "far", "PJSIP/102-00000003", "102", rings=False),
        ],
    )


def test_a_local_channel_that_has_answered_before_anybody_looked_is_seen_in_the_bridge() -> None:
    menu = "Local/menu@ivr-00000002;1"
    seen = snapshot(
        channel("far", "Local/600@internal-00000001;2", app="Dial"),
        channel("near-2", menu),
        channel("far-2", "Local/menu@ivr-00000002;2", app="Read"),
        channel("others", "Local/menu@ivr-00000003;1"),
        bridges=(("far", "near-2"),),
    )
    assert seen.behind("far", 1.0) == (
        Doing.DIALS,
        [
            h.MemberRung(1.0, "far", menu, None, rings=False, local="near-2"),
            h.MemberAnswered(1.0, "far", menu, None, local="near-2"),
        ],
    )


def test_for_a_caller_without_a_number_nobody_is_taken_for_rung() -> None:
    seen = snapshot(
        channel("far", "Local/600@internal-00000001;2", app="Queue"),
        channel("his", "PJSIP/101-00000002", "Ringing", "AppQueue", "600"),
    )
    assert seen.behind("far", 1.0) == (Doing.QUEUES, [])
