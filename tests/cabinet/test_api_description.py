"""The API's description is what the API does: schemathesis reads the one and tries the other."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from ari_app.calls.reported import BY_TALK, ENDINGS
from ari_app.store.tokens import Tokens
from cabinet.api.openapi import DESCRIPTION
from tests.cabinet.shop import CLIENT_ID, ReportingShop, reporting_shop

CONFIG = f"""
[auth.openapi.clientId]
api_key = "{CLIENT_ID}"

[auth.openapi.token]
bearer = "TOKEN"

# how many extensions are right depends on the type, which a query can't be described to do
[[operations]]
include-name = "GET /event"
checks.positive_data_acceptance.enabled = false
"""
HOOKS = """
import schemathesis
from hypothesis import strategies
schemathesis.openapi.format("binary", strategies.just(b"RIFF" + bytes(4) + b"WAVE" + bytes(100)))
"""


@pytest.fixture
async def shop(redis: Redis, tmp_path: Path) -> AsyncIterator[ReportingShop]:
    """A shop that may report as much as it likes."""
    async with reporting_shop(redis, tmp_path, time.time, reports_a_second=1_000_000) as shop:
        yield shop


async def test_the_api_is_what_its_description_says(shop: ReportingShop, tmp_path: Path) -> None:
    """A process of its own, with the same cases each time."""
    token = await Tokens(shop.redis).make(shop.account.id, "schemathesis")
    (tmp_path / "schemathesis.toml").write_text(CONFIG.replace("TOKEN", token))
    (tmp_path / "hooks.py").write_text(HOOKS)
    url = shop.client.make_url("/api")
    program = Path(sys.executable).with_name("schemathesis")
    options = ["--phases=examples,coverage,fuzzing", "--max-examples=25"]
    options += ["--generation-deterministic", "--continue-on-failure", "--no-color", "--request-timeout=5"]
    process = await asyncio.create_subprocess_exec(
        *(str(program), "run", f"{url}/openapi.json", f"--url={url}", *options),
        cwd=tmp_path,
        env={
            "PATH": os.defpath,
            "HOME": str(tmp_path),
            "PYTHONWARNINGS": "ignore",
            "PYTHONPATH": str(tmp_path),
            "SCHEMATHESIS_HOOKS": "hooks",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(300):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    shop.crm.violations.clear()  # it is told of numbers that are nobody's
    assert process.returncode == 0, said.decode()


def test_the_words_that_are_described_are_understood() -> None:
    words = DESCRIPTION["paths"]["/event"]["get"]["parameters"]
    described = next(one["schema"]["examples"] for one in words if one["name"] == "status")
    assert {word.replace(" ", "") for word in described} <= BY_TALK | ENDINGS.keys()
