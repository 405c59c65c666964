"""Which accounts move from copy to copy: every copy works the same out."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ari_app.service.sharing import moves

HELD = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 40), min_size=1)


def after(held: dict[str, int]) -> dict[str, int]:
    """What each holds when everybody has done their part."""
    then = Counter(held)
    for ours in held:
        for heir in moves(held, ours):
            then[ours] -= 1
            then[heir] += 1
    return {copy: then[copy] for copy in held}


def test_a_new_copy_gets_half_of_what_one_holds() -> None:
    assert list(moves({"one": 4, "new": 0}, "one")) == ["new", "new"]
    assert list(moves({"one": 4, "new": 0}, "new")) == []


def test_an_account_moves_only_to_a_copy_that_holds_two_fewer() -> None:
    assert list(moves({"one": 1, "new": 0}, "one")) == []
    assert list(moves({"one": 2, "new": 0}, "one")) == ["new"]
    assert list(moves({"one": 3, "other": 2}, "one")) == []


def test_a_copy_that_nobody_knows_gives_nothing() -> None:
    assert list(moves({"other": 4, "new": 0}, "one")) == []
    assert list(moves({}, "one")) == []


@given(HELD)
def test_when_all_have_done_their_part_nobody_holds_two_more_than_another(held: dict[str, int]) -> None:
    then = after(held)
    assert sum(then.values()) == sum(held.values())
    assert max(then.values()) - min(then.values()) < 2
    assert all(not list(moves(then, ours)) for ours in then)


@given(HELD)
def test_no_copy_gives_and_takes_in_one_round(held: dict[str, int]) -> None:
    given_away = {ours: set(moves(held, ours)) for ours in held}
    taking = set().union(*given_away.values())
    assert not any(given_away[copy] for copy in taking)
