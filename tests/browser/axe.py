"""Asks axe-core what shuts people out of a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.browser.windows import Window

_AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
_SERIOUS = frozenset({"serious", "critical"})


async def is_open_to_all(window: Window) -> None:
    """Make sure that axe finds nothing serious on the page that is shown.

    It is run by the browser's own console, which the page's policy doesn't bind.
    """
    await window.page.evaluate(_AXE.read_text("utf-8"))
    said = await window.page.evaluate("axe.run()")
    assert len(said["passes"]) > 10
    found: list[dict[str, Any]] = [one for one in said["violations"] if one["impact"] in _SERIOUS]
    where = [(one["id"], node["html"], node["failureSummary"]) for one in found for node in one["nodes"]]
    assert not where, json.dumps(where, ensure_ascii=False, indent=1)
