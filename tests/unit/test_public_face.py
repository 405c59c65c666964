"""What others may use of the call-state model."""

import ast
from collections.abc import Iterator
from pathlib import Path

import ari_app.calls

ROOT = Path(ari_app.calls.__file__).parents[2]
PACKAGES = ("ari_app", "cabinet", "stasis_dialplan")


def _imports() -> Iterator[tuple[Path, ast.ImportFrom]]:
    """Find what is imported from the model by those who aren't part of it."""
    room = ROOT / "ari_app" / "calls"
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if room in path.parents:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ari_app.calls"):
                    yield path, node


def test_others_take_from_the_model_only_what_it_exports() -> None:
    exported = set(ari_app.calls.__all__)
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {name.name} of {node.module}"
        for path, node in _imports()
        for name in node.names
        if node.module != "ari_app.calls" or name.name not in exported
    ]
    assert wrong == []


def test_the_model_exports_nothing_that_nobody_uses() -> None:
    used = {name.name for _, node in _imports() for name in node.names}
    assert set(ari_app.calls.__all__) - used == set()
