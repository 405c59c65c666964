"""The API's description as a page, for people: drawn of what ``/api/openapi.json`` gives, and nothing else.

It is for all, as the description is. Its sentences have their Russian in `locales/api.ru.po`.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp_jinja2
from aiohttp import web
from babel.messages.pofile import read_po
from jinja2 import pass_context
from jinja2.runtime import Context

from ari_app.errors import StoreUnavailable
from cabinet.api.openapi import DESCRIPTION, Schema
from cabinet.frame.clients import SERVICE
from cabinet.frame.rendering import page
from cabinet.frame.visits import find_visit

_CATALOGUE = Path(__file__).parents[1] / "locales" / "api.ru.po"
_REFUSAL = "Refusal"
_FILE_EXAMPLE = "@call.wav"
"""How curl is told to send a file."""


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a field of a body or of an answer; `name` says where in the body it stands."""

    name: str
    kinds: tuple[str, ...]
    """``text``, ``number``, ``file``, ``list``, ``object``, ``null``: any of these."""
    required: bool
    description: str
    words: tuple[str, ...]
    """The values that it may have; empty where these are not counted."""
    least: int | None
    most: int | None
    """The smallest and greatest number."""
    longest: int | None
    """Characters of a text."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One form that a body or an answer may have; `title` where there are several."""

    title: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """A body or an answer in one content type, with an example of it; empty if there is none."""

    type: str
    shapes: tuple[Shape, ...]
    example: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What may be answered; an error that looks like all errors has no contents here."""

    status: str
    description: str
    contents: tuple[Content, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    opener: str
    """With what it is asked: ``clientId``, ``token``, or nothing."""
    parameters: tuple[Field, ...]
    bodies: tuple[Content, ...]
    answers: tuple[Answer, ...]
    requests: tuple[str, ...]
    """Examples, as curl sends them; ``{address}`` stands for the service's."""


def set_up(app: web.Application) -> None:
    """Let the template say the description's sentences in the reader's language."""
    aiohttp_jinja2.get_env(app).filters["described"] = _described


async def show(request: web.Request) -> web.Response:
    """Show the API to anybody; who is signed in has the cabinet's tabs above it."""
    try:
        visit = await find_visit(request)
    except StoreUnavailable:
        visit = None
    return page(
        request,
        "api_reference.html",
        visit,
        info=DESCRIPTION["info"],
        operations=operations(),
        refusal=_shapes({"$ref": f"#/components/schemas/{_REFUSAL}"}, answered=True),
        address=request.app[SERVICE].public_url,
    )


@pass_context
def _described(context: Context, text: str) -> str:
    return in_russian(text) if context["speech"].language == "ru" else text


def in_russian(text: str) -> str:
    """Say a sentence of the description in Russian; one that the catalogue doesn't know stays English."""
    return catalogue().get(text, text)


@cache
def catalogue() -> dict[str, str]:
    """Read the catalogue: the description's sentences in Russian."""
    with _CATALOGUE.open("rb") as file:
        return {str(one.id): str(one.string) for one in read_po(file, locale="ru") if one.id and one.string}


@cache
def operations() -> tuple[Operation, ...]:
    """Read all that the description describes."""
    return tuple(
        _operation(path, method, said)
        for path, methods in DESCRIPTION["paths"].items()
        for method, said in methods.items()
    )


def _operation(path: str, method: str, said: Schema) -> Operation:
    path = DESCRIPTION["servers"][0]["url"] + path
    security = said.get("security", DESCRIPTION["security"])
    opener = next(iter(security[0]), "") if security else ""
    parameters = said.get("parameters", ())
    body = said.get("requestBody", {}).get("content", {})
    return Operation(
        said["operationId"],
        method.upper(),
        path,
        said["summary"],
        said.get("description", ""),
        opener,
        tuple(_field(one["name"], one["schema"], one["required"]) for one in parameters),
        tuple(_content(kind, content) for kind, content in body.items()),
        tuple(_answer(status, answer) for status, answer in said["responses"].items()),
        tuple(_requests(method, path, opener, parameters, body)),
    )


def _answer(status: str, said: Schema) -> Answer:
    contents = said["content"]
    if contents["application/json"]["schema"].get("$ref", "").endswith(f"/{_REFUSAL}"):
        contents = {}
    return Answer(
        status,
        said["description"],
        tuple(_content(kind, content, answered=True) for kind, content in contents.items()),
    )


def _content(kind: str, said: Schema, answered: bool = False) -> Content:
    example = said.get("example", "")
    if not isinstance(example, str):
        example = json.dumps(example, ensure_ascii=False, indent=2)
    return Content(kind, _shapes(said["schema"], answered), example if answered else "")


def _shapes(schema: Schema, answered: bool = False) -> tuple[Shape, ...]:
    schema = _followed(schema)
    several = schema.get("oneOf")
    if several is None:
        return (Shape("", tuple(_fields(schema, "", answered))),)
    titles = [one["properties"]["type"]["description"] for one in several]
    return tuple(Shape(title, tuple(_fields(one, ""))) for title, one in zip(titles, several, strict=True))


def _fields(schema: Schema, within: str, answered: bool = False) -> Iterator[Field]:
    """Give the fields of an object, those of objects and lists in it behind them.

    Which fields an answer always has says nothing to whom reads it: what is missing there is said by null.
    """
    for name, one in schema.get("properties", {}).items():
        said = _followed(one)
        yield _field(f"{within}{name}", said, not answered and name in schema.get("required", ()))
        if "properties" in said:
            yield from _fields(said, f"{within}{name}.", answered)
        elif "properties" in _followed(said.get("items", {})):
            yield from _fields(_followed(said["items"]), f"{within}{name}[].", answered)


def _field(name: str, schema: Schema, required: bool) -> Field:
    words = schema.get("enum") or schema.get("examples") or [schema["const"]] if _has_words(schema) else []
    return Field(
        name,
        tuple(dict.fromkeys(_kinds(schema))),
        required,
        schema.get("description", ""),
        tuple(json.dumps(word) if not isinstance(word, str) else word for word in words if word != ""),
        schema.get("minimum"),
        schema.get("maximum"),
        schema.get("maxLength"),
    )


def _has_words(schema: Schema) -> bool:
    return any(name in schema for name in ("enum", "examples", "const"))


_KINDS = {
    "string": "text",
    "integer": "number",
    "array": "list",
    "object": "object",
    "null": "null",
    "boolean": "boolean",
}


def _kinds(schema: Schema) -> Iterator[str]:
    if schema.get("format") == "binary":
        yield "file"
    elif "anyOf" in schema:
        for one in schema["anyOf"]:
            yield from _kinds(one)
    elif "type" in schema:
        types = schema["type"]
        yield from (_KINDS[one] for one in ([types] if isinstance(types, str) else types))
    else:
        values = schema.get("enum") or [schema["const"]]
        if all(isinstance(value, bool) for value in values):
            yield "boolean"
        else:
            yield "text"
            if None in values:
                yield "null"


def _followed(schema: Schema) -> Schema:
    """Give what a reference leads to; what is none stays."""
    found = schema
    if "$ref" in schema:
        found = DESCRIPTION
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
    return found


def _requests(
    method: str, path: str, opener: str, parameters: list[Schema], body: dict[str, Schema]
) -> Iterator[str]:
    query = {one["name"]: one["example"] for one in parameters if "example" in one}
    if opener == "clientId":
        query = {"clientId": "CLIENT_ID", **query}
    address = "{address}" + path
    asked = f"{address}?{urlencode(query)}" if query else address
    start = ["curl"]
    if opener == "token":
        start += ["-H", "Authorization: Bearer TOKEN"]
    if not body:
        yield shlex.join([*start, asked])
    for kind, content in body.items():
        yield shlex.join([*start, *_body(kind, content), asked])


def _body(kind: str, content: Schema) -> Iterator[str]:
    """Give curl's words for a body; of a form that has no example, of its fields' own."""
    example: dict[str, Any] = content.get("example", {})
    if kind == "application/json":
        yield from ("-H", f"Content-Type: {kind}", "-d", json.dumps(example, ensure_ascii=False))
        return
    if kind == "multipart/form-data":
        option, schema = "-F", content["schema"]
        example = {
            name: _FILE_EXAMPLE if one.get("format") == "binary" else one.get("example") or one["enum"][0]
            for name, one in schema["properties"].items()
            if name in schema["required"]
        }
    else:
        option = "--data-urlencode"
    for name, value in example.items():
        yield from (option, f"{name}={value}")
