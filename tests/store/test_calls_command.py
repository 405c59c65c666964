"""`ari-app calls`, as the person on duty uses it."""

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from ari_app.accounts.reading import read_account
from ari_app.calls import happenings as h
from ari_app.calls.flow import advance, begin
from ari_app.calls.journal import JournalLine, OutboxEntry
from ari_app.calls.orders import TellHangup
from ari_app.calls.outcome import Ending
from ari_app.cli import app
from ari_app.store.accounts import Accounts
from ari_app.store.calls import CallStore, Step
from ari_app.store.connection import connect
from ari_app.store.server import private_redis
from tests.support.accounts import account_toml

KEY = "k" * 32
ACCOUNT = account_toml(calls={"unknown": "group:101"})


@pytest.fixture
async def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a call that rings, one that was given up, and a refusal."""
    monkeypatch.setenv("ARI_APP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ARI_APP_SECRET_KEY", KEY)
    async with private_redis(tmp_path, own=False, temporary=True) as url:
        redis = connect(url)
        account = await Accounts(redis, KEY).apply(read_account(ACCOUNT), keep_client_id=True)
        calls = CallStore(redis, account.id)
        for name, gives_up in (("app-1", False), ("app-2", True)):
            await calls.write(steps(name, account.id, gives_up))
        told = TellHangup(3.0, "+79161234567", None, ("101",), Ending.BUSY)
        await calls.outbox.refused(OutboxEntry("1-1", "app-2", told), 3.0, "400 wrong phone")
        await redis.aclose()
    return tmp_path


def steps(call_id: str, account: str, gives_up: bool) -> list[Step]:
    arrived = h.CallArrived(1.0, f"channel of {call_id}", "+79161234567", "+74951112233")
    call, orders = begin(call_id, account, read_account(ACCOUNT).policy(), arrived)
    taken = [Step(call, JournalLine(1.0, call_id, None, call.stage, arrived, orders))]
    telephone = h.TelephonesFound(1.2, 0, (h.Telephones("101", ("PJSIP/101",)),))
    happened: list[h.Happening] = [h.CustomerUnknown(1.1), telephone]
    if gives_up:
        happened += [h.CallerEnded(2.0, 16), h.LegEnded(2.1, f"{call_id}-1", 16)]
    for happening in happened:
        before = call.stage
        call, orders = advance(call, happening)
        taken.append(Step(call, JournalLine(happening.at, call_id, before, call.stage, happening, orders)))
    return taken


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["calls", *arguments])


def test_live_calls_come_first_and_then_those_that_ended(data_dir: Path) -> None:
    lines = ask("list").output.splitlines()
    assert lines[0].split()[:2] == ["CALL", "BEGAN"]
    assert lines[1].startswith("app-1")
    assert "ringing" in lines[1]
    assert lines[2].startswith("app-2")
    assert "the caller gave up after 1.0 s" in lines[2]


def test_the_list_is_given_as_json_a_line_a_call(data_dir: Path) -> None:
    calls = [orjson.loads(line) for line in ask("list", "--json").output.splitlines()]
    assert [(call["id"], call["stage"]) for call in calls] == [("app-1", "ringing"), ("app-2", "ended")]


def test_a_calls_timeline_is_shown(data_dir: Path) -> None:
    shown = ask("show", "app-2")
    assert shown.exit_code == 0
    for sentence in ("+79161234567 calls +74951112233", "trying 101", "the caller hung up"):
        assert sentence in shown.output


def test_a_calls_timeline_is_given_as_json(data_dir: Path) -> None:
    shown = orjson.loads(ask("show", "app-2", "--json").output)
    assert shown["call"]["ending"] == "gave up"
    assert [line["event"]["kind"] for line in shown["journal"]][:2] == ["CallArrived", "CustomerUnknown"]


def test_a_call_that_is_not_there_is_said_in_a_sentence(data_dir: Path) -> None:
    shown = ask("show", "app-9")
    assert shown.exit_code == 1
    assert "There is no call app-9" in shown.output


def test_an_account_that_is_not_there_is_said_in_a_sentence(data_dir: Path) -> None:
    shown = ask("list", "--account", "nobody")
    assert shown.exit_code == 1
    assert "There is no account nobody" in shown.output


def test_what_the_crm_refused_is_listed(data_dir: Path) -> None:
    assert "app-2  hangup: 400 wrong phone" in ask("refused").output
    assert orjson.loads(ask("refused", "--json").output)["tell"]["ending"] == "busy"
