import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ari_app.calls.numbers import NotDialled, dialled, e164, for_an_outside_line, masked

WRITTEN = [
    ("RU", "8 (495) 111-22-33", "+74951112233"),
    ("RU", "84951112233", "+74951112233"),
    ("RU", "4951112233", "+74951112233"),
    ("RU", "74951112233", "+74951112233"),
    ("RU", "+7 916 123-45-67", "+79161234567"),
    ("RU", "79161234567", "+79161234567"),
    ("RU", "+89161234567", "+79161234567"),
    ("RU", "88001234567", "+78001234567"),
    ("RU", "8-701-234-56-78", "+77012345678"),
    ("RU", "810380441234567", "+380441234567"),
    ("RU", "00380441234567", "+380441234567"),
    ("RU", "375291234567", "+375291234567"),
    ("RU", "998901234567", "+998901234567"),
    ("RU", "491711234567", "+491711234567"),
    ("KZ", "87012345678", "+77012345678"),
    ("KZ", "7012345678", "+77012345678"),
    ("KZ", "77012345678", "+77012345678"),
    ("KZ", "79161234567", "+79161234567"),
    ("KZ", "810998901234567", "+998901234567"),
    ("BY", "8 029 123-45-67", "+375291234567"),
    ("BY", "291234567", "+375291234567"),
    ("BY", "375291234567", "+375291234567"),
    ("BY", "74951112233", "+74951112233"),
    ("UA", "(044) 123-45-67", "+380441234567"),
    ("UA", "380509876543", "+380509876543"),
    ("UA", "8 050 987-65-43", "+380509876543"),
    ("DE", "030 1234567", "+49301234567"),
    ("DE", "+49 (0)30 1234567", "+49301234567"),
    ("RU", "+44 (0)20 7946 0958", "+442079460958"),
    ("UA", "+38 (0)44 123-45-67", "+380441234567"),
    ("RU", "+39 (0)6 6981 2345", "+390669812345"),
    ("DE", "004930123456", "+4930123456"),
    ("DE", "491711234567", "+491711234567"),
    ("DE", "0 15112 345678", "+4915112345678"),
    ("DE", "0079161234567", "+79161234567"),
]


@pytest.mark.parametrize(("country", "written", "normal"), WRITTEN)
def test_a_number_has_one_normal_form_however_it_is_written(country: str, written: str, normal: str) -> None:
    assert e164(written, country) == normal
    assert e164(normal, country) == normal


@pytest.mark.parametrize(
    "written",
    [
        "sip:+79161234567@pbx.example:5060;user=phone",
        "sip:%2B79161234567@10.0.0.1",
        '"Ivan 2" <sip:89161234567@10.0.0.1>',
        "<sips:89161234567@10.0.0.1>;tag=12",
        "tel:+7-916-123-45-67",
        "89161234567@10.0.0.1",
        "8 916 123-45-67 доб. 12",
        "8 916 123-45-67 ext 12",
        "Ivan <89161234567>",
        "\u00a0+7\u00a0916\u00a0123\u201145\u201167 ",
    ],
)
def test_a_number_is_found_in_what_surrounds_it(written: str) -> None:
    assert e164(written, "RU") == "+79161234567"


@pytest.mark.parametrize(
    "written",
    [
        *(None, "", " ", "+", "-", "s", "S", "anonymous", "Anonymous", "UNKNOWN", "restricted", "Private"),
        *("unavailable", "withheld", "Ivan", "sip:anonymous@anonymous.invalid"),
        '"Anonymous" <sip:anonymous@10.0.0.1>',
        *("0", "00", "0000000000", "+0", "+00000000000", "sip:0@10.0.0.1", '"Unknown" <0000000>'),
        '"Restricted" <sip:0000000000@10.0.0.1>',
        *("Private Number", "no-number", "NO_NUMBER", "Blocked", "hidden", "anonymous1", "Unknown Caller"),
        *("sip:c8oqz84@anonymous.invalid", '"7916" <sip:79161234567@anonymous.invalid>'),
    ],
)
def test_a_withheld_number_is_none(written: str | None) -> None:
    assert e164(written, "RU") is None


@pytest.mark.parametrize(
    "written",
    [
        *("SIP/mango-00000001", "PJSIP/mango-0000002a", "PJSIP/74951112233-0000002a", "mango-00000001"),
        *("Local/79161234567@from-internal-00000001;1", "DAHDI/1-1", "IAX2/79161234567-4242"),
        *("mango24", "trunk-2", "from-trunk_7495"),
    ],
)
def test_a_channels_name_is_no_number(written: str) -> None:
    assert e164(written, "RU") is None


@pytest.mark.parametrize(
    ("dialled_so", "number"),
    [
        ("989161234567", "+79161234567"),
        ("9810380441234567", "+380441234567"),
        ("9+79161234567", "+79161234567"),
        ("99161234567", "+79161234567"),
        ("9161234567", "+79161234567"),  # without the digit: with it this would be nobody's number
        ("89161234567", "+79161234567"),
        ("+79161234567", "+79161234567"),
        ("91234567", "1234567"),
        *(("9112", "9112"), ("112", "112"), ("9", "9"), ("0", None), ("", None)),
    ],
)
def test_the_outside_lines_digit_is_no_part_of_the_number(dialled_so: str, number: str | None) -> None:
    assert e164(dialled_so, "RU", outside_prefix="9") == number


@pytest.mark.parametrize(
    ("number", "dialled_so"),
    [
        ("+79161234567", "989161234567"),
        ("89161234567", "989161234567"),
        ("74951234567", "974951234567"),
        ("+493012345678", "9810493012345678"),
        ("112", "112"),
        ("1234", "1234"),
    ],
)
def test_a_clicked_number_is_dialled_with_the_outside_lines_digit(number: str, dialled_so: str) -> None:
    assert for_an_outside_line(number, "9", "RU") == dialled_so
    assert for_an_outside_line(number, "", "RU") == number


def test_an_outside_lines_digit_may_be_zero() -> None:
    assert e164("00301234567", "DE", outside_prefix="0") == "+49301234567"
    assert e164("0301234567", "DE", outside_prefix="0") == "+49301234567"


@pytest.mark.parametrize("country", ["RU", "KZ", "BY", "UA", "DE", "AT", "US"])
@pytest.mark.parametrize("code", ["101", "112", "1001", "50012", "*97", "#31#"])
def test_an_extension_and_a_service_keep_their_digits(code: str, country: str) -> None:
    assert e164(code, country) == code


def test_a_city_number_without_its_code_keeps_its_digits() -> None:
    assert e164("111-22-33", "RU") == "1112233"


@given(
    text=st.text(alphabet="+0123456789*#()-<>@:;.,% sipxтел\u0664"),
    country=st.sampled_from(["RU", "DE", "UA"]),
)
def test_whatever_comes_the_form_is_stable_and_safe(text: str, country: str) -> None:
    found = e164(text, country)
    assert found is None or re.fullmatch(r"\+?[0-9*#]+", found)
    assert found is None or e164(found, country) == found


ENDLESS = ["7" + " " * 500_000 + "y", "<" * 500_000, "7" * 500_000, "+" * 500_000, "sip:" + "%20" * 200_000]


@pytest.mark.parametrize("text", ENDLESS, ids=lambda text: text[:5])
def test_a_text_without_end_holds_nobody_up(text: str) -> None:
    began = time.thread_time()
    assert e164(text, "RU") in (None, "7")
    assert time.thread_time() - began < 0.05


def test_a_number_behind_a_few_hundred_blanks_is_read_at_once() -> None:
    began = time.thread_time()
    assert e164("7916 1234567" + " " * 900 + "y", "RU") == "+79161234567"
    assert time.thread_time() - began < 0.01


def test_a_log_shows_only_the_ends_of_a_number() -> None:
    assert masked("+79161234567") == "+7916***4567"
    assert masked("1112233") == "***2233"
    assert masked("101") == "101"
    assert masked(None) == "withheld"


@pytest.mark.parametrize(
    ("sent", "number"),
    [
        ("+7 (916) 123-45-67", "+79161234567"),
        ("8.916.123.45.67", "89161234567"),
        ("79161234567", "79161234567"),
        (" 79161234567", "+79161234567"),  # ?phone=+79161234567, not encoded
        (" 7 (916) 123-45-67", "+79161234567"),
        (" 380441234567", "+380441234567"),
        (" 8 916 123 45 67", "89161234567"),  # nobody's number with a plus
        (" 8 (495) 111-22-33", "84951112233"),  # Vietnam's with a plus, but Moscow's as it is
        (" 112", "112"),
        ("030/1234567", "0301234567"),
        ("8(495)123/45/67", "84951234567"),
        ("8\u00a0916\u202f123\u201145\u201367", "89161234567"),
        ("\u202a+7\u00a0916\u00a0123-45-67\u202c", "+79161234567"),
        ("tel:+74951234567", "+74951234567"),
        ("TEL:+7-495-123-45-67;ext=12", "+74951234567"),
        ("tel:%2B74951234567", "+74951234567"),
        ("+49 (0)30 1234567", "+49301234567"),  # its zero is dialled inside the country only
        (" 49 (0)30 1234567", "+49301234567"),
        ("0049 (0)30 1234567", "0049301234567"),
        ("+39 (0)6 6981 2345", "+390669812345"),  # Italy's is a part of the number
        ("+38 (0)44 123-45-67", "+380441234567"),
        ("8 (0)29 123-45-67", "80291234567"),
        ("  79161234567", "79161234567"),
        ("(8) 9161234567", "89161234567"),
        ("112", "112"),
        ("*97", "*97"),
        ("#31#89161234567", "#31#89161234567"),
        ("+" + "1" * 31, "+" + "1" * 31),
        ("1" * 32, "1" * 32),
    ],
)
def test_what_the_crm_asks_to_call_is_dialled_as_it_is_written(sent: str, number: str) -> None:
    assert dialled(sent) == number


@pytest.mark.parametrize(
    "sent",
    [
        *("", " ", "+", " +", "-", "()", "*", "#*", "+1+2", "7+916", "++7916", "1" * 33, "+" + "1" * 32),
        *("89161234567x12", "+7916&101", "101@internal", "PJSIP/101", "101,1", "101;102", "101!", "${EXTEN}"),
        *("7916\x001", "7916\r\nAction: Command", "7916\t1", "\n7916", "7916\n", "7916\x7f"),
        *("٧٩١٦", "７９１６", "7916²", "\u202e7916", "\ud800"),
        *("84951234567/89161234567", "tel:", "sip:79161234567", "/", "tel:101&102", "tel:;ext=12"),
    ],
)
def test_what_is_no_number_is_not_dialled(sent: str) -> None:
    with pytest.raises(NotDialled, match=r"^phone "):
        dialled(sent)


@given(text=st.text(alphabet="+ 0123456789*#()-.") | st.text() | st.from_regex(r"[ +]?[0-9 ()-]{1,40}"))
def test_only_a_plain_number_is_ever_dialled(text: str) -> None:
    try:
        number = dialled(text)
    except NotDialled:
        return
    assert re.fullmatch(r"\+?[0-9*#]{1,32}", number)
    assert len(number) <= 32
    assert dialled(number) == number
    assert number.lstrip("+") == re.sub(r"[^0-9*#]", "", text)
