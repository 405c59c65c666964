"""What a soak prints at its end."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.soak.run import Outcome, wrong_fact

RESULTS = ("answered", "no answer", "busy", "failed", "unknown", "without us", "not told")


def tables(outcome: Outcome) -> str:
    """Say what was done, what came of it, and each wrong fact with its evidence."""
    return "\n".join([*_calls(outcome), "", *_faults(outcome), "", *_wrong(outcome)])


def _calls(outcome: Outcome) -> Iterator[str]:
    kinds = sorted({kind for kind, _ in outcome.results})
    columns = [result for result in RESULTS if any((kind, result) in outcome.results for kind in kinds)]
    yield f"{'calls, as the CRM was told':<34}" + "".join(f"{column:>12}" for column in (*columns, "all"))
    for kind in kinds:
        row = [outcome.results[kind, column] for column in columns]
        yield f"{kind:<34}" + "".join(f"{number or '':>12}" for number in (*row, sum(row)))
    row = [sum(outcome.results[kind, column] for kind in kinds) for column in columns]
    yield f"{'all':<34}" + "".join(f"{number or '':>12}" for number in (*row, sum(row)))


def _faults(outcome: Outcome) -> Iterator[str]:
    times = Counter(one.fault.what.value for one in outcome.faults)
    back: defaultdict[str, list[float]] = defaultdict(list)
    for one in outcome.faults:
        back[one.fault.what.value].append(one.lasted)
    yield f"{'faults':<34}{'times':>12}{'seconds until every PBX was heard again: median, longest':>64}"
    for what in sorted(times):
        ordered = sorted(seconds for seconds in back[what] if math.isfinite(seconds))
        seen = (
            f"{max(0.0, ordered[len(ordered) // 2]):.1f}, {max(0.0, ordered[-1]):.1f}" if ordered else "never"
        )
        yield f"{what:<34}{times[what]:>12}{seen:>64}"
    yield f"{'all':<34}{len(outcome.faults):>12}"


def _middle(ordered: list[float]) -> float:
    return ordered[len(ordered) // 2]


def _wrong(outcome: Outcome) -> Iterator[str]:
    for one in outcome.wrong:
        yield from wrong_fact(one)
    yield from (f"not played: {text}" for text in outcome.unplayed)
    facts = sum(len(one.facts) for one in outcome.wrong)
    yield (
        f"{outcome.calls} calls and {len(outcome.faults)} faults in {outcome.seconds / 60:.1f} minutes: "
        f"{facts} wrong facts in {len(outcome.wrong)} calls; {outcome.unknown:.2%} unknown; "
        f"the machine was {_middle(outcome.paces):.1f} times slower than a free one, "
        f"{outcome.paces[-1]:.1f} times at worst"
    )
