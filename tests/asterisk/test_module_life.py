"""The module's life in the CRM, as callers and managers at a real Asterisk see it."""

from ari_app.accounts.account import RegisteredAccount
from ari_app.demo.pbx.phones import Answers
from ari_app.store.accounts import Accounts
from tests.support.office import SECRET_KEY, Office

ANNA = "+79161234567"


async def test_while_telephony_is_off_in_the_crm_calls_reach_people_and_the_crm_hears_nothing(
    office: Office,
) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    service = office.service
    assert service is not None
    await service.switch_telephony(office.account.id, on=False)
    async with office.web() as address, office.phone(olga, Answers(after=0.1)) as phone:
        async with office.call(ANNA, talks=0.5) as caller:
            await caller.ended()
        call = await office.ended()
        assert (caller.status, call.talker, phone.calls[0].name) == (200, olga, "Иванова Анна")
        client_id = office.account.crm.client_id.get_secret_value()
        click = await office.crm_account.click_to_call(address, client_id, code=olga, phone=ANNA)
        assert click.status == 403
        await service.switch_telephony(office.account.id, on=True)
        async with office.call(ANNA, talks=0.5) as caller:
            await caller.ended()
        await office.crm_account.wait_for_upload()
    assert len(phone.calls) == 2
    assert len(office.crm_account.uploads) == 1
    assert [told.event.type for told in office.crm_account.events] == ["in", "hangup"]


async def test_a_talk_goes_on_while_the_crm_moves_and_is_told_at_its_new_address(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Answers(after=0.1)), office.call(ANNA) as caller:
        call = await office.stage("talking")
        before = office.shop
        office.crm.move(office.crm_account)

        def moved(now: RegisteredAccount) -> RegisteredAccount:
            crm = now.crm.model_copy(update={"url": office.crm_account.url})
            return now.model_copy(update={"crm": crm, "name": now.id})

        await Accounts(office.redis, SECRET_KEY).change(office.account.id, moved)
        await office.until(lambda: office.listening and office.shop is not before, "not opened anew")
        caller.hang_up()
        await caller.ended()
    report = await office.report()
    assert (report.call.id, report.upload.result) == (call.id, "answered")
    assert report.upload.record_url is not None
