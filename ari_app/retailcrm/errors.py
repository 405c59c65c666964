"""What can go wrong between us and retailCRM, by what can be done about it.

::

    CrmError
    ├── CrmUnavailable     network, timeout, 5xx, an HTML page, nonsense     try again later
    │   └── CrmLimited     503 "Rate limit exceeded", 429, our own queue     try again a little later
    ├── CrmDenied          wrong key, no access, no such account,            a person must mend it;
    │                      telephony not enabled                             keep, try again rarely
    └── CrmRefused         400 and its kin: this very request is wrong       never send it again as it is

After `CrmUnavailable` the request may have been carried out all the same: only the answer is missing.
No message holds the API key.
"""


class CrmError(Exception):
    """The CRM did not do what it was asked; `str()` is one readable sentence without secrets."""


class CrmUnavailable(CrmError):
    """No usable answer came: the same request may succeed later, and may already have been carried out."""


class CrmLimited(CrmUnavailable):
    """Too many requests: the CRM's answer, or our own queue in front of it was too long.

    `retry_after` is the CRM's own wish in seconds, if it named one.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CrmDenied(CrmError):
    """The account, its key or its module must be mended by a person; until then nothing will be taken."""


class CrmRefused(CrmError):
    """The request itself is wrong for good.

    `error_msg` is the CRM's `errorMsg`; `errors` its `errors`, map or list, as readable lines.
    """

    def __init__(self, where: str, error_msg: str, errors: tuple[str, ...] = ()) -> None:
        super().__init__(f"{where}: {error_msg}" + (f" ({'; '.join(errors)})" if errors else ""))
        self.error_msg = error_msg
        self.errors = errors
