"""The files for a PBX as texts: what they hold, and what may never get into them."""

import re

import pytest

from ari_app.accounts.account import Account
from ari_app.accounts.dialplan_names import local_context, named_exten
from ari_app.accounts.reading import read_account
from stasis_dialplan import KINDS, CannotRender, Kind, Settings, render

SERVICE = "https://phone.shop.ru"


def account(pbx: str = "", calls: str = "", rest: str = "", host: str = "pbx.example") -> Account:
    return read_account(
        f"""
        [crm]
        url = "https://shop.retailcrm.ru"
        api_key = "key"
        client_id = "client"
        [pbx]
        host = "{host}"
        ari_username = "retailcrm"
        {pbx if "ari_password" in pbx else 'ari_password = "ari-secret"'}
        {"" if "ari_password" in pbx else pbx}
        [calls]
        {calls}
        {rest}
        """
    )


def files(kind: Kind, shop: Account, service_address: str | None = None) -> dict[str, str]:
    return render(kind, Settings.of(shop, SERVICE, service_address))


def dialplan(shop: Account) -> str:
    return files("asterisk", shop)["extensions_retailcrm.conf"]


def context(text: str, name: str) -> list[str]:
    """Give a context's lines without comments."""
    section = re.search(rf"^\[{re.escape(name)}\]$(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None, f"there is no context {name}"
    return [line.strip() for line in section[1].splitlines() if line.strip() and not line.startswith(";")]


AJAM = 'ami_password = "ami-secret"'


def test_each_kind_has_its_files() -> None:
    shop = account(AJAM)
    assert {kind: list(files(kind, shop)) for kind in KINDS} == {
        "asterisk": ["extensions_retailcrm.conf", "ari.conf", "http.conf", "manager.conf"],
        "freepbx": [
            "extensions_custom.conf",
            "ari_general_custom.conf",
            "ari_additional_custom.conf",
            "manager_custom.conf",
        ],
        "old": ["extensions_old.conf", "extensions_custom_old.conf"],
    }


def test_a_shop_without_ajam_gets_no_user_of_the_manager() -> None:
    assert "manager.conf" not in files("asterisk", account())
    assert "manager_custom.conf" not in files("freepbx", account())


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_newer_asterisks_lack_is_used(kind: Kind) -> None:
    for text in files(kind, account(AJAM, 'fallback = "group:101"')).values():
        code = "\n".join(line.partition("; ")[0] for line in text.splitlines() if not line.startswith(";"))
        assert not re.search(r"\b(Macro|DeadAGI|JSONELEMENT|SIP/)", re.sub("PJSIP/", "", code))


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_caller_sends_is_used_only_through_a_filter_or_in_a_log(kind: Kind) -> None:
    for text in files(kind, account(AJAM, 'unknown = "dialplan:menu,s,1"')).values():
        clean = context(text, "retailcrm-let-out") if "[retailcrm-let-out]" in text else []
        for line in text.splitlines():
            if line.startswith(";") or "NoOp(" in line or line.strip() in clean:
                continue
            unfiltered = re.sub(r"FILTER\([^,]*,\$\{(EXTEN|FROM_DID|CALLERID\(num\)|ARG1)\}\)", "", line)
            own = unfiltered.replace("${CALLERID(num-pres)}", "")  # a word of Asterisk's, not the caller's
            assert not re.search(r"\$\{(EXTEN[:}]|FROM_DID|CALLERID\()", own), line


@pytest.mark.parametrize("kind", ["asterisk", "freepbx"])
def test_every_line_that_hands_a_customer_over_says_whether_they_want_to_be_anonymous(kind: Kind) -> None:
    texts = "\n".join(files(kind, account()).values())
    handed = [line for line in texts.splitlines() if "Stasis(retailcrm,incoming" in line and line[0] != ";"]
    assert handed
    for line in handed:
        assert line.count("${CALLERID(num-pres)}") == 1, line
    assert ("CALLINGNUMPRES_SV" in texts) is (kind == "freepbx")  # in which FreePBX keeps it


def test_the_context_that_uses_a_number_as_it_is_gets_it_filtered() -> None:
    text = dialplan(account())
    entered = re.findall(r"Goto\(retailcrm-let-out,(.*),1\)$", text, re.MULTILINE)
    assert set(entered) == {"${FILTER(+*#0-9,${EXTEN})}"}


@pytest.mark.parametrize(
    ("fallback", "steps"),
    [
        ("group:103,104", ["Dial(PJSIP/103&PJSIP/104,60)"]),
        ("group:103>104", ["Dial(PJSIP/103,20)", "Dial(PJSIP/104,20)"]),
        ("queue:queues,sales", ["Goto(queues,sales,1)"]),
        ("group:103;queue:sales;group:104", ["Dial(PJSIP/103,60)", "Goto(sales,s,1)"]),
        ("dialplan:menu,s,2", ["Goto(menu,s,2)"]),
    ],
)
def test_without_us_a_call_goes_where_the_account_says(fallback: str, steps: list[str]) -> None:
    lines = context(dialplan(account(calls=f'fallback = "{fallback}"')), "retailcrm-without-us")
    assert [line.removeprefix("same => n,") for line in lines[1:]] == [*steps, "Hangup()"]


def test_without_a_fallback_it_goes_where_unknown_customers_go_and_else_to_everybody() -> None:
    unknown = dialplan(account(calls='unknown = "queue:sales"'))
    assert "same => n,Goto(sales,s,1)" in context(unknown, "retailcrm-without-us")
    people = '[[extensions]]\nuser_id = 1\ncode = "101"\n[[extensions]]\nuser_id = 2\ncode = "102"'
    everybody = dialplan(account('channel_format = "SIP/##"', rest=people))
    assert "same => n,Dial(SIP/101&SIP/102,60)" in context(everybody, "retailcrm-without-us")


def test_a_line_that_begins_at_another_priority_gets_a_context_that_leads_to_it() -> None:
    name = local_context("retailcrm", "default", 3)
    assert name == "retailcrm-outgoing-default-3"
    text = dialplan(account('outgoing = "default,3"'))
    assert context(text, name) == ["exten => _[+*#0-9]!,1,Goto(default,${FILTER(+*#0-9,${EXTEN})},3)"]
    assert "same => n,Goto(default,${EXTEN},3)" in context(text, "retailcrm-let-out")
    assert "retailcrm-outgoing-" not in dialplan(account('outgoing = "default"'))


def test_names_that_asterisk_would_cut_off_stay_short_and_different() -> None:
    names = {local_context("a" * 40, "c" * 70 + last, 2) for last in "xy"}
    extens = {named_exten("c" * 79, "e" * 79, priority) for priority in (1, 2)}
    assert len(names) == len(extens) == 2
    assert max(map(len, names | extens)) == 79


def test_on_freepbx_calls_outside_dont_go_back_to_where_they_come_from() -> None:
    text = files("freepbx", account('outgoing = "from-internal"'))["extensions_custom.conf"]
    assert "same => n,Goto(outbound-allroutes,${EXTEN},1)" in context(text, "retailcrm-let-out")
    other = files("freepbx", account('outgoing = "outrt-2,1"'))["extensions_custom.conf"]
    assert "same => n,Goto(outrt-2,${EXTEN},1)" in context(other, "retailcrm-let-out")


def test_an_extension_as_long_as_a_number_outside_stays_a_colleagues() -> None:
    shop = account(rest='[[extensions]]\nuser_id = 1\ncode = "1234567"')
    assert "exten => 1234567,1,Dial(PJSIP/1234567)" in context(dialplan(shop), "retailcrm-outgoing")
    text = files("freepbx", shop)["extensions_custom.conf"]
    assert "exten => 1234567,1,Goto(from-did-direct,1234567,1)" in context(text, "retailcrm-outgoing")


def test_who_is_handed_over_is_shown_only_where_a_call_has_no_number() -> None:
    people = '[[extensions]]\nuser_id = 1\ncode = "101"\n[[extensions]]\nuser_id = 2\ncode = "1234567"'
    text = files("freepbx", account(rest=people))["extensions_custom.conf"]
    lines = context(text, "from-internal-custom")
    for pattern in ("_X", "_XXX", "_XXXXXX"):
        assert f"exten => {pattern}/,1,Goto(retailcrm-transferred,${{FILTER(0-9,${{EXTEN}})}},1)" in lines
    assert "exten => 1234567/,1,Goto(retailcrm-transferred,1234567,1)" in lines
    assert "_XXXXXXX/" not in text
    on = "same => n,Goto(from-internal-additional,${FILTER(0-9,${EXTEN})},1)"
    assert on in context(text, "retailcrm-transferred")
    ours = context(dialplan(account(rest=people)), "retailcrm-transferred")
    assert "_X" not in "".join(ours)
    assert ours[-1] == "same => n(done),Return()"


def test_without_us_freepbxs_people_are_rung_as_freepbx_rings_them() -> None:
    shop = account(calls='fallback = "group:101,102"')
    text = files("freepbx", shop)["extensions_custom.conf"]
    rung = "same => n,Dial(Local/101@retailcrm-ring/n&Local/102@retailcrm-ring/n,60)"
    assert rung in context(text, "retailcrm-incoming")
    chosen = account('channel_format = "SIP/##"', 'fallback = "group:101"')
    assert "same => n,Dial(SIP/101,60)" in context(
        files("freepbx", chosen)["extensions_custom.conf"], "retailcrm-incoming"
    )
    assert "retailcrm-ring" not in dialplan(shop)


def test_secrets_are_escaped_and_the_client_id_is_quoted_for_an_address() -> None:
    shop = account('ari_password = "a;b"\nami_password = "c;d"', 'unknown = "dialplan:menu,s,1"')
    written = files("asterisk", shop)
    assert "password = a\\;b\n" in written["ari.conf"]
    assert "secret = c\\;d\n" in written["manager.conf"]
    crm = shop.crm.model_copy(update={"client_id": type(shop.crm.api_key)("x;${y},&z")})
    odd = files("asterisk", shop.model_copy(update={"crm": crm}))["extensions_retailcrm.conf"]
    assert f"{SERVICE}/api/manager?clientId=x%3B%24%7By%7D%2C%26z&type=text" in odd


@pytest.mark.parametrize(
    ("pbx", "names"),
    [
        ('channel_format = "PJSIP/##;x"', "channel_format"),
        ('channel_format = "PJSIP/##${SHELL(id)}"', "channel_format"),
        ("ari_password = 'back\\\\slash'", "ari_password"),
        ('ari_password = " space"', "ari_password"),
    ],
)
def test_what_asterisks_files_cant_hold_is_refused_by_name(pbx: str, names: str) -> None:
    with pytest.raises(CannotRender, match=names):
        Settings.of(account(pbx), SERVICE)


@pytest.mark.parametrize("address", ["https://shop.ru/${SHELL(id)}", "https://a,b", "ftp://x", "https://u;p"])
def test_the_services_address_is_a_plain_one(address: str) -> None:
    with pytest.raises(CannotRender, match="address"):
        Settings.of(account(), address)


def test_only_the_service_may_use_the_manager_and_only_from_where_it_is() -> None:
    here = files("asterisk", account(AJAM, host="127.0.0.1"))
    assert "bindaddr = 127.0.0.1" in here["http.conf"]
    assert "permit = 127.0.0.1/255.255.255.255" in here["manager.conf"]
    there = files("asterisk", account(AJAM), "203.0.113.7")
    assert "bindaddr = 0.0.0.0" in there["http.conf"]
    assert "permit = 203.0.113.7/255.255.255.255" in there["manager.conf"]
    unknown = files("asterisk", account(AJAM))["manager.conf"]
    assert "\npermit" not in unknown
    assert "deny = 0.0.0.0/0.0.0.0" in unknown


def test_tls_is_on_the_port_that_the_account_names() -> None:
    text = files("asterisk", account("tls = true\nhttp_port = 8089"))["http.conf"]
    assert "tlsbindaddr = 0.0.0.0:8089" in text
    assert "bindaddr = 127.0.0.1\n" in text
