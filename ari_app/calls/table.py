"""The call-state model as a document: the stages, and what each thing that happens does to a call.

``python -m ari_app.calls.table`` prints it; the text comes from the moves themselves.
"""

from __future__ import annotations

import inspect
import re

from ari_app.calls.call import Stage
from ari_app.calls.flow import MOVES, Move

COMMAND = "python -m ari_app.calls.table"

CHANGES: dict[tuple[Stage | None, Stage], str] = {
    (None, Stage.ARRIVING): "a customer calls",
    (None, Stage.CALLING): "the CRM asks for a call",
    (None, Stage.RINGING): "a manager dials, or a customer without a number calls",
    (None, Stage.DIALPLAN): "without a number, and the dialplan comes first",
    (None, Stage.ENDING): "without a number, and there is nobody to try",
    (Stage.ARRIVING, Stage.RINGING): "the CRM knows the customer, or doesn't, or is too slow",
    (Stage.ARRIVING, Stage.DIALPLAN): "the dialplan comes first, or the service stops",
    (Stage.ARRIVING, Stage.ENDING): "there is nobody to try",
    (Stage.ARRIVING, Stage.ENDED): "the caller gives up",
    (Stage.CALLING, Stage.RINGING): "the manager answers: the customer is rung",
    (Stage.CALLING, Stage.ENDING): "the manager can't be had",
    (Stage.CALLING, Stage.ENDED): "the manager can't be had, and no channel is left",
    (Stage.RINGING, Stage.TALKING): "someone answers",
    (Stage.RINGING, Stage.DIALPLAN): "the dialplan comes next, or the service stops",
    (Stage.RINGING, Stage.ENDING): "the caller gives up, or everyone was tried",
    (Stage.RINGING, Stage.ENDED): "the same, when no channel is left: AJAM had placed the call",
    (Stage.TALKING, Stage.ENDING): "either side hangs up",
    (Stage.TALKING, Stage.ENDED): "either side hangs up, and AJAM had placed the call",
    (Stage.TALKING, Stage.RINGING): "a manager hands the customer over by feature code",
    (Stage.TALKING, Stage.DIALPLAN): "the same, to a busy colleague, and the fallback is in the dialplan",
    (Stage.TALKING, Stage.TRANSFERRING): "a manager transfers the customer",
    (Stage.TRANSFERRING, Stage.TALKING): "somebody takes the transfer",
    (Stage.TRANSFERRING, Stage.RINGING): "nobody takes the transfer: the fallback is rung",
    (Stage.TRANSFERRING, Stage.DIALPLAN): "nobody takes it, and the fallback is in the dialplan",
    (Stage.TRANSFERRING, Stage.ENDING): "the customer hangs up, or nobody takes it and there is no fallback",
    (Stage.TRANSFERRING, Stage.ENDED): "the customer hangs up, and no channel is left",
    (Stage.DIALPLAN, Stage.RINGING): "the caller comes back",
    (Stage.DIALPLAN, Stage.ENDING): "the caller is gone, a phone's channel not yet; or came back to nobody",
    (Stage.DIALPLAN, Stage.ENDED): "the caller is gone",
    (Stage.ENDING, Stage.ENDED): "every channel is gone, the CRM was told",
}
"""How a call comes from one stage to another, when nothing was missed; none is the outside world."""

STAGES: dict[Stage, str] = {
    Stage.ARRIVING: "The CRM is asked who calls.",
    Stage.CALLING: "The CRM asked for a call: the manager's own phone is rung first.",
    Stage.RINGING: "Somebody is being tried.",
    Stage.TALKING: "Customer and manager talk.",
    Stage.TRANSFERRING: "The customer waits for the person to whom a manager has transferred them.",
    Stage.DIALPLAN: "The caller was sent on into the shop's own dialplan and is followed to the end.",
    Stage.ENDING: "Nobody talks now; channels go, the recording comes.",
    Stage.ENDED: "Everything about the call is done. Nothing that happens changes it.",
}


_READ_IT_SO = """\
What a stage doesn't list changes nothing there: it came late, or twice. A timer that is not set, or not due,
changes nothing either. What the PBX says is true (`PbxSaid`) is taken as the happenings that were missed, so
it may lead a call through several stages at once."""


def state_table() -> str:
    """Write the document, in Markdown."""
    parts = [
        "# The states of a call",
        f"Made by `{COMMAND} > docs/call-states.md` from the moves in `ari_app/calls`; not edited by hand.",
        _READ_IT_SO,
        _diagram(),
        *map(_section, Stage),
    ]
    return "\n\n".join(parts) + "\n"


def _diagram() -> str:
    arrows = (
        f"    {from_ or '[*]'} --> {to}: {why}"
        for (from_, to), why in sorted(CHANGES.items(), key=lambda change: _order(*change[0]))
    )
    return "\n".join(["```mermaid", "stateDiagram-v2", *arrows, f"    {Stage.ENDED} --> [*]", "```"])


def _order(from_: Stage | None, to: Stage) -> tuple[int, int]:
    stages = list(Stage)
    return -1 if from_ is None else stages.index(from_), stages.index(to)


def _section(stage: Stage) -> str:
    rows = [
        f"| {_words(happening)} | {_first_line(move)} |"
        for (at_stage, happening), move in MOVES.items()
        if at_stage is stage
    ]
    head = [f"## {stage.value.capitalize()}", "", STAGES[stage]]
    return "\n".join(
        [*head, "", "| what happens | what the call does |", "|---|---|", *rows] if rows else head
    )


def _words(happening: type) -> str:
    """Take a happening's name apart: ``LegAnswered`` is *leg answered*."""
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", happening.__name__).lower()
    return f"{words} (`{happening.__name__}`)"


def _first_line(move: Move) -> str:
    return (inspect.getdoc(move) or "").partition("\n")[0].replace("|", "\\|")


if __name__ == "__main__":
    print(state_table(), end="")
