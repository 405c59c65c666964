"""An old dialplan reports a call that we run: the CRM hears of it once, from us."""

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from ari_app.demo.pbx.phones import Answers
from cabinet.app import make_app
from tests.support.office import Office

ANNA = "+79161234567"


async def test_a_call_that_the_dialplan_reports_too_is_told_once(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(unknown=f"group:{olga}")
    assert office.service is not None
    client_id = office.account.crm.client_id.get_secret_value()
    app: web.Application = make_app(office.service)
    async with TestClient(TestServer(app)) as client:

        async def report(kind: str, **more: str) -> str:
            given = {"clientId": client_id, "type": kind, "uniqueid": channel, "phone": ANNA, "code": olga}
            answer = await client.post("/api/event", data=given | more)
            body = await answer.json()
            taken: str = body["taken"]
            return taken

        async with office.phone(olga, Answers(after=0.3)), office.call(ANNA, talks=0.5) as caller:
            channel = (await office.live()).caller.id
            assert await report("in") == "ours"
            await caller.ended()
        assert await report("hangup", status="ANSWER", duration="1") == "ours"
        told = await office.report()
        assert await report("hangup", status="ANSWER", duration="1") == "ours"
    assert told.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert len(office.crm_account.uploads) == 1
