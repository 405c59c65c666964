"""What a call costs: counts that don't depend on the machine, and what they may be at most."""

from ari_app.demo.pbx.phones import Answers
from tests.support.costs import Costs
from tests.support.office import Office

ANNA = "+79161234567"
CALLS = 3
MOST = {
    "Redis commands": 11,
    "Redis transactions": 11,
    "commands within scripts": 55,
    "bytes appended": 11_500,
    "requests to the PBX": 14,
    "tasks": 28,
}
"""For a recorded call of a known customer to one manager. It takes 8 transactions; three more are of steps
that a slow machine doesn't write with others, and of the packing.
"""


async def test_a_recorded_call_of_a_known_customer_costs_no_more_than_this(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Answers(after=0.2)):
        await is_told(office, 1)
        async with Costs.count(office.redis, office.account.id) as costs:
            for number in range(CALLS):
                await is_told(office, number + 2)
    found = costs.a_call(CALLS)
    print(found, costs)
    too_much = {name: number for name, number in found.items() if number > MOST[name]}
    assert not too_much, costs


async def is_told(office: Office, uploads: int) -> None:
    """A call comes, talks and ends, and the CRM is told of it."""
    async with office.call(ANNA, talks=0.5) as caller:
        await caller.ended()
    await office.crm_account.wait_until(lambda crm: len(crm.uploads) >= uploads, timeout=60)
    await office.told_all()
