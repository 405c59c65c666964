"""The files of `ari-app dialplan freepbx` in FreePBX's own structure of includes, on both Asterisks.

The contexts are named and nested as FreePBX writes them, and do as much of its work as a call of ours
touches: DB() everywhere, Gosub() into custom destinations, hangup handlers, an answering queue.
"""

import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from ari_app.accounts.reading import read_account
from ari_app.asterisk.ajam import Ajam, AjamTarget
from ari_app.check import doors, everything, places
from ari_app.check.findings import State
from ari_app.check.pbx import Pbx
from ari_app.check.trial import Part
from ari_app.demo.pbx.customers import Customer
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Rings
from tests.asterisk import test_customer_keys as keys
from tests.asterisk.pbx_files import (
    APP,
    account,
    ajam,
    application,
    freepbx_lab,
    nobody_listens,
    prepared,
    started,
    until,
)
from tests.asterisk.test_trial import steps
from tests.support.golden import EVERYWHERE, Scenario, Site, named
from tests.support.office import Office
from tests.support.pace import at_this_pace

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA = "+79161234567"
STRANGER = "+79037654321"


@pytest.fixture(scope="module", params=[22, 16])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    async with freepbx_lab(installation) as lab:
        yield lab


@pytest.fixture
def shop(office: Office) -> Office:
    """The shop whose application the generated dialplan names."""
    office.app = APP
    return office


class FreePbxSite(Site):
    """Customers come in by FreePBX's routes, its queue 600 rings extensions, its files name the managers."""

    def managers(self, count: int) -> list[str]:
        codes = ["101", "102", "103"][:count]
        for code in codes:
            self.office.hire(code)
        return codes

    def call(self, number: str, *, talks: float | None = None) -> Customer:
        return self.office.lab.call(number, "74951112233", talks=talks)

    async def queue(self, *codes: str) -> str:
        asterisk = self.office.lab.asterisk
        for code in codes:
            await asterisk.queue_add("sales", f"Local/{code}@from-internal/n")
        self.members = codes
        return "queue:ext-queues,600"

    async def leave(self) -> None:
        """Let the members leave the queue."""
        for code in self.members:
            await self.office.lab.asterisk.queue_remove("sales", f"Local/{code}@from-internal/n")

    members: tuple[str, ...] = ()


@pytest.mark.parametrize("scenario", EVERYWHERE, ids=named)
async def test_golden(shop: Office, scenario: Scenario) -> None:
    shop.pbx = {"outgoing": "from-internal,1"}
    site = FreePbxSite(shop)
    try:
        await scenario(site)
    finally:
        await site.leave()


async def test_freepbx_takes_the_files_without_a_complaint(lab: Lab) -> None:
    ours = ("extensions", "ari", "manager", "pbx_config", "config.c")
    assert [line for line in lab.asterisk.warnings() if any(name in line for name in ours)] == []


async def test_a_trial_call_comes_by_the_files_rings_and_is_recorded(shop: Office) -> None:
    shop.hire("101")
    await shop.open()
    async with shop.phone("101", Answers(after=0.1)):
        call = await shop.ended(await shop.shop.try_out("101", ANNA, "Пробный звонок"))
        await shop.told_all()
    assert await steps(shop, call) == dict.fromkeys(Part, "good")


async def test_while_the_service_is_away_the_custom_destination_returns_and_the_queue_rings(lab: Lab) -> None:
    (olga,) = lab.extensions(1)
    await lab.asterisk.queue_add("sales", f"PJSIP/{olga}")
    await nobody_listens(lab.asterisk)
    before = len(lab.asterisk.log())
    async with lab.phone(olga, Answers(after=0.1)) as phone:
        began = time.monotonic()
        async with lab.call(ANNA, "74951112233", talks=0.1) as caller:
            await phone.rings()
            await caller.ended()
        await _handler_ran(lab, before)
    await lab.asterisk.queue_remove("sales", f"PJSIP/{olga}")
    assert caller.status == 200
    assert phone.calls[0].at - began < at_this_pace(1.0)


async def test_entered_without_a_return_it_goes_to_the_accounts_own_destination(lab: Lab) -> None:
    async with (
        lab.phone("101", Answers(after=0.1)) as phone,
        lab.call(ANNA, "74951112244", talks=0.1) as caller,
    ):
        await caller.ended()
    assert caller.status == 200
    assert phone.calls[0].number == ANNA


async def test_a_call_that_the_service_has_handled_runs_freepbxs_handlers_with_all_they_need(
    shop: Office,
) -> None:
    (olga,) = shop.managers(1)
    shop.customer(ANNA, "Иванова Анна", manager=olga)
    await shop.open()
    before = len(shop.lab.asterisk.log())
    async with (
        shop.phone(olga, Answers(after=0.1)) as phone,
        shop.lab.call(ANNA, "74951112233", talks=0.3) as caller,
    ):
        await caller.ended()
    report = await shop.report()
    await _handler_ran(shop.lab, before)
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.upload.external_phone == "+74951112233"
    assert phone.calls[0].name == "Иванова Анна"
    assert "Dangerous function" not in shop.lab.asterisk.log()[before:]


async def test_a_customer_in_freepbxs_ring_group_transfers_nobody_by_keys(shop: Office) -> None:
    for code in ("103", "104"):
        shop.hire(code)
    await shop.open(unknown="queue:ext-group,602")
    async with (
        keys.listening(shop.lab) as heard,
        shop.lab.customer_phone(Answers()) as outside,
        shop.phone("103", Answers(after=0.1)),
        shop.phone("104", Rings()),
        shop.lab.call(STRANGER, "74951112233") as caller,
    ):
        await caller.answered()
        await shop.recorded()
        await caller.press(keys.KEYS)
        await shop.until(lambda: keys.keys_ended(heard()) >= len(keys.KEYS), "the PBX does not note the keys")
        assert (keys.transfers(heard()), outside.calls) == ([], [])
    assert (await shop.report()).upload.code == "103"


async def test_a_phones_call_goes_out_by_the_routes_while_the_service_is_away(lab: Lab) -> None:
    (olga,) = lab.extensions(1)
    await nobody_listens(lab.asterisk)
    async with (
        lab.customer_phone(Answers(after=0.1)) as customer,
        lab.call(olga, ANNA, talks=0.1) as caller,
    ):
        await caller.ended()
    assert caller.status == 200
    assert len(customer.calls) == 1


async def test_a_phones_call_outside_is_the_services_and_one_to_a_colleague_is_not(lab: Lab) -> None:
    olga, boris = lab.extensions(2)
    async with application(lab.asterisk) as events:
        async with lab.phone(boris, Answers(after=0.1)), lab.call(olga, boris, talks=0.1) as caller:
            await caller.ended()
        assert caller.status == 200
        async with lab.call(olga, ANNA):
            start = await started(events)
    assert start["args"] == ["outgoing", ANNA]


async def test_a_call_that_the_service_lets_out_goes_by_the_routes(lab: Lab) -> None:
    async with (
        application(lab.asterisk),
        ajam(lab.asterisk) as act,
        lab.customer_phone(Answers(after=0.1)) as customer,
    ):
        call = {"channel": f"Local/{ANNA}@from-internal/n", "application": "Wait", "data": "0.2"}
        assert "Response: Success" in await act(action="originate", **call, **{"async": "true"})
        await customer.answers()


async def test_the_line_and_the_menus_are_offered_and_not_what_freepbx_calls_itself(lab: Lab) -> None:
    asterisk = lab.asterisk
    target = AjamTarget(f"{asterisk.http_url}/", asterisk.ami_username, asterisk.ami_password)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        found = await Ajam(target, session, "shop").places(APP)
    assert found.lines == ("from-internal",)
    assert not [place for place in found.menus if place.startswith(("macro-", "sub-", f"{APP}-"))]


async def _handler_ran(lab: Lab, before: int) -> None:
    """Wait until FreePBX's hangup handler has run, with access to its database."""
    ran = "crm-hangup: 74951112233 hello"
    await until(lambda: ran in lab.asterisk.log()[before:] or None, "the hangup handler didn't run")


async def test_the_check_says_which_numbers_no_outbound_route_lets_out(shop: Office, lab: Lab) -> None:
    settings = read_account(account(lab.asterisk, "from-internal"))

    async def found() -> list[tuple[State, str]]:
        async with everything.session() as session, Pbx.reached(session, settings.pbx) as pbx:
            await pbx.log_in()
            return [(one.state, one.sentence) async for one in places.lines(pbx, settings)]

    async def found_after(*changes: str) -> tuple[State, str]:
        try:
            for change in changes:
                await lab.asterisk.command(f"dialplan {change}")
            ((state, sentence),) = await found()
        finally:
            await lab.asterisk.command("dialplan reload")
        return state, sentence

    assert [state for state, _ in await found()] == [State.GOOD]
    state, sentence = await found_after("remove include outrt-1 from outbound-allroutes")
    assert state is State.BAD
    assert "FreePBX has no outbound route" in sentence
    of_eight = ("remove extension _[+78]X.@outrt-1", "add extension _8X.,1,NoOp() into outrt-1")
    state, sentence = await found_after(*of_eight)
    assert state is State.WARNING
    assert "takes 89123456789, but not +79123456789, 79123456789" in sentence


async def test_an_ari_user_who_is_there_twice_is_explained(lab: Lab) -> None:
    text = account(lab.asterisk, "from-internal").replace(lab.asterisk.ari_password, "another")
    async with everything.session() as session, Pbx.reached(session, read_account(text).pbx) as pbx:
        (finding,) = [one async for one in doors.ari(pbx)]
    assert finding.state is State.BAD
    assert "twice" in (finding.remedy or "")
