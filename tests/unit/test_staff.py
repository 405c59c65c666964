"""The CRM's users: which extension stands there for whom."""

from __future__ import annotations

from ari_app.accounts.sections import ExtensionOf
from ari_app.accounts.staff import Person, compare, matched
from ari_app.retailcrm.messages import User

OURS = (ExtensionOf(user_id=1, code="101", devices=("105",)),)
AT_PBX = {"101", "102", "103", "104", "105"}


def test_of_a_telephone_in_the_crm_only_an_extension_is_known() -> None:
    typed = {1: "104", 2: "+79161234567", 3: None, 4: "доб. 104", 5: "*97"}
    people = compare({}, [User(ident, "Н", True, None, phone) for ident, phone in typed.items()])
    assert {ident: one.extension for ident, one in people.items()} == dict.fromkeys(typed) | {1: "104"}


def test_who_has_none_is_given_the_extension_that_stands_in_the_crm_and_at_the_pbx() -> None:
    people = [
        Person(1, "has one", extension="102"),
        Person(2, "is given one", extension="104"),
        Person(3, "another's", extension="101"),
        Person(4, "another's second telephone", extension="105"),
        Person(5, "not at the PBX", extension="199"),
        Person(6, "the same for two", extension="103"),
        Person(7, "the same for two", extension="103"),
        Person(8, "blocked", active=False, extension="102"),
        Person(9, "none"),
    ]
    assert matched(people, OURS, AT_PBX) == {2: "104"}
