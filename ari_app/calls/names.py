"""What a phone shows of a caller."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from ari_app.calls.call import Call

NAME_LENGTH = 80
"""Characters."""
NAME_BYTES = 255
"""Of UTF-8: where Asterisk cuts a name off, be it in the middle of a letter."""

_JOINER, _KEYCAP = "\u200d", "\u20e3"
_REGIONAL = re.compile("[\U0001f1e6-\U0001f1ff]")
_GOES_ON = re.compile("[\u200c\u200d\ufe00-\ufe0f\u1160-\u11ff\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
"""Belongs to the character before it: selectors, skin tones, the tags of flags, parts of Korean syllables."""


def clean_name(name: str | None) -> str | None:
    r"""Make a customer's name fit to be shown by a phone: no control characters, ``"``, ``<>`` or ``${``."""
    if name is None:
        return None
    kept = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\"`<>\\]|[$][{\[]", " ", name)
    return fitting(" ".join(kept.split())) or None


def shown_name(call: Call) -> str:
    """Say what a phone shows: ``[prefix]: [name]`` of a known customer, else the number."""
    if call.name is None:
        return "" if call.policy.blank_unknown_caller else (call.number or "")
    return with_prefix(call.policy.caller_name_prefix, call.name)


def with_prefix(prefix: str, name: str) -> str:
    """Write a customer's name as the shop wants it shown: ``[prefix]: [name]``."""
    clean = clean_name(prefix)
    return fitting(f"{clean}: {name}" if clean else name)


def fitting(text: str, most_bytes: int = NAME_BYTES) -> str:
    """Cut a text to what a phone and the PBX take, behind a whole character as people see one."""
    kept, size = "", 0
    for character in _characters(text):
        size += len(character.encode("utf-8", "replace"))
        if len(kept) + len(character) > NAME_LENGTH or size > most_bytes:
            break
        kept += character
    return kept.strip()


def _characters(text: str) -> Iterator[str]:
    """Split a text into what people see as one character: a letter with its accents, an emoji, a flag."""
    whole = ""
    for letter in text:
        if whole and not _belongs(whole, letter):
            yield whole
            whole = ""
        whole += letter
        if len(whole) > NAME_LENGTH // 2:  # nobody's letter: a heap of accents
            yield whole
            whole = ""
    yield whole


def _belongs(whole: str, letter: str) -> bool:
    if _GOES_ON.match(letter) or letter == _KEYCAP or unicodedata.category(letter) in ("Mn", "Mc", "Me"):
        return True
    if _REGIONAL.match(letter):  # a flag is two of these
        return len(whole) == 1 and _REGIONAL.match(whole) is not None
    return whole.endswith(_JOINER) and not letter.isspace()
