"""Whatever text comes, reading it takes time in proportion to its length: every regex of ours is tried."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONG = 3_000
"""Characters. A regex that is quadratic takes 4 000 000 steps for so many, one that isn't some thousands."""
MOST_SECONDS = 0.02
_CALLS = frozenset({"compile", "search", "match", "fullmatch", "sub", "split", "findall"})
_PUMPS = (
    *(" ", "a", "0", "-", "@", "/", "<", "(", ",", ";", "+", ".", "\n", "a/", "0-", " x", "a@", "<a>"),
    *("Local/", "sip:", ";a=b", "é", "/a@b", "{", "[", "%", "a-00000000"),
)
_ENDS = ("", "!")
_STARTS = ("", "Local/", "tel:")


def patterns() -> Iterator[tuple[str, re.Pattern[str], frozenset[str]]]:
    """Find the regexes that stand in the code, and how each is used; a value in one stands for a letter."""
    for room in ("ari_app", "cabinet", "stasis_dialplan"):
        for path in sorted((ROOT / room).rglob("*.py")):
            if "demo" not in path.parts:
                yield from _in_file(path)


def _in_file(path: Path) -> Iterator[tuple[str, re.Pattern[str], frozenset[str]]]:
    tree = ast.parse(path.read_text())
    calls = [
        one for one in ast.walk(tree) if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute)
    ]
    named = {
        ast.unparse(node.targets[0]): node.value for node in ast.walk(tree) if isinstance(node, ast.Assign)
    }
    for call in calls:
        assert isinstance(call.func, ast.Attribute)
        if ast.unparse(call.func.value) != "re" or call.func.attr not in _CALLS or not call.args:
            continue
        text = _text(call.args[0])
        if text is None:
            continue
        name = next((name for name, value in named.items() if value is call), "")
        used = frozenset(
            one.func.attr
            for one in calls
            if isinstance(one.func, ast.Attribute) and name and ast.unparse(one.func.value) == name
        )
        flags = sum(getattr(re, flag) for flag in re.findall(r"re\.([A-Z]+)\b", ast.unparse(call)))
        yield f"{path.relative_to(ROOT)}:{call.lineno}", re.compile(text, flags), used | {call.func.attr}


def _text(node: ast.expr) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) or "" for part in parts)
        case ast.FormattedValue():
            return "a"
        case ast.BinOp(left=left, right=right):
            return (_text(left) or "a") + (_text(right) or "a")
    return None


@pytest.mark.parametrize(("where", "pattern", "used"), [pytest.param(*one, id=one[0]) for one in patterns()])
def test_no_regex_takes_longer_than_its_text_is_long(
    where: str, pattern: re.Pattern[str], used: frozenset[str]
) -> None:
    looks_for = bool(used - {"compile", "match", "fullmatch"})
    for pump in _PUMPS:
        for start in _STARTS:
            for end in _ENDS:
                text = start + pump * (LONG // len(pump)) + end
                began = time.thread_time()
                pattern.fullmatch(text)
                pattern.match(text)
                if looks_for:
                    pattern.sub("", text)
                took = time.thread_time() - began
                assert took < MOST_SECONDS, f"{where}: {start}{pump}...{end}"
