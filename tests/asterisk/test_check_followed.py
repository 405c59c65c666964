"""`ari-app check` finds what we can't follow on a real PBX, and a telephone that the PBX knows to be gone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ari_app.accounts.reading import read_account
from ari_app.check import everything
from ari_app.check.findings import Finding, State
from ari_app.demo.pbx.asterisk import Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.demo.pbx.phones import Answers
from cabinet.pages.findings import in_language
from tests.asterisk.pbx_files import prepared
from tests.support.office import Office
from tests.support.pace import at_this_pace

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA = "+79161234567"
HALF_GONE, GONE = "470", "471"
"""One of two telephones doesn't answer the PBX's OPTIONS; the only one doesn't."""

PJSIP = """
[hiding]
type = endpoint
context = from-hiding
callerid = "Shop" <74951112233>
disallow = all
allow = ulaw

[470](phone)
aors = 470,470-soft
[470]
type = aor
contact = sip:470@127.0.0.1:{there}
[470-soft]
type = aor
contact = sip:470@127.0.0.1:{gone}
contact = sip:soft@127.0.0.1:{gone}
qualify_frequency = 1
qualify_timeout = 0.5

[471](phone)
aors = 471
[471]
type = aor
contact = sip:471@127.0.0.1:{gone}
qualify_frequency = 1
qualify_timeout = 0.5
"""

DIALPLAN = """
[from-hiding]
exten => _X.,1,Stasis(hiding,incoming,${EXTEN})
 same => n,Hangup()

; People are reached through it: by an old application, for a short time, recorded by the PBX.
[old-shop]
exten => sales,1,Macro(dial-one,101)
exten => _XXX,1,Dial(PJSIP/${EXTEN},15,tr)
 same => n,Hangup()

[recording-shop]
exten => sales,1,Goto(recording-inner,s,1)
[recording-inner]
exten => s,1,MixMonitor(/tmp/call.wav)
 same => n,Queue(sales)

[forcing-shop]
exten => sales,1,Gosub(sub-record-check,s,1(q,600,force))
 same => n,Queue(sales)
[sub-record-check]
exten => s,1,MixMonitor(/tmp/call.wav)
 same => n,Return()

[asking-shop]
exten => sales,1,Gosub(sub-record-check,s,1(q,600,dontcare))
 same => n,Queue(sales)
"""


@pytest.fixture(scope="module", params=[22, 16])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    asterisk = Asterisk(installation)
    there, gone = asterisk.phones["399"], asterisk.phones["398"]
    asterisk.files = {
        "pjsip_more.conf": PJSIP.format(there=there, gone=gone),
        "extensions_more.conf": DIALPLAN,
    }
    async with asterisk:
        asterisk.phones[HALF_GONE] = there
        yield Lab(asterisk)


async def look(office: Office, fallback: str = "group:101", **calls: object) -> list[Finding]:
    """Look the shop over; give what could be better in its telephones, lines and dialplan."""
    account = read_account(office.toml(fallback=fallback, **calls))
    async with everything.session() as session:
        found = [one async for one in everything.of_shop(session, account, "http://127.0.0.1", False)]
    subjects = ("phones", "lines", "dialplan")
    return [one for one in found if one.state is State.WARNING and one.subject in subjects]


def said(findings: list[Finding], words: str) -> Finding:
    """Give the one finding that has these words; it has a remedy, and both in Russian."""
    (finding,) = [one for one in findings if words in one.sentence]
    assert finding.remedy
    russian = in_language(finding, "ru")
    assert russian.sentence != finding.sentence
    assert russian.remedy != finding.remedy
    return finding


async def test_a_shop_that_has_nothing_of_it_hears_nothing(office: Office) -> None:
    office.managers(2)
    office.hire(office.lab.twin())
    sentences = [one.sentence for one in await look(office, "queue:asking-shop,sales")]
    ours = ("telephones", "hides", "Macro", "rings for", "rings 1", "recorded")
    assert [sentence for sentence in sentences if any(word in sentence for word in ours)] == []


async def test_one_of_several_telephones_is_away(office: Office) -> None:
    office.hire(HALF_GONE)

    async def away() -> bool | None:  # the PBX finds it out within a second
        shown = await office.lab.asterisk.command(f"pjsip show aor {HALF_GONE}-soft")
        return shown.count("Unavail") == 2 or None

    await office.eventually(away, "the PBX takes the telephones for reachable")
    finding = said(await look(office), "470: 2 of 3 telephones can't be reached")
    assert finding.subject == "phones"


async def test_an_extension_whose_telephone_is_gone_is_passed_over_and_not_told(office: Office) -> None:
    (olga,) = office.managers(1)
    office.hire(GONE)
    office.customer(ANNA, "Иванова Анна", manager=GONE)
    await office.lab.asterisk.command(f"pjsip qualify {GONE}")

    async def unreachable() -> bool | None:
        return ("Unavail" in await office.lab.asterisk.command(f"pjsip show aor {GONE}")) or None

    await office.eventually(unreachable, "the PBX takes the telephone for reachable")
    await office.open(fallback=f"group:{olga}")
    async with office.phone(olga, Answers(after=0.1)), office.call(ANNA, talks=0.3) as caller:
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [olga]), ("hangup", [olga], "answered")]
    assert report.call.absent == (GONE,)
    assert report.upload.code == olga
    assert report.call.waiting < at_this_pace(1)


async def test_the_telephone_that_is_left_rings_alone(office: Office) -> None:
    office.hire(HALF_GONE)
    office.customer(ANNA, "Иванова Анна", manager=HALF_GONE)

    async def unreachable() -> bool | None:
        return (await office.lab.asterisk.command("pjsip show contacts")).count("Unavail") > 2 or None

    await office.eventually(unreachable, "the PBX takes the telephones for reachable")
    await office.open()
    async with office.phone(HALF_GONE, Answers(after=0.1)), office.call(ANNA, talks=0.3) as caller:
        await caller.ended()
    report = await office.report()
    assert report.told == [("in", [HALF_GONE]), ("hangup", [HALF_GONE], "answered")]
    assert len([leg for leg in report.call.our_legs if leg.code == HALF_GONE]) == 1


async def test_a_trunk_that_gives_all_callers_one_number(office: Office) -> None:
    office.app = "hiding"
    finding = said(await look(office), "the trunk hiding hides who calls")
    assert "74951112233" in finding.sentence


async def test_an_old_application_that_the_pbx_has_no_more(
    office: Office, installation: Installation
) -> None:
    found = await look(office, "queue:old-shop,sales")
    if installation.major == 16:
        assert not [one for one in found if "Macro()" in one.sentence]
    else:
        said(found, "Macro() is used in [old-shop] sales")


async def test_a_dialplan_that_rings_for_a_shorter_time_than_we_wait(office: Office) -> None:
    office.managers(1)
    office.pbx["channel_format"] = "Local/##@old-shop/n"
    said(await look(office), "[old-shop] _XXX rings for 15 s only, calls.ring_manager_seconds is 60 s")
    found = await look(office, ring_manager_seconds=10)
    assert not [one for one in found if "rings for" in one.sentence]


async def test_freepbx_rings_for_a_shorter_time_than_we_wait(office: Office) -> None:
    (olga,) = office.managers(1)
    office.pbx["channel_format"] = "Local/##@plain-dial/n"
    await office.lab.asterisk.command(f"database put AMPUSER {olga}/ringtimer 25")
    try:
        said(await look(office), f"FreePBX rings {olga} for 25 s only")
    finally:
        await office.lab.asterisk.command(f"database deltree AMPUSER {olga}")


@pytest.mark.parametrize("shop", ["recording-shop", "forcing-shop"])
async def test_a_pbx_that_records_beside_us(office: Office, shop: str) -> None:
    finding = said(await look(office, f"queue:{shop},sales"), "calls are recorded twice")
    assert ("[recording-inner] s" if shop == "recording-shop" else "[forcing-shop] sales") in finding.sentence
    found = await look(office, f"queue:{shop},sales", record=False)
    assert not [one for one in found if "recorded twice" in one.sentence]
