"""The AGI script for dialplans that keep their own flow, with an account's settings in it."""

from __future__ import annotations

from pathlib import Path

from stasis_dialplan.settings import CannotRender

_SCRIPT = Path(__file__).with_name("event2.sh")


def event2(client_id: str, address: str) -> str:
    """Write the script for one account; an empty `client_id` is left for a person to fill in.

    Raises:
        CannotRender: the clientId or the address has characters that are not text.
    """
    script = _SCRIPT.read_text("utf-8")
    for name, value in (("SERVICE", address.rstrip("/")), ("CLIENTID", client_id)):
        if value:
            script = _set(script, name, value)
    return script


def _set(script: str, name: str, value: str) -> str:
    if not value.isprintable():
        raise CannotRender(f"{name} of event2.sh can't hold {value!r}: it has characters that are not text")
    before, found, after = script.partition(f'\n{name}=""\n')
    assert found, f"event2.sh has lost its setting {name}"
    return f"{before}\n{name}={_quoted(value)}\n{after}"


def _quoted(value: str) -> str:
    """Quote a value for the shell, in the way of the other settings where that is safe."""
    if not set(value) & set('"\\$`'):
        return f'"{value}"'
    return "'" + value.replace("'", "'\\''") + "'"
