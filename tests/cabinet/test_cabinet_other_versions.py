"""What another version has stored closes no account and stops no delivery."""

import asyncio
import time
from pathlib import Path

from redis.asyncio import Redis
from structlog.testing import capture_logs

from ari_app.demo.crm.simulator import SimulatedCrm
from ari_app.store.keys import Keys
from tests.cabinet.cabinet_shop import cabinet_shop
from tests.cabinet.shop import ReportingShop
from tests.support.history import HISTORY, put_live, put_outbox

KNOWN = next(one for one in HISTORY if one.name == "known_customer_answered")
OTHER = next(one for one in HISTORY if one.name == "queue_answered")


async def test_an_account_opens_with_calls_and_an_outbox_that_it_can_read_in_part(
    redis: Redis, tmp_path: Path
) -> None:
    async with SimulatedCrm() as crm:
        shop = ReportingShop(crm, redis, tmp_path, time.time)
        await shop.apply()
        keys = Keys(shop.account.id)
        await put_live(redis, shop.account.id, [KNOWN.live["talking"], OTHER.live["ringing"]])
        await redis.set(keys.call(KNOWN.call.id), b'{"stage": "levitating"}')
        await redis.sadd(keys.reported, "r1")
        await redis.set(keys.call("r1"), b"oops")
        await redis.xadd(keys.outbox, {"call": KNOWN.call.id, "tell": b'{"kind":"TellTheWorld"}'})
        await put_outbox(redis, shop.account.id, KNOWN)
        with capture_logs() as log:
            await shop.start()
            try:
                assert [call.id for call in shop.shop.line.calls] == [OTHER.call.id]
                async with asyncio.timeout(10):
                    assert await shop.told() == [("upload", "answered", "101")]
                [refusal] = await shop.calls.outbox.refusals()
                assert (refusal.call, refusal.tell) == (KNOWN.call.id, None)
                assert await redis.get(keys.call(KNOWN.call.id)) == b'{"stage": "levitating"}'
            finally:
                await shop.stop()
        said = [line["call"] for line in log if line["log_level"] == "error"]
        assert sorted(said) == sorted(["r1", KNOWN.call.id, KNOWN.call.id])
        assert crm.violations == []


async def test_what_could_not_be_read_is_shown_and_is_not_lost_when_it_is_sent_again(
    redis: Redis, tmp_path: Path
) -> None:
    async with cabinet_shop(redis, tmp_path) as cabinet, cabinet.reader() as reader:
        await reader.enter(cabinet)
        store, keys = cabinet.shop.calls, Keys(cabinet.shop.account.id)
        await redis.xadd(keys.outbox, {"call": "c1", "tell": b'{"kind":"TellTheWorld"}'})
        cabinet.shop.shop.delivery.wake()
        await cabinet.shop.told()
        text = await reader.text("/events")
        assert "Message that this version can't read" in text
        assert "could not read a message for the CRM" in text
        assert "TellTheWorld" in text
        async with cabinet.reader("ru") as russian:
            await russian.enter(cabinet)
            assert "Сообщение, которое эта версия не может прочитать" in await russian.text("/events")
        [before] = await store.outbox.refusals()
        await reader.post("/events/send-again", token=await reader.token("/events"), refusal=before.id)
        async with asyncio.timeout(10):
            while True:
                idents = [refusal.id for refusal in await store.outbox.refusals()]
                if idents and before.id not in idents:
                    break
                await asyncio.sleep(0.01)
        assert await store.outbox.read() == []
