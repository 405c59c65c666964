"""Asterisk's own description of its API, as a rule of what may be asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ari_app.demo.pbx.machine import Installation

_FOLDERS = ("usr/share/asterisk/rest-api", "var/lib/asterisk/rest-api")


class NotAsked(Exception):
    """What Asterisk answers with a status of its own before it carries anything out."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(f"{status} {sentence}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that the description knows: ``channels.create``, and its values, those of its path too."""

    operation: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class _Operation:
    name: str
    path: re.Pattern[str]
    known: frozenset[str]
    required: frozenset[str]


class Description:
    """The files that Asterisk gives of itself, and what they allow."""

    def __init__(self, installation: Installation) -> None:
        root = installation.root or Path("/")
        folder = next(root / one for one in _FOLDERS if (root / one).is_dir())
        self.files = {file.name: file.read_bytes() for file in folder.glob("*.json")}
        self._operations: dict[tuple[str, int], list[_Operation]] = {}
        for name in sorted(self.files.keys() - {"resources.json"}):
            for api in orjson.loads(self.files[name])["apis"]:
                for operation in api["operations"]:
                    self._add(name.removesuffix(".json"), api["path"], operation)

    def _add(self, resource: str, path: str, described: Mapping[str, Any]) -> None:
        parameters = described.get("parameters", [])
        known = {one["name"] for one in parameters if one["paramType"] != "body"}
        required = {one["name"] for one in parameters if one.get("required") and one["paramType"] == "query"}
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path.lstrip("/")))
        operation = _Operation(
            f"{resource}.{described['nickname']}", pattern, frozenset(known), frozenset(required)
        )
        key = (described["httpMethod"], path.count("/"))
        places = self._operations.setdefault(key, [])
        places.insert(len(places) if "{" in path else 0, operation)

    def read(self, method: str, path: str, query: Mapping[str, str]) -> Asked:
        """Find what is asked for; `path` is what follows ``/ari/``, with its escapes undone.

        Raises:
            NotAsked: there is no such operation, or not with these parameters.
        """
        for operation in self._operations.get((method, path.count("/") + 1), ()):
            found = operation.path.fullmatch(path)
            if found is None:
                continue
            if query.keys() - operation.known or operation.required - query.keys():
                raise NotAsked(400, f"{operation.name} with {sorted(query)}")
            return Asked(operation.name, {**found.groupdict(), **query})
        raise NotAsked(404, f"{method} {path}")
