"""What is measured of calls on a real Asterisk."""

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ari_app.demo.pbx.phones import Answers
from ari_app.figures import COUNTED
from tests.support.office import Office

ANNA = "+79161234567"


def measured() -> dict[str, float]:
    """Give each figure's sum over its labels."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(generate_latest(COUNTED).decode()):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


async def test_a_call_is_measured_from_its_first_event_to_its_recording(office: Office) -> None:
    before = measured()
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Answers(after=0.1)), office.call(ANNA, talks=0.5) as caller:
        await caller.ended()
    await office.report()
    more = {name: value - before.get(name, 0.0) for name, value in measured().items()}
    assert more["ari_app_calls_ended_total"] == 1
    assert more["ari_app_pbx_connections_total"] == 1
    assert more["ari_app_recordings_stored_total"] == 1
    assert more["ari_app_call_ring_seconds_count"] == 1
    assert more["ari_app_call_talk_seconds_sum"] > 0.3
    assert more["ari_app_event_to_order_seconds_count"] > 3
