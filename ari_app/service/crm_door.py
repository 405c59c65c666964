"""Who may have an account: the holder of an API key that may do what the module needs."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
import structlog
from pydantic import SecretStr, ValidationError

from ari_app.accounts.account import RegisteredAccount
from ari_app.accounts.sections import Crm
from ari_app.retailcrm.client import RetailCrm
from ari_app.retailcrm.errors import CrmDenied, CrmError, CrmRefused, CrmUnavailable
from ari_app.retailcrm.registration import missing_permissions
from ari_app.service.crm_module import Informing, Serving
from ari_app.store.accounts import AccountConflict

log = structlog.get_logger(__name__)

LOOPBACK = "loopback"
"""The word in `Settings.crm_domains` that lets in a CRM on this machine: the demo's and the tests'."""


class NotLetIn(Exception):
    """Nobody is signed in. `field` is ``crm``, ``key`` or empty, `why` a word for the page to explain.

    `wrong` holds all that is wrong, by the field, when the address and the key both are.
    """

    def __init__(self, field: str, why: str, missing: tuple[str, ...] = (), detail: str = "") -> None:
        super().__init__(f"{field or 'CRM'}: {why}")
        self.field = field
        self.why = why
        self.wrong = {field: why}
        self.missing = missing
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Shown:
    """What somebody showed: the address of a CRM that we may ask, and a key."""

    url: str
    key: str

    @property
    def account(self) -> str:
        """The account's name that it would be."""
        return RegisteredAccount(crm=Crm(url=self.url, api_key=SecretStr(self.key))).id


def read_shown(crm: str, key: str, domains: tuple[str, ...]) -> Shown:
    """Read what was typed: the address as people copy it, with a path or without https://.

    Raises:
        NotLetIn: the address is none of a CRM's, or the key can't be one.
    """
    wrong: dict[str, str] = {}
    url = ""
    try:
        url = _address(crm.strip(), domains)
    except NotLetIn as no:
        wrong |= no.wrong
    try:
        shown = Shown(Crm(url=url or "https://a.crm", api_key=SecretStr(key)).url, key)
    except ValidationError as error:
        at_url = error.errors()[0]["loc"][-1] == "url"
        wrong |= {"crm": "address"} if at_url else {"key": "letters" if key else "empty"}
    else:
        if not key:
            wrong["key"] = "empty"
    if wrong:
        refused = NotLetIn(*next(iter(wrong.items())))
        refused.wrong = wrong
        raise refused
    return shown


def _address(typed: str, domains: tuple[str, ...]) -> str:
    if not typed:
        raise NotLetIn("crm", "empty")
    text = typed if "://" in typed else f"https://{typed}"
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower().rstrip("."), parts.port
    except ValueError:
        raise NotLetIn("crm", "address") from None
    if not host or parts.username is not None or parts.scheme not in ("http", "https"):
        raise NotLetIn("crm", "address")
    if LOOPBACK in domains and _is_loopback(host):
        return f"{parts.scheme}://{host}{f':{port}' if port else ''}"
    if not any(host.endswith(f".{domain}") for domain in domains) or port not in (None, 443, 80):
        raise NotLetIn("crm", "domain")
    return f"https://{host}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def let_in(
    service: Serving, session: aiohttp.ClientSession, informing: Informing, shown: Shown
) -> RegisteredAccount:
    """Try the key, and give the account: the one that there is, or a new one whose module is registered.

    A key that works takes the place of the one that was known: that may be the very thing to be mended.

    Raises:
        NotLetIn: the CRM does not let us in, or the key may not do what is needed.
        StoreUnavailable: Redis can't be reached, or does not answer.
    """
    crm = RetailCrm(session, shown.url, shown.key, service.pace_of(shown.key))
    await _try_key(crm)
    known = await service.accounts.at(shown.url)
    account = known or RegisteredAccount(crm=Crm(url=shown.url, api_key=SecretStr(shown.key)))
    if known is not None and known.crm.api_key.get_secret_value() != shown.key:
        changed = known.crm.model_copy(update={"api_key": SecretStr(shown.key)})
        account = known.model_copy(update={"crm": changed})
    if account is not known or known.crm.cabinet_secret is None:
        try:
            account = await service.accounts.apply(account, keep_client_id=True)
        except AccountConflict as problem:  # it names the other account, which is nobody's business here
            log.warning("an account can't be made", crm=shown.url, problem=str(problem))
            raise NotLetIn("crm", "taken") from None
    try:
        await informing.inform(account.id)
    except CrmError as problem:
        log.warning("the module can't be registered", account=account.id, problem=str(problem))
        if known is None:
            raise NotLetIn("", "module", detail=str(problem)) from None
    return account


async def _try_key(crm: RetailCrm) -> None:
    try:
        missing = missing_permissions(await crm.credentials())
    except CrmDenied as problem:
        wrong_key = "apikey" in str(problem).lower() or "access denied" in str(problem).lower()
        raise NotLetIn(*(("key", "refused") if wrong_key else ("crm", "nobody"))) from None
    except CrmRefused:
        raise NotLetIn("key", "refused") from None
    except CrmUnavailable:
        raise NotLetIn("", "silent") from None
    if missing:
        raise NotLetIn("key", "rights", missing=tuple(missing))
