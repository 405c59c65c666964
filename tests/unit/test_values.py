from __future__ import annotations

import dataclasses

import pytest

from ari_app.calls import Policy
from ari_app.calls.call import Call, Direction, Leg, LegState, Role, Stage
from ari_app.calls.values import replace

LEG = Leg("retailcrm-1-1", Role.CALLER, LegState.RINGING, 1.0, via=("101",))
CALL = Call(
    id="retailcrm-1",
    account="shop",
    stage=Stage.ARRIVING,
    direction=Direction.IN,
    started_at=1.0,
    caller=LEG,
    number="+79160000000",
    external=None,
    policy=Policy("PJSIP/##", (), ()),
)


def test_a_copy_has_what_was_changed_and_all_the_rest_as_it_was() -> None:
    changed = replace(CALL, stage=Stage.RINGING, legs=(LEG,))
    assert changed == dataclasses.replace(CALL, stage=Stage.RINGING, legs=(LEG,))
    assert (CALL.stage, CALL.legs) == (Stage.ARRIVING, ())


def test_a_copy_without_changes_is_equal_and_another_object() -> None:
    same = replace(LEG)
    assert same == LEG
    assert same is not LEG
    assert hash(same) == hash(LEG)


def test_a_field_that_is_not_there_is_refused() -> None:
    with pytest.raises(TypeError, match="Leg has no field 'colour'"):
        replace(LEG, colour="red")  # type: ignore[call-arg]
