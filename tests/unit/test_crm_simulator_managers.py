"""The simulated retailCRM's managers: their states, their clicks, and calls that they make."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ari_app.demo.crm.callbacks import NotConnected
from ari_app.demo.crm.simulator import Closed, CrmAccount, Manager, SimulatedCrm
from tests.unit.test_crm_simulator import CALL, HANGUP, POPUP, Api

OUT = POPUP | {"type": "out"}
CALL_OUT = CALL | {"type": "out"}


@pytest.fixture
async def crm() -> AsyncIterator[SimulatedCrm]:
    async with SimulatedCrm() as crm:
        yield crm


@pytest.fixture
def account(crm: SimulatedCrm) -> CrmAccount:
    managers = [Manager(7, "Анна", code="101"), Manager(8, code="102", status="dinner")]
    return crm.account(key="k", managers=[*managers, Manager(9, code="103", active=False)])


@pytest.fixture
async def api(account: CrmAccount) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        yield Api(session, account)


@pytest.fixture
async def module() -> AsyncIterator[TestServer]:
    """A telephony module that answers with what it was asked."""

    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"path": request.path, "query": dict(request.query)}, status=418)

    async def words(_: web.Request) -> web.Response:
        return web.Response(text="OK")

    app = web.Application()
    app.router.add_get("/crm/{what}", echo)
    app.router.add_get("/old/crm/call", words)
    server = TestServer(app)
    async with server:
        yield server


# States


async def states(api: Api, query: str = "") -> dict[int, str]:
    _, answer = await api.ask("GET", f"v5/users{query}")
    return {user["id"]: user["status"] for user in answer["users"]}


async def test_the_list_of_users_shows_their_states_as_they_are(api: Api, account: CrmAccount) -> None:
    assert await states(api) == {7: "free", 8: "dinner", 9: "free"}
    account.set_status(7, "busy")
    assert await states(api) == {7: "busy", 8: "dinner", 9: "free"}


async def test_who_works_there_no_longer_can_be_left_out(api: Api, crm: SimulatedCrm) -> None:
    assert set(await states(api, "?filter[active]=1")) == {7, 8}
    assert set(await states(api, "?filter[active]=0")) == {9}
    assert crm.violations == []
    assert (await api.ask("GET", "v5/users?filter[active]=yes"))[0] == 400


# Callbacks


async def test_a_click_reaches_the_module_with_every_sign_of_the_number(
    account: CrmAccount, module: TestServer
) -> None:
    address = str(module.make_url("")).rstrip("/")
    status, body, seconds = await account.click_to_call(
        address, "id&1", code="101", phone="+7 (916) 123&45#*", user_id=7, external_phone="+74951112233"
    )
    assert (status, body["path"]) == (418, "/crm/call")
    assert body["query"] == {
        "clientId": "id&1",
        "code": "101",
        "phone": "+7 (916) 123&45#*",
        "userId": "7",
        "externalPhone": "+74951112233",
    }
    assert 0 < seconds < 5


async def test_what_a_click_doesnt_know_is_left_out_and_what_is_empty_isnt(
    account: CrmAccount, module: TestServer
) -> None:
    answer = await account.click_to_call(str(module.make_url("")).rstrip("/"), "id", code="", phone="112")
    assert answer.body["query"] == {"clientId": "id", "code": "", "phone": "112"}


async def test_an_answer_in_words_is_given_as_it_is(account: CrmAccount, module: TestServer) -> None:
    answer = await account.click_to_call(str(module.make_url("/old")), "id", code="101", phone="112")
    assert (answer.status, answer.body) == (200, "OK")


async def test_a_changed_state_is_the_crms_own_and_is_told(
    api: Api, account: CrmAccount, module: TestServer
) -> None:
    address = str(module.make_url("")).rstrip("/")
    answer = await account.change_status(address, "id", "busy", user_id=7, code="101")
    assert answer.body == {
        "path": "/crm/status",
        "query": {"clientId": "id", "code": "101", "userId": "7", "status": "busy"},
    }
    assert (await states(api))[7] == "busy"


# Calls that go out


async def test_a_call_out_is_told_as_strictly_as_one_in(api: Api, crm: SimulatedCrm) -> None:
    for event in (OUT, OUT | {"codes": ["102"]}, HANGUP | {"codes": ["101", "102"]}):
        assert (await api.event(event))[0] == 200
    assert (await api.upload(CALL_OUT))[0] == 200
    assert crm.violations == []
    await api.event({"phone": "+79161234567", "type": "out", "callExternalId": "c2"})
    assert "one of codes, userIds is required" in crm.violations[-1]
    await api.event(OUT | {"codes": ["102"], "phone": "89161234567", "callExternalId": "c3"})
    assert "not E.164" in crm.violations[-1]
    await api.event(OUT | {"codes": ["101"], "callExternalId": "c3"})
    await api.event(OUT | {"codes": ["101", "103"], "callExternalId": "c3"})
    assert "told twice to 101" in crm.violations[-1]


@pytest.mark.parametrize(("first", "second"), [("in", "out"), ("out", "in")])
async def test_one_call_has_one_direction(api: Api, crm: SimulatedCrm, first: str, second: str) -> None:
    await api.event(POPUP | {"type": first})
    await api.event(POPUP | {"type": second, "codes": ["102"]})
    assert crm.violations == [f"crm1: call c1: {second} is '{second}', but the call was told as '{first}'"]


@pytest.mark.parametrize(
    ("popup", "upload", "fair"), [("in", "in", True), ("out", "out", True), ("in", "out", False)]
)
async def test_the_upload_has_the_direction_of_the_popups(
    api: Api, crm: SimulatedCrm, popup: str, upload: str, fair: bool
) -> None:
    await api.event(POPUP | {"type": popup})
    await api.event(HANGUP)
    await api.upload(CALL | {"type": upload})
    assert (crm.violations == []) is fair


async def test_a_popup_that_a_fault_swallowed_had_a_direction_too(
    api: Api, account: CrmAccount, crm: SimulatedCrm
) -> None:
    account.fault(Closed(), route="event", times=1)
    with pytest.raises(aiohttp.ClientError):
        await api.event(OUT)
    await api.upload(CALL)
    assert any("the call was told as 'out'" in sentence for sentence in crm.violations)


# The module's life


async def test_a_module_that_is_switched_off_can_tell_nothing(api: Api, account: CrmAccount) -> None:
    account.rights.modules["m"] = {"active": False, "freeze": False}
    status, answer = await api.event(POPUP)
    assert (status, answer["errorMsg"]) == (400, "Telephony not enabled")
    account.rights.modules["m"] = {"active": True, "freeze": True}
    status, _ = await api.event(POPUP)
    assert status == 400


async def test_an_account_that_has_moved_is_no_longer_where_it_was(
    crm: SimulatedCrm, account: CrmAccount
) -> None:
    before = account.url
    crm.move(account)
    async with aiohttp.ClientSession(headers={"X-API-KEY": "k"}) as session:
        async with session.get(f"{before}/api/credentials") as answer:
            assert (answer.status, answer.content_type) == (405, "text/html")
        async with session.get(f"{account.url}/api/credentials") as answer:
            assert answer.status == 200


async def test_a_module_that_does_not_keep_to_the_simple_connection_is_found_out(
    account: CrmAccount, module: TestServer
) -> None:
    with pytest.raises(NotConnected, match="config: 418"):
        await account.connect(str(module.make_url("/crm/config")), "secret")
