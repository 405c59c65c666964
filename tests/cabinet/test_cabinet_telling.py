"""How the CRM comes to know of the module what another version of the service tells, without a click."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from ari_app.accounts.account import RegisteredAccount
from ari_app.accounts.sections import ExtensionOf
from ari_app.demo.crm.simulator import Status
from ari_app.retailcrm.module import MODULE_CODE
from ari_app.retailcrm.registration import call_address, status_address
from ari_app.store.keys import Keys
from tests.cabinet.cabinet_shop import CabinetShop, cabinet_shop
from tests.cabinet.shop import API_KEY

EXTENSIONS = {1: "101", 2: "102", 3: "103"}


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    """A shop whose module is registered: somebody has signed in."""
    async with cabinet_shop(redis, tmp_path) as cabinet:
        async with cabinet.reader() as reader:
            assert (await reader.sign_in(cabinet.shop.crm_account.url, API_KEY)).status == 303
        yield cabinet
        assert cabinet.crm.violations == []


def module(cabinet: CabinetShop) -> dict[str, Any]:
    found: dict[str, Any] = cabinet.shop.crm_account.rights.modules[MODULE_CODE]
    return found


def times_told(cabinet: CabinetShop) -> int:
    return sum(request.route == "edit" for request in cabinet.shop.crm_account.requests)


async def test_the_crm_is_told_what_the_module_can_and_where_it_is(cabinet: CabinetShop) -> None:
    public, known, telephony = cabinet.address, module(cabinet), module(cabinet)["integrations"]["telephony"]
    assert known["integrationCode"] == known["code"] == MODULE_CODE
    assert known["accountUrl"] == f"{public}/account/{cabinet.secret}"
    assert known["availableCountries"] == ["RU", "BY", "KZ", "UA", "AM", "AZ", "EE", "GE", "KG"]
    assert telephony["makeCallUrl"] == call_address(public, cabinet.secret)
    assert telephony["changeUserStatusUrl"] == status_address(public, cabinet.secret)
    for can in ("allowEdit", "inputEventSupported", "outputEventSupported", "hangupEventSupported"):
        assert telephony[can] is True
    assert {one["userId"]: one["code"] for one in telephony["additionalCodes"]} == EXTENSIONS
    assert [one["siteCode"] for one in telephony["externalPhones"]] == ["shop"]
    async with cabinet.reader() as reader:
        logo = await reader.get(known["logo"].removeprefix(public))
        assert (logo.status, logo.content_type) == (200, "image/svg+xml")


async def look(cabinet: CabinetShop) -> None:
    """Let the service look whom it has to tell something, as it does all the time."""
    await cabinet.shop.service.informing.retry()


async def test_a_module_that_an_older_version_registered_is_registered_anew_once(
    cabinet: CabinetShop,
) -> None:
    del module(cabinet)["actions"]
    await cabinet.shop.redis.hdel(Keys(cabinet.shop.account.id).staff_about, "digest")
    before = times_told(cabinet)
    await look(cabinet)
    assert set(module(cabinet)["actions"]) == {"activity", "settings"}
    await look(cabinet)
    assert times_told(cabinet) == before + 1


async def test_what_a_new_version_tells_otherwise_is_told_when_the_crm_answers(cabinet: CabinetShop) -> None:
    await cabinet.shop.redis.hset(Keys(cabinet.shop.account.id).staff_about, "digest", "of another version")
    module(cabinet)["logo"] = "https://old.example/logo.png"
    cabinet.shop.crm_account.fault(Status(500), route="module")
    await look(cabinet)
    cabinet.shop.crm_account.heal()
    await look(cabinet)
    assert module(cabinet)["logo"].endswith("/static/logo.svg")
    before = times_told(cabinet)
    await look(cabinet)
    assert times_told(cabinet) == before


async def test_that_the_module_is_switched_off_in_the_crm_stays_so(cabinet: CabinetShop) -> None:
    module(cabinet)["active"] = False
    await cabinet.shop.redis.hdel(Keys(cabinet.shop.account.id).staff_about, "digest")
    await look(cabinet)
    assert module(cabinet)["active"] is False


async def test_extensions_that_the_operator_changes_by_a_file_are_told(cabinet: CabinetShop) -> None:
    def changed(now: RegisteredAccount) -> RegisteredAccount:
        extensions = tuple(
            ExtensionOf(user_id=one.user_id, code="109" if one.code == "101" else one.code)
            for one in now.extensions
        )
        return now.model_copy(update={"extensions": extensions})

    await cabinet.shop.service.accounts.change(cabinet.shop.account.id, changed)
    await look(cabinet)
    codes = [one["code"] for one in module(cabinet)["integrations"]["telephony"]["additionalCodes"]]
    assert "109" in codes
    assert "101" not in codes


@pytest.mark.parametrize("there", ["nothing", "another service"])
async def test_a_crm_that_does_not_know_us_is_not_told_of_us(
    redis: Redis, tmp_path: Path, there: str
) -> None:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        if there == "another service":
            async with cabinet.reader() as reader:
                await reader.sign_in(cabinet.shop.crm_account.url, API_KEY)
            await redis.hdel(Keys(cabinet.shop.account.id).staff_about, "digest")
            module(cabinet)["accountUrl"] = "https://another.example/account/secret"
        before = times_told(cabinet)
        await look(cabinet)
        await look(cabinet)
        assert times_told(cabinet) == before
