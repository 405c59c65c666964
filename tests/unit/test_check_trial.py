"""What a trial shows: of each step whether it went right, and what to do when it did not."""

from __future__ import annotations

import pytest

from ari_app.calls import happenings as h
from ari_app.check import trial
from ari_app.check.findings import Finding, State
from ari_app.check.trial import Part
from ari_app.control.trials import NotTried, WhyNot
from cabinet.pages.findings import in_language
from tests.cabinet.kept_trials import DECLINED, NOT_REGISTERED, KeptTrial

TELEPHONE = "PJSIP/101/sip:101@10.0.0.5"
STORED = h.RecordingStored(0.0, "t1.wav", 8.0)


def shown(kept: KeptTrial, problem: str | None = None) -> dict[Part, Finding]:
    found = {Part(one.step or ""): one for one in trial.judge(kept.call, kept.told(problem))}
    assert list(found) == list(Part)
    for one in found.values():
        said = in_language(one, "ru")
        assert said.sentence != one.sentence, one.sentence
        assert said.remedy is None or said.remedy != one.remedy, one.remedy
    return found


def states(found: dict[Part, Finding]) -> str:
    """Write each step's state with a sign: + good, - bad, ! a warning, ? not known or not reached."""
    signs = {State.GOOD: "+", State.BAD: "-", State.WARNING: "!", State.UNKNOWN: "?"}
    return "".join(signs[one.state] for one in found.values())


def test_a_trial_that_goes_well_is_good_from_the_first_step_to_the_last() -> None:
    kept = KeptTrial().rings(TELEPHONE).answered(STORED)
    assert kept.call.over
    found = shown(kept)
    assert states(found) == "++++++"
    assert found[Part.ANSWERED].sentence == "it was answered after 3 s"
    assert "knows no customer with +74951112233" in found[Part.NAME].sentence


def test_while_it_rings_what_is_still_to_come_is_not_known() -> None:
    kept = KeptTrial()
    assert states(shown(kept)) == "+?????"
    kept.rings(TELEPHONE)
    assert states(shown(kept, "x")) == "+++??-"
    assert trial.goes_on(kept.call, kept.told(), kept.at)


def test_a_telephone_that_is_not_registered_is_the_first_thing_to_mend() -> None:
    found = shown(KeptTrial().rings().gone())
    assert states(found) == "+-????"
    assert "no telephone of extension 101 is registered" in found[Part.RANG].sentence
    assert "pjsip show contacts" in (found[Part.RANG].remedy or "")
    found = shown(KeptTrial().rings(TELEPHONE).ends(NOT_REGISTERED, 480))
    assert found[Part.ANSWERED].state is State.BAD


def test_nobody_answered_and_somebody_declined_are_told_apart() -> None:
    found = shown(KeptTrial().rings(TELEPHONE).overdue())
    assert found[Part.ANSWERED].sentence == "nobody answered within 30 s"
    assert states(found) == "+++-?+"
    found = shown(KeptTrial().rings(TELEPHONE).ends(DECLINED, 603))
    assert found[Part.ANSWERED].sentence == "the call was declined at the telephone"


def test_what_the_crm_says_is_told_when_it_refuses_the_popup_or_cant_be_asked() -> None:
    found = shown(KeptTrial().rings(TELEPHONE).answered(STORED), "the CRM says: code 101 is nobody's")
    assert found[Part.POPUP].sentence.endswith("code 101 is nobody's")
    kept = KeptTrial().happens(h.CustomerUnknown(0.0, "no answer within 2 s"))
    assert "no answer within 2 s" in shown(kept)[Part.NAME].sentence


def test_a_recording_that_is_lost_and_one_that_nobody_wants_are_two_things() -> None:
    lost = shown(KeptTrial().rings(TELEPHONE).answered(h.RecordingFailed(0.0, "no file")))
    assert lost[Part.RECORDED].state is State.BAD
    off = shown(KeptTrial(record=False).rings(TELEPHONE).answered())
    assert (off[Part.RECORDED].state, off[Part.RECORDED].sentence) == (
        State.WARNING,
        "recording is switched off",
    )


def test_a_trial_without_a_number_says_what_it_doesnt_show() -> None:
    found = shown(KeptTrial(number=None).rings(TELEPHONE).answered(STORED))
    assert states(found) == "++!++!"


@pytest.mark.parametrize("why", list(WhyNot))
def test_why_no_trial_begins_is_said_with_what_to_do(why: WhyNot) -> None:
    for detail in ("", "shop-incoming"):
        found = trial.not_begun(NotTried(why, detail))
        said = in_language(found, "ru")
        assert (found.state, found.step) == (State.BAD, Part.ASKED)
        assert said.sentence != found.sentence
        assert said.remedy != found.remedy
