"""Who gets into the cabinet, and who doesn't."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from ari_app.retailcrm.module import MODULE_CODE
from ari_app.retailcrm.registration import call_address
from cabinet.frame.security import ATTEMPTS
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, Reader, cabinet_shop
from tests.cabinet.shop import API_KEY, CLIENT_ID

PAGES = ["/", "/live", "/live/calls", "/calls", "/calls/any"]


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader() as reader:
        yield reader


@pytest.mark.parametrize("page", PAGES)
async def test_a_stranger_is_sent_to_the_door(reader: Reader, page: str) -> None:
    answer = await reader.get(page)
    assert answer.status == 303
    assert answer.headers["Location"] == f"/sign-in?next={page}"


async def test_who_shows_the_key_comes_to_the_page_that_they_wanted(
    cabinet: CabinetShop, reader: Reader
) -> None:
    answer = await reader.sign_in(cabinet.shop.crm_account.url, API_KEY, then="/calls")
    assert (answer.status, answer.headers["Location"]) == (303, "/calls")
    assert cabinet.shop.account.id in await reader.text("/calls")


async def test_the_first_sign_in_makes_the_account_and_registers_the_module(
    cabinet: CabinetShop, reader: Reader
) -> None:
    answer = await reader.sign_in(cabinet.newcomer.url + "/admin/orders", NEW_KEY)
    assert answer.status == 303
    module = cabinet.newcomer.rights.modules[MODULE_CODE]
    found = next(
        account
        for account in await cabinet.shop.service.accounts.registered()
        if account.crm.url == cabinet.newcomer.url
    )
    secret = found.crm.cabinet_secret
    assert secret is not None
    public = cabinet.shop.service.public_url
    assert module["accountUrl"] == f"{public}/account/{secret.get_secret_value()}"
    assert module["clientId"] == found.crm.client_id.get_secret_value()
    assert module["integrations"]["telephony"]["makeCallUrl"] == call_address(
        public, secret.get_secret_value()
    )
    assert cabinet.crm.violations == []
    assert 'data-step="pbx" data-state="bad"' in await reader.text("/")


async def test_extensions_that_were_entered_in_the_crm_are_kept(cabinet: CabinetShop, reader: Reader) -> None:
    await reader.sign_in(cabinet.newcomer.url, NEW_KEY)
    telephony = cabinet.newcomer.rights.modules[MODULE_CODE]["integrations"]["telephony"]
    telephony["additionalCodes"] = [{"userId": 7, "code": "107"}]
    async with cabinet.reader() as another:
        await another.sign_in(cabinet.newcomer.url, NEW_KEY)
    told = cabinet.newcomer.rights.modules[MODULE_CODE]["integrations"]["telephony"]["additionalCodes"]
    assert told == [{"userId": 7, "code": "107"}]
    accounts = await cabinet.shop.service.accounts.registered()
    [ours] = (account for account in accounts if account.crm.url == cabinet.newcomer.url)
    assert [(extension.user_id, extension.code) for extension in ours.extensions] == [(7, "107")]


async def test_missing_permissions_are_named_one_by_one(cabinet: CabinetShop, reader: Reader) -> None:
    cabinet.newcomer.rights.scopes -= {"telephony_write", "user_read"}
    text = await (await reader.sign_in(cabinet.newcomer.url, NEW_KEY)).text()
    wrong = text[text.index('id="key-wrong"') : text.index("<details")]
    assert wrong.count("<li>") == 4
    for method in ("/api/users", "/api/users/{id}", "/api/telephony/call/event"):
        assert f"<code>{method}</code>" in wrong
    assert "/api/telephony/manager" not in wrong
    assert not cabinet.newcomer.rights.modules


@pytest.mark.parametrize(
    ("crm", "complaint"),
    [
        ("", "Enter the address"),
        ("http://169.254.169.254/latest", "not an address of retailCRM"),
        ("https://retailcrm.ru.evil.example", "not an address of retailCRM"),
        ("https://evilretailcrm.ru", "not an address of retailCRM"),
        ("https://shop.retailcrm.ru:22", "not an address of retailCRM"),
        ("https://user@shop.retailcrm.ru", "Expected an address"),
        ("https://[", "Expected an address"),
        ("ftp://shop.retailcrm.ru", "Expected an address"),
    ],
)
async def test_only_addresses_of_the_crm_are_asked(reader: Reader, crm: str, complaint: str) -> None:
    answer = await reader.sign_in(crm, NEW_KEY)
    assert answer.status == 422
    text = await answer.text()
    assert complaint in text
    assert f'value="{crm}"' in text


async def test_a_wrong_key_is_complained_of_beside_the_key(cabinet: CabinetShop, reader: Reader) -> None:
    answer = await reader.sign_in(cabinet.newcomer.url, "wrong")
    assert answer.status == 422
    assert "The CRM does not take this key" in await answer.text()


async def test_who_tries_too_often_has_to_wait(cabinet: CabinetShop, reader: Reader) -> None:
    for _ in range(ATTEMPTS):
        assert (await reader.sign_in(cabinet.newcomer.url, "wrong")).status == 422
    answer = await reader.sign_in(cabinet.newcomer.url, NEW_KEY)
    assert answer.status == 429
    assert "Too many attempts" in await answer.text()


async def test_who_shows_the_key_that_is_known_gets_in_whatever_strangers_tried(
    cabinet: CabinetShop, reader: Reader
) -> None:
    url = cabinet.shop.crm_account.url
    for _ in range(ATTEMPTS + 1):
        answer = await reader.sign_in(url, "wrong")
    assert answer.status == 429
    assert (await reader.sign_in(url, API_KEY)).status == 303


@pytest.mark.parametrize("named", [True, False])
async def test_behind_a_proxy_that_nobody_counts_one_visitor_locks_out_no_other(
    cabinet: CabinetShop, reader: Reader, named: bool
) -> None:
    def by_way_of(address: str) -> dict[str, str]:
        return {"X-Forwarded-For": address} if named else {}

    reader.headers |= by_way_of("203.0.113.1")
    for number in range(ATTEMPTS + 1):  # another account each time: only the address could be counted
        await reader.sign_in(f"https://shop{number}.evil.example", "wrong")
        await reader.sign_in(f"http://127.0.0.1:{number + 1}", "wrong")
    async with cabinet.reader() as another:
        another.headers |= by_way_of("203.0.113.2")
        assert (await another.sign_in(cabinet.newcomer.url, NEW_KEY)).status == 303


async def test_a_form_of_another_page_is_not_taken(cabinet: CabinetShop, reader: Reader) -> None:
    token = await reader.token()
    async with cabinet.reader() as another:
        await another.text("/sign-in")
        for given in (token, "", "zz", "00" * 64):
            answer = await another.post("/sign-in", token=given, crm=cabinet.newcomer.url, key=NEW_KEY)
            assert answer.status == 403
            assert cabinet.newcomer.url in await answer.text()
            for path in ("/sign-out", "/language"):
                assert (await another.post(path, token=given, language="en")).status == 403
    assert not cabinet.newcomer.requests


@pytest.mark.parametrize("then", ["https://evil.example", "//evil.example", "/\\evil.example", "/a\r\nb"])
async def test_the_door_leads_to_no_other_site(cabinet: CabinetShop, reader: Reader, then: str) -> None:
    answer = await reader.sign_in(cabinet.shop.crm_account.url, API_KEY, then=then)
    assert (answer.status, answer.headers["Location"]) == (303, "/")


async def test_the_crm_opens_the_cabinet_by_a_form_of_its_own(cabinet: CabinetShop, reader: Reader) -> None:
    answer = await reader.post(f"/account/{cabinet.secret}", clientId=CLIENT_ID)
    assert (answer.status, answer.headers["Location"]) == (303, f"/account/{cabinet.secret}")
    assert (
        "Set-Cookie" not in answer.headers
    )  # a browser hides our cookie from the CRM's form: it comes again
    answer = await reader.get(f"/account/{cabinet.secret}")
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert cabinet.shop.account.id in await reader.text("/")


async def test_the_client_id_opens_nothing(cabinet: CabinetShop, reader: Reader) -> None:
    for ident in (CLIENT_ID, "", cabinet.shop.account.id):
        assert (await reader.get(f"/account/{ident}")).status == 404
        assert (await reader.post(f"/account/{ident}", clientId=CLIENT_ID)).status in (404, 405)
    assert (await reader.post(f"/account/{cabinet.secret}", clientId="another")).status == 404


async def test_signing_in_gives_a_new_id_and_signing_out_ends_it(
    cabinet: CabinetShop, reader: Reader
) -> None:
    token = await reader.token()
    before = {cookie.key: cookie.value for cookie in reader.client.session.cookie_jar}
    await reader.post("/sign-in", token=token, crm=cabinet.shop.crm_account.url, key=API_KEY)
    after = {cookie.key: cookie.value for cookie in reader.client.session.cookie_jar}
    assert before["cabinet"] != after["cabinet"]
    assert (await reader.post("/sign-out", token=await reader.token("/"))).status == 303
    reader.client.session.cookie_jar.update_cookies(after)
    assert (await reader.get("/")).status == 303


async def test_an_account_sees_only_its_own(cabinet: CabinetShop, reader: Reader) -> None:
    call = await cabinet.call()
    await cabinet.shop.told()
    async with cabinet.reader() as owner:
        await owner.enter(cabinet)
        assert call in await owner.text("/calls")
        assert "+7 916 123-45-67" in await owner.text(f"/calls/{call}")
    await reader.sign_in(cabinet.newcomer.url, NEW_KEY)
    assert (await reader.get(f"/calls/{call}")).status == 404
    for page in ("/", "/live", "/calls", "/calls?number=%2B79161234567"):
        text = await reader.text(page)
        assert call not in text
        assert cabinet.shop.account.id not in text
