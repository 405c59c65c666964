"""`ari-app check` on a real Asterisk, with a simulated retailCRM."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import orjson
import pytest
import pytest_asyncio

from ari_app.accounts.reading import read_account
from ari_app.check import everything
from ari_app.check.findings import Finding, State
from ari_app.demo.pbx.asterisk import NOWHERE, UNREACHABLE, Asterisk
from ari_app.demo.pbx.lab import Lab
from ari_app.demo.pbx.machine import Installation
from ari_app.retailcrm.module import MODULE_CODE
from ari_app.retailcrm.registration import call_address, status_address
from tests.asterisk.pbx_files import APP, Api, configure, prepared
from tests.support.office import SECRET_KEY, Office

pytestmark = pytest.mark.asyncio(loop_scope="session")

PUBLIC = "https://calls.shop.ru"
SECRET = "known-to-the-crm-alone"
EXTENSIONS = """
[general]
static = yes

#include extensions_retailcrm.conf

[from-trunk]
include => retailcrm-incoming

[internal]
include => retailcrm-outgoing
exten => _XXX,1,Dial(PJSIP/${EXTEN},20)

; At priority 3, so that a context of ours must lead there.
[lines]
exten => _[+0-9].,1,Hangup(1)
 same => n,Hangup(1)
 same => n,Dial(PJSIP/${EXTEN}@trunk,20)

[cities]
exten => _8XXXXXXXXXX,1,Dial(PJSIP/${EXTEN}@trunk,20)

[queues]
exten => sales,1,Queue(sales)

[menu]
exten => greeting,1,Answer()
 same => n,Hangup()

; A shop that hands calls to other applications, the second of which has nobody to take them back.
[others]
exten => _X.,1,Stasis(${APPLICATION},incoming,${EXTEN})
 same => n,Hangup()
exten => 1,1,Stasis(lonely,incoming,1)
"""
USERS = """
[documented]
secret = {password}
read = cdr,reporting,originate
write = reporting,originate

[deaf]
secret = {password}
read = all
write = reporting
"""
LOOKER = "\n[looker]\ntype = user\nread_only = yes\npassword_format = plain\npassword = {password}\n"
DESTINATIONS = {"fallback": "queue:queues,sales", "unknown": "dialplan:menu,greeting,1"}

Look = Callable[..., Awaitable[list[Finding]]]


@pytest.fixture(scope="module", params=[22, 16])
def installation(request: pytest.FixtureRequest) -> Installation:
    return prepared(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(installation: Installation) -> AsyncIterator[Lab]:
    asterisk = Asterisk(installation)
    configure(asterisk, "asterisk", Api(url=PUBLIC), EXTENSIONS, "lines,3", **DESTINATIONS)
    files = dict(asterisk.files)
    files["manager.conf"] += USERS.format(password=asterisk.ami_password)
    files["ari.conf"] += LOOKER.format(password=asterisk.ari_password)
    asterisk.files = files
    async with asterisk:
        yield Lab(asterisk)


@pytest.fixture
def shop(office: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
    """The shop for which the PBX was set up; it has two managers, and its module is registered."""
    office.app = APP
    toml = office.toml
    line, secret = 'outgoing = "lines,3"', f'cabinet_secret = "{SECRET}"'

    def with_line(**calls: str) -> str:
        return toml(**calls).replace("[calls]", f"{line}\n[calls]").replace("[pbx]", f"{secret}\n[pbx]")

    monkeypatch.setattr(office, "toml", with_line)
    register(office, PUBLIC, office.managers(2))
    return office


def register(office: Office, public_url: str, codes: list[str]) -> None:
    telephony = {
        "makeCallUrl": call_address(public_url, SECRET),
        "changeUserStatusUrl": status_address(public_url, SECRET),
        "inputEventSupported": True,
        "outputEventSupported": True,
        "hangupEventSupported": True,
        "additionalCodes": [{"userId": user, "code": code} for user, code in enumerate(codes, 1)],
    }
    office.crm_account.rights.modules[MODULE_CODE] = {
        "active": True,
        "integrations": {"telephony": telephony},
    }


@pytest.fixture
def look(shop: Office) -> Look:
    """Look the shop over while no service runs; the words that are given take the place of the account's."""

    async def look(
        change: dict[str, str] | None = None,
        destinations: Mapping[str, object] = DESTINATIONS,
        runs: bool = False,
    ) -> list[Finding]:
        text = shop.toml(**destinations)
        for old, new in (change or {}).items():
            assert old in text
            text = text.replace(old, new)
        async with everything.session() as session:
            return [one async for one in everything.of_shop(session, read_account(text), PUBLIC, runs)]

    return look


def wrong(findings: list[Finding], *states: State) -> list[tuple[str, str]]:
    """Give subject and sentence of what isn't good; each must come with a remedy."""
    found = [one for one in findings if one.state in (states or (State.BAD,))]
    assert all(one.remedy for one in found)
    return [(one.subject, one.sentence) for one in found]


def about(findings: list[Finding], subject: str) -> list[Finding]:
    return [one for one in findings if one.subject == subject]


async def test_a_right_set_up_is_good_from_its_first_line_to_its_last(shop: Office, redis_url: str) -> None:
    await shop.open(**DESTINATIONS)
    async with shop.web() as address:
        register(shop, address, sorted(shop.account.codes))
        status, lines, complaints = await ari_app(shop, redis_url, address, "check", "--json")
    assert (status, complaints) == (0, "")
    findings = [orjson.loads(line) for line in lines.splitlines()]
    besides = [one for one in findings if one["state"] != "good"]
    assert [(one["subject"], one["state"]) for one in besides] == [("public address", "warning")]
    assert "from this machine only" in besides[0]["sentence"]
    assert {one["where"] for one in findings} == {"this machine", shop.account.id}
    assert shop.listening, "the service has lost the PBX"
    assert await shop.lab.asterisk.channels() == []


async def ari_app(shop: Office, redis_url: str, address: str, *words: str) -> tuple[int, str, str]:
    """Run the command as a person would, with the service's settings."""
    settings = {
        "ARI_APP_DATA_DIR": str(shop.folder),
        "ARI_APP_REDIS_URL": redis_url,
        "ARI_APP_SECRET_KEY": SECRET_KEY,
        "ARI_APP_PUBLIC_URL": address,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ari_app.cli", *words),
        env={**os.environ, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaints = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode(), complaints.decode()


async def test_a_person_reads_it_in_lines_with_remedies_and_no_secret(
    shop: Office, redis_url: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab.asterisk, "ari_password", "wrong-secret")
    await shop.apply(**DESTINATIONS)
    status, said, _ = await ari_app(shop, redis_url, "http://127.0.0.1:1", "check", shop.account.id)
    assert status == 1
    assert "WRONG      ARI: the PBX refuses the user" in said
    assert "-> ari.conf needs [ari-app]" in said
    assert "wrong-secret" not in said
    assert lab.asterisk.ami_password not in said


async def test_while_no_service_runs_only_that_is_missing(look: Look, lab: Lab) -> None:
    findings = await look()
    assert wrong(findings, State.BAD, State.WARNING, State.UNKNOWN) == [
        (
            "application",
            "nobody has registered the application retailcrm, as no service runs: calls pass it by",
        )
    ]
    assert await lab.asterisk.channels() == []


async def test_a_service_that_runs_but_is_not_connected_is_named(look: Look) -> None:
    ((subject, sentence),) = wrong(await look(runs=True))
    assert (subject, "has not registered" in sentence) == ("application", True)


async def test_a_wrong_ari_password(look: Look, lab: Lab) -> None:
    findings = await look({lab.asterisk.ari_password: "another"})
    assert wrong(findings) == [("ARI", "the PBX refuses the user ari-app or the password")]
    assert "mend ARI first" in [one.remedy for one in about(findings, "PBX")]


async def test_a_wrong_prefix_has_neither_ari_nor_ajam(look: Look) -> None:
    findings = await look({'http_prefix = "asterisk"': 'http_prefix = "pbx"'})
    assert [subject for subject, _ in wrong(findings)] == ["ARI", "AJAM"]
    assert "there is no ARI at" in about(findings, "ARI")[0].sentence
    assert "webenabled=yes" in about(findings, "AJAM")[0].sentence


async def test_ari_that_is_switched_off(look: Look, lab: Lab) -> None:
    await lab.asterisk.switch_ari(False)
    try:
        findings = await look()
    finally:
        await lab.asterisk.switch_ari(True)
    ((subject, sentence),) = wrong(findings)
    assert (subject, "there is no ARI at" in sentence) == ("ARI", True)
    assert "enabled = yes" in (about(findings, "ARI")[0].remedy or "")


async def test_nobody_at_the_pbxs_address(look: Look, shop: Office) -> None:
    findings = await look({f"http_port = {shop.pbx_port}": "http_port = 1"})
    assert [subject for subject, _ in wrong(findings)] == ["ARI", "AJAM"]
    assert about(findings, "ARI")[0].sentence == "nothing answers at 127.0.0.1:1: Connection refused"


async def test_a_user_who_may_only_look(look: Look) -> None:
    findings = await look({'ari_username = "ari-app"': 'ari_username = "looker"'})
    assert wrong(findings) == [("ARI", "the user looker may only look: no call can be handled")]


async def test_a_wrong_ajam_password(look: Look, lab: Lab) -> None:
    findings = await look({lab.asterisk.ami_password: "another"})
    ((subject, sentence),) = wrong(findings)
    assert subject == "AJAM"
    assert "refuses the user asterisk, the password, or this machine's address" in sentence


async def test_a_manager_user_without_the_right_to_place_calls(look: Look) -> None:
    findings = await look({'ami_username = "asterisk"': 'ami_username = "deaf"'})
    ((subject, sentence),) = wrong(findings)
    assert subject == "AJAM"
    assert sentence.startswith("the user deaf lacks the right originate")


async def test_the_documented_manager_user_works_but_does_not_hear_of_calls(look: Look) -> None:
    findings = await look({'ami_username = "asterisk"': 'ami_username = "documented"'})
    assert wrong(findings) == []
    assert "doesn't hear of calls" in dict(wrong(findings, State.WARNING))["AJAM"]


async def test_without_ajam_the_dialplan_is_read_by_a_channel_that_is_gone_afterwards(
    look: Look, lab: Lab
) -> None:
    findings = await look({f'ami_password = "{lab.asterisk.ami_password}"': ""})
    assert wrong(findings) == []
    assert [one.state for one in about(findings, "lines")] == [State.GOOD]
    assert [one.state for one in about(findings, "destinations")] == [State.GOOD, State.GOOD]
    assert [one.state for one in about(findings, "ari.conf")] == [State.GOOD]
    assert "can't be seen by ARI alone" in dict(wrong(findings, State.UNKNOWN))["dialplan"]
    assert await lab.asterisk.channels() == []


async def test_a_pbx_without_a_folder_for_recordings(look: Look, lab: Lab) -> None:
    folder = lab.asterisk.recordings
    folder.rename(folder.with_name("elsewhere"))
    try:
        findings = await look()
    finally:
        folder.with_name("elsewhere").rename(folder)
    ((subject, sentence),) = wrong(findings)
    assert (subject, "can't record" in sentence) == ("recordings", True)


async def test_an_asterisk_that_a_recording_can_bring_down_without_our_lines(
    look: Look, installation: Installation
) -> None:
    other = {'stasis_app = "retailcrm"': 'stasis_app = "other"'}
    without = about(await look(other), "recordings")
    unrecorded = about(await look(other, {**DESTINATIONS, "record": False}), "recordings")
    shown = ["ASTERISK-29604" in one.sentence and one.state for one in (*without, *unrecorded)]
    assert shown == [False, *([State.WARNING] if installation.major == 16 else []), False]


async def test_what_ari_conf_and_stasis_conf_take_from_us(look: Look, lab: Lab) -> None:
    etc = lab.asterisk.folder / "etc"
    before = {name: (etc / name).read_text() for name in ("ari.conf", "stasis.conf")}
    (etc / "ari.conf").write_text(before["ari.conf"].replace("websocket_write_timeout", ";"))
    (etc / "stasis.conf").write_text(
        "[declined_message_types]\ndecline = ast_mwi_state_type\ndecline = ast_channel_dial_type\n"
    )
    try:
        findings = await look()
    finally:
        for name, text in before.items():
            (etc / name).write_text(text)
    ((subject, sentence),) = wrong(findings)
    assert (subject, sentence.split(":")[0]) == ("stasis.conf", "it declines ast_channel_dial_type")
    assert "100 ms" in dict(wrong(findings, State.WARNING))["ari.conf"]


async def test_extensions_without_a_phone_and_with_one_that_is_off(look: Look, shop: Office) -> None:
    shop.hire(NOWHERE)
    shop.hire(UNREACHABLE)
    findings = await look(destinations={"fallback": "group:497"})
    assert wrong(findings) == [
        ("phones", f"the PBX doesn't know {NOWHERE}, 497: there is no PJSIP/{NOWHERE}")
    ]
    assert dict(wrong(findings, State.WARNING))["phones"].startswith(f"not registered now: {UNREACHABLE}")


async def test_an_outgoing_line_that_is_not_there(look: Look) -> None:
    findings = await look({'outgoing = "lines,3"': 'outgoing = "nowhere"'})
    ((subject, sentence),) = wrong(findings)
    assert (subject, "[nowhere] takes no number outside" in sentence) == ("lines", True)


async def test_an_outgoing_line_that_takes_some_numbers_only(look: Look) -> None:
    findings = await look({'outgoing = "lines,3"': 'outgoing = "cities"'})
    assert wrong(findings) == []
    assert "[cities] takes 8" in dict(wrong(findings, State.WARNING))["lines"]


async def test_a_priority_that_no_context_of_ours_leads_to(look: Look) -> None:
    findings = await look({'outgoing = "lines,3"': 'outgoing = "lines,2"'})
    assert wrong(findings) == [
        ("lines", "pbx.outgoing: there is no [retailcrm-outgoing-lines-2], by which we get to priority 2")
    ]


async def test_destinations_that_are_not_there_or_come_without_the_name(look: Look) -> None:
    findings = await look(destinations={"fallback": "queue:queues,support;dialplan:menu,greeting,2"})
    assert wrong(findings) == [
        ("destinations", "queue:queues,support isn't in the dialplan: callers who are sent there are lost")
    ]
    assert "without the customer's name" in dict(wrong(findings, State.WARNING))["destinations"]


async def test_a_dialplan_that_hands_nothing_to_us_or_does_not_take_it_back(look: Look) -> None:
    app = 'stasis_app = "retailcrm"'
    findings = await look({app: 'stasis_app = "other"', 'outgoing = "lines,3"': ""})
    assert "computed" in dict(wrong(findings, State.UNKNOWN))["dialplan"]
    findings = await look({app: 'stasis_app = "lonely"', 'outgoing = "lines,3"': ""})
    assert "callers are hung up: nothing follows Stasis() in [others] 1" in dict(wrong(findings))["dialplan"]


async def test_a_wrong_key_of_the_crm(look: Look, shop: Office) -> None:
    findings = await look({'api_key = "' + "k" * 32: 'api_key = "wrong'})
    ((subject, sentence),) = wrong(findings)
    assert (subject, 'Wrong "apiKey" value' in sentence) == ("CRM", True)
    shop.crm.violations.clear()  # that it is told a wrong key is what the test is about


async def test_a_key_without_permissions(look: Look, shop: Office) -> None:
    shop.crm_account.rights.scopes -= {"telephony_write", "user_read"}
    findings = await look()
    assert wrong(findings) == [("permissions", "the key lacks telephony_write: the CRM hears of no call")]
    assert "user_read" in dict(wrong(findings, State.WARNING))["permissions"]


async def test_a_module_that_is_not_registered_or_leads_elsewhere(look: Look, shop: Office) -> None:
    shop.crm.limits = False  # nobody looks three times a second
    modules = shop.crm_account.rights.modules
    module = modules.pop(MODULE_CODE)
    assert "isn't registered" in dict(wrong(await look()))["module"]
    modules[MODULE_CODE] = {**module, "active": False}
    assert wrong(await look()) == [("module", f"{MODULE_CODE} is registered, but switched off")]
    telephony = module["integrations"]["telephony"] | {"makeCallUrl": f"{PUBLIC}/crm/call"}
    modules[MODULE_CODE] = {**module, "integrations": {"telephony": telephony}}
    assert "anybody may ask who knows the clientId" in dict(wrong(await look(), State.WARNING))["module"]
    register(shop, "https://old.shop.ru", [])
    findings = await look()
    assert [subject for subject, _ in wrong(findings)] == ["module", "module"]
    assert "the CRM's extensions aren't ours" in dict(wrong(findings, State.WARNING))["module"]


async def test_a_user_whom_the_crm_does_not_have(look: Look) -> None:
    findings = await look({"user_id = 2": "user_id = 77"})
    assert "(user 77)" in dict(wrong(findings, State.WARNING))["users"]


async def test_redis_that_forgets_and_an_address_that_nobody_answers_at(shop: Office, redis_url: str) -> None:
    await shop.open(**DESTINATIONS)
    await shop.redis.config_set("appendonly", "no")
    await shop.redis.config_set("maxmemory", 10**9)
    await shop.redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        status, lines, _ = await ari_app(shop, redis_url, "http://127.0.0.1:1", "check", "--json")
    finally:
        for name, value in (("appendonly", "yes"), ("maxmemory", 0), ("maxmemory-policy", "noeviction")):
            await shop.redis.config_set(name, value)
    assert status == 1
    found = [orjson.loads(line) for line in lines.splitlines()]
    machine = [one["sentence"] for one in found if one["where"] == "this machine" and one["state"] == "bad"]
    assert machine == [
        "it forgets when it is restarted: the append-only file is off",
        "when its memory is full it forgets calls (maxmemory-policy allkeys-lru)",
        "http://127.0.0.1:1 doesn't answer: Connection refused",
    ]
