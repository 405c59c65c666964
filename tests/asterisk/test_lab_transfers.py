"""What people do with their phones in the lab: dial, hold, press digits, hand a call over, pick one up."""

import pytest

from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.phones import Answers, Busy, Declines, Fate, Refuses, Rings
from tests.support.pace import at_this_pace

pytestmark = pytest.mark.asyncio(loop_scope="session")

CUSTOMER, FRIEND = "+79161234567", "79037654321"


async def test_a_manager_dials_a_colleague(lab: Lab) -> None:
    olga, boris = lab.extensions(2)
    async with lab.phone(boris, Answers(after=0.2)) as his, lab.dial(olga, boris, talks=0.2) as hers:
        await hers.ended()
        await his.is_free()
    assert [code for code, _ in hers.provisional] == [180]
    assert hers.answered_after == pytest.approx(0.2, abs=at_this_pace(0.1))
    assert hers.ended_by == "manager"
    assert [(call.number, call.to) for call in his.calls] == [(olga, boris)]


async def test_a_manager_dials_a_customer_while_the_application_is_away(lab: Lab) -> None:
    [olga] = lab.extensions(1)
    async with (
        lab.customer_phone(Answers(after=0.1)) as customer,
        lab.dial(olga, FRIEND, app="nobody-home") as manager,
    ):
        await manager.answered()
        customer.hang_up()
        await manager.ended()
    assert manager.ended_by == "other side"
    assert [call.to for call in customer.calls] == [FRIEND]
    assert "Stasis app 'nobody-home' doesn't exist" in lab.asterisk.log()


async def test_who_hangs_up_twice_hangs_up_once(lab: Lab) -> None:
    olga, boris = lab.extensions(2)
    async with lab.phone(boris, Answers(after=0.1)) as his, lab.dial(olga, boris) as hers:
        await hers.answered()
        await his.answers()
        hers.hang_up()
        hers.hang_up()
        await hers.ended()
        await his.is_free()
    async with lab.phone(boris, Answers(after=0.1)) as his, lab.dial(olga, boris) as hers:
        await hers.answered()
        await his.answers()
        his.hang_up()
        his.hang_up()
        await hers.ended()
        await his.is_free()


@pytest.mark.parametrize("number", ["112", "0911", FRIEND, f"+{FRIEND}"])
async def test_short_and_long_numbers_leave_through_the_trunk(lab: Lab, number: str) -> None:
    [olga] = lab.extensions(1)
    async with lab.customer_phone(Busy()) as customer, lab.dial(olga, number) as manager:
        await manager.ended()
    assert manager.status == 486
    assert customer.calls[0].to == number


@pytest.mark.parametrize(("status", "cause"), [(404, 1), (503, 34)])
async def test_a_line_refuses_a_number(lab: Lab, status: int, cause: int) -> None:
    [olga] = lab.extensions(1)
    async with lab.customer_phone(Refuses(status)), lab.dial(olga, FRIEND) as manager:
        await manager.ended()
    assert (manager.status, manager.reason) == (status, f"Q.850;cause={cause}")


async def test_a_manager_hands_a_customer_over_blindly(lab: Lab) -> None:
    olga, boris = lab.extensions(2)
    async with (
        lab.phone(olga, Answers(after=0.1)) as hers,
        lab.phone(boris, Answers(after=0.2)) as his,
        lab.call(CUSTOMER, "00" + olga) as customer,
    ):
        await customer.answered()
        call = await hers.answers()
        await lab.bridged(olga)
        assert await hers.transfer(boris) == 200
        await his.answers()
        await hers.is_free()
        assert not customer.over
        customer.hang_up()
        await his.is_free()
    assert call.transferred
    assert his.calls[0].fate is Fate.LEFT


async def test_a_transfer_to_an_extension_that_doesnt_exist_leaves_the_call_as_it_is(lab: Lab) -> None:
    [olga] = lab.extensions(1)
    async with (
        lab.phone(olga, Answers(after=0.1)) as hers,
        lab.call(CUSTOMER, "00" + olga) as customer,
    ):
        await customer.answered()
        call = await hers.answers()
        await lab.bridged(olga)
        assert await hers.transfer("77") == 404
        assert not call.transferred
        assert call.fate is Fate.TALKING


async def test_a_manager_asks_a_colleague_before_handing_a_customer_over(lab: Lab) -> None:
    olga, boris = lab.extensions(2)
    async with (
        lab.phone(olga, Answers(after=0.1)) as hers,
        lab.phone(boris, Answers(after=0.1)) as his,
        lab.call(CUSTOMER, "00" + olga) as customer,
    ):
        await customer.answered()
        await hers.answers()
        await lab.bridged(olga)
        await hers.hold()
        async with lab.dial(olga, boris) as consultation:
            await consultation.answered()
            assert await hers.transfer_to(consultation) == 200
            await consultation.ended()
        await hers.is_free()
        assert len(his.talking) == 1
        assert not customer.over
        his.hang_up()
        await customer.ended()
    assert consultation.ended_by == "other side"


async def test_a_manager_hands_a_customer_over_while_the_colleague_still_rings(lab: Lab) -> None:
    olga, boris = lab.extensions(2)
    async with (
        lab.phone(olga, Answers(after=0.1)) as hers,
        lab.phone(boris, Rings()) as his,
        lab.call(CUSTOMER, "00" + olga) as customer,
    ):
        await customer.answered()
        await hers.answers()
        await lab.bridged(olga)
        async with lab.dial(olga, boris) as consultation:
            await consultation.ringing()
            assert await hers.transfer_to(consultation) == 200
            await hers.is_free()
            his.answer()
            await his.answers()
        assert not customer.over
        customer.hang_up()
        await his.is_free()


async def test_a_manager_who_dialled_hands_the_customer_over(lab: Lab) -> None:
    olga, boris = lab.extensions(2)
    async with (
        lab.customer_phone(Answers(after=0.1)) as customer,
        lab.phone(boris, Answers(after=0.1)) as his,
        lab.dial(olga, FRIEND) as manager,
    ):
        await manager.answered()
        await lab.bridged(olga)
        await manager.hold()
        await manager.resume()
        assert await manager.transfer(boris) == 200
        await his.answers()
        await manager.ended()
        assert len(customer.talking) == 1
        his.hang_up()
        await customer.is_free()
    assert customer.calls[0].fate is Fate.LEFT


async def test_a_call_is_handed_over_to_a_queue(lab: Lab) -> None:
    olga, boris = lab.extensions(2)
    queue = lab.queue()
    await lab.asterisk.queue_add(queue, f"PJSIP/{boris}")
    async with (
        lab.phone(olga, Answers(after=0.1)) as hers,
        lab.phone(boris, Answers(after=0.1)) as his,
        lab.call(CUSTOMER, "00" + olga) as customer,
    ):
        await customer.answered()
        await hers.answers()
        await lab.bridged(olga)
        assert await hers.transfer(queue) == 200
        await his.answers()
        customer.hang_up()
        await his.is_free()


async def test_a_member_of_a_queue_hands_a_caller_over_by_feature_code(lab: Lab) -> None:
    olga, boris = lab.extensions(2)
    queue = lab.queue()
    await lab.asterisk.queue_add(queue, f"PJSIP/{olga}")
    async with (
        lab.phone(olga, Answers(after=0.1)) as hers,
        lab.phone(boris, Answers(after=0.1)) as his,
        lab.call(CUSTOMER, "01" + queue) as customer,
    ):
        await customer.answered()
        await hers.answers()
        await lab.bridged(olga)
        await hers.press(f"##{boris}")
        await his.answers()
        await hers.is_free()
        assert not customer.over
    assert his.calls[0].number == CUSTOMER


async def test_a_ringing_call_is_picked_up_from_another_phone(lab: Lab) -> None:
    olga, boris = lab.extensions(2)
    async with (
        lab.phone(olga, Rings()) as hers,
        lab.call(CUSTOMER, "00" + olga) as customer,
    ):
        await hers.rings()
        async with lab.dial(boris, f"*8{olga}") as his:
            await his.answered()
            await customer.answered()
            await hers.is_free()
            customer.hang_up()
            await his.ended()
    assert hers.calls[0].answered_elsewhere
    assert his.ended_by == "other side"


async def test_a_customer_handed_over_to_somebody_who_declines_is_hung_up_by_the_dialplan(lab: Lab) -> None:
    olga, boris = lab.extensions(2)
    async with (
        lab.phone(olga, Answers(after=0.1)) as hers,
        lab.phone(boris, Declines(after=0.1)) as his,
        lab.call(CUSTOMER, "00" + olga) as customer,
    ):
        await customer.answered()
        await hers.answers()
        await lab.bridged(olga)
        assert await hers.transfer(boris, stays=True) == 200
        await customer.ended()
    assert his.calls[0].fate is Fate.REFUSED
    assert customer.reason == "Q.850;cause=21"


async def test_phones_agree_to_what_asterisk_asks_of_a_call_that_talks(lab: Lab) -> None:
    olga, boris = lab.extensions(2)
    asks = ("invite", "update")
    refreshes = [f"Set(PJSIP_SEND_SESSION_REFRESH()={method})" for method in asks]
    sends_digits = ["Set(PJSIP_DTMF_MODE()=info)", "SendDTMF(12)"]
    await _dialplan(lab, "*70", "Answer()", *refreshes, *sends_digits, "Hangup(31)")
    await _dialplan(lab, "*71", f"Dial(PJSIP/{boris},9,U(*72))")
    await _dialplan(lab, "*72", *refreshes, *sends_digits, "Return()", context="*72", extension="s")
    async with lab.dial(olga, "*70") as hers:
        await hers.ended()
    assert (hers.status, hers.reason) == (200, "Q.850;cause=31")
    async with lab.phone(boris, Answers(hangs_up_after=0.5)) as his, lab.dial(olga, "*71") as hers:
        await hers.ended()
        await his.is_free()
    assert (hers.ended_by, his.calls[0].fate) == ("other side", Fate.HUNG_UP)


async def _dialplan(
    lab: Lab, number: str, *steps: str, context: str = "internal", extension: str = ""
) -> None:
    """Give a number that phones may dial its steps."""
    for priority, step in enumerate(steps, 1):
        exten = f"{extension or number},{priority},{step}"
        await lab.asterisk.command(f"dialplan add extension {exten} into {context}")
