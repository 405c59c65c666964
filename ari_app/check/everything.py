"""All checks, in the order in which a person would look: the machine, then each shop's PBX and CRM."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp

from ari_app.accounts.account import Account, RegisteredAccount
from ari_app.check import asterisk, crm, dialplan, doors, followed, machine, places, public, readiness
from ari_app.check.findings import Check, Finding, Findings, carry_out, unknown
from ari_app.check.pbx import Pbx
from ari_app.check.readiness import Step
from ari_app.network.reach import IPNetwork, Reach, passage
from ari_app.retailcrm.pace import Pace
from ari_app.settings import Settings
from ari_app.store.connection import Redis


def session() -> aiohttp.ClientSession:
    """Make the session that the checks need: without cookies, by which AJAM's sessions would meet."""
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())


def of_folders(settings: Settings) -> AsyncIterator[Finding]:
    """Look at what is needed before Redis can be asked."""
    return carry_out(
        [
            Check("settings", machine.names()),
            Check("data folder", machine.data_folder(settings)),
            Check("secret key", machine.secret_key(settings)),
        ]
    )


def of_service(
    client: aiohttp.ClientSession, redis: Redis, settings: Settings, service_runs: bool
) -> AsyncIterator[Finding]:
    """Look at Redis, and at the service as it is seen from outside."""
    return carry_out(
        [
            Check("Redis", machine.redis(redis)),
            Check("service", machine.service(redis)),
            Check("public address", _public(client, settings, service_runs)),
        ]
    )


def _public(client: aiohttp.ClientSession, settings: Settings, service_runs: bool) -> Findings:
    return public.address(client, settings.public_url, service_runs, proxies=settings.proxies)


def of_store(redis: Redis, account: str) -> AsyncIterator[Finding]:
    """Look at what one shop has in Redis."""
    return carry_out([Check("set aside", machine.set_aside(redis, account))])


async def of_shop(
    client: aiohttp.ClientSession,
    shop: RegisteredAccount,
    public_url: str,
    service_runs: bool,
    networks: tuple[IPNetwork, ...] = (),
    pace: Pace | None = None,
    installation: str | None = None,
    came: bool = False,
) -> AsyncIterator[Finding]:
    """Look at one shop's PBX and CRM. `client` is a `session()`, `networks` are `Settings.pbx_networks`.

    `came` tells whether a customer's call has come to us by this PBX.

    `pace` is that of a service at work, which may ask this CRM, too; `installation` names the copies on our
    Redis.
    """
    if isinstance(shop, Account):
        reach = Reach(networks, anywhere=not shop.pbx.guarded)
        async with passage(reach) as to_pbx:
            async for finding in _of_pbx(to_pbx.session, shop, service_runs, installation, came):
                yield finding
    else:
        yield readiness.missing(Step.PBX)
        if not readiness.somebody_can_be_rung(shop):
            yield readiness.missing(Step.EXTENSIONS)
        if not readiness.everybody_has_a_place(shop):
            yield readiness.missing(Step.DESTINATION)
    at = crm.Crm(client, shop, public_url, pace or Pace())
    checks = [
        Check("CRM", crm.key(at)),
        Check("time zone", crm.timezone(at)),
        Check("users", crm.users(at)),
        Check("module", crm.module(at)),
    ]
    async for finding in carry_out(checks):
        yield finding


async def _of_pbx(
    client: aiohttp.ClientSession, account: Account, service_runs: bool, installation: str | None, came: bool
) -> AsyncIterator[Finding]:
    async with Pbx.reached(client, account.pbx) as pbx:
        async for finding in carry_out([Check("ARI", doors.ari(pbx)), Check("AJAM", doors.ajam(pbx))]):
            yield finding
        if not pbx.lets_in:
            yield unknown(
                "PBX",
                "its application, recordings and phones can't be looked at without ARI",
                "mend ARI first",
            )
        checks = [
            Check("application", asterisk.application(pbx, service_runs, installation)),
            Check("recordings", asterisk.recordings(pbx)),
            Check("ari.conf", asterisk.configuration(pbx)),
            Check("dialplan", dialplan.entry(pbx, came)),
            Check("phones", places.phones(pbx, account)),
            Check("lines", places.lines(pbx, account)),
            Check("phones", followed.telephones(pbx, account)),
            Check("lines", followed.trunks(pbx, account)),
            Check("dialplan", followed.between(pbx, account)),
            Check("destinations", places.destinations(pbx, account)),
        ]
        async for finding in carry_out(checks):
            yield finding
