"""`ari-app settings`: a sample configuration in which each setting is explained."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import typer
from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from ari_app.settings import IN_FILE, PREFIX, Settings

WIDTH = 100
"""Characters of a line."""
_HEAD = f"""The settings of ari-app: environment variables, or lines of a file .env where it is started, or of
systemd's EnvironmentFile. What stands here is what holds without a setting; to change one, take the # away.

Each may be in a file of its own, which a name with {IN_FILE} behind it names, as Docker's, Kubernetes' and
systemd's secrets are: {PREFIX}SECRET_KEY{IN_FILE}=/run/secrets/secret_key."""


def settings() -> None:
    """Write a sample configuration with every setting, what it means, and what it is by itself."""
    typer.echo(sample(), nl=False)


def sample() -> str:
    """Give the sample, as it can be put into a file `.env`."""
    lines = list(_comment(_HEAD))
    for name, field in Settings.model_fields.items():
        lines += [
            "",
            *_comment(_explained(name, field)),
            f"#{PREFIX}{name.upper()}={_written(field.default)}",
        ]
    return "\n".join(lines) + "\n"


def _explained(name: str, field: FieldInfo) -> str:
    assert field.description, f"{name} has no docstring that explains it"
    text = " ".join(field.description.split())
    lowest = [limit.ge for limit in field.metadata if isinstance(limit, Ge)]
    highest = [limit.le for limit in field.metadata if isinstance(limit, Le)]
    if lowest:
        text += f" From {lowest[0]} {f'to {highest[0]}' if highest else 'on'}."
    if "SecretStr" in str(field.annotation) or not field.repr:
        text += f" It may hold a secret: better in a file, {PREFIX}{name.upper()}{IN_FILE}."
    return text


def _comment(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        if not text.startswith(paragraph):
            yield "#"
        yield from textwrap.wrap(
            paragraph,
            WIDTH,
            initial_indent="# ",
            subsequent_indent="# ",
            break_on_hyphens=False,
            break_long_words=False,
        )


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(settings)
