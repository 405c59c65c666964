"""An administrator tries an extension out: it rings all the way of a customer's call, and counts nowhere."""

import asyncio
import wave
from array import array

import orjson
import pytest

from ari_app.calls import Call
from ari_app.check import trial
from ari_app.control.trials import NotTried, WhyNot
from ari_app.demo.pbx.asterisk import UNREACHABLE
from ari_app.demo.pbx.phones import Declines, Rings
from ari_app.store.keys import Keys
from tests.asterisk.test_check import ari_app
from tests.support.office import OUR_NUMBER, Office

NAME = "Пробный звонок"


async def over(office: Office, call_id: str) -> Call:
    call = await office.ended(call_id)
    await office.told_all()
    return call


async def steps(office: Office, call: Call) -> dict[str, str]:
    found = trial.judge(call, await office.calls.journal(call.id))
    return {one.step or "": one.state.value for one in found}


async def nothing_counts(office: Office) -> bool:
    """Tell whether nobody but the journal knows of it."""
    keys = Keys(office.account.id)
    left = [key.decode() async for key in office.redis.scan_iter(match=keys.all)]
    counted = [key for key in left if any(word in key for word in (":statistics:2", ":missed", ":number:"))]
    return not counted and not await office.calls.ended(10) and not office.crm_account.uploads


async def test_the_telephone_rings_shows_a_name_is_recorded_and_counts_nowhere(
    office: Office,
) -> None:
    (olga,) = office.managers(1)
    await office.open(unknown="group:199", new_customers=True)
    await office.lead_here()
    async with office.phone(olga, Rings()) as phone:
        call_id = await office.shop.try_out(olga, OUR_NUMBER, NAME)
        shown = await phone.rings()
        assert (shown.name, shown.number) == (NAME, OUR_NUMBER)
        with pytest.raises(NotTried) as refused:
            await office.shop.try_out(olga, OUR_NUMBER, NAME)
        assert refused.value.why is WhyNot.GOES_ON
        phone.answer()
        await office.recorded()
        call = await over(office, call_id)
    assert (call.trial, call.talker) == (olga, olga)
    assert 5 < call.talking < 12
    assert call.recording.file is not None
    assert await steps(office, call) == dict.fromkeys(trial.Part, "good")
    told = [(one.event.type, one.event.codes) for one in office.crm_account.events]
    assert told == [("in", [olga]), ("hangup", [olga])]
    assert await nothing_counts(office)
    assert not await office.calls.led_here()


async def test_what_is_heard_of_the_customer_is_in_the_recording(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open()
    await office.lead_here()
    async with office.lab.phone(olga, Rings(), sound=False) as phone:  # which is silent itself
        call_id = await office.shop.try_out(olga, OUR_NUMBER, NAME)
        await phone.rings()
        phone.answer()
        call = await over(office, call_id)
    with wave.open(str(next(office.folder.rglob(call.recording.file or ""))), "rb") as file:
        sound = array("h", file.readframes(file.getnframes()))
    assert sum(abs(one) > 1000 for one in sound) > len(sound) / 10


async def test_a_telephone_that_declines_and_one_that_isnt_registered_are_told_apart(
    office: Office,
) -> None:
    (olga,) = office.managers(1)
    office.hire(UNREACHABLE)
    await office.open()
    await office.lead_here()
    async with office.phone(olga, Declines(after=0.1)):
        declined = await over(office, await office.shop.try_out(olga, OUR_NUMBER, NAME))
    absent = await over(office, await office.shop.try_out(UNREACHABLE, OUR_NUMBER, NAME))
    shown = await steps(office, declined)
    assert (shown[trial.Part.RANG], shown[trial.Part.ANSWERED]) == ("good", "bad")
    shown = await steps(office, absent)
    assert (shown[trial.Part.RANG], shown[trial.Part.ANSWERED]) == ("bad", "unknown")
    assert await nothing_counts(office)


async def test_a_pbx_without_our_files_is_said_to_lack_them(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open()
    with pytest.raises(NotTried) as refused:
        await office.shop.try_out(olga, OUR_NUMBER, NAME)
    assert refused.value.why is WhyNot.NO_DIALPLAN


async def test_a_trial_of_which_the_service_knows_nothing_any_more_calls_nobody(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open(unknown=f"group:{olga}")
    await office.lead_here()
    ids = office.shop.line.pbx.ids.new_trial("199")  # nobody's extension
    await office.shop.line.pbx.ari(
        "channels",
        "originateWithId",
        channelId=ids.customer,
        otherChannelId=ids.caller,
        endpoint=f"Local/s@{office.app}-incoming/n",
        app=office.app,
        appArgs="trial",
    )

    async def gone() -> bool | None:
        return not await office.left_on_pbx() or None

    await office.eventually(gone, "the channels of a trial stay")
    assert await office.calls.get(ids.call) is None


async def test_the_command_line_rings_it_too_and_says_each_step(office: Office, redis_url: str) -> None:
    (olga,) = office.managers(1)
    await office.open()
    await office.lead_here()
    words = ("check", "--call", olga, office.account.id, "--from", OUR_NUMBER, "--json")
    async with office.phone(olga, Rings()) as phone:
        asked = asyncio.create_task(ari_app(office, redis_url, "http://127.0.0.1:1", *words))
        shown = await phone.rings()
        assert (shown.name, shown.number) == ("Trial call", OUR_NUMBER)
        phone.answer()
        status, lines, complaints = await asked
    assert (status, complaints) == (0, "")
    findings = [orjson.loads(line) for line in lines.splitlines()]
    assert [one["step"] for one in findings] == list(trial.Part)
    assert {one["state"] for one in findings} == {"good"}
    assert await nothing_counts(office)


async def test_the_command_line_says_why_nobody_rings_and_ends_with_one(
    office: Office, redis_url: str
) -> None:
    (olga,) = office.managers(1)
    await office.open()
    call = ("check", office.account.id, "--call")
    status, said, _ = await ari_app(office, redis_url, "http://127.0.0.1:1", *call, olga)
    assert status == 1
    assert "WRONG      dialplan: Asterisk has no context" in said
    assert "1 wrong" in said
    status, _, complaints = await ari_app(office, redis_url, "http://127.0.0.1:1", *call, "999")
    assert status == 1
    assert f"{office.account.id} has no extension 999; it has {olga}." in complaints
