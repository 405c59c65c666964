"""What happened in an account is kept, the newest few thousand, and found by what it is about."""

import pytest
from redis.asyncio import Redis

from ari_app.store import events
from ari_app.store.events import Event, EventStore, Kind, Severity, Wanted, What
from ari_app.store.keys import Keys

SHOP = "shop.retailcrm.ru"


@pytest.fixture
async def store(redis: Redis) -> EventStore:
    store = EventStore(redis, SHOP)
    for at, what in enumerate(
        (What.PBX_CONNECTED, What.SIGNED_IN, What.PBX_LOST, What.CRM_AWAY, What.AJAM_LOST)
    ):
        await store.add(Event(float(at), what, {"problem": f"p{at}"}))
    return store


async def whats(store: EventStore, wanted: Wanted) -> list[What]:
    """Give what is found."""
    return [event.what for event in (await store.newest(50, wanted))[0]]


async def test_events_are_found_by_kind_severity_and_period(store: EventStore) -> None:
    assert await whats(store, Wanted()) == [
        What.AJAM_LOST,
        What.CRM_AWAY,
        What.PBX_LOST,
        What.SIGNED_IN,
        What.PBX_CONNECTED,
    ]
    assert await whats(store, Wanted(Kind.PBX)) == [What.AJAM_LOST, What.PBX_LOST, What.PBX_CONNECTED]
    assert await whats(store, Wanted(severity=Severity.ERROR)) == [What.CRM_AWAY, What.PBX_LOST]
    assert (await whats(store, Wanted(severity=Severity.WARNING)))[:1] == [What.AJAM_LOST]
    assert await whats(store, Wanted(since=1, until=3)) == [What.PBX_LOST, What.SIGNED_IN]


async def test_pages_follow_one_another_whatever_is_added_meanwhile(store: EventStore) -> None:
    first, behind = await store.newest(2)
    await store.add(Event(9.0, What.CRM_BACK))
    second, then = await store.newest(2, behind=behind or "")
    third, end = await store.newest(2, behind=then or "")
    assert [event.at for event in (*first, *second, *third)] == [4, 3, 2, 1, 0]
    assert end is None
    assert await store.newest(50, behind="nonsense") == await store.newest(50)


async def test_only_the_newest_are_kept(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEPT", 100)
    monkeypatch.setattr(events, "_AT_ONCE", 70)
    store = EventStore(redis, SHOP)
    for at in range(400):
        await store.add(Event(float(at), What.SIGNED_IN))
    found, _ = await store.newest(1000)
    assert 100 <= len(found) <= 200
    assert found[0].at == 399


async def test_an_event_that_a_newer_version_wrote_is_left_out(redis: Redis, store: EventStore) -> None:
    await redis.xadd(Keys(SHOP).events, {"at": "1.0", "what": "the moon rose", "values": "{}"})
    assert len((await store.newest(50))[0]) == 5


def test_every_event_has_a_kind() -> None:
    assert {what.kind for what in What} == set(Kind)
