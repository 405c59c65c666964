import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ari_app.calls.names import clean_name, fitting, with_prefix

FAMILY, FLAG = "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1f7\U0001f1fa"


@pytest.mark.parametrize(
    "name", ["Дем'яненко Мар'яна", "O'Brien Conor", "D’Arc Jeanne", "Ким (опт)", "Ё-моё"]
)
def test_a_name_is_shown_as_it_is_written(name: str) -> None:
    assert clean_name(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ('ООО "Ромашка"', "ООО Ромашка"),
        ("Анна\r\nAction: Command", "Анна Action: Command"),
        ("${SHELL(id)} <sip:1@2>", "SHELL(id)} sip:1@2"),
        ("  ", None),
        (None, None),
    ],
)
def test_what_a_telephone_or_a_dialplan_would_take_for_more_is_left_out(
    name: str | None, shown: str | None
) -> None:
    assert clean_name(name) == shown


@pytest.mark.parametrize(
    ("character", "kept"),
    [
        ("\U0001f600", 63),  # 4 bytes each
        ("Я", 80),
        ("e\u0301", 40),
        ("и\u0306", 40),
        (FLAG, 31),
        (FAMILY, 14),
        ("\U0001f44d\U0001f3fd", 31),
    ],
)
def test_a_name_is_cut_at_a_whole_character(character: str, kept: int) -> None:
    assert clean_name(character * 90) == character * kept


def test_a_prefix_takes_its_part_of_the_length() -> None:
    shown = with_prefix("Магазин", "\U0001f600" * 63)
    assert shown == "Магазин: " + "\U0001f600" * 59
    assert len(shown.encode()) <= 255


@given(st.text(), st.text(max_size=40))
def test_whatever_comes_a_name_fits(name: str, prefix: str) -> None:
    clean = clean_name(name)
    assert clean is None or clean == clean_name(clean)
    shown = with_prefix(prefix, clean or "")
    assert len(shown) <= 80
    assert len(shown.encode()) <= 255


@given(
    st.text(alphabet="aя\u0301\u200d\ufe0f\U0001f468\U0001f1f7\U0001f3fd", max_size=60), st.integers(1, 60)
)
def test_what_is_cut_off_begins_with_a_character_of_its_own(text: str, most: int) -> None:
    kept = fitting(text, most)
    rest = text.strip()[len(kept) :]
    assert text.strip().startswith(kept)
    assert not kept or not rest or len(rest) > 40 or not unicodedata.category(rest[0]).startswith("M")
