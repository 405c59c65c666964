"""Notes are taken at once, whatever Redis does, and written when it can be."""

import asyncio
from dataclasses import dataclass

from redis.asyncio import Redis

from ari_app.asterisk.pbx_state import PbxState
from ari_app.errors import StoreUnavailable
from ari_app.service.event_log import WAITING, Notes, TroubleWatch
from ari_app.store.events import Event, EventStore, What


@dataclass
class FakeConnection:
    """A connection whose state a test sets."""

    state: PbxState = PbxState.CONNECTING
    problem: str | None = None


class AwayStore(EventStore):
    """Redis is away the first time."""

    def __init__(self) -> None:
        self.written: list[Event] = []
        self.failures = 1
        self.enough = asyncio.Event()

    async def add(self, event: Event) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")
        self.written.append(event)
        self.enough.set()


def taken(notes: Notes) -> list[What]:
    """Give what waits to be written, and forget it."""
    waiting = [event.what for event in notes._waiting]
    notes._waiting.clear()
    return waiting


async def test_a_note_waits_for_redis_and_is_written_once() -> None:
    store = AwayStore()
    notes = Notes(store, lambda: 5.0)
    notes.take(What.PBX_LOST, problem="x" * 1000)
    running = asyncio.create_task(notes.run())
    async with asyncio.timeout(60):
        await store.enough.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert store.written == [Event(5.0, What.PBX_LOST, {"problem": "x" * 500})]


async def test_while_redis_is_away_only_so_many_notes_wait(redis: Redis) -> None:
    notes = Notes(EventStore(redis, "shop"), lambda: 0.0)
    for _ in range(WAITING + 10):
        notes.take(What.SIGNED_IN)
    assert len(taken(notes)) == WAITING


async def test_a_connection_that_is_lost_or_found_is_noted_once(redis: Redis) -> None:
    notes = Notes(EventStore(redis, "shop"), lambda: 0.0)
    ari, ajam = FakeConnection(), FakeConnection(PbxState.CONNECTED)
    crm = FakeConnection()
    watch = TroubleWatch(notes, ari, ajam, crm)
    watch.look()
    assert taken(notes) == [What.AJAM_CONNECTED]
    ari.state, ari.problem, crm.problem = PbxState.DENIED, "401", "500 oops"
    watch.look()
    watch.look()
    assert taken(notes) == [What.PBX_LOST, What.CRM_AWAY]
    ari.state = PbxState.CONNECTING
    watch.look()
    assert taken(notes) == []
    ari.state, crm.problem = PbxState.CONNECTED, None
    watch.look()
    assert taken(notes) == [What.PBX_CONNECTED, What.CRM_BACK]
