"""What people have set at their FreePBX holds for calls of ours, on Asterisk 16 with Macro and 22 with Gosub.

Do not disturb, forwarding, call waiting, Follow Me, several devices; no voicemail in the middle of a ring.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio

from ari_app.calls import e164
from ari_app.demo.pbx.asterisk import UNREACHABLE
from ari_app.demo.pbx.keys import Keys
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Busy, Rings
from tests.asterisk import test_customer_keys as keys
from tests.asterisk.pbx_files import APP, freepbx_lab, prepared
from tests.asterisk.test_transfers import handed_over
from tests.support.golden import shown
from tests.support.office import Office, Report

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA, STRANGER = "+79161234567", "+79037654321"
ANNAS_NAME = "Иванова Анна"
OUR_NUMBER = "74951112233"
GROUP = ("103", "104")
"""The telephones of the ring group 602."""
WAYS = {"as it is": None, "from-internal": "Local/##@from-internal/n"}
"""How the account reaches people: it says nothing, or names FreePBX's own context."""


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
    office.pbx["outgoing"] = "from-internal"
    return office


@pytest.fixture(params=WAYS)
def reached(request: pytest.FixtureRequest, shop: Office) -> Office:
    """The same shop, by each way in which FreePBX's dialplan rings people."""
    if (channel := WAYS[request.param]) is not None:
        shop.pbx["channel_format"] = channel
    return shop


async def dials(shop: Office, code: str, keys: str) -> None:
    """Let somebody dial a feature code."""
    async with shop.lab.dial(code, keys) as phone:
        await phone.ended()
    assert phone.status == 200


async def keeps(shop: Office, key: str, value: str) -> None:
    """Put something into FreePBX's database."""
    family, _, rest = key.partition("/")
    await shop.lab.asterisk.command(f"database put {family} {rest} {value}")


def voicemail(shop: Office, code: str) -> bool:
    """Tell whether FreePBX has let somebody's voicemail answer."""
    return f"voicemail of {code}" in shop.lab.asterisk.log()


async def test_who_is_not_to_be_disturbed_is_passed_over_and_the_fallback_rings(reached: Office) -> None:
    olga, boris = reached.managers(2)
    reached.customer(ANNA, ANNAS_NAME, manager=olga)
    await dials(reached, olga, "*78")
    await reached.open(fallback=f"group:{boris}")
    async with (
        reached.phone(olga, Rings()) as hers,
        reached.phone(boris, Answers(after=0.1)) as his,
        reached.lab.call(ANNA, OUR_NUMBER, talks=0.3) as customer,
    ):
        await customer.ended()
    report = await reached.report()
    assert (hers.calls, shown(his)) == ([], [(ANNAS_NAME, ANNA)])
    assert report.told == [("in", [boris]), ("hangup", [boris], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", boris)


async def test_everybody_not_to_be_disturbed_is_busy(reached: Office) -> None:
    (olga,) = reached.managers(1)
    reached.customer(ANNA, ANNAS_NAME, manager=olga)
    await keeps(reached, f"AMPUSER/{olga}/voicemail", "novm")
    await dials(reached, olga, "*78")
    await reached.open()
    async with reached.lab.call(ANNA, OUR_NUMBER) as customer:
        await customer.ended()
    report = await reached.report()
    assert report.told == []
    assert (report.upload.result, report.upload.code) == ("busy", olga)


async def test_a_call_that_is_forwarded_to_a_colleague_is_the_colleagues(reached: Office) -> None:
    olga, boris = reached.managers(2)
    reached.customer(ANNA, ANNAS_NAME, manager=olga)
    await dials(reached, olga, f"*72{boris}")
    await reached.open()
    async with (
        reached.phone(olga, Rings()) as hers,
        reached.phone(boris, Answers(after=0.3)) as his,
        reached.lab.call(ANNA, OUR_NUMBER) as customer,
    ):
        await customer.answered()
        await reached.talks(boris)
        customer.hang_up()
        await his.is_free()
    report = await reached.report()
    assert (hers.calls, shown(his)) == ([], [(ANNAS_NAME, ANNA)])
    assert report.told == [("in", [boris]), ("hangup", [boris], "answered")]
    assert report.upload.code == boris


async def test_a_call_that_is_forwarded_outside_stays_the_managers(shop: Office) -> None:
    (olga,) = shop.managers(1)
    shop.customer(ANNA, ANNAS_NAME, manager=olga)
    await dials(shop, olga, "*7289031112233")
    await shop.open()
    async with (
        shop.lab.customer_phone(Answers(after=0.3)) as mobile,
        shop.lab.call(ANNA, OUR_NUMBER) as customer,
    ):
        await customer.answered()
        await shop.talks(olga)
        customer.hang_up()
        await mobile.is_free()
    report = await shop.report()
    assert [call.to for call in mobile.calls] == ["89031112233"]
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.code == olga


async def test_forwarding_in_a_circle_ends_and_the_fallback_rings(shop: Office) -> None:
    olga, boris, vera = shop.managers(3)
    shop.customer(ANNA, ANNAS_NAME, manager=olga)
    await dials(shop, olga, f"*72{boris}")
    await dials(shop, boris, f"*72{olga}")
    await shop.open(fallback=f"group:{vera}")
    async with (
        shop.phone(vera, Answers(after=0.1)),
        shop.lab.call(ANNA, OUR_NUMBER, talks=0.3) as customer,
    ):
        await customer.ended()
    assert (await shop.report()).upload.code == vera


@pytest.mark.parametrize(("key", "behaviour"), [("CFB", Busy()), ("CFU", Rings())])
async def test_calls_of_who_is_busy_or_does_not_answer_are_forwarded(
    shop: Office, key: str, behaviour: Busy | Rings
) -> None:
    olga, boris = shop.managers(2)
    shop.customer(ANNA, ANNAS_NAME, manager=olga)
    await keeps(shop, f"{key}/{olga}", boris)
    await shop.open()
    async with (
        shop.phone(olga, behaviour),
        shop.phone(boris, Answers(after=0.1)) as his,
        shop.lab.call(ANNA, OUR_NUMBER, talks=0.3) as customer,
    ):
        await customer.ended()
        await his.is_free()
    report = await shop.report()
    assert report.told[-1] == ("hangup", sorted([olga, boris]), "answered")
    assert report.upload.code == boris


async def test_a_manager_rings_as_long_as_the_account_says(shop: Office) -> None:
    (olga,) = shop.managers(1)
    shop.customer(ANNA, ANNAS_NAME, manager=olga)
    await shop.open(ring_manager_seconds=20)
    async with (
        shop.phone(olga, Answers(after=3.5)) as hers,  # FreePBX's own 2 s are over
        shop.lab.call(ANNA, OUR_NUMBER, talks=0.3) as customer,
    ):
        await customer.ended()
    report = await shop.report()
    assert (customer.status, len(hers.calls)) == (200, 1)
    assert report.upload.code == olga
    assert 3 <= report.call.waiting < 4
    assert not voicemail(shop, olga)


async def test_a_silent_manager_is_followed_by_the_fallback_and_not_by_voicemail(reached: Office) -> None:
    olga, boris = reached.managers(2)
    reached.customer(ANNA, ANNAS_NAME, manager=olga)
    await reached.open(fallback=f"group:{boris}", ring_manager_seconds=4)
    async with (
        reached.phone(olga, Rings()) as hers,
        reached.phone(boris, Answers(after=0.1)) as his,
        reached.lab.call(ANNA, OUR_NUMBER, talks=0.3) as customer,
    ):
        await his.answers()
        await customer.ended()
        await hers.is_free()
    report = await reached.report()
    assert report.told == [("in", [olga]), ("in", [boris]), ("hangup", sorted([olga, boris]), "answered")]
    assert report.upload.code == boris
    assert voicemail(reached, olga) == ("channel_format" in reached.pbx)


@pytest.mark.parametrize("waiting", [True, False])
async def test_who_talks_is_rung_only_with_call_waiting(shop: Office, waiting: bool) -> None:
    olga, boris = shop.managers(2)
    shop.customer(ANNA, ANNAS_NAME, manager=olga)
    if waiting:
        await keeps(shop, f"CW/{olga}", "ENABLED")
    await shop.open(fallback=f"group:{boris}", ignore_manager_status=True, unknown=f"group:{olga}")
    async with (
        shop.phone(olga, Answers(after=0.1)) as hers,
        shop.phone(boris, Answers(after=0.1)) as his,
        shop.lab.call(STRANGER, OUR_NUMBER) as first,
    ):
        await first.answered()
        await shop.talks(olga)
        await shop.lab.bridged(olga)
        async with shop.lab.call(ANNA, OUR_NUMBER, talks=0.3) as second:
            await second.ended()
        first.hang_up()
        await hers.is_free()
    assert (len(hers.calls), len(his.calls)) == ((2, 0) if waiting else (1, 1))
    await shop.report(2)


@pytest.mark.parametrize("who", ["desk phone", "colleague", "nobody"])
async def test_follow_me_is_whoever_answers(shop: Office, who: str) -> None:
    olga, boris, vera = shop.managers(3)
    shop.customer(ANNA, ANNAS_NAME, manager=olga)
    await keeps(shop, f"AMPUSER/{olga}/followme/ddial", "DIRECT")
    await keeps(shop, f"AMPUSER/{olga}/followme/grplist", boris)
    await shop.open(fallback=f"group:{vera}")
    async with (
        shop.phone(olga, Answers(after=0.3) if who == "desk phone" else Rings()) as hers,
        shop.phone(boris, Answers(after=0.1) if who == "colleague" else Rings()) as his,
        shop.phone(vera, Answers(after=0.1)) as veras,
        shop.lab.call(ANNA, OUR_NUMBER) as customer,
    ):
        phone, code = {"desk phone": (hers, olga), "colleague": (his, boris), "nobody": (veras, vera)}[who]
        await phone.answers()
        await customer.answered()
        await shop.talks(code)
        customer.hang_up()
        await phone.is_free()
    report = await shop.report()
    assert (report.upload.result, report.upload.code) == ("answered", code)
    assert shown(phone) == [(ANNAS_NAME, ANNA)]
    assert not voicemail(shop, olga)


async def test_all_devices_and_all_their_contacts_ring(shop: Office) -> None:
    twin = shop.twin()
    (desk,) = shop.lab.extensions(1)
    shop.customer(ANNA, ANNAS_NAME, manager=twin)
    await keeps(shop, f"AMPUSER/{twin}/device", f"{twin}&{desk}")
    await shop.open()
    async with (
        shop.phone(twin, Rings()) as first,
        shop.phone(twin, Answers(after=0.5), 1) as second,
        shop.phone(desk, Rings()) as third,
        shop.lab.call(ANNA, OUR_NUMBER, talks=0.3) as customer,
    ):
        await customer.ended()
        await third.is_free()
    report = await shop.report()
    assert [len(phone.calls) for phone in (first, second, third)] == [1, 1, 1]
    assert report.told == [("in", [twin]), ("hangup", [twin], "answered")]
    assert report.upload.code == twin


async def test_who_has_no_telephone_is_passed_over_and_not_told(shop: Office) -> None:
    (boris,) = shop.managers(1)
    shop.hire(UNREACHABLE)
    shop.customer(ANNA, ANNAS_NAME, manager=UNREACHABLE)
    await keeps(shop, f"AMPUSER/{UNREACHABLE}/device", UNREACHABLE)
    await keeps(shop, f"DEVICE/{UNREACHABLE}/dial", f"PJSIP/{UNREACHABLE}")
    await shop.open(fallback=f"group:{boris}")
    async with (
        shop.phone(boris, Answers(after=0.1)),
        shop.lab.call(ANNA, OUR_NUMBER, talks=0.3) as customer,
    ):
        await customer.ended()
    report = await shop.report()
    assert report.told == [("in", [boris]), ("hangup", [boris], "answered")]
    assert customer.answered_after is not None
    assert customer.answered_after < 3


async def clicks(shop: Office, olga: str, boris: str) -> Report:
    """Click Anna's number as somebody whose calls are forwarded to a colleague."""
    async with (
        shop.phone(boris, Answers(after=0.1)) as his,
        shop.lab.customer_phone(Answers(after=0.1)) as customer,
    ):
        assert shop.shop.line.place_call(olga, ANNA, None, shop.account.pbx.outgoing)
        await customer.answers()
        await shop.stage("talking")
        customer.hang_up()
        await his.is_free()
    return await shop.report()


async def test_a_click_rings_where_the_manager_has_forwarded_calls_to(shop: Office) -> None:
    olga, boris = shop.managers(2)
    await dials(shop, olga, f"*72{boris}")
    await shop.open()
    report = await clicks(shop, olga, boris)
    assert (report.upload.result, report.upload.code) == ("answered", boris)


@pytest.mark.parametrize("installation", [22], indirect=True)  # 16 has no command that cuts ARI off
async def test_so_does_a_click_without_ari(shop: Office) -> None:
    olga, boris = shop.managers(2)
    await dials(shop, olga, f"*72{boris}")
    await shop.open()
    await shop.lab.asterisk.switch_ari(False)
    try:
        await shop.until(lambda: not shop.listening, "ARI is still heard")
        report = await clicks(shop, olga, boris)
    finally:
        await shop.lab.asterisk.switch_ari(True)
    assert report.upload.result == "answered"


async def test_a_click_of_who_is_not_to_be_disturbed_is_not_placed(shop: Office) -> None:
    (olga,) = shop.managers(1)
    await dials(shop, olga, "*78")
    await shop.open()
    async with shop.phone(olga, Rings()) as hers, shop.lab.customer_phone(Rings()) as customer:
        assert shop.shop.line.place_call(olga, ANNA, None, shop.account.pbx.outgoing)
        report = await shop.report()
    assert report.upload.result == "failed"
    assert (hers.calls, customer.calls) == ([], [])


async def test_a_manager_who_is_rung_by_freepbx_hands_the_customer_over(shop: Office) -> None:
    olga, boris = shop.managers(2)
    shop.customer(ANNA, ANNAS_NAME, manager=olga)
    await shop.open()
    async with (
        shop.phone(olga, Answers(after=0.1)) as hers,
        shop.phone(boris, Answers(after=0.3)) as his,
        shop.lab.call(ANNA, OUR_NUMBER) as customer,
    ):
        await customer.answered()
        await handed_over(shop, hers, boris)
        await his.answers()
        await shop.talks(boris)
        customer.hang_up()
        await his.is_free()
    report = await shop.report()
    assert (report.upload.code, report.call.first_talker) == (boris, olga)
    assert shown(his) == [(ANNAS_NAME, ANNA)]


async def test_the_voicemail_service_behind_freepbx_is_nobody_and_takes_the_customers_keys(
    reached: Office,
) -> None:
    (olga,) = reached.managers(1)
    reached.customer(ANNA, ANNAS_NAME, manager=olga)
    await reached.open()
    async with (
        reached.phone(olga, Answers(after=0.1)) as hers,
        reached.lab.call(ANNA, OUR_NUMBER) as customer,
    ):
        await customer.answered()
        await hers.answers()
        await reached.recorded()
        await reached.lab.bridged(olga)
        transfer = asyncio.create_task(hers.transfer("*97"))  # the PBX says at the end how it went
        await reached.until(
            lambda: any(leg.does == "speaks" for call in reached.shop.line.calls for leg in call.our_legs),
            "no menu",
        )
        await customer.press("7")
        await reached.until(lambda: "*97 heard 7" in reached.lab.asterisk.log(), "the key isn't heard")
        customer.hang_up()
        await transfer
    report = await reached.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.code == olga


async def test_who_has_forwarded_calls_to_a_feature_code_has_not_answered(reached: Office) -> None:
    olga, boris = reached.managers(2)
    reached.customer(ANNA, ANNAS_NAME, manager=olga)
    await keeps(reached, f"CF/{olga}", "*97")
    await reached.open(fallback=f"group:{boris}")
    async with (
        reached.phone(boris, Answers(after=0.1)),
        reached.lab.call(ANNA, OUR_NUMBER, talks=0.3) as customer,
    ):
        await customer.ended()
    report = await reached.report()
    assert report.told == [("in", [boris]), ("hangup", [boris], "answered")]
    assert report.upload.code == boris


@pytest.mark.parametrize("how", ["dialled", "clicked"])
@pytest.mark.parametrize("place", ["602", "colleague"])
async def test_who_is_handed_a_customer_whom_we_called_sees_the_number(
    shop: Office, how: str, place: str
) -> None:
    while (olga := shop.managers(1)[0]) in GROUP:
        pass
    (boris,) = shop.managers(1)
    if place == "602":
        shop.hire(boris := GROUP[1])
    await shop.open()
    async with (
        shop.lab.customer_phone(Answers(after=0.2)) as customer,
        shop.phone(olga, Answers(after=0.1)) as hers,
        shop.phone(boris, Answers(after=0.2)) as his,
        AsyncExitStack() as stack,
    ):
        phone: Keys = hers
        if how == "dialled":
            phone = await stack.enter_async_context(shop.lab.dial(olga, "89161234567"))
        else:
            assert shop.shop.line.place_call(olga, ANNA, None, shop.account.pbx.outgoing)
        await customer.answers()
        await shop.talks(olga)
        await shop.recorded()
        await shop.lab.bridged(olga)
        assert await phone.transfer(boris if place == "colleague" else place) == 200
        await his.answers()
        await shop.talks(boris)
        customer.hang_up()
        await his.is_free()
    assert (await shop.report()).upload.code == boris
    ((name, number),) = shown(his)
    assert (name, e164(number, "RU")) == ("", ANNA)  # or as it was dialled


async def has_queues(shop: Office, code: str) -> None:
    """Let somebody be the only member of the shop's queues."""
    for queue in ("sales", "support"):
        await shop.lab.asterisk.queue_add(queue, f"Local/{code}@from-queue/n")


async def leaves_queues(shop: Office, code: str) -> None:
    """Take them out again."""
    for queue in ("sales", "support"):
        await shop.lab.asterisk.queue_remove(queue, f"Local/{code}@from-queue/n")


LONG_NAME = "Константинопольская Александра"
"""FreePBX shows 40 bytes of it, and would halve a letter."""


@pytest.mark.parametrize("directly", [True, False])
@pytest.mark.parametrize("place", ["600", "601", "602", "colleague"])
async def test_who_is_handed_a_customer_sees_them_in_queues_and_groups_too(
    shop: Office, place: str, directly: bool
) -> None:
    (olga, boris), name = shop.managers(2), ANNAS_NAME if directly else LONG_NAME
    if place == "602":
        shop.hire(boris := "104")
    shop.customer(ANNA, name, manager=olga)
    if directly:
        shop.pbx["channel_format"] = "pjsip/##"  # what is not the default is taken as it is written
    await has_queues(shop, boris)
    await shop.open()
    try:
        async with (
            shop.phone(olga, Answers(after=0.1)) as hers,
            shop.phone(boris, Answers(after=0.3)) as his,
            shop.lab.call(ANNA, OUR_NUMBER) as customer,
        ):
            await customer.answered()
            await handed_over(shop, hers, boris if place == "colleague" else place)
            await his.answers()
            await shop.talks(boris)
            customer.hang_up()
            await his.is_free()
        report = await shop.report()
    finally:
        await leaves_queues(shop, boris)
    assert (report.upload.code, report.call.first_talker) == (boris, olga)
    assert shown(his) == [(ANNAS_NAME if directly else LONG_NAME[:20].strip(), ANNA)], his.calls


async def test_a_long_name_reaches_a_queues_members_in_whole_letters(shop: Office) -> None:
    (boris,) = shop.managers(1)
    shop.customer(ANNA, LONG_NAME)
    await has_queues(shop, boris)
    await shop.open(fallback="queue:ext-queues,600")
    try:
        async with (
            shop.phone(boris, Answers(after=0.1)) as his,
            shop.lab.call(ANNA, OUR_NUMBER) as customer,
        ):
            await customer.answered()
            await shop.talks(boris)
            customer.hang_up()
            await his.is_free()
        report = await shop.report()
    finally:
        await leaves_queues(shop, boris)
    assert report.upload.code == boris
    assert shown(his) == [(LONG_NAME[:20].strip(), ANNA)]


async def test_a_second_trunk_rings_the_customer_after_a_busy_one(shop: Office) -> None:
    (olga,) = shop.managers(1)
    await keeps(shop, "TRUNK/1", "PJSIP/399")
    await shop.open()
    try:
        async with (
            shop.phone("399", Busy()),
            shop.lab.customer_phone(Answers(after=0.3)) as customer,
            shop.lab.dial(olga, "89161234567", talks=0.3) as manager,
        ):
            await manager.ended()
        report = await shop.report()
    finally:
        await shop.lab.asterisk.command("database del TRUNK 1")
    assert (manager.status, len(customer.calls)) == (200, 1)
    assert (report.upload.result, report.upload.code) == ("answered", olga)


@asynccontextmanager
async def rung_by_freepbx(
    shop: Office, stack: AsyncExitStack, olga: str, boris: str
) -> AsyncIterator[keys.Scene]:
    await shop.open(unknown=f"group:{olga}")
    await stack.enter_async_context(shop.phone(olga, Answers(after=0.1)))
    customer = await stack.enter_async_context(shop.lab.call(ANNA, OUR_NUMBER))
    await customer.answered()
    yield keys.Scene(customer, customer.hang_up)


@asynccontextmanager
async def rung_where_calls_are_forwarded_to(
    shop: Office, stack: AsyncExitStack, olga: str, boris: str
) -> AsyncIterator[keys.Scene]:
    await dials(shop, olga, "*72602")
    shop.hire("104")
    await shop.open(unknown=f"group:{olga}")
    await stack.enter_async_context(shop.phone("104", Answers(after=0.1)))
    customer = await stack.enter_async_context(shop.lab.call(ANNA, OUR_NUMBER))
    await customer.answered()
    yield keys.Scene(customer, customer.hang_up)


@asynccontextmanager
async def rung_by_follow_me(
    shop: Office, stack: AsyncExitStack, olga: str, boris: str
) -> AsyncIterator[keys.Scene]:
    await keeps(shop, f"AMPUSER/{olga}/followme/ddial", "DIRECT")
    await keeps(shop, f"AMPUSER/{olga}/followme/grplist", boris)
    await shop.open(unknown=f"group:{olga}")
    await stack.enter_async_context(shop.phone(boris, Answers(after=0.1)))
    customer = await stack.enter_async_context(shop.lab.call(ANNA, OUR_NUMBER))
    await customer.answered()
    yield keys.Scene(customer, customer.hang_up)


@pytest.mark.parametrize(
    "way",
    [rung_by_freepbx, rung_where_calls_are_forwarded_to, rung_by_follow_me],
    ids=lambda way: str(way.__name__),
)
async def test_a_customer_transfers_nobody_by_keys(shop: Office, way: keys.Scenery) -> None:
    async with keys.listening(shop.lab) as heard:
        await keys.presses_in_vain(shop, heard, way)


def sent_on_to(place: str) -> keys.Scenery:
    """Be sent on into FreePBX's own dialplan, after coming in by a route that doesn't say it is one."""

    @asynccontextmanager
    async def sent_on(
        shop: Office, stack: AsyncExitStack, olga: str, boris: str
    ) -> AsyncIterator[keys.Scene]:
        shop.hire("104")
        await dials(shop, olga, "*72602")
        await has_queues(shop, olga)
        stack.push_async_callback(leaves_queues, shop, olga)
        await shop.lab.asterisk.command(
            "dialplan add extension 749511155,1,Goto(retailcrm-incoming,s,1) into from-pstn-custom replace"
        )
        await shop.open(unknown=f"dialplan:{place.format(olga=olga)},1")
        await stack.enter_async_context(shop.phone("104", Answers(after=0.1)))
        customer = await stack.enter_async_context(shop.lab.call(ANNA, "749511155"))
        await customer.answered()
        await shop.lab.bridged("104")
        yield keys.Scene(customer, customer.hang_up)

    return sent_on


@pytest.mark.parametrize("place", ["ext-group,602", "from-did-direct,{olga}", "ext-queues,600"])
async def test_a_customer_who_is_sent_on_into_freepbxs_dialplan_transfers_nobody_by_keys(
    shop: Office, place: str
) -> None:
    async with keys.listening(shop.lab) as heard:
        await keys.presses_in_vain(shop, heard, sent_on_to(place), stage="dialplan")
