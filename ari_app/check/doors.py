"""Are we let in at the PBX: by ARI, and by AJAM."""

from __future__ import annotations

from ari_app.asterisk.errors import PbxDenied, PbxError, PbxUnavailable
from ari_app.check.findings import Finding, Findings, bad, good, unknown, warning
from ari_app.check.look import Look, NothingThere, clock_finding
from ari_app.check.pbx import CannotRead, Pbx

OLDEST = 16
CLOCKS_SECONDS = 5.0
"""How far the PBX's clock may be from ours."""
_NOBODY = "check-whether-we-may-change-things"
"""A bridge that nobody has: its removal is harmless, and refused to a user who may only look."""


async def ari(pbx: Pbx) -> Findings:
    """Is ARI there, does it let us in, and may we do more than look?"""
    settings = pbx.settings
    where = f"{settings.host}:{settings.http_port}"
    try:
        answer = await pbx.ari("GET", "asterisk/info")
    except NothingThere as problem:
        yield bad(
            "ARI",
            f"nothing answers at {where}: {problem}",
            "check pbx.host, pbx.http_port and pbx.tls; in http.conf enabled = yes, bindaddr and bindport; "
            "and the firewall between us and the PBX",
        )
        return
    problem_found = _not_let_in(answer, pbx)
    if problem_found is not None:
        yield problem_found
        return
    pbx.lets_in = True
    system = answer.json().get("system")
    pbx.version = str(system.get("version", "")) if isinstance(system, dict) else ""
    yield _version(pbx)
    yield clock_finding(
        "clock", "the PBX's", answer.skew, CLOCKS_SECONDS, "its log and ours tell different times of a call"
    )
    yield await _may_change(pbx)


async def _may_change(pbx: Pbx) -> Finding:
    user = pbx.settings.ari_username
    try:
        answered = (await pbx.ari("DELETE", f"bridges/{_NOBODY}")).status
    except NothingThere:
        answered = 0
    pbx.may_change = answered == 404
    if pbx.may_change:
        return good("ARI", f"the user {user} may handle calls")
    if answered == 403:
        return bad(
            "ARI",
            f"the user {user} may only look: no call can be handled",
            f"set read_only = no in [{user}] of ari.conf, and: module reload res_ari.so",
        )
    return unknown(
        "ARI",
        f"whether the user {user} may handle calls isn't known: ARI answers {answered or 'nothing'}",
        f"look at read_only in [{user}] of ari.conf",
    )


def _not_let_in(answer: Look, pbx: Pbx) -> Finding | None:
    user = pbx.settings.ari_username
    match answer.status:
        case 200 if isinstance(answer.json(), dict):
            return None
        case 404:
            return bad(
                "ARI",
                f"there is no ARI at {pbx.settings.ari_url}",
                "pbx.http_prefix must be http.conf's prefix; ari.conf needs enabled = yes; "
                "the modules res_ari and res_ari_* must be loaded (asterisk -rx 'ari show status')",
            )
        case 401:
            return bad(
                "ARI",
                f"the PBX refuses the user {user} or the password",
                f"ari.conf needs [{user}] once, with type = user and the password of pbx.ari_password; after "
                "a change: module reload res_ari.so. On FreePBX make the user either in its page (Asterisk "
                "REST Interface Users) or in ari_additional_custom.conf: one who is there twice is refused, "
                "and Asterisk may refuse all others with them",
            )
        case 403:
            return bad(
                "ARI",
                f"the PBX doesn't admit the user {user} from this machine",
                f"check permit and deny in [{user}] of ari.conf, and the restrictions of http.conf",
            )
        case status:
            return bad(
                "ARI",
                f"what answers {status} at {pbx.settings.ari_url} is no ARI",
                "check pbx.host and pbx.http_port: another program, or a proxy, may answer there",
            )


def _version(pbx: Pbx) -> Finding:
    version, user = pbx.version, pbx.settings.ari_username
    number = version.partition(".")[0]
    if number.isdecimal() and int(number) < OLDEST:
        return bad("ARI", f"Asterisk {version} is too old", f"the service needs Asterisk {OLDEST} or newer")
    return good("ARI", f"Asterisk {version or 'of an unnamed version'} lets the user {user} in")


async def ajam(pbx: Pbx) -> Findings:
    """Does AJAM let us in, with the rights that we need?"""
    if pbx.settings.ami_password is None:
        yield warning(
            "AJAM",
            "it isn't used: while ARI is away, a click in the CRM calls nobody",
            "to use it, set pbx.ami_username and pbx.ami_password; ari-app dialplan writes the user",
        )
        return
    try:
        answer = await pbx.log_in()
    except PbxDenied as problem:
        yield bad("AJAM", str(problem), "check the restrictions of http.conf")
        return
    except PbxUnavailable as problem:
        yield bad(
            "AJAM",
            str(problem),
            "manager.conf needs enabled = yes and webenabled = yes in [general]; "
            "then: module reload manager, module reload http",
        )
        return
    except PbxError as problem:
        yield bad("AJAM", str(problem), "look at the PBX's log, and at whether it is overloaded")
        return
    user = pbx.settings.ami_username
    if answer.message == "Login Already In Use":
        yield bad(
            "AJAM",
            f"the PBX allows the user {user} one session at a time, and the service needs two",
            "remove allowmultiplelogin = no from manager.conf",
        )
    elif not pbx.commands:
        yield bad(
            "AJAM",
            f"the PBX refuses the user {user}, the password, or this machine's address",
            f"manager.conf needs [{user}] with the secret of pbx.ami_password, and permit = this machine's "
            "address; after a change: manager reload",
        )
    else:
        yield good("AJAM", f"the PBX lets the user {user} in")
        for finding in await _rights(pbx):
            yield finding


_NEEDED = {
    "Originate": ("originate", "calls from the CRM can't be placed while ARI is away"),
    "CoreShowChannels": ("reporting", "how such a call goes can't be followed"),
}


async def _rights(pbx: Pbx) -> list[Finding]:
    user = pbx.settings.ami_username
    lacking = {right: lost for action, (right, lost) in _NEEDED.items() if action not in pbx.commands}
    found = [
        bad(
            "AJAM",
            f"the user {user} lacks the right {right}: {lost}",
            f"add {right} to write in [{user}] of manager.conf, and: manager reload",
        )
        for right, lost in lacking.items()
    ]
    if not lacking:
        found.append(good("AJAM", f"the user {user} has the rights originate and reporting"))
    return [*found, await _hears(pbx)]


async def _hears(pbx: Pbx) -> Finding:
    """Does the PBX tell our user of calls? It doesn't say itself: only its file does."""
    user = pbx.settings.ami_username
    try:
        read = await pbx.configured("manager.conf", user, "read")
    except CannotRead:
        read = ""
    classes = {word.strip().lower() for word in read.split(",")}
    if classes & {"call", "all"}:
        return good("AJAM", f"the user {user} hears how calls go")
    look = f"read = call in [{user}] of manager.conf, and: manager reload"
    if not read:
        return unknown("AJAM", f"whether the user {user} hears of calls isn't known", f"look for {look}")
    return warning(
        "AJAM",
        f"the user {user} doesn't hear of calls: how a call by AJAM goes is known up to 2 s late, "
        "and why it ended isn't",
        f"set {look}",
    )
