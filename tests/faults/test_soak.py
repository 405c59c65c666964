"""The soak in short: the same calls and the same faults each time."""

from __future__ import annotations

from ari_app.demo.pbx.machine import Installation
from tests.soak.plan import What, draw
from tests.soak.report import tables
from tests.soak.run import Run
from tests.soak.world import World

SEED = 26
FAULTS = (What.CRM_503, What.REDIS_READ_ONLY, What.WIRE_ANSWERS, What.KILLED)


async def test_nothing_is_told_wrongly_of_calls_of_every_kind_while_faults_come_and_go(
    installation: Installation,
) -> None:
    plan = draw(SEED, 28.0, every=3.0, longest=2.0, kinds=FAULTS)
    async with World(installation, copies=1) as world:
        outcome = await Run(world, plan).run()
    assert not outcome.wrong, tables(outcome)
    assert not outcome.unplayed, tables(outcome)
    assert outcome.calls == len(plan.calls)
    assert {one.fault.what for one in outcome.faults} == set(FAULTS)
