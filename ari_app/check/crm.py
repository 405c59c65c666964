"""Is the shop's retailCRM as we need it: the key, its permissions, our module, who has which extension."""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass, field

import aiohttp

from ari_app.accounts.account import RegisteredAccount
from ari_app.check.findings import Finding, Findings, bad, good, unknown, warning
from ari_app.check.look import LOOK_SECONDS, NothingThere, clock_finding, look
from ari_app.retailcrm.client import Credentials, RetailCrm, User
from ari_app.retailcrm.errors import CrmDenied, CrmError, CrmLimited
from ari_app.retailcrm.module import MODULE_CODE, Module
from ari_app.retailcrm.pace import Pace
from ari_app.retailcrm.registration import PERMISSIONS, callback_key, missing_permissions

CLOCKS_SECONDS = 30.0
"""How far the CRM's clock may be from ours."""
_MOST_PAGES = 10
_SHOWN = 5
_WHERE = "in the CRM: Administration / Integration / API keys"
_WHERE_MODULES = "in the CRM: Administration / Integration / Marketplace"

_LOST = {
    "telephony_read": "who calls isn't known, nor who is responsible for them",
    "telephony_write": "the CRM hears of no call",
    "user_read": "who is at dinner or on a break is known only when they change it",
    "customer_read": "customers can't be looked up beyond their name",
    "reference_read": "the CRM's shops can't be looked up",
    "integration_read": "whether our module is registered can't be looked up",
    "integration_write": "our module can't be registered",
}
"""What is lost without a permission of the key."""
_GIVES = {
    "telephony_read": "who calls is looked up",
    "telephony_write": "the CRM is told of calls",
    "user_read": "who is at dinner or on a break is known",
    "customer_read": "customers are looked up",
    "reference_read": "the CRM's shops are known by their names",
    "integration_read": "our module can be looked up",
    "integration_write": "our module is registered by the service itself",
}
"""What a permission of the key is for."""
_SECRET_PART = re.compile(r"/[0-9a-f]{32}\b")
_VITAL = frozenset({"telephony_read", "telephony_write"})


@dataclass
class Crm:
    """One shop's CRM; what the check of the key finds out, the others rely on."""

    session: aiohttp.ClientSession
    shop: RegisteredAccount
    public_url: str
    pace: Pace = field(default_factory=Pace)
    """The pace of all requests with this key: the CRM counts by it."""
    rights: Credentials | None = None
    """What the key may do; None while the CRM doesn't let us in."""
    client: RetailCrm = field(init=False)

    def __post_init__(self) -> None:
        key = self.shop.crm.api_key.get_secret_value()
        self.client = RetailCrm(self.session, self.shop.crm.url, key, self.pace)


async def key(crm: Crm) -> Findings:
    """Does the CRM know the key, and what may it do?"""
    url = crm.shop.crm.url
    try:
        rights = await crm.client.credentials(timeout=LOOK_SECONDS)
    except CrmDenied as problem:
        yield bad(
            "CRM", f"{url} refuses the key: {problem}", f"check crm.url and crm.api_key; the key is {_WHERE}"
        )
        return
    except CrmLimited as problem:
        yield unknown("CRM", f"{url} is asked too much just now: {problem}", "check again in a minute")
        return
    except CrmError as problem:
        yield bad("CRM", f"{url} can't be reached: {problem}", "check crm.url, and this machine's way there")
        return
    crm.rights = rights
    yield good("CRM", f"{url} knows the key")
    for finding in _permissions(rights):
        yield finding
    yield await _clock(crm)


def _permissions(key: Credentials) -> list[Finding]:
    named = list(dict.fromkeys(PERMISSIONS.values()))
    if not key.scopes and not key.methods:
        look = f"look at the key's permissions {_WHERE}: it needs {', '.join(named)}"
        return [unknown("permissions", "the CRM doesn't say what the key may do", look)]
    lacking = _lacking(key)
    found = []
    for name in named:
        if name not in lacking:
            found.append(good("permissions", f"the key has {name}: {_GIVES[name]}"))
            continue
        kind = bad if name in _VITAL else warning
        methods = ", ".join(method for method, needs in PERMISSIONS.items() if needs == name)
        remedy = f"allow the key {methods}, {_WHERE}"
        found.append(kind("permissions", f"the key lacks {name}: {_LOST[name]}", remedy))
    return found


def _lacking(key: Credentials) -> frozenset[str]:
    return frozenset(PERMISSIONS[method] for method in missing_permissions(key))


async def _clock(crm: Crm) -> Finding:
    try:
        answer = await look(
            crm.session,
            "GET",
            f"{crm.shop.crm.url}/api/api-versions",
            headers={"X-API-KEY": crm.shop.crm.api_key.get_secret_value()},
        )
        skew = answer.skew
    except NothingThere:
        skew = None
    return clock_finding("clock", "the CRM's", skew, CLOCKS_SECONDS, "calls stand there at the wrong time")


async def timezone(crm: Crm) -> Findings:
    """Is it known in which time zone the CRM writes its times?"""
    if crm.rights is None:
        return
    ours = crm.shop.timezone_name
    remedy = 'write the CRM\'s own into the account, such as timezone = "Europe/Moscow" in [crm]'
    try:
        theirs = await crm.client.timezone(timeout=LOOK_SECONDS)
    except CrmError as problem:
        yield warning("time zone", f"the CRM doesn't tell it ({problem}); we take {ours}", remedy)
        return
    if theirs is None:
        yield warning("time zone", f"the CRM's settings name none; we take {ours}", remedy)
        return
    try:
        zoneinfo.ZoneInfo(theirs)
    except (ValueError, LookupError, OSError):
        yield warning(
            "time zone",
            f"this machine doesn't know the CRM's {theirs}; we take {ours}",
            "install the machine's time zones (apt-get install tzdata)",
        )
        return
    yield good("time zone", f"the CRM's is {theirs}")


async def users(crm: Crm) -> Findings:
    """Do the extensions belong to users that the CRM has?"""
    if not _may(crm, "user_read"):
        return
    try:
        known = {user.id: user for user in await _all_users(crm.client)}
    except CrmError as problem:
        yield warning("users", f"the CRM doesn't name its users: {problem}", f"look at the key {_WHERE}")
        return
    theirs = {one.user_id: one.code for one in crm.shop.extensions}
    strangers = [f"{code} (user {user})" for user, code in theirs.items() if user not in known]
    if strangers:
        yield warning(
            "users",
            f"the CRM has no active user for: {_some(strangers)}",
            "correct user_id in [[extensions]], or remove the extension",
        )
    without = [_shown(user) for user in known.values() if user.id not in theirs]
    sentence = f"{len(known) - len(without)} of the CRM's {len(known)} active users have an extension here"
    if known and len(without) == len(known):
        yield warning("users", sentence, "name them in [[extensions]]")
    else:
        yield good("users", f"{sentence}; without: {_some(without)}" if without else sentence)


async def _all_users(client: RetailCrm) -> list[User]:
    first = await client.users(timeout=LOOK_SECONDS)
    found = list(first.users)
    for page in range(2, min(first.pages, _MOST_PAGES) + 1):
        found += (await client.users(page, timeout=LOOK_SECONDS)).users
    return [user for user in found if user.active]


async def module(crm: Crm) -> Findings:
    """Is our module registered, at work, and does it lead the CRM to us?"""
    if not _may(crm, "integration_read"):
        return
    try:
        found = await crm.client.module(MODULE_CODE, timeout=LOOK_SECONDS)
    except CrmError as problem:
        yield unknown(
            "module",
            f"whether it is registered isn't known: {problem}",
            f"look for {MODULE_CODE} {_WHERE_MODULES}",
        )
        return
    if found is None:
        yield bad(
            "module",
            f"{MODULE_CODE} isn't registered: clicks in the CRM call nobody, and it may hear of no call",
            f"sign in to the cabinet at {crm.public_url}, which registers it; if your telephony has "
            f"another name there, see that it is active, with {crm.public_url}/crm/call, {_WHERE_MODULES}",
        )
        return
    for finding in _module(found, crm):
        yield finding


def _module(module: Module, crm: Crm) -> list[Finding]:
    if not module.active or module.frozen:
        how = "switched off" if not module.active else "frozen"
        return [bad("module", f"{MODULE_CODE} is registered, but {how}", f"switch it on {_WHERE_MODULES}")]
    if not module.telephony:
        return [
            bad(
                "module",
                f"{MODULE_CODE} is registered, but not for telephones",
                "register it again: save the settings in the cabinet",
            )
        ]
    found = [
        *_address(crm, "calls", module.call_url, "/crm/call"),
        *_address(crm, "states", module.status_url, "/crm/status"),
    ]
    if not module.told:
        found.append(
            bad(
                "module",
                "the CRM doesn't take all events from it",
                "register it again: save the settings in the cabinet",
            )
        )
    ours = {one.user_id: one.code for one in crm.shop.extensions}
    if module.codes != ours:
        differing = sorted({*module.codes.items()} ^ {*ours.items()})
        apart = _some([f"{code} (user {user})" for user, code in differing])
        found.append(
            warning(
                "module",
                f"the CRM's extensions aren't ours; apart: {apart}",
                "correct [[extensions]], or the extensions in the module's settings",
            )
        )
    return found or [good("module", f"{MODULE_CODE} is registered, active, and leads the CRM to us")]


def _may(crm: Crm, scope: str) -> bool:
    """Tell whether it is worth asking: the CRM lets us in, and doesn't say that the key may not."""
    rights = crm.rights
    if rights is None:
        return False
    return not (rights.scopes or rights.methods) or scope not in _lacking(rights)


def _address(crm: Crm, what: str, url: str | None, path: str) -> list[Finding]:
    """Judge an address at which the CRM calls us; what makes it ours alone is shown to nobody."""
    open_to_all, secret = crm.public_url + path, crm.shop.crm.cabinet_secret
    key = callback_key(secret.get_secret_value()) if secret is not None else "a key that isn't known yet"
    if url == f"{open_to_all}/{key}":
        return []
    if url == open_to_all:
        sentence = f"the CRM asks for {what} at {open_to_all}, where anybody may ask who knows the clientId"
        return [warning("module", sentence, "register it again: save the settings in the cabinet")]
    mend = "save the settings in the cabinet, which registers it again, or mend ARI_APP_PUBLIC_URL"
    shown = open_to_all if url is None or not url.startswith(open_to_all) else "the address that it was told"
    return [bad("module", f"the CRM asks for {what} at {_without_secrets(url)}, not at {shown}", mend)]


def _without_secrets(url: str | None) -> str:
    return _SECRET_PART.sub("/…", url.partition("?")[0]) if url else "no address"


def _shown(user: User) -> str:
    return f"{user.name} ({user.id})" if user.name else str(user.id)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
