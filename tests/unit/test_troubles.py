"""What of a shop's own wishes fails, and since when."""

from __future__ import annotations

from ari_app.accounts.current import Current
from ari_app.accounts.reading import read_account
from ari_app.calls import TellTask
from ari_app.retailcrm.errors import CrmDenied
from ari_app.retailcrm.troubles import Kind, Troubles, What
from tests.support.accounts import account_toml

TASKS = "\n[missed]\ntask = true\n"


def test_what_waited_when_the_service_was_started_has_failed_for_longer_than_it_runs() -> None:
    troubles = Troubles(Current(read_account(account_toml() + TASKS)))
    for at in (1000.0, 2000.0):
        troubles.failed(TellTask(at, "+79161234567", None, (), at), CrmDenied("tasks are not allowed"))
    (trouble,) = troubles.all
    assert (trouble.what, trouble.kind, trouble.since) == (What.TASKS, Kind.DENIED, 1000.0)
