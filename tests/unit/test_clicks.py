"""Which click-to-calls are placed."""

from dataclasses import dataclass, field

import pytest

from ari_app.accounts.current import Current
from ari_app.accounts.reading import read_account
from ari_app.service.click_to_call import (
    LIMITS,
    BadRequest,
    Clicks,
    NotAllowed,
    NotPlaced,
    NoWay,
    TooMany,
)
from tests.support.accounts import account_toml

ACCOUNT = account_toml(
    pbx={"outgoing": "default,1"},
    extensions=("101", "102"),
    phones=[{"number": "+74951112233"}, {"number": "8 (812) 111-22-33", "outgoing": "piter,2"}],
)
ANNA = "+79161234567"


@dataclass
class Line:
    """A line on which nobody answers until a test says so."""

    works: bool = True
    placed: list[tuple[str, str, str | None, str]] = field(default_factory=list)
    ringing: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def ringing_clicks(self) -> int:
        return len(self.ringing)

    def clicked(self, code: str, dialled: str) -> str | None:
        return self.ringing.get((code, dialled))

    def place_call(self, code: str, dialled: str, external: str | None, outgoing: str) -> str | None:
        if not self.works:
            return None
        self.placed.append((code, dialled, external, outgoing))
        return self.ringing.setdefault((code, dialled), f"call-{len(self.placed)}")

    def end(self) -> None:
        self.ringing.clear()


class Shop:
    """The click-to-calls of an account, its line, and a clock that a test puts forward."""

    def __init__(self) -> None:
        self.current = Current(read_account(ACCOUNT))
        self.line = Line()
        self.now = 1000.0
        self.clicks = Clicks(self.current, self.line, lambda: self.now, LIMITS)

    def click(
        self,
        phone: str = ANNA,
        code: str = "101",
        user_id: str = "",
        external: str = "",
        known: bool = True,
    ) -> str:
        return self.clicks.place(code, user_id, phone, external, known)

    def account(self, **sections: str) -> None:
        """Change what the account says of clicks."""
        lines = "\n".join(f"{name} = {value}" for name, value in sections.items())
        self.current.change(read_account(f"{ACCOUNT}\n[clicks]\n{lines}"))

    def calls(self, count: int, code: str = "101") -> None:
        for _ in range(count):
            self.click(code=code)
            self.line.end()


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_the_managers_phone_is_rung_for_the_number_as_the_crm_sent_it(shop: Shop) -> None:
    assert shop.click("8 (916) 123-45-67") == "call-1"
    assert shop.line.placed == [("101", "89161234567", None, "default,1")]


@pytest.mark.parametrize(
    ("code", "user_id", "rung"),
    [
        ("101", "", "101"),
        ("", "2", "102"),
        ("101", "2", "101"),
        ("101", "nobody", "101"),
        (" 101 ", "", "101"),
        ("", " 2", "102"),
    ],
)
def test_the_code_wins_over_the_user(shop: Shop, code: str, user_id: str, rung: str) -> None:
    shop.click(code=code, user_id=user_id)
    assert shop.line.placed[0][0] == rung


@pytest.mark.parametrize(
    ("code", "user_id", "named"),
    [
        ("103", "", "code"),
        ("103", "1", "code"),
        ("101&PJSIP/900", "", "code"),
        ("101\x00", "", "code"),
        ("١٠١", "", "code"),
        ("", "", "code and userId"),
        ("", "3", "userId"),
        ("", "x", "userId"),
        ("", "-1", "userId"),
        ("", "²", "userId"),
        ("", "9" * 5000, "userId"),
    ],
)
def test_only_the_accounts_extensions_are_rung(shop: Shop, code: str, user_id: str, named: str) -> None:
    with pytest.raises(BadRequest, match=f"^{named} ") as refused:
        shop.click(code=code, user_id=user_id)
    assert refused.value.status == 400
    assert shop.line.placed == []


@pytest.mark.parametrize("phone", ["", " ", "Anna", "+7916&8495", "112,1", "1" * 33, "+7916\r\nAction: x"])
def test_what_is_no_number_is_never_dialled(shop: Shop, phone: str) -> None:
    with pytest.raises(BadRequest, match=r"^phone "):
        shop.click(phone)
    assert shop.line.placed == []


@pytest.mark.parametrize(
    ("written", "external", "line"),
    [
        ("+78121112233", "+78121112233", "piter,2"),
        ("88121112233", "+78121112233", "piter,2"),
        (" 78121112233", "+78121112233", "piter,2"),
        ("+7 (495) 111-22-33", "+74951112233", "default,1"),
        ("+79990000000", None, "default,1"),
        ("anonymous", None, "default,1"),
        ("", None, "default,1"),
    ],
)
def test_a_number_of_ours_chooses_the_line(shop: Shop, written: str, external: str | None, line: str) -> None:
    shop.click(external=written)
    assert shop.line.placed == [("101", ANNA, external, line)]


def test_a_second_click_while_it_rings_is_the_same_call(shop: Shop) -> None:
    first = shop.click()
    assert shop.click("+7 (916) 123-45-67") == first
    assert len(shop.line.placed) == 1
    shop.line.end()
    assert shop.click() != first


def test_another_manager_or_another_number_is_another_call(shop: Shop) -> None:
    assert len({shop.click(), shop.click(code="102"), shop.click("+79160000002")}) == 3


def test_the_eleventh_call_of_a_minute_is_refused_until_the_first_is_a_minute_old(shop: Shop) -> None:
    shop.click()
    shop.line.end()
    shop.now += 20.5
    shop.calls(LIMITS.extension_a_minute - 1)
    with pytest.raises(TooMany) as refused:
        shop.click()
    assert (refused.value.status, refused.value.retry_after) == (429, 40)
    shop.now += 39.4
    with pytest.raises(TooMany) as refused:
        shop.click()
    assert refused.value.retry_after == 1
    shop.now += 0.1
    shop.calls(1)
    with pytest.raises(TooMany):
        shop.click()


def test_one_managers_calls_are_not_anothers(shop: Shop) -> None:
    shop.calls(LIMITS.extension_a_minute)
    shop.calls(LIMITS.extension_a_minute, code="102")
    assert len(shop.line.placed) == 2 * LIMITS.extension_a_minute


def test_impatient_clicks_and_refusals_count_for_nothing(shop: Shop) -> None:
    shop.calls(LIMITS.extension_a_minute - 1)
    for _ in range(30):
        with pytest.raises(NotPlaced):
            shop.click("no number")
    last = shop.click()
    assert [shop.click() for _ in range(30)] == [last] * 30
    shop.line.end()
    with pytest.raises(TooMany):
        shop.click()


def test_without_a_way_to_the_pbx_nothing_is_placed_and_nothing_counts(shop: Shop) -> None:
    shop.line.works = False
    for _ in range(2 * LIMITS.extension_a_minute):
        with pytest.raises(NoWay) as refused:
            shop.click()
    assert refused.value.status == 503
    shop.line.works = True
    shop.calls(LIMITS.extension_a_minute)


def test_a_changed_account_counts_at_once(shop: Shop) -> None:
    shop.current.change(read_account(ACCOUNT.replace('"102"', '"104"').replace("default,1", "gsm")))
    with pytest.raises(BadRequest):
        shop.click(code="102")
    shop.click(code="104")
    assert shop.line.placed == [("104", ANNA, None, "gsm")]


def test_an_account_has_sixty_calls_a_minute_whoever_calls(shop: Shop) -> None:
    codes = [str(code) for code in range(201, 209)]
    shop.current.change(read_account(account_toml(extensions=codes)))
    for number in range(LIMITS.a_minute):
        shop.calls(1, code=codes[number % len(codes)])
    with pytest.raises(TooMany, match="from one account") as refused:
        shop.click(code=codes[-1])
    assert refused.value.retry_after == 60
    shop.now += 60
    shop.click(code=codes[-1])


def test_an_account_has_a_thousand_calls_a_day(shop: Shop) -> None:
    for _ in range(LIMITS.a_day):
        shop.now += 10
        shop.calls(1)
    with pytest.raises(TooMany, match="a day") as refused:
        shop.click()
    assert refused.value.retry_after == 86_400 - 10 * (LIMITS.a_day - 1)
    shop.now += refused.value.retry_after
    shop.click()


def test_ten_calls_ring_at_once_and_no_more(shop: Shop) -> None:
    for number in range(LIMITS.ringing):
        shop.click(f"+7916000000{number}", code=("101", "102")[number % 2])
    with pytest.raises(TooMany, match="at once"):
        shop.click("+79160000099")
    shop.line.end()
    shop.click("+79160000099")


@pytest.mark.parametrize(
    "number",
    [
        *(
            "+79161234567",
            "89161234567",
            "84951234567",
            "+77012345678",
            "+375291234567",
            "8 10 375 29 1234567",
        ),
        *("1234567", "102", "88001234567"),
    ],
)
def test_a_click_calls_the_country_its_neighbours_and_ones_own_people(shop: Shop, number: str) -> None:
    shop.click(number)


@pytest.mark.parametrize(
    ("number", "harm"),
    [
        ("+88213000000", "country"),
        ("+8821621111111", "country"),
        ("+870773111632", "country"),
        ("+881612345678", "country"),
        ("81088162345678901", "no_number"),
        ("+12125550123", "country"),
        ("8 10 1 212 555 0123", "country"),
        ("00491711234567", "country"),
        ("88091234567", "premium_rate"),
        ("+78091234567", "premium_rate"),
        ("*7289161234567", "feature_code"),
        ("89161234567#", "feature_code"),
        ("112", "short"),
        ("03", "short"),
        ("0611", "short"),
        ("900", "short"),
        ("810123456789", "country"),
        ("100", "short"),
    ],
)
def test_a_click_calls_nothing_that_costs_a_shop_its_money(shop: Shop, number: str, harm: str) -> None:
    with pytest.raises(NotAllowed) as refused:
        shop.click(number)
    assert (refused.value.status, refused.value.reason) == (403, harm)
    assert shop.line.placed == []


def test_an_account_says_which_countries_and_short_numbers_a_click_calls(shop: Shop) -> None:
    shop.account(countries='["RU", "de"]', short_numbers='["112"]')
    assert [shop.click(number) for number in ("+491711234567", "+79161234567", "112")]
    for number in ("+77012345678", "113"):
        with pytest.raises(NotAllowed):
            shop.click(number)


def test_the_outside_lines_digit_hides_no_country(shop: Shop) -> None:
    shop.current.change(read_account(ACCOUNT.replace("[pbx]", '[pbx]\noutside_prefix = "9"')))
    shop.click("989161234567")
    for number in ("98101 212 555 0123", "9112", "98108816123456"):
        with pytest.raises(NotAllowed):
            shop.click(number)


def test_who_knows_only_the_client_id_calls_less_and_only_at_home(shop: Shop) -> None:
    with pytest.raises(NotAllowed):
        shop.click("+77012345678", known=False)
    for number in range(LIMITS.narrower().a_minute):
        shop.click(f"+79160000{number:03}", code=("101", "102")[number % 2], known=False)
        shop.line.end()
    with pytest.raises(TooMany):
        shop.click(known=False)
    shop.click(code="102")


def test_an_account_closes_the_address_without_the_secret(shop: Shop) -> None:
    shop.account(client_id_is_enough="false")
    with pytest.raises(NotAllowed, match="alone"):
        shop.click(known=False)
    shop.click()
