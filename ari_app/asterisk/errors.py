"""What can go wrong with a request to the PBX, by remedy.

::

    PbxError
    ├── PbxRefused           the PBX said no: the request had no effect, repeating it won't help
    ├── PbxUnknown           it may or may not have been done: ask the PBX what is true
    └── PbxUnavailable       it was not done: the PBX can't be reached, or something else answers there
        ├── PbxDenied        the PBX doesn't let us in, or the user lacks a right: a person must mend it
        ├── PbxTaken         another installation of ours holds the PBX: it is left to it
        └── PbxLost          another copy of the service has taken the account since: it is let go

By which way the request went, ARI or AJAM, is the error's `way`.
"""

from __future__ import annotations

from ari_app.calls import Way
from ari_app.failures import cause_of


class PbxError(Exception):
    """A request to the PBX did not do what it should; `str()` is one readable sentence without secrets."""

    def __init__(self, way: Way, problem: str) -> None:
        super().__init__(problem)
        self.way = way


class PbxRefused(PbxError):
    """The PBX answered with a refusal: `said` is what it said, and `status` ARI's HTTP status.

    `action` names what AJAM was asked for.
    """

    def __init__(self, way: Way, said: str, *, status: int | None = None, action: str = "") -> None:
        super().__init__(way, f"{action}: {said}" if status is None else f"{status} {said}".strip())
        self.said = said
        self.status = status


class PbxUnknown(PbxError):
    """The request may have been carried out: the answer was lost, or can't be read."""


class PbxUnavailable(PbxError):
    """The request was not carried out: nobody answers at the PBX's address, or somebody else."""


class PbxDenied(PbxUnavailable):
    """The PBX refuses our user name or password, or the user may not do what we need."""


class PbxTaken(PbxUnavailable):
    """Another installation of this service, with another Redis, holds the PBX."""


class PbxLost(PbxUnavailable):
    """Another copy of the service has held the PBX since we took the account."""


def why(error: BaseException) -> str:
    """Say for whom a remedy is to be chosen: as `cause_of` does, or ``password``, ``admitted`` (our address
    isn't), ``absent`` (something answers, but not what we look for), ``held`` by another installation.
    """
    match error:
        case PbxTaken():
            return "held"
        case PbxDenied():
            return "admitted" if " 403" in str(error) else "password"
        case PbxRefused(status=404):
            return "absent"
        case PbxError(__cause__=None):
            return "absent" if isinstance(error, PbxUnavailable) else "other"
        case PbxError():
            return cause_of(error.__cause__)
        case _:
            return cause_of(error)
