"""Calls that an earlier version has stored: the service takes them up, and the cabinet shows them."""

import re
import time
from pathlib import Path

from markupsafe import escape
from redis.asyncio import Redis

from ari_app.calls.call import Way
from ari_app.calls.journal import load_line
from ari_app.demo.crm.simulator import SimulatedCrm
from ari_app.store.keys import Keys
from ari_app.timeline.colours import Tone
from ari_app.timeline.timeline import narrate
from tests.cabinet.cabinet_shop import cabinet_shop
from tests.cabinet.shop import ReportingShop
from tests.support.history import HISTORY, put_ended, put_live, put_outbox

_SENTENCE = re.compile(r"[а-яё]{3}")


async def test_calls_that_are_over_are_listed_opened_and_saved(redis: Redis, tmp_path: Path) -> None:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        for history in HISTORY:
            await put_ended(redis, cabinet.shop.account.id, history)
        kept = [call async for call in cabinet.shop.calls.walk()]
        assert {call.id for call in kept} == {history.call.id for history in HISTORY}
        async with cabinet.reader() as reader, cabinet.reader("ru") as russian:
            await reader.enter(cabinet)
            await russian.enter(cabinet)
            listed = await reader.text("/calls")
            table = await reader.text("/calls.csv")
            for history in HISTORY:
                assert f'href="/calls/{history.call.id}' in listed
                english = await reader.text(f"/calls/{history.call.id}")
                for line in map(load_line, history.journal):
                    for sentence in narrate(line, history.call):
                        if sentence.tone is not Tone.CRM:  # what the CRM was told is a list of its own
                            assert escape(sentence.text) in english
                assert _SENTENCE.search(await russian.text(f"/calls/{history.call.id}"))
            assert len(table.splitlines()) == len(HISTORY) + 1
            assert (await reader.get("/statistics")).status == 200


async def test_live_calls_are_taken_up_and_what_was_untold_is_told(redis: Redis, tmp_path: Path) -> None:
    async with SimulatedCrm() as crm:
        shop = ReportingShop(crm, redis, tmp_path, time.time)
        await shop.apply()
        account = shop.account.id
        for history in HISTORY:
            await put_live(redis, account, [list(history.live.values())[-1]])
            await put_outbox(redis, account, history)
        await shop.start()
        try:
            ours = {history.call.id for history in HISTORY if history.call.way is not Way.REPORTED}
            assert {call.id for call in shop.shop.line.calls} == ours
            await shop.told()
            uploaded = {upload.call.external_id for upload in shop.crm_account.uploads}
            assert uploaded == {history.call.id for history in HISTORY}
            assert await shop.calls.outbox.refusals() == []
            assert await redis.xlen(Keys(account).outbox) == 0
        finally:
            await shop.stop()
        assert crm.violations == []
