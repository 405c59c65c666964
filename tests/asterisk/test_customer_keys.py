"""What a customer presses while talking: the PBX's feature codes are for the shop's people alone.

Every dialplan of the lab lets both sides transfer and park (`tTkK`), as careless ones do. A customer who
could would telephone through the shop's line at its expense.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio

from ari_app.demo.pbx.keys import Keys
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.phones import Answers, Phone
from tests.asterisk.test_outgoing import dial
from tests.asterisk.test_transfers import handed_over
from tests.support.office import Office

ANNA, STRANGER = "+79161234567", "+79037654321"
ABROAD = "79031112233"
KEYS = f"*3##{ABROAD}*2{ABROAD}"
"""Those that park, those that transfer without asking, and those that ask first."""

_logs = itertools.count(1)


@dataclass
class Scene:
    """A customer who talks with a manager."""

    customer: Keys
    hang_up: Callable[[], None]
    trunk: Phone | None = None
    """The telephone of those who are called through the trunk, when the customer is one of them."""


Scenery = Callable[[Office, AsyncExitStack, str, str], AbstractAsyncContextManager[Scene]]


async def talks(office: Office, leg: str) -> None:
    await office.recorded()
    await office.lab.bridged(leg)


@asynccontextmanager
async def in_a_group(office: Office, stack: AsyncExitStack, olga: str, boris: str) -> AsyncIterator[Scene]:
    await office.open(unknown=f"group:{olga}")
    await stack.enter_async_context(office.phone(olga, Answers(after=0.1)))
    customer = await stack.enter_async_context(office.call(ANNA))
    await customer.answered()
    yield Scene(customer, customer.hang_up)


@asynccontextmanager
async def through_the_dialplan(
    office: Office, stack: AsyncExitStack, olga: str, boris: str
) -> AsyncIterator[Scene]:
    office.pbx["channel_format"] = "Local/##@internal/n"
    await office.open(unknown=f"group:{olga}")
    await stack.enter_async_context(office.phone(olga, Answers(after=0.1)))
    customer = await stack.enter_async_context(office.call(ANNA))
    await customer.answered()
    yield Scene(customer, customer.hang_up)


@asynccontextmanager
async def in_a_queue(office: Office, stack: AsyncExitStack, olga: str, boris: str) -> AsyncIterator[Scene]:
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"PJSIP/{olga}")
    await office.open(unknown=f"queue:queues,{queue}")
    await stack.enter_async_context(office.phone(olga, Answers(after=0.1)))
    customer = await stack.enter_async_context(office.call(ANNA))
    await customer.answered()
    yield Scene(customer, customer.hang_up)


@asynccontextmanager
async def in_a_queue_of_local_members(
    office: Office, stack: AsyncExitStack, olga: str, boris: str
) -> AsyncIterator[Scene]:
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"Local/{olga}@internal")
    await office.open(unknown=f"queue:queues-answering,{queue}")
    await stack.enter_async_context(office.phone(olga, Answers(after=0.1)))
    customer = await stack.enter_async_context(office.call(ANNA))
    await customer.answered()
    yield Scene(customer, customer.hang_up)


@asynccontextmanager
async def after_a_transfer(
    office: Office, stack: AsyncExitStack, olga: str, boris: str
) -> AsyncIterator[Scene]:
    await office.open(unknown=f"group:{olga}")
    first = await stack.enter_async_context(office.phone(olga, Answers(after=0.1)))
    phone = await stack.enter_async_context(office.phone(boris, Answers(after=0.1)))
    customer = await stack.enter_async_context(office.call(ANNA))
    await customer.answered()
    await handed_over(office, first, boris)
    await phone.answers()
    await office.stage("talking")
    yield Scene(customer, customer.hang_up)


@asynccontextmanager
async def after_asking_a_colleague(
    office: Office, stack: AsyncExitStack, olga: str, boris: str
) -> AsyncIterator[Scene]:
    await office.open(unknown=f"group:{olga}")
    first = await stack.enter_async_context(office.phone(olga, Answers(after=0.1)))
    await stack.enter_async_context(office.phone(boris, Answers(after=0.1)))
    customer = await stack.enter_async_context(office.call(ANNA))
    await customer.answered()
    await first.answers()
    await talks(office, olga)
    async with dial(office, olga, boris) as consultation:
        await consultation.answered()
        await office.lab.bridged(boris)
        assert await first.transfer_to(consultation) == 200
        await consultation.ended()
    await office.until(
        lambda: any(call.talker == boris for call in office.shop.line.calls), "boris is not told"
    )
    yield Scene(customer, customer.hang_up)


@asynccontextmanager
async def picked_up_and_handed_over(
    office: Office, stack: AsyncExitStack, olga: str, boris: str
) -> AsyncIterator[Scene]:
    (vera,) = office.managers(1)
    await office.open(unknown=f"group:{olga}")
    hers = await stack.enter_async_context(office.phone(olga, Answers(after=30)))
    phone = await stack.enter_async_context(office.phone(boris, Answers(after=0.1)))
    customer = await stack.enter_async_context(office.call(ANNA))
    await hers.rings()
    veras = await stack.enter_async_context(dial(office, vera, f"*8{olga}"))
    await veras.answered()
    await customer.answered()
    await talks(office, vera)
    assert await veras.transfer(boris) == 200
    await phone.answers()
    await office.stage("talking")
    yield Scene(customer, customer.hang_up)


@asynccontextmanager
async def called_from_a_telephone(
    office: Office, stack: AsyncExitStack, olga: str, boris: str
) -> AsyncIterator[Scene]:
    await office.open()
    trunk = await stack.enter_async_context(office.lab.customer_phone(Answers(after=0.1)))
    manager = await stack.enter_async_context(dial(office, olga, ANNA))
    await manager.answered()
    yield Scene(trunk, trunk.hang_up, trunk)


@asynccontextmanager
async def called_by_a_click(
    office: Office, stack: AsyncExitStack, olga: str, boris: str
) -> AsyncIterator[Scene]:
    await office.open()
    trunk = await stack.enter_async_context(office.lab.customer_phone(Answers(after=0.1)))
    await stack.enter_async_context(office.phone(olga, Answers(after=0.1)))
    assert office.shop.line.place_call(olga, ANNA, None, office.account.pbx.outgoing)
    await trunk.answers()
    yield Scene(trunk, trunk.hang_up, trunk)


@asynccontextmanager
async def called_by_a_click_without_ari(
    office: Office, stack: AsyncExitStack, olga: str, boris: str
) -> AsyncIterator[Scene]:
    await office.open()
    trunk = await stack.enter_async_context(office.lab.customer_phone(Answers(after=0.1)))
    await stack.enter_async_context(office.phone(olga, Answers(after=0.1)))
    await office.lab.asterisk.switch_ari(False)
    stack.push_async_callback(office.lab.asterisk.switch_ari, True)
    await office.until(lambda: not office.listening, "ARI is still heard")
    assert office.shop.line.place_call(olga, ANNA, None, office.account.pbx.outgoing)
    await trunk.answers()
    yield Scene(trunk, trunk.hang_up, trunk)


@asynccontextmanager
async def called_and_handed_over(
    office: Office, stack: AsyncExitStack, olga: str, boris: str
) -> AsyncIterator[Scene]:
    await office.open()
    trunk = await stack.enter_async_context(office.lab.customer_phone(Answers(after=0.1)))
    phone = await stack.enter_async_context(office.phone(boris, Answers(after=0.1)))
    manager = await stack.enter_async_context(dial(office, olga, ANNA))
    await manager.answered()
    await talks(office, olga)
    assert await manager.transfer(boris) == 200
    await phone.answers()
    await office.stage("talking")
    yield Scene(trunk, trunk.hang_up, trunk)


WAYS = (
    in_a_group,
    through_the_dialplan,
    in_a_queue,
    in_a_queue_of_local_members,
    after_a_transfer,
    after_asking_a_colleague,
    picked_up_and_handed_over,
    called_from_a_telephone,
    called_by_a_click,
    called_by_a_click_without_ari,
    called_and_handed_over,
)


@asynccontextmanager
async def listening(lab: Lab) -> AsyncIterator[Callable[[], str]]:
    """What the PBX notes of keys and of transfers by keys, from now on."""
    name = f"keys{next(_logs)}"
    await lab.asterisk.command(f"logger add channel {name} dtmf,verbose(5)")
    yield lambda: (lab.asterisk.folder / "log" / name).read_text()
    await lab.asterisk.command(f"logger remove channel {name}")


@pytest_asyncio.fixture(loop_scope="session")
async def heard(lab: Lab) -> AsyncIterator[Callable[[], str]]:
    async with listening(lab) as heard:
        yield heard


@pytest.mark.parametrize("way", WAYS, ids=lambda way: str(way.__name__))
async def test_a_customer_who_presses_feature_codes_goes_on_talking_and_calls_nobody(
    office: Office, heard: Callable[[], str], way: Scenery
) -> None:
    await presses_in_vain(office, heard, way)


async def presses_in_vain(
    office: Office, heard: Callable[[], str], way: Scenery, stage: str = "talking"
) -> None:
    """In one way in which people are reached, the customer presses all that transfers and parks."""
    olga, boris = office.managers(2)
    async with AsyncExitStack() as stack:
        scene = await stack.enter_async_context(way(office, stack, olga, boris))
        await office.stage(stage)
        outside = scene.trunk
        if outside is None:
            outside = await stack.enter_async_context(office.lab.customer_phone(Answers()))
        await scene.customer.press(KEYS)
        await office.until(lambda: keys_ended(heard()) >= len(KEYS), "the PBX does not note the keys")
        assert transfers(heard()) == []
        assert ABROAD not in [call.to for call in outside.calls]
        assert (await office.live()).stage.value == stage
        scene.hang_up()
        await office.ended()


async def test_without_us_the_same_keys_transfer_and_park(lab: Lab, heard: Callable[[], str]) -> None:
    (olga,) = lab.extensions(1)
    async with (
        lab.customer_phone(Answers()) as outside,
        lab.phone(olga, Answers(after=0.1)),
        lab.call(ANNA, f"02{olga}") as customer,
    ):
        await customer.answered()
        await lab.bridged(olga)
        await customer.press(f"##{ABROAD}")
        await outside.rings()
    assert outside.calls[0].to == ABROAD
    assert len(transfers(heard())) == 1


def keys_ended(heard: str) -> int:
    """Count the customer's keys that have gone through, at whichever end of the trunk the customer is."""
    return len(re.findall(r"DTMF end (?:emulation|passthrough).* on PJSIP/trunk-", heard))


def transfers(heard: str) -> list[str]:
    """List what the keys have set going."""
    return re.findall(r"Started DTMF .*|.*Parking .*", heard)
