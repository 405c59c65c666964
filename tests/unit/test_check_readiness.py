"""What there must be before a customer's call reaches somebody: what is missing is told, and in Russian."""

from dataclasses import replace

import pytest

from ari_app.accounts.account import RegisteredAccount
from ari_app.accounts.reading import read_account
from ari_app.check.findings import State
from ari_app.check.readiness import (
    Facts,
    Step,
    everybody_has_a_place,
    judge,
    missing,
    somebody_can_be_rung,
    somebody_is_registered,
    unseen,
)
from cabinet.pages.findings import cause, in_language
from tests.support.accounts import account_toml

READY = Facts(True, True, True, True, True, True, True)


def shop(**changes: object) -> RegisteredAccount:
    return read_account(account_toml()).altered(**changes)


def test_nothing_is_to_be_done_when_every_step_is() -> None:
    assert list(judge(READY)) == []


@pytest.mark.parametrize("step", Step)
def test_a_step_that_is_missing_is_an_error_with_a_remedy(step: Step) -> None:
    [found] = judge(replace(READY, **{step.value: False}))
    assert (found.step, found.state) == (step, State.BAD)
    assert found.remedy


def test_what_only_the_pbx_could_say_is_not_asked_for_before_it_is_connected() -> None:
    facts = replace(READY, pbx=False, telephone=None, dialplan=None)
    assert [one.step for one in judge(facts)] == ["pbx"]
    assert [one.step for one in judge(replace(facts, pbx=True))] == ["telephone", "dialplan"]


def test_a_dialplan_that_nobody_has_seen_is_not_taken_for_one_that_leads_here() -> None:
    [found] = judge(replace(READY, dialplan=None))
    assert found.state is State.UNKNOWN


@pytest.mark.parametrize("step", Step)
def test_every_step_is_said_in_russian(step: Step) -> None:
    for found in (missing(step), unseen(step)):
        said = in_language(found, "ru")
        assert said.sentence != found.sentence
        assert said.remedy != found.remedy
        assert said.step == step


def test_a_caller_is_dropped_where_nobody_takes_what_the_manager_does_not() -> None:
    nowhere = shop(calls={"fallback": "", "unknown": "group:101"})
    assert not everybody_has_a_place(nowhere)
    assert everybody_has_a_place(shop(calls={"fallback": "group:101"}))


def test_a_telephone_is_registered_under_the_extension_or_a_device_of_its_own() -> None:
    extensions = [{"user_id": 1, "code": "101"}, {"user_id": 2, "code": "102", "devices": ["99102"]}]
    account = shop(extensions=extensions, calls={"fallback": "group:101"})
    states = {"101": "offline", "102": "offline", "99102": "offline"}
    assert somebody_is_registered(account, {"PJSIP": states}) is False
    assert somebody_is_registered(account, {"PJSIP": states | {"99102": "online"}}) is True
    assert somebody_is_registered(account, {"PJSIP": states | {"101": "unknown"}}) is None
    assert somebody_is_registered(account, {"PJSIP": {"trunk": "online"}}) is False


def test_where_a_dialplan_rings_people_their_telephones_have_the_extensions_names() -> None:
    account = shop(extensions=[{"user_id": 1, "code": "101"}], calls={"fallback": ""})
    assert account.pbx is not None
    pbx = account.pbx.model_copy(update={"channel_format": "Local/##@from-internal"})
    freepbx = account.model_copy(update={"pbx": pbx})
    assert somebody_is_registered(freepbx, {"PJSIP": {"101": "online"}}) is True
    assert somebody_is_registered(freepbx, {"SIP": {"101": "offline"}}) is False


def test_a_group_alone_can_be_rung() -> None:
    assert somebody_can_be_rung(shop(extensions=(), calls={"fallback": "group:103"}))
    assert not somebody_can_be_rung(shop(extensions=(), calls={"fallback": ""}))


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("Connection refused", "соединение отклонено"),
        ("GET v5/telephony/manager: no answer within 2 s", "нет ответа за 2 с"),
        ('GET credentials: Wrong "apiKey" value.', "CRM не знает этого ключа API"),
        ("the PBX answers 401 to user and password", "Asterisk отвечает 401 на логин и пароль"),
        ("Something of tomorrow", "другая сторона ответила: «Something of tomorrow»"),
    ],
)
def test_a_technical_cause_has_a_russian_sentence(problem: str, said: str) -> None:
    assert cause(problem, "ru") == said
    assert cause(problem, "en") == problem
