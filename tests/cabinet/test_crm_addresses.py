"""The cabinet asks only retailCRM's own addresses, however a stranger spells another."""

import pytest

from ari_app.service.crm_door import NotLetIn, read_shown

DOMAINS = ("retailcrm.ru", "simla.com")
KEY = "k" * 32


@pytest.mark.parametrize(
    "typed",
    [
        "https://evil.com",
        "https://retailcrm.ru",
        "https://evilretailcrm.ru",
        "https://shop.retailcrm.ru.evil.com",
        "https://evil.com/.retailcrm.ru",
        "https://evil.com#.retailcrm.ru",
        "https://evil.com?.retailcrm.ru",
        "https://evil.com\\.retailcrm.ru",
        "https://shop.retailcrm.ru@evil.com",
        "https://evil.com@shop.retailcrm.ru",
        "https://user:password@shop.retailcrm.ru",
        "https://@shop.retailcrm.ru",
        "https://evil.com／.retailcrm.ru",
        "https://evil.com%2f.retailcrm.ru",
        "https://evil.com:443#.retailcrm.ru",
        "https://shop.retailcrm.ru:6379",
        "https://shop.retailcrm.ru:22",
        "https://shop.retailcrm.ru:99999",
        "https://shop.retailcrm.ru:a",
        "https://127.0.0.1",
        "http://localhost:8080",
        "https://[::1]",
        "https://[::ffff:127.0.0.1%25.retailcrm.ru]",
        "file:///etc/passwd",
        "gopher://shop.retailcrm.ru",
        "//shop.retailcrm.ru@evil.com",
        "evil.com .retailcrm.ru",
        "https://.retailcrm.ru",
        "https://-.retailcrm.ru",
        "https://a..retailcrm.ru",
    ],
)
def test_another_address_is_not_asked(typed: str) -> None:
    with pytest.raises(NotLetIn) as refused:
        read_shown(typed, KEY, DOMAINS)
    assert refused.value.field == "crm"


@pytest.mark.parametrize(
    "typed",
    [
        "https://shop.retailcrm.ru",
        "http://shop.retailcrm.ru",
        "shop.retailcrm.ru",
        "SHOP.RetailCRM.ru./admin/orders?x=1#y",
        "https://shop.retailcrm.ru:443/",
        "http://shop.retailcrm.ru:80/",
    ],
)
def test_the_crms_address_is_asked_by_https_alone(typed: str) -> None:
    assert read_shown(typed, KEY, DOMAINS).url == "https://shop.retailcrm.ru"


@pytest.mark.parametrize(
    ("crm", "key", "wrong"),
    [
        ("", "", {"crm": "empty", "key": "empty"}),
        ("evil.com", "ключ", {"crm": "domain", "key": "letters"}),
        ("shop.retailcrm.ru", "", {"key": "empty"}),
        ("evil.com", KEY, {"crm": "domain"}),
    ],
)
def test_a_bad_address_and_a_bad_key_are_told_at_once(crm: str, key: str, wrong: dict[str, str]) -> None:
    with pytest.raises(NotLetIn) as refused:
        read_shown(crm, key, DOMAINS)
    assert refused.value.wrong == wrong
