"""A shop leaves, and takes all that it has along."""

import asyncio
import csv
import json
import tomllib
from pathlib import Path

from ari_app.calls.outcome import Ending
from ari_app.calls.stored import load_call
from ari_app.store.accounts import Accounts
from ari_app.store.calls import CallStore
from ari_app.store.events import Event, EventStore, What
from ari_app.store.missed import MissedStore, Reason
from tests.cabinet.kept_calls import keep, over
from tests.store.test_backup import KEY, LONG_AGO, SHOP, ari_app, kept, shop_with_calls


async def test_a_shop_takes_its_settings_calls_statistics_and_recordings_along(tmp_path: Path) -> None:
    here, folder = tmp_path / "here", tmp_path / "export"
    await shop_with_calls(here, "call-1", "call-2")
    async with kept(here) as redis:
        called_so = over("call-3", LONG_AGO + 9, account=SHOP, name="=cmd|' /C calc'!A0", number=None)
        await keep(CallStore(redis, SHOP), called_so)
        account = await Accounts(redis, KEY).find(SHOP)
        stored = await CallStore(redis, SHOP).get("call-1")
    done = await asyncio.to_thread(ari_app, here, "account", "export", SHOP, str(folder))
    assert done.exit_code == 0, done.output
    assert "3 calls" in done.output
    assert "2 recordings" in done.output

    with (folder / "calls.csv").open(encoding="utf-8-sig", newline="") as table:
        rows = list(csv.DictReader(table, delimiter=";"))
    assert [row["id"] for row in rows] == ["call-3", "call-2", "call-1"]
    assert rows[0]["name"].startswith("'="), "a name is no formula"
    assert (rows[2]["result"], rows[2]["manager"], rows[2]["talking, s"]) == ("answered", "101", "60")
    assert (folder / rows[2]["recording"]).read_bytes() == b"call-1" * 1000
    assert rows[0]["recording"] == ""

    objects = [json.loads(one) for one in (folder / "calls.jsonl").read_bytes().splitlines()]
    assert load_call(json.dumps(objects[2]["call"]).encode()) == stored
    assert len(objects[2]["journal"]) == 1

    days = (folder / "statistics.csv").read_text("utf-8-sig").splitlines()
    assert days[1:] == ["2023-11-14;in;3;0;15;180"]

    text = (folder / "account.toml").read_text("utf-8")
    assert account is not None
    assert tomllib.loads(text)["crm"]["url"] == account.crm.url
    assert "a-secret-word" not in text


async def test_a_shop_takes_its_missed_customers_and_its_event_log_along(tmp_path: Path) -> None:
    here, folder = tmp_path / "here", tmp_path / "export"
    await shop_with_calls(here)
    async with kept(here) as redis:
        for at, number in enumerate(("+79160000001", "+79160000002", "+79160000002")):
            call = over(f"call-{at}", LONG_AGO + at, account=SHOP, number=number, ending=Ending.GAVE_UP)
            await keep(CallStore(redis, SHOP), call)
        missed = MissedStore(redis, SHOP)
        assert await missed.close(
            "+79160000001", "call-0", LONG_AGO + 60, Reason.SPAM, "101", "=HYPERLINK(1)"
        )
        await EventStore(redis, SHOP).add(Event(LONG_AGO, What.CLICK_REFUSED, {"number": "+79160000003"}))
    done = await asyncio.to_thread(ari_app, here, "account", "export", SHOP, str(folder))
    assert done.exit_code == 0, done.output
    with (folder / "missed.csv").open(encoding="utf-8-sig", newline="") as table:
        rows = list(csv.DictReader(table, delimiter=";"))
    assert [(row["number"], row["calls"], row["reason"]) for row in rows] == [
        ("'+79160000002", "2", ""),
        ("'+79160000001", "1", "spam"),
    ]
    assert rows[0]["missed at"] == "2023-11-15T01:13:21+03:00"
    assert (rows[1]["by"], rows[1]["note"]) == ("101", "'=HYPERLINK(1)")
    [event] = map(json.loads, (folder / "events.jsonl").read_bytes().splitlines())
    assert event == {
        "at": "2023-11-14T22:13:20.000+00:00",
        "what": "click refused",
        "values": {"number": "+79160000003"},
    }


async def test_a_shop_that_is_not_there_takes_nothing(tmp_path: Path) -> None:
    done = await asyncio.to_thread(ari_app, tmp_path, "account", "export", SHOP, str(tmp_path / "export"))
    assert (done.exit_code, "no account" in done.output) == (1, True)
