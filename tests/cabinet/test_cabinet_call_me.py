"""«Позвонить мне сейчас»: who may press it, what it says of each step, and what it leaves behind."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from ari_app.calls import happenings as h
from tests.cabinet.cabinet_shop import CabinetShop, Reader, cabinet_shop
from tests.cabinet.kept_trials import DECLINED, NUMBER, KeptTrial

TELEPHONE = "PJSIP/101/sip:101@10.0.0.5"
STORED = h.RecordingStored(0.0, "0" * 40 + ".wav", 8.0)


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader("ru") as reader:
        await reader.enter(cabinet)
        yield reader


def steps(text: str) -> list[tuple[str, str]]:
    return re.findall(r'data-step="(\w+)" data-state="(\w+)"', text)


async def test_the_page_offers_the_extensions_with_the_shops_number(reader: Reader) -> None:
    text = await reader.text("/call-me")
    assert re.findall(r'<option value="(\d+)"', text) == ["101", "102", "103"]
    assert f'value="{NUMBER}"' in text
    assert steps(text) == []


async def test_the_page_information_leads_to_it(reader: Reader) -> None:
    assert 'href="/call-me">Позвонить мне сейчас</a>' in await reader.text("/")


async def test_a_trial_that_went_well_is_shown_step_by_step_with_its_recording(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await KeptTrial().rings(TELEPHONE).answered(STORED).keep(cabinet.shop.calls)
    text = await reader.text("/call-me")
    assert [state for _, state in steps(text)] == ["good"] * 6
    assert "Весь путь звонка работает." in text
    assert f'href="/recordings/{STORED.file}"' in text
    assert "hx-trigger" not in text.partition('id="trial"')[2][:200]
    assert 'href="/calls/t1"' in text


async def test_one_that_was_declined_says_what_to_do_and_what_was_not_reached(
    cabinet: CabinetShop, reader: Reader
) -> None:
    await KeptTrial().rings(TELEPHONE).ends(DECLINED, 603).keep(cabinet.shop.calls, "код 101 не найден")
    text = await reader.text("/call-me")
    assert dict(steps(text))["answered"] == "bad"
    assert "Звонок на телефоне сбросили." in text
    assert "Повторите и снимите трубку." in text
    assert "retailCRM не приняла показ карточки: код 101 не найден." in text
    assert "не дошло" in text


async def test_it_stands_in_no_log_no_statistics_and_nobody_is_missed_by_it(
    cabinet: CabinetShop, reader: Reader
) -> None:
    calls = cabinet.shop.calls
    await KeptTrial("t1").rings(TELEPHONE).overdue().keep(calls)
    await KeptTrial("t2").rings(TELEPHONE).answered(STORED).keep(calls)
    assert not await calls.ended(10)
    assert not await calls.led_here()
    for path in ("/calls", "/missed", "/missed?view=lost", "/statistics"):
        assert "t1" not in re.findall(r'href="/calls/(\w+)', await reader.text(path)), path
    assert 'class="empty"' in await reader.text("/calls")
    assert 'class="count"' not in await reader.text("/missed")
    assert {call.id for call in await calls.trials(10)} == {"t1", "t2"}
    assert set(await calls.ended_ids()) == {"t1", "t2"}  # what goes with the account


async def test_without_the_pbx_it_says_so_with_a_remedy_and_counts_as_one_of_the_minute(
    reader: Reader,
) -> None:
    token = await reader.token("/call-me")
    for _ in range(10):
        answer = await reader.post("/call-me", token=token, code="101", number=NUMBER)
        text = await answer.text()
        assert (answer.status, "data-problem" in text) == (200, True)
        assert "Asterisk не подключён" in text
    text = await (await reader.post("/call-me", token=token, code="101", number=NUMBER)).text()
    assert "слишком много звонков" in text


async def test_what_is_wrong_in_the_form_is_said_beside_the_field(reader: Reader) -> None:
    token = await reader.token("/call-me")
    answer = await reader.post("/call-me", token=token, code="999", number=NUMBER)
    assert (answer.status, 'id="code-wrong"' in await answer.text()) == (422, True)
    answer = await reader.post("/call-me", token=token, code="101", number="Ольга")
    text = await answer.text()
    assert (answer.status, 'id="number-wrong"' in text, 'value="Ольга"' in text) == (422, True, True)
    answer = await reader.post("/call-me", code="101", number=NUMBER)
    assert answer.status == 403
