"""An account is changed while its shop works."""

from ari_app.demo.pbx.phones import Answers, Rings
from ari_app.store.accounts import Accounts
from tests.support.office import SECRET_KEY, Office

ANNA = "+79161234567"
STRANGER = "+79037654321"


async def test_new_settings_hold_for_the_next_call_and_leave_the_present_one_alone(office: Office) -> None:
    olga, boris = office.managers(2)
    await office.open(unknown=f"group:{olga}")
    async with (
        office.phone(olga, Rings()) as first,
        office.phone(boris, Answers(after=0.1)),
        office.call(STRANGER, talks=0.3) as caller,
    ):
        await first.rings()
        await office.apply(unknown=f"group:{boris}")
        await office.until(lambda: office.shop.settings == office.account, "the change was not taken")
        first.answer()
        await caller.ended()
        async with office.call(ANNA, talks=0.3) as next_caller:
            await next_caller.ended()
    await office.report(2)
    assert [upload.call.code for upload in office.crm_account.uploads] == [olga, boris]


async def test_a_talk_goes_on_while_the_service_connects_with_a_new_password(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Answers(after=0.1)), office.call(ANNA) as caller:
        await office.stage("talking")
        before = office.shop
        changed = office.account.pbx.model_copy(update={"ami_username": "another"})
        office.account = office.account.model_copy(update={"pbx": changed})
        await Accounts(office.redis, SECRET_KEY).apply(office.account, keep_client_id=True)
        await office.until(lambda: office.opened_after(before), "not connected anew")
        assert not caller.over
        caller.hang_up()
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.record_url is not None


async def test_an_account_that_is_added_while_the_service_runs_gets_its_calls(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.start_without_account()
    await office.apply(unknown=f"group:{olga}")
    await office.until(lambda: office.listening, "the new account's PBX was not connected")
    async with office.phone(olga, Answers(after=0.1)), office.call(STRANGER, talks=0.2) as caller:
        await caller.ended()
    assert (await office.report()).upload.code == olga


async def test_an_account_that_is_removed_leaves_its_callers_to_the_dialplan(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open(unknown=f"group:{olga}")
    assert await Accounts(office.redis, SECRET_KEY).remove(office.account.id)
    await office.until(lambda: not office.listening, "the PBX is still held")
    async with office.call(STRANGER) as caller:
        await caller.ended()
    assert caller.status == 200
    assert "cause=31" in caller.reason


async def test_who_calls_in_the_moment_in_which_the_account_is_removed_goes_on_in_the_dialplan(
    office: Office,
) -> None:
    (olga,) = office.managers(1)
    await office.open(unknown=f"group:{olga}")
    assert await Accounts(office.redis, SECRET_KEY).remove(office.account.id)
    async with office.call(STRANGER) as caller:
        await caller.ended()
    assert caller.status == 200
    assert "cause=31" in caller.reason
