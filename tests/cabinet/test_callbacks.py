"""What retailCRM calls back: a manager clicks a number, or says that they are away."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from ari_app.demo.crm.simulator import Manager, SimulatedCrm
from ari_app.retailcrm.registration import callback_key
from ari_app.service.click_to_call import LIMITS, Clicks
from ari_app.service.service import Service
from ari_app.service.shop import Shop
from cabinet.app import make_app
from tests.cabinet.clicking import ANNA, ID, OTHER_ID, PROMISED_SECONDS, Client, Line, ask, asking, two_shops
from tests.support.pace import at_this_pace


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with two_shops(tmp_path) as service:
        yield service


@pytest.fixture
def shop(service: Service) -> Shop:
    return service.shops["one.retailcrm.ru"]


@pytest.fixture
def line(shop: Shop) -> Line:
    line = Line()
    shop.clicks = Clicks(shop.current, line, lambda: 0.0, LIMITS)
    return line


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with TestClient(TestServer(make_app(service))) as client:
        yield client


# Click-to-call


async def test_a_click_is_answered_with_the_calls_id(client: Client, line: Line) -> None:
    assert await ask(client, "/crm/call", params=asking()) == (200, {"success": True, "call": "call-1"})
    assert line.placed == {("101", ANNA): ("call-1", None, "default,1")}


async def test_the_crm_clicks_with_what_it_knows(client: Client, line: Line) -> None:
    async with SimulatedCrm() as crm:
        account = crm.account(key="k", managers=[Manager(2, code="102")])
        address = str(client.make_url("")).rstrip("/")
        status, body, _ = await account.click_to_call(
            address, ID, code="", user_id=2, phone="+7 (916) 123-45-67", external_phone="+7 495 111-22-33"
        )
    assert (status, body["call"]) == (200, "call-1")
    assert line.placed == {("102", ANNA): ("call-1", "+74951112233", "moscow")}


async def test_a_plus_that_was_not_encoded_is_still_a_plus(client: Client, line: Line) -> None:
    path = f"/crm/call?clientId={ID}&code=101&phone=+79161234567"
    assert (await client.get(path)).status == 200
    assert set(line.placed) == {("101", ANNA)}


@pytest.mark.parametrize(
    ("sent", "dialled"),
    [
        (" 8 916 123 45 67", "89161234567"),
        ("030/1234567", "0301234567"),
        ("8(495)123/45/67", "84951234567"),
        ("8\u00a0495\u2011123\u201145\u201167", "84951234567"),
        ("tel:+74951234567", "+74951234567"),
    ],
)
async def test_a_number_is_dialled_without_its_ornament(
    client: Client, line: Line, sent: str, dialled: str
) -> None:
    assert (await ask(client, "/crm/call", params=asking(phone=sent)))[0] == 200
    assert set(line.placed) == {("101", dialled)}


@pytest.mark.parametrize("path", ["/crm/call", "/crm/status"])
async def test_before_the_accounts_are_read_the_crm_is_asked_to_come_again(
    service: Service, client: Client, line: Line, path: str
) -> None:
    given = asking(status="free", userId="1")
    known, service.shops = service.shops, {}
    service.loaded.clear()
    for client_id in (ID, "another"):
        answer = await client.get(path, params=given | {"clientId": client_id})
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    service.shops = known
    service.loaded.set()
    assert (await ask(client, path, params=given))[0] == 200
    assert (await ask(client, path, params=given | {"clientId": "another"}))[0] == 401


@pytest.mark.parametrize("multipart", [False, True])
async def test_a_form_is_taken_too_and_wins_over_the_query(
    client: Client, line: Line, multipart: bool
) -> None:
    form = aiohttp.FormData({"code": "102", "phone": ANNA}, default_to_multipart=multipart)
    query = {"clientId": ID, "code": "101", "externalPhone": "+74951112233"}
    status, _ = await ask(client, "/crm/call", "POST", params=query, data=form)
    assert status == 200
    assert line.placed == {("102", ANNA): ("call-1", "+74951112233", "moscow")}


async def test_a_second_click_while_it_rings_has_the_first_ones_answer(client: Client, line: Line) -> None:
    first = await ask(client, "/crm/call", params=asking())
    assert await ask(client, "/crm/call", params=asking()) == first
    assert len(line.placed) == 1


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"phone": ""}, "phone"),
        ({"phone": "Anna"}, "phone"),
        ({"phone": "101&102"}, "phone"),
        ({"phone": "7916\x001"}, "phone"),
        ({"phone": "7" * 10_00}, "phone"),
        ({"code": "103"}, "code"),
        ({"code": "101\r\nChannel: x"}, "code"),
        ({"code": "", "userId": "3"}, "userId"),
        ({"code": ""}, "code and userId"),
    ],
)
async def test_a_bad_wish_is_refused_in_a_sentence(
    client: Client, line: Line, fields: dict[str, str], named: str
) -> None:
    status, body = await ask(client, "/crm/call", params=asking(**fields))
    assert status == 400
    assert body["errorMsg"].startswith(f"{named} ")
    assert line.placed == {}


@pytest.mark.parametrize("client_id", ["", "x", ID.upper(), ID + " ", ID[:-1], "\x00", "ы", "�" * 200, None])
@pytest.mark.parametrize("path", ["/crm/call", "/crm/status"])
async def test_a_stranger_learns_and_changes_nothing(
    client: Client, line: Line, shop: Shop, path: str, client_id: str | None
) -> None:
    fields = asking(status="busy")
    del fields["clientId"]
    given = fields if client_id is None else fields | {"clientId": client_id}
    assert (await ask(client, path, params=given))[0] == 401
    assert line.placed == {}
    assert shop.statuses.away == frozenset()


async def test_each_shop_has_its_own_clicks(client: Client, line: Line) -> None:
    status, _ = await ask(client, "/crm/call", params=asking(clientId=OTHER_ID))
    assert status == 503
    assert line.placed == {}


async def test_without_a_way_to_the_pbx_the_answer_is_503(client: Client, shop: Shop) -> None:
    status, body = await ask(client, "/crm/call", params=asking())
    assert (status, body["errorMsg"]) == (503, "the PBX can't be reached now")
    assert shop.line.calls == ()


async def test_too_many_clicks_are_told_when_to_come_again(client: Client, line: Line) -> None:
    for number in range(LIMITS.extension_a_minute):
        await ask(client, "/crm/call", params=asking(phone=f"8916000000{number}"))
    answer = await client.get("/crm/call", params=asking())
    assert answer.status == 429
    assert answer.headers["Retry-After"] == "60"
    assert len(line.placed) == LIMITS.extension_a_minute


async def test_the_address_with_the_secret_is_the_crms_own(client: Client, line: Line, shop: Shop) -> None:
    secret = SecretStr("hunter2-cabinet")
    account = shop.settings
    crm = account.crm.model_copy(update={"cabinet_secret": secret})
    closed = account.clicks.model_copy(update={"client_id_is_enough": False})
    shop.current.change(account.model_copy(update={"crm": crm, "clicks": closed}))
    key = callback_key(secret.get_secret_value())
    assert (await ask(client, f"/crm/call/{key}", params=asking()))[0] == 200
    assert (await ask(client, f"/crm/status/{key}", params=asking(status="busy")))[0] == 200
    for path in ("/crm/call", "/crm/status"):
        assert (await ask(client, path, params=asking(code="102", status="busy")))[0] == 403
        assert (await ask(client, f"{path}/{key[::-1]}", params=asking(status="busy")))[0] == 401
        other = asking(clientId=OTHER_ID, status="busy")
        assert (await ask(client, f"{path}/{key}", params=other))[0] == 401
    assert list(line.placed) == [("101", ANNA)]
    assert shop.statuses.away == {"101"}


async def test_nothing_but_get_and_post_rings_anybody(client: Client, line: Line) -> None:
    for method in ("HEAD", "PUT", "DELETE", "OPTIONS"):
        assert (await client.request(method, "/crm/call", params=asking())).status == 405
    assert line.placed == {}


async def test_neither_pbx_nor_redis_is_waited_for(client: Client, shop: Shop) -> None:
    async with SimulatedCrm() as crm:
        account = crm.account(key="k", managers=[Manager(1, code="101")])
        address = str(client.make_url("")).rstrip("/")
        clicks = [await account.click_to_call(address, ID, code="101", phone=ANNA) for _ in range(5)]
        changes = [await account.change_status(address, ID, "busy", user_id=1) for _ in range(5)]
    assert {answer.status for answer in clicks} == {503}
    assert {answer.status for answer in changes} == {200}
    for answers in (clicks, changes):
        assert min(answer.seconds for answer in answers) < at_this_pace(PROMISED_SECONDS)


# Who is away


@pytest.mark.parametrize("status", ["busy", "dinner", "break"])
async def test_a_manager_who_says_so_is_away(client: Client, shop: Shop, status: str) -> None:
    given = {"clientId": ID, "code": "101", "userId": "1", "status": status}
    assert await ask(client, "/crm/status", params=given) == (200, {"success": True})
    assert shop.away == {"101"}
    await ask(client, "/crm/status", "POST", params=given, data={"status": "free"})
    assert shop.away == frozenset()


async def test_the_code_wins_over_the_user_here_too(client: Client, shop: Shop, service: Service) -> None:
    await ask(client, "/crm/status", params={"clientId": ID, "code": "102", "userId": "1", "status": "busy"})
    assert shop.away == {"102"}
    await ask(client, "/crm/status", params={"clientId": ID, "userId": "1", "status": "busy"})
    assert shop.away == {"101", "102"}
    assert service.shops["two.retailcrm.ru"].away == frozenset()


async def test_the_crm_tells_of_a_change_as_it_does(client: Client, shop: Shop) -> None:
    async with SimulatedCrm() as crm:
        account = crm.account(key="k", managers=[Manager(1, code="101")])
        address = str(client.make_url("")).rstrip("/")
        answer = await account.change_status(address, ID, "dinner", code="101", user_id=1)
    assert (answer.status, answer.body) == (200, {"success": True})
    assert shop.away == {"101"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"status": ""}, "status"),
        ({"status": "BUSY"}, "status"),
        ({"status": "busy\x00"}, "status"),
        ({"code": "103"}, "code"),
        ({"code": "", "userId": "three"}, "userId"),
        ({"code": "", "userId": "3"}, "userId"),
        ({"code": "", "userId": ""}, "code and userId"),
    ],
)
async def test_a_bad_change_is_refused_by_its_name(
    client: Client, shop: Shop, fields: dict[str, str], named: str
) -> None:
    given = {"clientId": ID, "code": "101", "status": "busy"} | fields
    status, body = await ask(client, "/crm/status", params=given)
    assert status == 400
    assert body["errorMsg"].startswith(f"{named} ")
    assert shop.away == frozenset()


async def test_nothing_secret_is_logged(
    client: Client, line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    await ask(client, "/crm/call", params=asking(phone="Anna"))
    await ask(client, "/crm/call", params=asking(clientId="hunter2-three"))
    said = capsys.readouterr()
    assert "a click-to-call isn't placed" in said.out + said.err
    assert "hunter2" not in said.out + said.err
