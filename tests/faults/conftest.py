"""What the tests of faults share."""

import asyncio
import shutil
from collections.abc import AsyncIterator

import pytest_asyncio

from ari_app.demo.lab import Lab
from ari_app.demo.retailcrm import SimulatedCrm
from tests.faults.served import ServedOffice
from tests.office import API_KEY


@pytest_asyncio.fixture(loop_scope="session")
async def served(lab: Lab, crm: SimulatedCrm) -> AsyncIterator[ServedOffice]:
    """A shop served by `ari-app serve`; a test that leaves something of it behind fails."""
    account = crm.account(key=API_KEY)
    account.repeats_allowed = True  # what was in flight when the service was killed is told again
    office = ServedOffice(lab, crm, account)
    try:
        yield office
        if office.running:
            await office.is_clean()
    finally:
        print(office.log)  # pytest shows it when the test fails
        await asyncio.shield(office.stop())
        await office.redis.aclose()
        shutil.rmtree(office.folder, ignore_errors=True)
