import pytest
from pydantic import BaseModel, SecretStr

from ari_app.accounts import sections
from ari_app.accounts.account import Account
from ari_app.accounts.reading import BadAccount, read_account
from ari_app.accounts.sections import SECRETS, RecordingFormat
from ari_app.calls.routing import Dialplan, People, Queue
from ari_app.email_address import mailbox

SHORTEST = """
[crm]
url = "https://shop.retailcrm.ru"
api_key = "hunter2"
[pbx]
host = "pbx.example"
ari_username = "retailcrm"
ari_password = "hunter2"
"""

FULL = """
[crm]
url = "https://shop.retailcrm.ru"     # plain http only for loopback
api_key = "hunter2"
client_id = "hunter2id"
timezone = "Asia/Almaty"
country = "kz"
[pbx]
host = "127.0.0.1"
http_port = 8089
http_prefix = "/asterisk/"
tls = true
stasis_app = "shop_1"
ari_username = "retailcrm"
ari_password = "hunter2"
ami_username = "asterisk"
ami_password = "hunter2"
channel_format = "Local/##@from-internal/n"
outgoing = "from-internal"
[calls]
caller_name_prefix = "Магазин"
manager_caller_name = "CRM"
ring_manager_seconds = 25
ring_group_seconds = 40
ignore_manager_status = true
blank_unknown_caller = true
new_customers = true
record = false
recording_format = "mp3"
keep_days = 90
fallback = "group:103,104;queue:sales"
unknown = "dialplan:ivr,s,1"
[missed]
task = true
task_minutes = 45
task_for = "102"
notify = "group"
notify_group = "superadmins"
[alerts]
minutes = 10
group = "superadmins"
[mail]
missed = ["sales@shop.example", "Anna@shop.example"]
lost = ["chief@xn--80aaxitdbjk.xn--p1ai"]
alerts = ["chief+calls@shop.example"]
[webhook]
url = "https://example.com/missed?shop=1"
secret = "hunter2-hunter2-hunter2"
[[extensions]]
user_id = 1
code = "101"
[[extensions]]
user_id = 2
code = "102"
[[external_phones]]
number = "8 (727) 250-11-22"
site = "shop"
[[external_phones]]
number = "+74951234567"
"""


def with_(section: str, line: str, text: str = SHORTEST) -> str:
    """Put a line into a section; a section that is not there is added."""
    head = f"[{section}]"
    if head not in text:
        text = f"{text}{head}\n"
    name = line.split("=")[0].strip()
    before, _, after = text.partition(head)
    own, bracket, rest = after.partition("\n[")
    own = "\n".join(kept for kept in own.split("\n") if kept.split("=")[0].strip() != name)
    return f"{before}{head}\n{line}{own}{bracket}{rest}"


def complaint(text: str) -> str:
    with pytest.raises(BadAccount) as error:
        read_account(text)
    assert "hunter2" not in str(error.value)
    return str(error.value)


def test_the_shortest_file_has_sensible_defaults() -> None:
    account = read_account(SHORTEST)
    assert account.id == "shop.retailcrm.ru"
    assert account.timezone_name == "Europe/Moscow"
    assert account.pbx.ari_url == "http://pbx.example:8088/asterisk/"
    assert account.pbx.channel_format == "PJSIP/##"
    assert account.pbx.ami_password is None
    policy = account.policy()
    assert (policy.fallback, policy.unknown, policy.ring_manager_seconds, policy.record) == ((), (), 60, True)
    assert account.site_of("+74951234567") is None
    assert account.code_of_user(1) is None


def test_every_field_of_the_file_is_understood() -> None:
    account = read_account(FULL)
    assert account.timezone_name == "Asia/Almaty"
    assert account.pbx.ari_url == "https://127.0.0.1:8089/asterisk/"
    assert account.code_of_user(2) == "102"
    policy = account.policy()
    assert policy.endpoint("101") == "Local/101@from-internal/n"
    assert policy.fallback == (People(("103", "104"), 40), Queue("sales"))
    assert policy.unknown == (Dialplan("ivr", "s", 1),)
    assert (policy.ring_manager_seconds, policy.record, policy.blank_unknown_caller) == (25, False, True)
    assert (policy.missed_task, policy.missed_notice) == (True, True)
    assert (account.missed.task_minutes, account.user_of(account.missed.task_for)) == (45, 2)
    assert account.missed.notify_group == "superadmins"
    assert account.calls.recording_format is RecordingFormat.MP3
    assert account.mail.missed == ("sales@shop.example", "Anna@shop.example")
    assert len(account.mail.everybody) == 4


def test_an_address_is_written_to_once_and_in_the_form_that_every_server_takes() -> None:
    given = 'missed = [" anna@Пример.рф ", "ANNA@пример.рф", "a_b-c.d+e@Shop.Example"]'
    account = read_account(with_("mail", given))
    assert account.mail.missed == ("anna@xn--e1afmkfd.xn--p1ai", "a_b-c.d+e@shop.example")


@pytest.mark.parametrize(
    "text",
    [
        *("", "anna", "@shop.example", "anna@", "anna@shop", "anna@@shop.example", "anna shop@shop.example"),
        *("a\r\nb@shop.example", "anna@shop.example,b@shop.example", "<anna@shop.example>"),
        *('"anna"@shop.example', ".anna@shop.example", "an..na@shop.example", "анна@shop.example"),
        *("anna@-shop.example", "anna@shop..example", "anna@[127.0.0.1]", "a" * 65 + "@shop.example"),
        "a@" + ".".join(["b" * 60] * 5),
    ],
)
def test_what_is_no_address_is_taken_for_none(text: str) -> None:
    assert mailbox(text) is None


def test_a_shops_own_number_names_its_site_however_it_was_written() -> None:
    account = read_account(FULL)
    assert account.site_of("+77272501122") == "shop"
    assert account.site_of("+74951234567") is None
    assert account.site_of(None) is None


@pytest.mark.parametrize(
    ("written", "url", "ident"),
    [
        ("https://shop.retailcrm.ru/", "https://shop.retailcrm.ru", "shop.retailcrm.ru"),
        ("HTTPS://Shop.RetailCRM.ru", "https://shop.retailcrm.ru", "shop.retailcrm.ru"),
        ("https://shop.retailcrm.ru:443", "https://shop.retailcrm.ru", "shop.retailcrm.ru"),
        ("https://shop.retailcrm.ru.", "https://shop.retailcrm.ru", "shop.retailcrm.ru"),
        ("https://crm.example:8443", "https://crm.example:8443", "crm.example-8443"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000", "127.0.0.1-9000"),
        ("http://localhost", "http://localhost", "localhost"),
        ("http://[::1]:9000", "http://[::1]:9000", "__1-9000"),
        ("https://магазин.рф", "https://xn--80aairftm.xn--p1ai", "xn--80aairftm.xn--p1ai"),
    ],
)
def test_one_crm_has_one_address_and_is_one_account(written: str, url: str, ident: str) -> None:
    account = read_account(with_("crm", f'url = "{written}"'))
    assert (account.crm.url, account.id) == (url, ident)


@pytest.mark.parametrize(
    "url",
    [
        *("http://shop.retailcrm.ru", "http://127.0.0.1.evil.ru", "ftp://shop.ru", "shop.ru", "", "https://"),
        *("https://shop.ru/admin", "https://shop.ru?apiKey=hunter2", "https://user:hunter2@shop.ru"),
        *(
            "https://a*b",
            "https://a{b}c",
            "https://a b",
            "https://shop.ru:99999",
            "https://[::1",
            "https://-",
        ),
    ],
)
def test_an_address_that_cannot_be_the_crms_is_refused(url: str) -> None:
    assert complaint(with_("crm", f'url = "{url}"')).startswith("crm.url: ")


@pytest.mark.parametrize(
    ("section", "line", "said"),
    [
        ("crm", 'timezone = "Europe/Moskow"', 'crm.timezone: found "Europe/Moskow", expected a time zone'),
        ("crm", 'timezone = "../../etc/passwd"', "crm.timezone: found"),
        ("crm", 'timezone = "Europe"', "crm.timezone: found"),
        ("crm", 'country = "Russia"', "expected a country's two letters"),
        ("crm", 'api_key = ""', "crm.api_key: expected printable"),
        ("crm", "api_key = 22222", "crm.api_key: expected text in quotes"),
        ("crm", 'api_key = "********"', "crm.api_key: expected the secret itself"),
        ("crm", 'api_kei = "hunter2"', "crm.api_kei: is not a field; did you mean api_key?"),
        ("pbx", 'host = "http://pbx"', "expected a host name or an address"),
        ("pbx", "http_port = 0", "pbx.http_port: found 0, expected greater than or equal to 1"),
        ("pbx", 'http_port = "8088"', 'pbx.http_port: found "8088", expected a whole number'),
        ("pbx", 'tls = "no"', 'pbx.tls: found "no", expected true or false'),
        ("pbx", 'stasis_app = "a-b"', 'pbx.stasis_app: found "a-b", expected letters, digits and _'),
        ("pbx", f'stasis_app = "{"a" * 41}"', "pbx.stasis_app: found"),
        ("pbx", 'ari_username = "a:b"', "expected a user of ari.conf"),
        ("pbx", 'channel_format = "PJSIP/"', "## being the extension"),
        ("pbx", 'channel_format = "PJSIP/##&SIP/1"', "## being the extension"),
        ("pbx", 'outgoing = "default,0"', "expected context[,priority]"),
        ("calls", "ring_manager_seconds = 0", "calls.ring_manager_seconds: found 0"),
        ("calls", "ring_group_seconds = 601", "less than or equal to 600"),
        ("calls", "ring_group_seconds = true", "expected a whole number"),
        ("calls", 'fallback = "grup:101"', "calls.fallback: 'grup:101': a destination is group:"),
        ("calls", 'unknown = "group:101,101"', "an extension stands in the group twice"),
        ("calls", 'record = "yes"', "calls.record: found"),
        ("calls", "keep_days = 0", "calls.keep_days: found 0"),
        ("missed", "task_minutes = 0", "missed.task_minutes: found 0"),
        ("missed", 'notify = "all"', 'missed.notify: found "all", expected'),
        ("missed", 'notify_group = "a b"', "missed.notify_group: found"),
        ("alerts", "minutes = -1", "alerts.minutes: found -1"),
        ("mail", 'missed = "anna@a.example"', "mail.missed: found "),
        ("mail", 'lost = ["anna"]', 'mail.lost[0]: found "anna", expected an e-mail address'),
        ("mail", 'alerts = ["Anna <anna@a.example>"]', "mail.alerts[0]: found "),
        ("mail", f"lost = {[f'a{one}@b.example' for one in range(11)]}", "expected 10 addresses at most"),
        ("webhook", 'url = "https://a.example"', "webhook.secret: expected a secret"),
        ("webhook", 'url = "http://a.example"\nsecret = "hunter2-hunter2-hunter2"', "webhook.url: "),
        ("webhook", 'url = "https://a.example"\nsecret = "hunter2"', "webhook.secret: expected at least 16"),
        ("[extensions]", "user_id = 1\ncode = 101", "extensions[0].code: found 101, expected text in quotes"),
        ("[extensions]", 'user_id = 1\ncode = "1x1"', 'extensions[0].code: found "1x1", expected digits'),
        (
            "[extensions]",
            'user_id = 1\ncode = "*101"',
            'extensions[0].code: found "*101", expected digits only',
        ),
        ("[extensions]", 'user_id = 1\ncode = "0"', 'extensions[0].code: found "0", expected digits only'),
        (
            "calls",
            'fallback = "group:101,*97"',
            'calls.fallback: found "*97" in a group, expected digits only',
        ),
        ("calls", 'unknown = "group:0"', 'calls.unknown: found "0" in a group, expected digits only'),
        (
            "[external_phones]",
            'number = "12"',
            'external_phones[0].number: found "12", expected a phone number',
        ),
        (
            "[external_phones]",
            'number = "0"',
            'external_phones[0].number: found "0", expected a phone number',
        ),
        ("pbx", 'outside_prefix = "nine"', "expected what is dialled for an outside line, such as 9"),
        ("[external_phones]", 'number = "anonymous"', 'external_phones[0].number: found "anonymous"'),
        (
            "[external_phones]",
            'number = "+74951112233"\noutgoing = "gsm,0"',
            'external_phones[0].outgoing: found "gsm,0", expected context[,priority]',
        ),
        ("callz", "record = true", "callz: is not a field; did you mean calls?"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_found_and_expected(section: str, line: str, said: str) -> None:
    found = complaint(with_(section, line))
    assert said in found
    assert len(found.splitlines()) == 1


def test_all_wrong_fields_are_named_at_once() -> None:
    text = with_("crm", "api_kei = 1", with_("pbx", "tls = 1", SHORTEST.replace('host = "pbx.example"', "")))
    assert complaint(text).splitlines() == [
        "crm.api_kei: is not a field; did you mean api_key?",
        "pbx.host: is missing",
        "pbx.tls: found 1, expected true or false, without quotes",
    ]


@pytest.mark.parametrize("field", ["url", "api_key", "host", "ari_username", "ari_password"])
def test_a_required_field_that_is_missing_is_named(field: str) -> None:
    kept = [line for line in SHORTEST.splitlines() if not line.startswith(f"{field} ")]
    section = "crm" if field in ("url", "api_key") else "pbx"
    assert complaint("\n".join(kept)) == f"{section}.{field}: is missing"


def test_an_extension_and_a_user_are_listed_once() -> None:
    assert "each code once; twice: 101" in complaint(FULL.replace('"102"', '"101"'))
    assert "each user_id once; twice: 1" in complaint(FULL.replace("user_id = 2", "user_id = 1"))


def test_an_external_number_is_listed_once_however_it_is_written() -> None:
    said = complaint(FULL.replace("+74951234567", "+7 727 250 1122"))
    assert said == "external_phones[1].number: +77272501122 is external_phones[0] already"


def test_a_number_of_ours_may_have_an_outgoing_line_of_its_own() -> None:
    account = read_account(FULL + 'outgoing = "moscow,2"\n')
    assert account.line_of("+74951234567") == "moscow,2"
    assert account.line_of("+77272501122") == account.pbx.outgoing
    assert account.line_of("+79990000000") is None
    assert account.line_of(None) is None


@pytest.mark.parametrize(
    "text", ["", "[crm", 'crm = "hunter2"\npbx = 1', "crm = []", "[[crm]]", "a = 2000-01-01"]
)
def test_what_is_not_an_accounts_file_is_refused_in_words(text: str) -> None:
    assert complaint(text)


def test_no_secret_is_ever_printed() -> None:
    account = read_account(FULL)
    for shown in (repr(account), str(account), account.model_dump_json()):
        assert "hunter2" not in shown


def test_every_secret_field_is_known_as_one() -> None:
    def secrets_of(model: type[BaseModel]) -> set[str]:
        return {name for name, field in model.model_fields.items() if "SecretStr" in str(field.annotation)}

    found = {("crm", name) for name in secrets_of(sections.Crm)}
    found |= {("pbx", name) for name in secrets_of(sections.PbxSettings)}
    found |= {("webhook", name) for name in secrets_of(sections.WebhookSettings)}
    assert found == set(SECRETS)
    assert not secrets_of(sections.CallSettings) | secrets_of(Account)
    assert not secrets_of(sections.ExtensionOf) | secrets_of(sections.ExternalPhone)


def test_the_same_application_of_the_same_pbx_is_known_by_any_name_of_this_machine() -> None:
    local = read_account(with_("pbx", 'host = "LOCALHOST"')).pbx
    assert local.identity == read_account(with_("pbx", 'host = "127.0.0.1"')).pbx.identity
    assert local.identity != read_account(with_("pbx", 'stasis_app = "other"')).pbx.identity


def test_accounts_compare_by_what_they_say_even_after_use() -> None:
    first, second = read_account(FULL), read_account(FULL)
    first.site_of("+77272501122")
    assert first == second
    changed = second.crm.model_copy(update={"api_key": SecretStr("other")})
    assert first != second.model_copy(update={"crm": changed})


def test_what_an_older_version_took_is_still_read() -> None:
    """An account that is stored is never closed for an extension or a number that is no longer taken."""
    stored = read_account(FULL).model_dump()
    stored["extensions"] = ({"user_id": 1, "code": "*101"}, {"user_id": 2, "code": "0"})
    stored["external_phones"] = ({"number": "12"}, {"number": "00"}, {"number": "SIP/mango-00000001"})
    stored["calls"]["fallback"] = "group:*101,0"
    account = Account.model_validate(stored)
    assert account.codes == {"*101", "0"}
    assert account.policy().fallback == (People(("*101", "0"), 40.0),)
