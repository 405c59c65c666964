"""Altered events of ARI, answers of AJAM and answers of the CRM."""

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import aiohttp
import orjson
import pytest
import structlog
from pydantic import ValidationError

from ari_app.asterisk.ajam_wire import read_answer, read_channels
from ari_app.asterisk.event_stream import EventStream
from ari_app.asterisk.events import Heard, NewCaller
from ari_app.asterisk.pbx import Pbx, PbxTarget
from ari_app.network.reach import ANYWHERE, Passage
from ari_app.retailcrm.client import _judge
from ari_app.retailcrm.errors import CrmError
from ari_app.retailcrm.messages import (
    CredentialsBody,
    EventBody,
    ManagerBody,
    SettingsBody,
    UploadBody,
    UsersBody,
)
from ari_app.retailcrm.module import ModuleBody
from ari_app.retailcrm.registration import EditBody
from ari_app.retailcrm.sites import SitesBody
from tests.fuzz.mutations import LONG, MOST_GROWTH_MB, MOST_STEP_SECONDS, SEED, memory_mb, torn, written
from tests.unit.test_hostile_events import events_with

TIMES = 1_000_000 if LONG else 4_000


class Ears:
    """Hears what a call would, and keeps nothing."""

    count = 0

    def heard(self, heard: Heard) -> None:
        self.count += 1

    def arrived(self, caller: NewCaller, at: float) -> None:
        self.count += 1

    def lost(self, unnoticed: float) -> None: ...

    def replaced(self) -> None: ...

    async def connected(self, startup: str) -> None: ...


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What is wrong with an event is a line of the log; here there would be a million."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.reset_defaults()


def each_is_taken(read: Callable[[bytes], object], make: Callable[[random.Random], bytes]) -> None:
    """Read so many: no failure, no step that takes long, no memory that grows."""
    rng = random.Random(SEED)
    began: float | None = None
    for number in range(TIMES):
        said = make(rng)
        before = time.thread_time()
        try:
            read(said)
        except Exception as failure:
            failure.add_note(f"the {number}th of seed {SEED}: {said[:2_000]!r}")
            raise
        took = time.thread_time() - before
        assert took < MOST_STEP_SECONDS, (number, took, said[:2_000])
        if number == TIMES // 10:
            began = memory_mb()
    assert began is not None
    assert memory_mb() - began < MOST_GROWTH_MB


async def test_events_of_ari() -> None:
    words = ("101", "shop-0123456789abcdef-1", "x/y@z;2")
    events = [orjson.loads(event) for word in words for event in events_with(word)]
    ears = Ears()
    async with aiohttp.ClientSession() as session:
        target = PbxTarget("http://127.0.0.1:9/", "ari", "ari", "shop", "PJSIP/##")
        stream = EventStream(Pbx(target, Passage(ANYWHERE, session), "shop"))
        each_is_taken(lambda said: stream._hear(said, ears), lambda rng: written(rng, rng.choice(events)))
    assert ears.count > TIMES / 20


CHANNELS = b"".join(
    (
        b"Response: Success\r\nEventList: start\r\nMessage: Channels will follow\r\n\r\n",
        b"Event: CoreShowChannel\r\nChannel: PJSIP/101-0001\r\nChannelStateDesc: Up\r\nUniqueid: 1.1\r\n",
        b"Linkedid: 1.1\r\nBridgeId: \r\nApplication: Dial\r\nConnectedLineNum: 101\r\n",
        b"Duration: 00:01:02\r\n\r\n",
        b"Event: CoreShowChannelsComplete\r\nEventList: Complete\r\nListItems: 1\r\n\r\n",
    )
)


def test_answers_of_ajam() -> None:
    def read(said: bytes) -> None:
        with suppress(ValueError):
            read_channels(read_answer(said))

    each_is_taken(read, lambda rng: torn(rng, CHANNELS))


ANSWERS: list[tuple[type[Any], dict[str, Any]]] = [
    (
        ManagerBody,
        {
            "manager": {"id": 1, "firstName": "О", "lastName": "Ольгина", "code": "101"},
            "customer": {"id": 7, "firstName": "Анна", "lastName": "И", "phones": [{"number": "+7916"}]},
            "links": {"newOrderLink": "https://shop.retailcrm.ru/orders/add"},
        },
    ),
    (EventBody, {"notExistCodes": ["101"], "notExistUsers": [1]}),
    (UploadBody, {"processedCallsCount": 1, "duplicateCalls": ["shop-1"]}),
    (SettingsBody, {"settings": {"timezone": {"value": "Europe/Moscow"}}}),
    (
        UsersBody,
        {
            "users": [{"id": 1, "firstName": "О", "active": True, "status": "free", "groups": [{"id": 2}]}],
            "pagination": {"limit": 100, "totalCount": 1, "currentPage": 1, "totalPageCount": 1},
        },
    ),
    (SitesBody, {"sites": {"shop": {"code": "shop", "name": "Магазин", "url": "https://shop.ru"}}}),
    (CredentialsBody, {"scopes": ["telephony_read"], "credentials": ["/api/users"], "siteCodes": ["shop"]}),
    (
        ModuleBody,
        {
            "integrationModule": {
                "code": "ari-app",
                "active": True,
                "integrations": {"telephony": {"additionalCodes": [{"userId": 1, "code": "101"}]}},
            }
        },
    ),
    (EditBody, {"info": {"notExistUsers": [1], "notExistSites": ["shop"]}}),
]


def test_answers_of_the_crm() -> None:
    def make(rng: random.Random) -> bytes:
        body, answer = rng.choice(ANSWERS)
        chosen.append(body)
        return written(rng, {"success": True, **answer})

    def read(said: bytes) -> None:
        body = chosen.pop()
        status = 200 if len(said) % 3 else 400
        with suppress(CrmError, ValidationError):
            body.model_validate(_judge("GET x", status, None, said.decode("utf-8", "replace"))).read()

    chosen: list[type[Any]] = []
    each_is_taken(read, make)
