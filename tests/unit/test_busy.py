"""Whose telephones are busy: the index says what all live calls say."""

from dataclasses import replace
from random import Random

from ari_app.calls import Call
from ari_app.control.busy import Busy, kept_busy
from tests.support.story import Story


def _moments() -> list[Call]:
    """Give calls at different moments: ringing, with one of two managers, over."""
    found = []
    for code in ("101", "102"):
        story = Story().found(code)
        found.append(story.call)
        story.answers(code).wait(5)
        found.append(story.call)
        found.append(story.caller_hangs_up().stored().call)
    return found


def test_a_manager_is_busy_as_long_as_one_of_the_live_calls_keeps_them() -> None:
    chance, moments = Random(1), _moments()
    busy, live = Busy(), dict[str, Call]()
    seen = set[frozenset[str]]()
    for _ in range(2000):
        ident = f"c{chance.randrange(6)}"
        before = live.pop(ident, None)
        if chance.random() < 0.8:
            live[ident] = replace(chance.choice(moments), id=ident)
        busy.take(before, live.get(ident))
        for left_out in (None, *live.values()):
            others = [kept_busy(call) for call in live.values() if call is not left_out]
            assert busy.but_for(left_out) == frozenset().union(*others)
        seen.add(busy.but_for())
    assert seen == {frozenset(), frozenset({"101"}), frozenset({"102"}), frozenset({"101", "102"})}
