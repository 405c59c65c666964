"""The configuration of the lab's Asterisk, written from the templates in `conf/`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path

_EMPTY = (
    *("acl", "ccss", "cdr", "cel", "chan_websocket", "pjproject", "pjsip_notify"),
    *("res_http_media_cache", "udptl", "websocket_client"),
)
"""Files that Asterisk warns of when they are missing; their defaults are what we want."""


def write(
    folder: Path,
    values: Mapping[str, object],
    phones: Mapping[str, int],
    twins: Mapping[str, tuple[int, ...]],
    queues: Iterable[str],
) -> None:
    """Write every file of `conf/` into `folder`, with each `@name@` replaced by its value.

    `phones` has the port of each extension's phone, `twins` the ports of those with several. The queue
    `linearN` rings in turn, `strictN` refuses callers when it has nobody to ring, all others ring everybody
    at once.
    """
    queues = list(queues)
    everything = {
        **values,
        "phones": "\n".join(
            [_phone(code, port) for code, port in phones.items()]
            + [_phone(code, *ports) for code, ports in twins.items()]
        ),
        "queues": "\n".join(map(_queue, queues)),
        "queue_contexts": "\n".join(map(_queue_context, queues)),
    }
    for name in _EMPTY:
        (folder / f"{name}.conf").touch()
    for template in resources.files(__package__).joinpath("conf").iterdir():
        text = re.sub(r"@([a-z_]+)@", lambda found: str(everything[found[1]]), template.read_text())
        (folder / template.name).write_text(text)


def _phone(extension: str, *ports: int) -> str:
    """Make a telephone, or several; ``99302`` is another one of extension 302, whose number it shows."""
    twin = f"callerid = <{extension[2:]}>\n" if len(extension) > 3 else ""
    contacts = "".join(f"contact = sip:{extension}@127.0.0.1:{port}\n" for port in ports)
    return f"[{extension}](phone)\naors = {extension}\n{twin}[{extension}]\ntype = aor\n{contacts}"


def _queue(name: str) -> str:
    lines = [f"[{name}](common)", f"strategy = {'linear' if name.startswith('linear') else 'ringall'}"]
    if name.startswith("strict"):
        lines += ["joinempty = no", "leavewhenempty = yes"]
    return "\n".join(lines) + "\n"


def _queue_context(name: str) -> str:
    """Make `queue:NAME` work, which is the extension `s` of a context of its own."""
    return f"[{name}]\nexten => s,1,Goto(queues,{name},1)\n"
