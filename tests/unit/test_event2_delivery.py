"""event2.sh: nothing is lost while the service is away, nothing is told twice, and nobody waits for it."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ari_app.demo.pbx.asterisk import is_running
from tests.support.event2 import Listener, Script, until
from tests.support.pace import at_this_pace

ANNA = "+79161234567"
DATE = "2026-11-23 12:30:05"


@pytest.fixture
async def service() -> AsyncIterator[Listener]:
    async with Listener.running() as listener:
        yield listener


@pytest.fixture(params=["/bin/dash", "/bin/bash"])
async def script(request: pytest.FixtureRequest, service: Listener, tmp_path: Path) -> AsyncIterator[Script]:
    script = Script(tmp_path, service.url, request.param)
    script.install()
    yield script
    await script.stop()


async def report(script: Script, unique_id: str) -> None:
    await script.report("", unique_id, ANNA, "101", DATE, "in", "ANSWER", "42", "7")


def told(service: Listener) -> list[str]:
    return [event["uniqueid"] for event in service.events]


async def test_the_dialplan_goes_on_at_once_while_the_service_hangs(
    script: Script, service: Listener
) -> None:
    service.silent = True
    took = await script.run("", "1700.1", ANNA, "101", DATE, "in", "ANSWER", "42", "7", heard=b"agi: 1\n\n")
    await until(lambda: bool(service.asked), "the service was not asked")
    assert took < at_this_pace(0.5)
    assert service.events == []


async def test_an_open_and_silent_input_delays_nothing(script: Script, service: Listener) -> None:
    assert await script.run("", "1700.1", ANNA, "101", DATE, "in", "ANSWER", "42", "7") < at_this_pace(0.5)
    await script.rests()
    assert told(service) == ["1700.1"]


async def test_a_call_is_tried_5_times_and_kept(script: Script, service: Listener) -> None:
    service.answers = [503, 500, 502, 429, 503]
    await report(script, "1700.1")
    assert len(service.asked) == 5
    assert told(service) == []
    assert len(script.kept()) == 1


async def test_the_tries_take_about_a_minute() -> None:
    (line,) = [line for line in _script().splitlines() if line.startswith("RETRY_AFTER=")]
    assert 50 <= sum(int(number) for number in line.split('"')[1].split()) <= 70


async def test_a_call_is_told_as_soon_as_the_service_is_back(script: Script, service: Listener) -> None:
    service.answers = [503, 503]
    await report(script, "1700.1")
    assert told(service) == ["1700.1"]
    assert script.kept() == []


async def test_what_was_kept_is_told_with_the_next_call_oldest_first(
    script: Script, service: Listener
) -> None:
    await service.go_away()
    for unique_id in ("1700.1", "1700.2", "1700.3"):
        await report(script, unique_id)
        rename_as_older(script)
    assert len(script.kept()) == 3
    await service.come_back()
    await report(script, "1700.4")
    assert told(service) == ["1700.1", "1700.2", "1700.3", "1700.4"]
    assert script.kept() == []


def rename_as_older(script: Script) -> None:
    """Let a second pass: the names of what is kept begin with the time."""
    for path in script.kept():
        began, _, rest = path.name.partition(".")
        path.rename(path.with_name(f"{int(began) - 1}.{rest}"))


async def test_calls_that_end_together_are_told_once_each(script: Script, service: Listener) -> None:
    unique_ids = [f"1700.{number}" for number in range(12)]
    await asyncio.gather(
        *(script.run("", unique_id, ANNA, "101", DATE, "in", "ANSWER", "42", "7") for unique_id in unique_ids)
    )
    await script.rests()
    assert sorted(told(service)) == sorted(unique_ids)
    assert script.kept() == []


async def test_calls_that_end_during_an_outage_leave_one_to_try_for_all(
    script: Script, service: Listener
) -> None:
    script.install(RETRY_AFTER="1 1 1 1")
    await service.go_away()
    for number in range(5):
        await script.run("", f"1700.{number}", ANNA, "101", DATE, "in", "ANSWER", "42", "7")
    await until(lambda: len(script.kept()) == 5, "the calls were not kept")
    await until(lambda: 0 < len(script.at_work()) <= 2, "more than one (and its sleep) is at work")
    await service.come_back()
    await script.rests()
    assert sorted(told(service)) == [f"1700.{number}" for number in range(5)]


@pytest.mark.parametrize("refusal", [400, 422])
async def test_a_call_that_the_service_refuses_is_not_tried_again(
    script: Script, service: Listener, refusal: int
) -> None:
    service.answers = [refusal]
    await report(script, "1700.1")
    assert len(service.asked) == 1
    assert script.kept() == []
    assert f"the service refused an event: {refusal}" in script.log()


@pytest.mark.parametrize("answer", [401, 404, 301])
async def test_calls_are_kept_while_the_settings_are_wrong_but_not_tried_in_vain(
    script: Script, service: Listener, answer: int
) -> None:
    service.answers = [answer]
    await report(script, "1700.1")
    assert len(service.asked) == 1
    assert len(script.kept()) == 1
    assert f"answered {answer}: look at SERVICE and CLIENTID" in script.log()
    await report(script, "1700.2")
    assert sorted(told(service)) == ["1700.1", "1700.2"]


async def test_one_call_that_fails_holds_up_no_other(script: Script, service: Listener) -> None:
    service.answers = [503] * 5
    await report(script, "1700.1")
    rename_as_older(script)
    service.answers = [500, 200, 500, 500, 500, 500]
    await report(script, "1700.2")
    assert told(service) == ["1700.2"]
    assert len(script.kept()) == 1


async def test_a_lock_of_a_dead_script_is_broken(script: Script, service: Listener) -> None:
    script.spool.mkdir(mode=0o700)
    dead = await asyncio.create_subprocess_exec("true")
    await dead.wait()
    (script.spool / "event.lock").write_text(f"{dead.pid} 1764000000\n")
    await report(script, "1700.1")
    assert told(service) == ["1700.1"]


async def test_a_lock_of_a_living_script_is_respected_for_a_quarter_of_an_hour(
    script: Script, service: Listener
) -> None:
    script.spool.mkdir(mode=0o700)
    lock = script.spool / "event.lock"
    lock.write_text(f"{os.getpid()} {_now()}\n")
    await report(script, "1700.1")
    assert told(service) == []
    lock.write_text(f"{os.getpid()} {_now() - 901}\n")
    await report(script, "1700.2")
    assert sorted(told(service)) == ["1700.1", "1700.2"]


async def test_a_call_whose_script_was_killed_is_told_by_the_next(script: Script, service: Listener) -> None:
    service.silent = True
    await script.run("", "1700.1", ANNA, "101", DATE, "in", "ANSWER", "42", "7")
    await until(lambda: bool(service.asked), "the service was not asked")
    killed = await script.stop()
    await until(lambda: not any(map(is_running, killed)), "nobody buries the script, so its lock seems held")
    (script.spool / f"{_now() - 700}.1.call").write_text(f"\n1700.0\n{ANNA}\n101\n{DATE}\nin\nBUSY\n0\n5\n")
    service.silent = False
    await report(script, "1700.2")
    assert sorted(told(service)) == ["1700.0", "1700.1", "1700.2"]


async def test_what_is_kept_is_for_our_eyes_only(script: Script, service: Listener) -> None:
    await service.go_away()
    script.spool.mkdir(mode=0o777)
    script.spool.chmod(0o777)
    await report(script, "1700.1")
    assert script.spool.stat().st_mode & 0o777 == 0o700
    for path in (*script.kept(), script.folder / "event2.log"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert "5494143d6ad0b09976b" not in script.kept()[0].read_text()


async def test_no_more_is_kept_than_allowed_and_nothing_for_more_than_a_week(
    script: Script, service: Listener
) -> None:
    script.install(SPOOL_LIMIT="3")
    script.spool.mkdir(mode=0o700)
    for number, age in enumerate((700_000, 500, 400, 300, 200)):
        (script.spool / f"{_now() - age}.{number}.event").write_text(
            f"&type=hangup&uniqueid=1700.{number}&phone=1&code=&status=BUSY"
        )
    await report(script, "1700.9")
    assert told(service) == ["1700.3", "1700.4", "1700.9"]


async def test_without_a_folder_the_call_is_told_and_nothing_is_left(
    script: Script, service: Listener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a file").write_text("")
    script.install(SPOOL=f"{tmp_path}/a file/spool", DEBUG_LOG="")
    await script.run("", "1700.1", ANNA, "101", DATE, "in", "ANSWER", "42", "7")
    await until(lambda: told(service) == ["1700.1"], "the call was not told")


def _now() -> int:
    return int(time.time())


def _script() -> str:
    return (Path(__file__).parents[2] / "stasis_dialplan/event2.sh").read_text()
