"""What Prometheus is told; documents, alerts and a dashboard name what there is."""

import asyncio
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from ari_app.demo.pbx.machine import CannotPrepare, prepare_program
from ari_app.figures import COUNTED, forget, know
from cabinet.app import make_app, make_metrics_app
from tests.cabinet.shop import ReportingShop
from tests.support.pace import at_this_pace

TREE = Path(__file__).parents[2]
RULES = TREE / "deploy/prometheus/alerts.yml"
RULES_TESTED = RULES.with_name("alerts.test.yml")
DASHBOARD = TREE / "deploy/grafana/dashboards/ari-app.json"
FIGURE = re.compile(r"\b(?:ari_app|process|python)_[a-z_]*[a-z]\b")


@pytest.fixture(scope="module")
def promtool() -> Path:
    """Have the program; where it can't be had, the tests with it fail."""
    try:
        return prepare_program("promtool")
    except CannotPrepare as problem:
        pytest.fail(str(problem))


@pytest.fixture(autouse=True)
def no_other_accounts() -> None:
    """Forget the accounts of other tests in this process: a service would not know them."""
    samples = (sample for family in COUNTED.collect() for sample in family.samples)
    for account in {sample.labels["account"] for sample in samples if "account" in sample.labels}:
        forget(account)


@asynccontextmanager
async def asked(shop: ReportingShop) -> AsyncIterator[tuple[ClientSession, str, str]]:
    """Give a client, and the addresses of the service and of its figures."""
    async with (
        TestServer(make_app(shop.service)) as pages,
        TestServer(make_metrics_app(shop.service)) as figures,
        ClientSession() as client,
    ):
        yield client, str(pages.make_url("/")), str(figures.make_url("/metrics"))


async def exposition(shop: ReportingShop) -> str:
    async with asked(shop) as (client, _, address), client.get(address) as answer:
        assert answer.status == 200
        return await answer.text()


def value(text: str, name: str, **labels: str) -> float | None:
    """Give a sample; None when there is none with these labels."""
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return next(
        (one.value for one in samples if one.name == name and labels.items() <= one.labels.items()), None
    )


def names(text: str) -> set[str]:
    """Name what may be asked of Prometheus: each sample, of a histogram those with `_bucket` and so on."""
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


def families(text: str) -> set[str]:
    """Name the figures as the exposition declares them."""
    return set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))


async def one_call_and_its_end(shop: ReportingShop) -> None:
    assert await shop.reports("in") == "new"
    assert await shop.reports("hangup", status="ANSWERED", duration="12") == "new"
    await shop.told()


def run(promtool: Path, *arguments: str | Path, given: str = "") -> None:
    done = subprocess.run(
        [promtool, *arguments], input=given, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr or not given, done.stderr


async def test_promtool_finds_nothing_to_improve(shop: ReportingShop, promtool: Path) -> None:
    await one_call_and_its_end(shop)
    run(promtool, "check", "metrics", given=await exposition(shop))


async def test_a_call_that_is_over_is_counted_with_its_times(shop: ReportingShop) -> None:
    before = await exposition(shop)
    await one_call_and_its_end(shop)
    after = await exposition(shop)

    def more(name: str, **labels: str) -> float:
        return (value(after, name, **labels) or 0) - (value(before, name, **labels) or 0)

    account = shop.account.id
    assert more("ari_app_calls_ended_total", account=account, direction="in", result="answered") == 1
    assert more("ari_app_call_talk_seconds_sum", direction="in") == pytest.approx(12, abs=1)
    assert more("ari_app_call_answer_seconds_count", direction="in") == 1
    for what in ("popup", "hangup", "result"):
        assert more("ari_app_crm_told_total", account=account, what=what) == 1, what
    assert more("ari_app_crm_request_seconds_count", method="telephony/calls/upload") == 1
    assert value(after, "ari_app_outbox_entries", account=account) == 0


async def test_an_account_counts_from_nought_on_and_is_gone_when_it_is_removed(shop: ReportingShop) -> None:
    text, account = await exposition(shop), shop.account.id
    assert value(text, "ari_app_lease_held", account=account) == 1
    assert value(text, "ari_app_lease_takeovers_total", account=account) == 1
    assert value(text, "ari_app_recordings_lost_total", account=account) == 0
    await shop.service.accounts.remove(account)

    async def gone() -> bool:
        return f'"{account}"' not in await exposition(shop)

    await until(gone)


async def test_figures_of_a_removed_account_go_although_its_lease_was_missed_before(
    shop: ReportingShop,
) -> None:
    account = shop.account.id
    shop.service._holding.lease(account).lose("it went with the account")
    await shop.service.accounts.remove(account)

    async def gone() -> bool:
        return f'"{account}"' not in await exposition(shop)

    await until(gone)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.02)


async def test_the_document_explains_each_figure_and_no_other(shop: ReportingShop) -> None:
    await one_call_and_its_end(shop)
    ours = {name for name in families(await exposition(shop)) if name.startswith("ari_app_")}
    rows = [
        line
        for line in (TREE / "docs/operations.md").read_text("utf-8").splitlines()
        if line.startswith("| `ari_")
    ]
    explained = [name for row in rows for name in FIGURE.findall(row.split("|")[1])]
    assert sorted(explained) == sorted(ours)


async def test_alerts_and_dashboard_ask_for_figures_that_there_are(shop: ReportingShop) -> None:
    await one_call_and_its_end(shop)
    known = names(await exposition(shop))
    known |= {"ari_app_redis_memory_ratio"}  # only where Redis has a limit
    for asks in (RULES, DASHBOARD):
        asked_for = {name for expression in expressions(asks) for name in FIGURE.findall(expression)}
        assert len(asked_for) > 10
        assert asked_for <= known, asked_for - known


async def test_the_dashboard_shows_each_figure_of_ours(shop: ReportingShop) -> None:
    await one_call_and_its_end(shop)
    shown = " ".join(expressions(DASHBOARD))
    for name in families(await exposition(shop)):
        assert name in shown or not name.startswith("ari_app_"), name


def expressions(file: Path) -> Iterator[str]:
    """Give the questions to Prometheus that a file has."""
    if file.suffix == ".json":
        for panel in json.loads(file.read_text("utf-8"))["panels"]:
            yield from (target["expr"] for target in panel.get("targets", ()))
    else:
        yield from re.findall(r"^ +expr: (.+)$", file.read_text("utf-8"), re.MULTILINE)


def test_each_panel_of_the_dashboard_has_a_place_of_its_own() -> None:
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_each_alert_says_what_to_do_and_is_tested(promtool: Path) -> None:
    text = RULES.read_text("utf-8")
    alerts = re.findall(r"- alert: (\w+)", text)
    assert len(alerts) == text.count("          do: >-\n") == text.count("          summary: ")
    assert alerts == re.findall(r"- name: (\w+)", RULES_TESTED.read_text("utf-8"))
    run(promtool, "check", "config", RULES.with_name("prometheus.yml"))
    run(promtool, "test", "rules", RULES_TESTED)


async def test_the_service_goes_on_while_it_tells_the_figures_of_a_thousand_accounts(
    shop: ReportingShop,
) -> None:
    accounts = [f"shop-{number}" for number in range(1000)]
    for account in accounts:
        know(account)
    async with asked(shop) as (client, service, figures):
        telling, lived = asyncio.create_task(read(client, figures)), 0
        while not telling.done():
            assert await read(client, f"{service}healthz") == "ok\n"
            lived += 1
        text = await telling
    assert all(f'account="{account}"' in text for account in accounts)
    assert lived > 10
    for account in accounts:
        forget(account)


async def read(client: ClientSession, address: str) -> str:
    async with client.get(address) as answer:
        return await answer.text()


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_the_truth_is_told_within_two_seconds_while_redis_stands_still(
    shop: ReportingShop, redis: Redis
) -> None:
    shop.service.loaded.set()
    pid = (await redis.info("server"))["process_id"]
    async with asked(shop) as (client, service, figures):

        async def ask(address: str) -> tuple[int, str]:
            began = time.monotonic()
            async with client.get(address) as answer:
                said = answer.status, await answer.text()
            assert time.monotonic() - began < at_this_pace(2.0), address
            return said

        async def redis_answers() -> bool:
            status, said = await ask(f"{service}readyz")
            answers = bool(json.loads(said)["redis"])
            assert answers or status == 503
            return answers

        async def unready() -> bool:
            return not await redis_answers()

        assert await redis_answers()
        with frozen(pid):
            assert await ask(f"{service}healthz") == (200, "ok\n")
            began = time.monotonic()
            await until(unready)
            assert time.monotonic() - began < at_this_pace(2.0)
            _, text = await ask(figures)
            assert value(text, "ari_app_redis_up") == 0
            assert value(text, "ari_app_ready") == 0
        await until(redis_answers)
