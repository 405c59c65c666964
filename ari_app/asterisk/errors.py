"""What can go wrong with a request to the PBX, by remedy.

::

    PbxError
    ├── AriError                 by ARI
    │   ├── AriRefused           the PBX said no: the request had no effect, repeating it won't help
    │   ├── AriUnknown           it may or may not have been done: ask the PBX what is true
    │   └── AriUnavailable       it was not done: the PBX can't be reached, or doesn't let us in
    │       └── AriDenied        wrong user or password: a person must mend it
    └── AjamError                by AJAM, with the same meanings
        ├── AjamRefused
        ├── AjamUnknown
        └── AjamUnavailable      or what answers there is no AJAM
            └── AjamDenied       or the user lacks a right
"""

from __future__ import annotations


class PbxError(Exception):
    """A request to the PBX did not do what it should."""


class AriError(PbxError):
    """A request by ARI did not do what it should."""


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


class AjamError(PbxError):
    """An action by AJAM did not do what it should."""


class AjamRefused(AjamError):
    """The PBX answered with a refusal; `message` is what it said."""

    def __init__(self, action: str, message: str) -> None:
        super().__init__(f"{action}: {message}")
        self.message = message


class AjamUnknown(AjamError):
    """The action may have been carried out: the answer was lost, or can't be read."""


class AjamUnavailable(AjamError):
    """The action was not carried out: nobody answers at the PBX's address, or no AJAM is there."""


class AjamDenied(AjamUnavailable):
    """The PBX refuses our user name or password, or the user may not do what we need."""
