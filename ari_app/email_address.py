"""E-mail addresses, as far as we write to them: a plain local part at a domain, all in ASCII.

What stands here goes into a mail's header and to the server: nothing with a blank, a quote, a bracket or the
end of a line is an address (RFC 5321 lets more be one, of which nobody's real address makes use).
"""

from __future__ import annotations

import re

LONGEST = 254
"""Characters of an address (RFC 5321)."""
_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?P<local>{_LOCAL})@(?P<domain>{_LABEL}(?:\.{_LABEL})+)")


def mailbox(text: str) -> str | None:
    """Give the address that a text is, its domain in ASCII (IDNA) and small letters; None when it is none."""
    local, _, domain = text.strip().rpartition("@")
    try:
        domain = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    found = _ADDRESS.fullmatch(f"{local}@{domain}")
    is_short = len(local) <= 64 and len(local) + 1 + len(domain) <= LONGEST
    return found.group() if found is not None and is_short else None
