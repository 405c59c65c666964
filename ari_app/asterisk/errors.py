"""What can go wrong with a request to the PBX, by remedy.

::

    AriError
    ├── AriRefused       the PBX said no: the request had no effect, repeating it won't help
    ├── AriUnknown       it may or may not have been done: ask the PBX what is true
    └── AriUnavailable   it was not done: the PBX can't be reached, or doesn't let us in
        └── AriDenied    wrong user or password: a person must mend it
"""

from __future__ import annotations


class AriError(Exception):
    """A request to the PBX did not do what it should."""


class AriRefused(AriError):
    """The PBX answered with a refusal; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status} {message}".strip())
        self.status = status


class AriUnknown(AriError):
    """The request may have been carried out: the answer was lost, or says nothing."""


class AriUnavailable(AriError):
    """The request was not carried out: nobody answers at the PBX's address."""


class AriDenied(AriUnavailable):
    """The PBX refuses our user name or password."""
