"""Pauses between attempts."""

from ari_app.backoff import BackOff, spread


def test_each_pause_is_twice_as_long_as_the_one_before_up_to_the_last() -> None:
    back_off = BackOff(0.5, 3.0)
    assert [back_off.pause() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_after_a_success_the_pauses_begin_anew() -> None:
    back_off = BackOff(0.5, 3.0)
    back_off.pause()
    back_off.pause()
    back_off.well()
    assert back_off.pause() == 0.5


def test_what_fails_for_a_week_is_tried_as_often_as_on_its_first_day() -> None:
    back_off = BackOff(0.5, 30.0)
    pauses = [back_off.pause() for _ in range(20_000)]
    assert pauses[-1] == 30.0


def test_a_pause_is_varied_by_a_fifth_at_most() -> None:
    pauses = [spread(10.0) for _ in range(100)]
    assert 8.0 <= min(pauses) < max(pauses) <= 12.0
