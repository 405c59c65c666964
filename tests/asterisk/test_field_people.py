"""Who is a person, who has talked and when somebody has answered, on the dialplans that shops have.

The dialplans are those of FreePBX and its like, made small: what plain `Dial()` and `Queue()` do with these
calls is expected of ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from ari_app.calls import whole_seconds
from ari_app.calls.call import Call, LegState, Role
from ari_app.demo.pbx.asterisk import EXTENSIONS, UNREACHABLE, Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers, Busy, Declines, Forwards, Refuses, Rings
from tests.asterisk.pbx_files import prepared
from tests.asterisk.test_outgoing import dial
from tests.asterisk.test_transfers import handed_over
from tests.support.office import Office, since_the_answer

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA, STRANGER = "+79161234567", "+79037654321"
MOBILE = "+79035554433"
TWINS = ("99302",)
"""Second telephones: of extension 302."""

DIALPLAN = f"""
[internal](+)
exten => *97,1,Answer()
 same => n,Read(KEY,,1,,1,20)
 same => n,Log(NOTICE,${{EXTEN}} heard ${{KEY}})
 same => n,Wait(20)

; Follow Me: FMPR-304 is the desk phone, FMGL-304 whoever comes after.
[fm]
exten => _FMPR.,1,Dial(PJSIP/${{EXTEN:5}},20)
exten => _FMGL.,1,Wait(1)
 same => n,Dial(PJSIP/${{EXTEN:5}},20)
exten => _FMNO.,1,Dial(PJSIP/${{EXTEN:5}},1)

; Follow Me that asks, at the telephone that has answered, whether the call is taken.
[fm-asks]
exten => _X.,1,Dial(Local/${{EXTEN}}@from-queue/n,20,U(accepts))
exten => _*X.,1,Dial(Local/${{EXTEN:1}}@from-queue/n,20,U(declines))
[accepts]
exten => s,1,Wait(1)
 same => n,Return()
[declines]
exten => s,1,Wait(1)
 same => n,Set(GOSUB_RESULT=CONTINUE)
 same => n,Return()

[from-queue]
exten => _X!,1,Dial(PJSIP/${{EXTEN}}{"@trunk"},20)
exten => _XXX,1,Dial(PJSIP/${{EXTEN}},20)

; A manager's telephone behind two Local channels.
[twice-local]
exten => _XXX,1,Dial(Local/${{EXTEN}}@from-queue/n,20)

; A ring group, whose members are reached as a shop's own dialplan pleases.
[rg]
exten => _600.,1,Dial(Local/RG-600-${{EXTEN:3:3}}@rg2&Local/LC-${{EXTEN:6:3}}@rg2)
[rg2]
exten => _RG.,1,Dial(PJSIP/${{EXTEN:7}},20)
exten => _LC.,1,Goto(from-queue,${{EXTEN:3}},1)

; A group of one, at whose end the dialplan says by itself what became of it.
[rg-ends]
exten => _600XXX,1,Dial(PJSIP/${{EXTEN:3:3}},20)

; A manager's telephone with voicemail; and one whose calls are announced first.
[fpbx]
exten => _XXX,1,Dial(PJSIP/${{EXTEN}},1)
 same => n,Answer()
 same => n,Wait(20)

[says-first]
exten => _XXX,1,Answer()
 same => n,Dial(PJSIP/${{EXTEN}},20)

[ext-queues]
exten => _[a-z].,1,Answer()
 same => n,Queue(${{EXTEN}},t,,,2)
 same => n,Goto(vm,s,1)
[vm]
exten => s,1,Answer()
 same => n,Wait(20)
exten => s,n,Hangup()

; A group whose failover is a menu behind a Local channel.
[menu-behind]
exten => _600XXX,1,Dial(PJSIP/${{EXTEN:3}},1)
 same => n,Dial(Local/menu@menu-behind/n,20)
exten => menu,1,Answer()
 same => n,Read(KEY,,1,,1,20)
 same => n,Log(NOTICE,the menu behind ${{UNIQUEID}} heard ${{KEY}})
 same => n,Wait(20)

; Lines: a PIN, an announcement, a second trunk, a busy tone.
[pin]
exten => _X.,1,Answer()
 same => n,Playback(silence/1)
 same => n,Dial(PJSIP/${{EXTEN}}@trunk,20)
[pin-asked]
exten => _X.,1,Authenticate(1234)
 same => n,Dial(PJSIP/${{EXTEN}}@trunk,20)
[two-lines]
exten => _X.,1,Dial(PJSIP/399,20)
 same => n,Dial(PJSIP/${{EXTEN}}@trunk,20)
[only-dial]
exten => _X.,1,Dial(PJSIP/${{EXTEN}}@trunk,20)
[busy-tone]
exten => _X.,1,Dial(PJSIP/${{EXTEN}}@trunk,20)
 same => n,Busy(20)
"""


@pytest.fixture(scope="module", params=[22, 16])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    asterisk = Asterisk(installation, extensions=[*EXTENSIONS, *TWINS])
    asterisk.files = {"extensions_more.conf": DIALPLAN}
    async with asterisk:
        yield Lab(asterisk)


async def let(office: Office, exten: str, *apps: str) -> None:
    """Let an extension of the telephones' context do something: what managers transfer to."""
    for priority, app in enumerate(apps, start=1):
        command = f"dialplan add extension {exten},{priority},{app} into internal replace"
        said = await office.lab.asterisk.command(command)
        assert "added" in said or "replace" in said, said


# -- transfers to Follow Me, ring groups, queues, voicemail -----------------------------------------------


@pytest.mark.parametrize("who", ["desk phone", "colleague"])
async def test_a_transfer_by_follow_me_is_whoever_answers(office: Office, who: str) -> None:
    olga, boris, vera = office.managers(3)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await let(office, boris, f"Dial(Local/FMPR-{boris}@fm&Local/FMGL-{vera}@fm,22,tr)")
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Answers(after=0.3) if who == "desk phone" else Rings()) as his,
        office.phone(vera, Answers(after=0.1)) as veras,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await handed_over(office, hers, boris)
        await (his if who == "desk phone" else veras).answers()
        await office.talks(boris if who == "desk phone" else vera)
        customer.hang_up()
        await his.is_free()
    report = await office.report()
    assert report.upload.code == (boris if who == "desk phone" else vera)
    assert {code for told in report.told for code in told[1]} <= {olga, boris, vera}


async def test_a_ring_group_is_the_member_who_answers(office: Office) -> None:
    olga, boris = office.managers(2)
    await office.open(unknown=f"queue:rg,600{olga}{boris}")
    async with (
        office.phone(olga, Rings()) as hers,
        office.phone(boris, Answers(after=0.5)) as his,
        office.call(STRANGER) as customer,
    ):
        await his.answers()
        await customer.answered()
        await office.talks(boris)
        customer.hang_up()
        await hers.is_free()
    report = await office.report()
    both = sorted([olga, boris])
    assert report.told == [("in", both), ("hangup", both, "answered")]
    assert report.upload.code == boris


def has_telephones(office: Office, monkeypatch: pytest.MonkeyPatch, code: str, line: str) -> None:
    """Let the account say more of an extension."""
    toml, entry = office.toml, f'code = "{code}"'
    monkeypatch.setattr(office, "toml", lambda **calls: toml(**calls).replace(entry, f"{entry}\n{line}"))


async def test_a_mobile_in_a_queue_is_its_owners_and_never_an_extension(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    (olga,) = office.managers(1)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, "Local/89035554433@from-queue/n")
    has_telephones(office, monkeypatch, olga, f'mobile = "{MOBILE}"')
    await office.open(unknown=f"queue:queues,{queue}")
    async with (
        office.lab.customer_phone(Answers(after=0.2)) as mobile,
        office.call(STRANGER) as customer,
    ):
        await mobile.answers()
        await customer.answered()
        await office.talks(olga)
        customer.hang_up()
        await mobile.is_free()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)


async def test_a_mobile_that_is_nobodys_has_no_code(office: Office) -> None:
    office.managers(1)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, "Local/89035554433@from-queue/n")
    await office.open(unknown=f"queue:queues,{queue}")
    async with (
        office.lab.customer_phone(Answers(after=0.2)) as mobile,
        office.call(STRANGER) as customer,
    ):
        await mobile.answers()
        await customer.answered()
        await office.talks(None)
        customer.hang_up()
        await mobile.is_free()
    report = await office.report()
    assert report.told == []
    assert (report.upload.result, report.upload.code) == ("answered", None)


async def test_follow_me_that_asks_is_answered_when_the_call_is_taken(office: Office) -> None:
    office.managers(1)
    await office.open(unknown="queue:fm-asks,89035554433")
    async with (
        office.lab.customer_phone(Answers(after=0.1)) as mobile,
        office.call(STRANGER) as customer,
    ):
        await mobile.answers()
        await office.talks(None)
        await customer.answered()
        customer.hang_up()
        await mobile.is_free()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", None)
    assert report.call.waiting > 1


async def test_follow_me_whose_call_is_not_taken_is_no_answer(office: Office) -> None:
    (olga,) = office.managers(1)
    await office.open(unknown=f"queue:fm-asks,*89035554433;group:{olga}")
    async with (
        office.lab.customer_phone(Answers(after=0.1)) as mobile,
        office.phone(olga, Answers(after=0.1)),
        office.call(STRANGER, talks=0.3) as customer,
    ):
        await mobile.answers()
        await customer.ended()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    assert report.call.waiting > 1


async def test_a_second_telephone_is_its_owners(office: Office) -> None:
    office.hire("302")
    await office.open()
    async with (
        office.lab.customer_phone(Answers(after=0.1)) as customer,
        dial(office, "99302", talks=0.2) as manager,
    ):
        await manager.ended()
        await customer.is_free()
    report = await office.report()
    assert report.told == [("out", ["302"]), ("hangup", ["302"], "answered")]
    assert report.upload.code == "302"


async def test_a_transfer_that_a_second_telephone_takes_is_its_owners(office: Office) -> None:
    (olga,) = office.managers(1)
    office.hire("302")
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await let(office, "302", "Dial(PJSIP/302&PJSIP/99302)")
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone("302", Rings()),
        office.phone("99302", Answers(after=0.2)) as twin,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await handed_over(office, hers, "302")
        await twin.answers()
        await office.talks("302")
        customer.hang_up()
        await twin.is_free()
    report = await office.report()
    assert report.told == [
        ("in", [olga]),
        ("in", ["302"]),
        ("hangup", sorted([olga, "302"]), "answered"),
    ]
    assert report.upload.code == "302"


async def test_a_queue_that_a_customer_leaves_after_a_transfer_was_nobodys(office: Office) -> None:
    olga, boris = office.managers(2)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"PJSIP/{boris}")
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await let(office, "600", "Answer()", f"Queue({queue},tT)")
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Rings()) as his,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await handed_over(office, hers, "600")
        await his.rings()
        await office.stage("transferring")
        await office.until(
            lambda: any(boris in call.told for call in office.shop.line.calls), "boris is not told"
        )
        customer.hang_up()
        await his.is_free()
    report = await office.report()
    assert report.told == [
        ("in", [olga]),
        ("in", [boris]),
        ("hangup", sorted([olga, boris]), "answered"),
    ]
    assert report.upload.code == olga
    assert report.call.talking < 3


async def test_a_queue_that_rings_nobody_after_a_transfer_was_nobodys(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await let(office, "600", "Answer()", f"Queue({office.lab.queue()},tT)")
    await office.open()
    async with office.phone(olga, Answers(after=0.1)) as hers, office.call(ANNA) as customer:
        await customer.answered()
        await handed_over(office, hers, "600")
        await office.stage("transferring")
        await hers.is_free()
        customer.hang_up()
        await customer.ended()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.code == olga
    assert report.call.talking < 3


async def test_a_transfer_to_a_ring_group_whose_mobile_answers_has_no_code(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await let(office, "600", "Dial(Local/89035554433@from-queue/n,20)")
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.lab.customer_phone(Answers(after=0.2)) as mobile,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await handed_over(office, hers, "600")
        await mobile.answers()
        await office.talks(None)
        customer.hang_up()
        await mobile.is_free()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", None)


async def test_whom_a_queue_rings_in_vain_after_a_transfer_is_told_and_the_fallback_is_rung(
    office: Office,
) -> None:
    olga, boris, vera = office.managers(3)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"PJSIP/{boris}")
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await let(office, "600", "Answer()", f"Queue({queue},tT,,,2)", "Hangup()")
    await office.open(fallback=f"group:{vera}")
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Rings()),
        office.phone(vera, Answers(after=0.1)) as fallback,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await handed_over(office, hers, "600")
        await fallback.answers()
        await office.talks(vera)
        await office.lab.bridged(vera)
        customer.hang_up()
        await fallback.is_free()
    report = await office.report()
    assert report.told[:-1] == [("in", [olga]), ("in", [boris]), ("in", [vera])]
    assert report.upload.code == vera


@pytest.mark.parametrize("to", ["600", "89035554433"], ids=["a group", "the mobile itself"])
async def test_a_transfer_to_a_mobile_behind_the_outside_lines_digit_is_its_owners(
    office: Office, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    olga, boris = office.managers(2)
    office.pbx["outside_prefix"] = "9"
    office.customer(ANNA, "Иванова Анна", manager=olga)
    has_telephones(office, monkeypatch, boris, f'mobile = "{MOBILE}"')
    await let(office, "600", "Dial(Local/989035554433@from-queue/n,20)")
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.lab.customer_phone(Answers(after=0.2)) as mobile,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await handed_over(office, hers, to)
        await mobile.answers()
        await office.talks(boris)
        customer.hang_up()
        await mobile.is_free()
    report = await office.report()
    assert report.told[-1] == ("hangup", sorted([olga, boris]), "answered")
    assert (report.upload.result, report.upload.code) == ("answered", boris)


async def test_a_transfer_to_the_voicemail_service_is_nobodys_and_the_customer_presses_keys_there(
    office: Office,
) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open()
    async with office.phone(olga, Answers(after=0.1)) as hers, office.call(ANNA) as customer:
        await customer.answered()
        await handed_over(office, hers, "*97")
        await office.stage("transferring")
        await office.until(
            lambda: any(call.legs[-1].does == "speaks" for call in office.shop.line.calls), "no menu"
        )
        await customer.press("7")
        await office.until(lambda: "*97 heard 7" in office.lab.asterisk.log(), "the key isn't heard")
        customer.hang_up()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.code == olga


async def test_so_it_is_with_a_menu_behind_the_dialplans_own_local_channel(office: Office) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await let(office, "600", "Dial(Local/menu@menu-behind/n,20)")
    await office.open()
    before = len(office.lab.asterisk.log())
    async with office.phone(olga, Answers(after=0.1)) as hers, office.call(ANNA) as customer:
        await customer.answered()
        await handed_over(office, hers, "600")
        await office.until(
            lambda: any(leg.does == "speaks" for call in office.shop.line.calls for leg in call.legs),
            "no menu",
        )
        await customer.press("7")
        await office.until(lambda: " heard 7" in office.lab.asterisk.log()[before:], "the key isn't heard")
        customer.hang_up()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.upload.code == olga


async def test_a_colleagues_voicemail_after_a_transfer_is_no_talk(office: Office) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await let(office, boris, f"Dial(PJSIP/{boris},1)", "Answer()", "Wait(20)")
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Rings()) as his,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await handed_over(office, hers, boris)
        await his.rings()
        await his.is_free()
        await office.until(
            lambda: any(call.legs and _up_to_dialplan(call) for call in office.shop.line.calls),
            "no voicemail",
        )
        customer.hang_up()
    report = await office.report()
    assert report.upload.code == olga
    assert report.call.talking + 1 < since_the_answer(report.call)


def _up_to_dialplan(call: Call) -> bool:
    return any(leg.role is Role.TARGET and leg.state is LegState.UP for leg in call.legs)


async def test_a_busy_tone_after_a_transfer_brings_the_customer_to_the_fallback(office: Office) -> None:
    olga, boris, vera = office.managers(3)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await let(office, boris, f"Dial(PJSIP/{boris},20)", "Busy(20)")
    await office.open(fallback=f"group:{vera}")
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Busy()),
        office.phone(vera, Answers(after=0.1)) as fallback,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await handed_over(office, hers, boris)
        await fallback.answers()
        await office.talks(vera)
        customer.hang_up()
        await fallback.is_free()
    report = await office.report()
    assert report.upload.code == vera
    assert since_the_answer(report.call) < 6


async def test_waiting_after_a_transfer_is_not_talk(office: Office) -> None:
    olga, boris, vera = office.managers(3)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    await office.open(fallback=f"group:{vera}")
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Declines(after=2)),
        office.phone(vera, Answers(after=1)) as fallback,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await handed_over(office, hers, boris)
        await fallback.answers()
        await office.talks(vera)
        customer.hang_up()
        await fallback.is_free()
    report = await office.report()
    assert report.call.talking + 2.9 < since_the_answer(report.call)
    assert report.upload.duration == whole_seconds(report.call.talking)


# -- a dialplan that answers instead of a manager ---------------------------------------------------------


async def test_a_queues_failover_is_heard_and_is_nobodys_answer(office: Office) -> None:
    (olga,) = office.managers(1)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"PJSIP/{olga}")
    await office.open(unknown=f"queue:ext-queues,{queue}")
    async with office.phone(olga, Rings()) as phone, office.call(STRANGER) as customer:
        await phone.rings()
        assert customer.answered_after is None
        await customer.answered()
        call = await office.live()
        assert call.left_to_dialplan
        customer.hang_up()
        await phone.is_free()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "no answered")]
    assert (report.upload.result, report.upload.code) == ("no answer", None)
    assert report.upload.record_url is None


async def test_a_failover_behind_a_local_channel_is_heard_takes_keys_and_is_nobodys_answer(
    office: Office,
) -> None:
    (olga,) = office.managers(1)
    await office.open(unknown=f"queue:menu-behind,600{olga}")
    before = len(office.lab.asterisk.log())
    async with office.phone(olga, Rings()) as phone, office.call(STRANGER) as customer:
        await phone.rings()
        await customer.answered()
        await customer.press("7")
        await office.until(lambda: " heard 7" in office.lab.asterisk.log()[before:], "the key isn't heard")
        customer.hang_up()
        await phone.is_free()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "no answered")]
    assert (report.upload.result, report.upload.code) == ("no answer", None)


def reached_by(office: Office, monkeypatch: pytest.MonkeyPatch, channel: str) -> None:
    """Let the account reach its managers by another channel."""
    toml = office.toml
    monkeypatch.setattr(
        office,
        "toml",
        lambda **calls: toml(**calls).replace("[calls]", f'channel_format = "{channel}"\n[calls]'),
    )


async def test_a_managers_voicemail_is_no_answer(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    olga, boris = office.managers(2)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    reached_by(office, monkeypatch, "Local/##@fpbx/n")
    await office.open(fallback=f"group:{boris}")
    async with (
        office.phone(olga, Rings()) as hers,
        office.phone(boris, Answers(after=0.2)) as his,
        office.call(ANNA) as customer,
    ):
        await hers.rings()
        await his.answers()
        await customer.answered()
        await office.talks(boris)
        customer.hang_up()
        await his.is_free()
    report = await office.report()
    assert report.told == [
        ("in", [olga]),
        ("in", [boris]),
        ("hangup", sorted([olga, boris]), "answered"),
    ]
    assert report.upload.code == boris


async def test_a_clicked_call_whose_manager_has_voicemail_is_not_placed(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    (olga,) = office.managers(1)
    reached_by(office, monkeypatch, "Local/##@fpbx/n")
    await office.open()
    async with (
        office.phone(olga, Rings()) as hers,
        office.lab.customer_phone(Rings()) as customer,
    ):
        assert office.shop.line.place_call(olga, ANNA, None, office.account.pbx.outgoing)
        await hers.rings()
        await hers.is_free()
        report = await office.report()
    assert report.upload.result == "failed"
    assert customer.calls == []


async def test_a_clicked_call_by_a_local_channel_goes_to_the_customer(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    (olga,) = office.managers(1)
    reached_by(office, monkeypatch, "Local/##@fpbx/n")
    await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)),
        office.lab.customer_phone(Answers(after=0.1)) as customer,
    ):
        assert office.shop.line.place_call(olga, ANNA, None, office.account.pbx.outgoing)
        await customer.answers()
        await office.talks(olga)
        customer.hang_up()
        report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", olga)


async def test_a_dialplan_that_answers_before_the_managers_telephone_is_no_answer(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    reached_by(office, monkeypatch, "Local/##@says-first/n")
    await office.open()
    async with office.phone(olga, Answers(after=1)) as hers, office.call(ANNA) as customer:
        await hers.answers()
        await customer.answered()
        assert customer.answered_after is not None
        assert customer.answered_after > 0.9
        await office.talks(olga)
        customer.hang_up()
        await hers.is_free()
    report = await office.report()
    assert report.upload.code == olga
    assert 1 <= report.call.waiting < 2


@pytest.mark.parametrize("way", ["Local/##@from-queue/n", "Local/##@twice-local/n", "a Local member"])
async def test_a_manager_behind_a_local_channel_hands_the_customer_over(
    office: Office, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    olga, boris = office.managers(2)
    if way == "a Local member":
        queue = office.lab.queue()
        await office.lab.asterisk.queue_add(queue, f"Local/{olga}@from-queue/n")
        await office.open(unknown=f"queue:queues,{queue}")
    else:
        office.customer(ANNA, "Иванова Анна", manager=olga)
        reached_by(office, monkeypatch, way)
        await office.open()
    async with (
        office.phone(olga, Answers(after=0.1)) as hers,
        office.phone(boris, Answers(after=0.3)) as his,
        office.call(ANNA) as customer,
    ):
        await customer.answered()
        await handed_over(office, hers, boris)
        await his.answers()
        await office.talks(boris)
        customer.hang_up()
        await his.is_free()
    report = await office.report()
    assert report.told[-1] == ("hangup", sorted([olga, boris]), "answered")
    assert (report.upload.code, report.call.first_talker) == (boris, olga)


@pytest.mark.parametrize("way", ["Local/##@from-queue/n", "queue"])
async def test_a_dialplan_that_ends_at_a_busy_telephone_sends_the_caller_on_at_once(
    office: Office, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    olga, boris = office.managers(2)
    if way == "queue":
        await office.open(unknown=f"queue:rg-ends,600{olga};group:{boris}")
    else:
        office.customer(ANNA, "Иванова Анна", manager=olga)
        reached_by(office, monkeypatch, way)
        await office.open(fallback=f"group:{boris}")
    async with (
        office.phone(olga, Busy()),
        office.phone(boris, Answers(after=0.2)) as his,
        office.call(ANNA) as customer,
    ):
        await his.answers()
        await office.talks(boris)
        await customer.answered()
        customer.hang_up()
        await his.is_free()
    report = await office.report()
    assert report.upload.code == boris
    assert report.call.waiting < 8  # at its end the dialplan plays a busy tone for ten seconds


@pytest.mark.parametrize("place", ["from-queue", "twice-local", "internal"])
@pytest.mark.parametrize(
    ("behaviour", "became"),
    [
        (Busy(), "busy"),
        (Declines(after=0.2), "no answer"),
        (Refuses(404), "failed"),
        (Refuses(480), "no answer"),
        (Refuses(488), "failed"),
        (None, "failed"),
    ],
    ids=["busy", "declines", "404", "480", "488", "not registered"],
)
async def test_what_became_of_a_manager_is_told_alike_through_each_channel(
    office: Office,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    behaviour: Busy | Declines | Refuses | None,
    became: str,
) -> None:
    if behaviour is None:
        office.hire(olga := UNREACHABLE)
    else:
        (olga,) = office.managers(1)
    reached_by(office, monkeypatch, f"Local/##@{place}/n")
    await office.open(unknown=f"group:{olga}")
    async with AsyncExitStack() as stack:
        if behaviour is not None:
            await stack.enter_async_context(office.phone(olga, behaviour))
        customer = await stack.enter_async_context(office.call(STRANGER))
        await customer.ended()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == (became, olga)


@pytest.mark.parametrize("way", ["a queue", "a transfer"])
async def test_a_call_that_a_members_telephone_forwards_outside_is_the_members(
    office: Office, way: str
) -> None:
    olga, boris = office.managers(2)
    queue = office.lab.queue()
    await office.lab.asterisk.queue_add(queue, f"PJSIP/{olga}")
    await let(office, "89035554433", "Dial(PJSIP/89035554433@trunk,20)")
    await let(office, "602", "Wait(1)", f"Dial(PJSIP/{olga},20)")
    office.customer(ANNA, "Иванова Анна", manager=boris)
    await office.open(unknown=f"queue:queues,{queue}")
    async with (
        office.phone(olga, Forwards("89035554433")),
        office.phone(boris, Answers(after=0.1)) as his,
        office.lab.customer_phone(Answers(after=0.2)) as mobile,
        office.call(STRANGER if way == "a queue" else ANNA) as customer,
    ):
        if way == "a transfer":
            await customer.answered()
            await handed_over(office, his, "602")
        await mobile.answers()
        await office.talks(olga)
        await customer.answered()
        customer.hang_up()
        await mobile.is_free()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == ("answered", olga)
    codes = [olga] if way == "a queue" else sorted([olga, boris])
    assert report.told[-1] == ("hangup", codes, "answered")


# -- calls to customers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "result"), [(Busy(), "busy"), (Declines(after=0.2), "no answer"), (Answers(), "answered")]
)
async def test_a_dialplan_that_answers_before_it_dials_is_not_the_customers_answer(
    office: Office, behaviour: Busy | Declines | Answers, result: str
) -> None:
    (olga,) = office.managers(1)
    office.pbx["outgoing"] = "pin,1"
    await office.open()
    async with office.lab.customer_phone(behaviour) as customer, dial(office, olga) as manager:
        await manager.answered()
        await customer.rings() if result != "busy" else None
        if result == "answered":
            await customer.answers()
            await office.recorded()
            manager.hang_up()
        else:
            await manager.ended()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == (result, olga)
    assert (report.upload.record_url is not None) == (result == "answered")


@pytest.mark.parametrize(("behaviour", "result"), [(Busy(), "busy"), (Answers(), "answered")])
async def test_a_dialplan_that_asks_the_manager_for_a_pin_is_not_the_customers_answer(
    office: Office, behaviour: Busy | Answers, result: str
) -> None:
    (olga,) = office.managers(1)
    office.pbx["outgoing"] = "pin-asked,1"
    await office.open()
    async with office.lab.customer_phone(behaviour) as customer, dial(office, olga) as manager:
        await manager.answered()
        await manager.press("1234#")
        if result == "answered":
            await customer.answers()
            await office.recorded()
            manager.hang_up()
        await manager.ended()
    report = await office.report()
    assert (report.upload.result, report.upload.code) == (result, olga)
    assert (report.upload.record_url is not None) == (result == "answered")


async def test_a_second_line_rings_the_customer_after_a_busy_one(office: Office) -> None:
    (olga,) = office.managers(1)
    office.pbx["outgoing"] = "two-lines,1"
    await office.open()
    async with (
        office.phone("399", Busy()),
        office.lab.customer_phone(Answers(after=0.3)) as customer,
        dial(office, olga, talks=0.3) as manager,
    ):
        await manager.ended()
    report = await office.report()
    assert len(customer.calls) == 1
    assert report.told == [("out", [olga]), ("hangup", [olga], "answered")]
    assert (report.upload.result, report.upload.code) == ("answered", olga)


async def test_a_busy_tone_that_is_played_to_the_manager_ends_the_call(office: Office) -> None:
    (olga,) = office.managers(1)
    office.pbx["outgoing"] = "busy-tone,1"
    await office.open()
    async with office.lab.customer_phone(Busy()), dial(office, olga) as manager:
        await manager.ended(timeout=5)
    report = await office.report()
    assert manager.status == 486
    assert report.upload.result == "busy"


@pytest.mark.parametrize(
    ("behaviour", "result"),
    [
        (Busy(), "busy"),
        (Declines(after=0.2), "no answer"),
        (Refuses(404), "failed"),
        (Refuses(503), "failed"),
    ],
)
async def test_a_line_whose_dialplan_ends_tells_what_became_of_the_customer(
    office: Office, behaviour: Busy | Declines | Refuses, result: str
) -> None:
    (olga,) = office.managers(1)
    office.pbx["outgoing"] = "only-dial,1"
    await office.open()
    async with office.lab.customer_phone(behaviour), dial(office, olga) as manager:
        await manager.ended(timeout=5)
    report = await office.report()
    assert manager.status in ((486,) if result == "busy" else (480, 503))  # whoever is first, we or the PBX
    assert (report.upload.result, report.upload.code) == (result, olga)
