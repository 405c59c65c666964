"""What stands around a number in a dialplan's variables, in trunks' names and in what people have typed."""

import pytest

from ari_app.calls.numbers import e164


@pytest.mark.parametrize(
    "written",
    [
        *("89161234567x12", "89161234567 ext12", "89161234567доб12", "8 916 123-45-67 доб 12"),
        *("89161234567 добавочный 12", "89161234567 (добавочный 12)", "8(916)1234567 внутр. 12"),
        *("89161234567w12", "89161234567 extn. 12", "+7 916 123-45-67 д. 12", "89161234567 Анна 2"),
        "tel:+79161234567x12",
    ],
)
def test_what_is_dialled_after_the_answer_is_no_part_of_the_number(written: str) -> None:
    assert e164(written, "RU") == "+79161234567"


@pytest.mark.parametrize(
    "written", ["%2B79161234567", "%2b7%20916%20123-45-67", "%22Anna%22%20%3C89161234567%3E"]
)
def test_a_number_that_was_escaped_once_too_often_is_read(written: str) -> None:
    assert e164(written, "RU") == "+79161234567"


@pytest.mark.parametrize(
    "written",
    [
        *("mango24-out", "m2m-trunk10", "goip32-line4", "line1_2", "from-trunk-mango1-out12"),
        *("манго24", "линия-2-1"),
    ],
)
def test_a_trunks_name_is_no_number_however_many_digits_are_in_it(written: str) -> None:
    assert e164(written, "RU") is None


@pytest.mark.parametrize("written", ["mango_74951112233", "trunk-8(495)1112233", "8(495)1112233-out"])
def test_a_number_in_a_trunks_name_is_the_lines(written: str) -> None:
    assert e164(written, "RU") == "+74951112233"


@pytest.mark.parametrize("written", ["+7 000 000 00 00", "80000000000", "sip:70000000000@10.0.0.1", "#000"])
def test_zeros_behind_a_countrys_code_withhold_a_number_too(written: str) -> None:
    assert e164(written, "RU") is None


@pytest.mark.parametrize("written", ["7000000", "88000000001", "+78000000000"])
def test_a_number_with_many_zeros_is_one(written: str) -> None:
    assert e164(written, "RU") in ("7000000", "+78000000001", "+78000000000")


@pytest.mark.parametrize("written", ["+７９１６1234567", "8916١234567"])
def test_digits_of_another_script_are_not_left_out_of_a_number(written: str) -> None:
    assert e164(written, "RU") is None
