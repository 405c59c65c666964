"""What hatchling asks before it builds: is all there that git doesn't know?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FETCHED = ("cabinet/vendor/htmx.min.js", "cabinet/vendor/pico.classless.min.css")
"""The script and the style of the pages."""


class Complete(BuildHookInterface[Any]):
    """Refuses to build what would have pages without style; an editable installation may come first."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Look before a build; `version` is what kind of wheel it is."""
        missing = [name for name in FETCHED if not (Path(self.root) / name).is_file()]
        if missing and version != "editable":
            raise SystemExit(f"Not there: {', '.join(missing)}. Run `make pages`, which fetches them by npm.")
