"""Which numbers a click in the CRM may call: what somebody with a stolen clientId would call is refused.

It is judged by what is dialled, as the PBX reads it, never by what it was meant to be.
"""

from __future__ import annotations

from enum import StrEnum

import phonenumbers
from phonenumbers import PhoneNumberType, shortnumberinfo

from ari_app.accounts.account import RegisteredAccount
from ari_app.calls import LONGEST_INTERNAL, e164

LONGEST_NATIONAL = 11
"""Digits of a number within a country, as it is dialled there."""
_ABROAD = ("00", "810", "011")
"""What is dialled before a number of another country."""

_NEIGHBOURS = {
    "AM": "AZ GE IR TR RU",
    "AZ": "AM GE IR TR RU",
    "BY": "LT LV PL RU UA",
    "EE": "FI LV RU",
    "GE": "AM AZ TR RU",
    "KG": "CN KZ TJ UZ RU",
    "KZ": "CN KG RU TM UZ",
    "RU": "AZ BY CN EE FI GE KZ LT LV MN NO PL UA AM KG UZ TJ MD TM",
    "UA": "BY HU MD PL RO SK RU",
    "UZ": "AF KG KZ TJ TM RU",
    "TJ": "AF CN KG UZ RU",
    "TM": "AF IR KZ UZ RU",
    "MD": "RO UA RU",
    "LT": "BY LV PL RU EE",
    "LV": "BY EE LT RU",
    "ES": "AD FR PT GI",
    "MX": "BZ GT US",
    "CO": "BR EC PA PE VE",
    "CL": "AR BO PE",
    "PE": "BO BR CL CO EC",
    "AR": "BO BR CL PY UY",
}
"""The countries about a country, ISO 3166-1 alpha-2, where retailCRM's shops are: those that it borders on,
and those with which it shares its customers."""
_DEAR = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST, PhoneNumberType.PAGER})


class Harm(StrEnum):
    """Why a click may not call a number: what the CRM is answered."""

    FEATURE_CODE = "phone is a feature code of the PBX"
    COUNTRY = "the account lets a click call no numbers of that country"
    PREMIUM_RATE = "phone is a number at a premium rate"
    SHORT = "phone is a short number that the account doesn't let a click call"
    NO_NUMBER = "phone is not a whole number of any country"


def about(country: str) -> frozenset[str]:
    """Give a country and those about it."""
    return frozenset({country, *_NEIGHBOURS.get(country, "").split()})


def countries_of(account: RegisteredAccount) -> frozenset[str]:
    """Give the countries that a click may call."""
    chosen = account.clicks.countries
    return frozenset(chosen) if chosen is not None else about(account.crm.country)


def why_not(account: RegisteredAccount, number: str, countries: frozenset[str]) -> Harm | None:
    """Say why a number, as it is dialled (`calls.dialled`), may not be called; None when it may.

    `countries` are those that may be called. Numbers of the account's own extensions may, and short ones that
    it names; no feature code, no premium rate, no satellite, nothing that can't be told to be harmless.
    """
    if "*" in number or "#" in number:
        return Harm.FEATURE_CODE
    if number in account.clicks.short_numbers or number in {one.code for one in account.extensions}:
        return None
    prefix = account.pbx.outside_prefix if account.pbx is not None else ""
    found = e164(number, account.crm.country, prefix) or ""
    if not found.startswith("+"):
        return _why_not_local(account.crm.country, found)
    read = phonenumbers.parse(found)
    if phonenumbers.region_code_for_number(read) not in countries:
        return Harm.COUNTRY
    if phonenumbers.number_type(read) in _DEAR:
        return Harm.PREMIUM_RATE
    return None


def _why_not_local(country: str, number: str) -> Harm | None:
    """Judge what is no whole number: within the country it is harmless, but for what leads out of it."""
    short = len(number) < LONGEST_INTERNAL - 1
    if short or (len(number) <= LONGEST_INTERNAL and _is_service(country, number)):
        return Harm.SHORT
    if number.startswith(_ABROAD) or len(number) > LONGEST_NATIONAL:
        return Harm.NO_NUMBER
    return None


def _is_service(country: str, number: str) -> bool:
    parsed = phonenumbers.parse(number, country)
    return bool(shortnumberinfo.is_valid_short_number_for_region(parsed, country))
