"""Is Asterisk set up for us: who has our application, the recordings' folder, ari.conf, stasis.conf."""

from __future__ import annotations

import re

from ari_app.asterisk.installations import read_mark, variable_of
from ari_app.check.findings import Finding, Findings, bad, good, unknown, warning
from ari_app.check.look import NothingThere
from ari_app.check.pbx import CannotRead, Pbx, in_path

SHORTEST_WRITE_TIMEOUT, GOOD_WRITE_TIMEOUT = 1000, 5000
"""Milliseconds; Asterisk's own default is 100."""
_MOST_TYPES = 100

_NEEDED_TYPES = {
    "ast_channel_snapshot_type": "that channels change and end",
    "ast_channel_dial_type": "whether a phone rings and who answers",
    "ast_channel_hangup_request_type": "who hangs up",
    "ast_channel_dtmf_begin_type": "which keys are pressed",
    "ast_channel_dtmf_end_type": "which keys are pressed",
    "ast_channel_entered_bridge_type": "who talks",
    "ast_channel_left_bridge_type": "who talks",
    "ast_bridge_snapshot_type": "who talks",
    "ast_bridge_merge_message_type": "who talks",
    "ast_blind_transfer_type": "transfers",
    "ast_attended_transfer_type": "transfers",
    "stasis_app_recording_snapshot_type": "when a recording is finished",
}
"""The message types (stasis.conf) that we can't do without, and what we would not hear of."""


_FALLS = {16: (16, None), 18: (2, 17), 19: (0, None), 20: (0, 2)}
"""From and before which minor version a recording can bring an Asterisk down (ASTERISK-29604)."""


async def application(pbx: Pbx, service_runs: bool, installation: str | None = None) -> Findings:
    """Has a service of ours registered the Stasis application? We look, and don't open it ourselves.

    `installation` names ours: another one, with a Redis of its own, may hold the PBX.
    """
    if not pbx.lets_in:
        return
    app = pbx.settings.stasis_app
    try:
        answer = await pbx.ari("GET", f"applications/{in_path(app)}")
        mark, epoch = [await _variable(pbx, name) for name in (variable_of(app), "EPOCH")]
    except NothingThere as problem:
        yield unknown("application", f"ARI broke off: {problem}", "check again")
        return
    there, holder = answer.status == 200, read_mark(mark, epoch)
    if there and holder is not None and holder.fresh and installation not in (None, holder.name):
        yield bad(
            "application",
            f"another installation ({holder.address}) holds the application {app} of this PBX",
            "end it, or take the PBX from it: ari-app account take --force",
        )
    elif there and service_runs:
        yield good("application", f"the application {app} is registered, and a service runs")
    elif there:
        yield warning(
            "application",
            f"the application {app} is registered, but not by a service that works with this Redis",
            f"find out who has it: another service, or one that has just ended (ari show app {app})",
        )
    elif service_runs:
        yield bad(
            "application",
            f"a service runs, but has not registered the application {app}: calls pass it by",
            "look at the service's log for why it can't connect to the PBX",
        )
    else:
        yield warning(
            "application",
            f"nobody has registered the application {app}, as no service runs: calls pass it by",
            "start it: ari-app serve",
        )


async def _variable(pbx: Pbx, name: str) -> str:
    said = (await pbx.ari("GET", "asterisk/variable", variable=name)).json()
    return str(said.get("value") or "") if isinstance(said, dict) else ""


async def recordings(pbx: Pbx, wanted: bool) -> Findings:
    """Is there a folder for recordings? When they are `wanted`: does Asterisk stand them?"""
    if not pbx.lets_in:
        return
    try:
        answer = await pbx.ari("GET", "recordings/stored")
    except NothingThere as problem:
        yield unknown("recordings", f"ARI broke off: {problem}", "check again")
        return
    if answer.status == 200:
        yield good("recordings", "the PBX has its folder for recordings")
    else:
        yield bad(
            "recordings",
            f"the PBX can't record: ARI answers {answer.status} when asked for its recordings",
            "make the folder recording in Asterisk's spool folder, owned by its user: "
            "install -d -o asterisk -g asterisk /var/spool/asterisk/recording",
        )
    if wanted and falls(pbx.version):
        yield await _stands_recording(pbx)


async def _stands_recording(pbx: Pbx) -> Finding:
    """Look for the lines of our dialplan by which a caller's channel ends when nobody asks of it any more."""
    context = f"{pbx.settings.stasis_app}-hung-up"
    try:
        waits = await pbx.has_place(context, "s")
    except CannotRead:
        waits = False
    if waits:
        return good(
            "recordings", f"the fault ASTERISK-29604 of Asterisk {pbx.version} is kept off by [{context}]"
        )
    return warning(
        "recordings",
        f"Asterisk {pbx.version} can crash, with all its calls, when a customer hangs up in the very "
        f"millisecond in which their recording begins (ASTERISK-29604); [{context}], which keeps that off, "
        "isn't there",
        "write the dialplan anew with ari-app dialplan, and: dialplan reload; "
        "or update Asterisk to 18.17, 20.2 or newer",
    )


def falls(version: str) -> bool:
    """Tell whether this version crashes when a channel is hung up while a snoop of it is made.

    By stasis.conf it can't be helped: where that declines ``ast_channel_chanspy_stop_type``, of which
    the crash comes, an Asterisk with AMI doesn't start.
    """
    numbers = re.match(r"(?:certified/)?(\d{1,4})\.(\d{1,4})", version)
    if numbers is None:
        return False
    major, minor = map(int, numbers.groups())
    since, until = _FALLS.get(major, (0, 0))
    return since <= minor and (until is None or minor < until)


async def configuration(pbx: Pbx) -> Findings:
    """Are ari.conf and stasis.conf as we need them?"""
    if not pbx.lets_in and not pbx.commands:
        return
    try:
        readable = bool(await pbx.configured("ari.conf", "general", "enabled"))
        timeout = await pbx.configured("ari.conf", "general", "websocket_write_timeout")
        declined = await _declined_types(pbx)
    except CannotRead:
        readable, timeout, declined = False, "", []
    yield _write_timeout(timeout, readable)
    if not readable:
        yield unknown(
            "stasis.conf",
            "whether it declines message types that we need isn't known",
            "look at [declined_message_types] of stasis.conf: it should decline nothing",
        )
        return
    yield _declined(declined)


def _write_timeout(timeout: str, readable: bool) -> Finding:
    subject = "ari.conf"
    remedy = (
        f"set websocket_write_timeout = {GOOD_WRITE_TIMEOUT} in [general] of ari.conf, and: "
        "module reload res_ari.so"
    )
    if timeout.isdecimal() and int(timeout) >= SHORTEST_WRITE_TIMEOUT:
        return good(subject, f"websocket_write_timeout is {timeout} ms")
    if timeout or readable:
        found = f"is {timeout} ms" if timeout else "is not set, so it is 100 ms"
        return warning(
            subject,
            f"websocket_write_timeout {found}: the PBX cuts us off whenever the network is busy for a moment",
            remedy,
        )
    return unknown(
        subject,
        "websocket_write_timeout isn't known: the PBX doesn't tell",
        f"look for it in [general] of ari.conf; {GOOD_WRITE_TIMEOUT} is good, the default of 100 is not",
    )


async def _declined_types(pbx: Pbx) -> list[str]:
    declined: list[str] = []
    while len(declined) < _MOST_TYPES:
        found = await pbx.configured("stasis.conf", "declined_message_types", "decline", len(declined))
        if not found:
            break
        declined.append(found.strip())
    return declined


def _declined(declined: list[str]) -> Finding:
    missed = [name for name in declined if name in _NEEDED_TYPES]
    if not missed:
        return good("stasis.conf", "no message type that we need is declined")
    lost = ", ".join(dict.fromkeys(_NEEDED_TYPES[name] for name in missed))
    return bad(
        "stasis.conf",
        f"it declines {', '.join(missed)}: we don't hear {lost}",
        "remove them from [declined_message_types] of stasis.conf, and restart Asterisk",
    )
