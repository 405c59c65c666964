"""Every key in Redis, in one place. Keys of an account begin with its hash tag, so that they share a slot."""

from __future__ import annotations

ACCOUNTS = "accounts"
"""Hash: account id -> its settings."""
REVISION = "{accounts}:revision"
"""Counter: grows with every change of an account; in the slot of `ACCOUNTS`."""
REMOVED = "{accounts}:removed"
"""Hash: an account that was removed, and not made again since -> when; in the slot of `ACCOUNTS`."""
RUNNING = "running"
"""String: it is there while a service works with this Redis; it expires."""
COPIES = "copies"
"""Hash: a copy of the service that is at work -> when it said so, how many accounts it holds, its address."""
INSTALLATION = "installation"
"""String: the name by which a PBX knows all copies of the service on this Redis."""


def session(digest: str) -> str:
    """String: the account to which a session in the cabinet belongs; it expires."""
    return f"session:{digest}"


def attempts(who: str) -> str:
    """Counter: how often somebody tried to sign in; it expires."""
    return f"attempts:{who}"


def door(digest: str) -> str:
    """String: it is there when a link that opens a cabinet once was used; it expires."""
    return f"door:{digest}"


class Keys:
    """The keys of one account."""

    def __init__(self, account: str) -> None:
        tag = f"{{{account}}}"
        self._tag = tag
        self.lease = f"{tag}:lease"
        """Hash: which copy of the service holds the account: holder, epoch, address, and until when."""
        self.live = f"{tag}:calls:live"
        """Set: ids of the calls that are not over."""
        self.ended = f"{tag}:calls:ended"
        """Sorted set: ids of the calls that are over, by the moment of their start."""
        self.trials = f"{tag}:calls:trials"
        """Sorted set: ids of the trials that are over, by the moment of their start; they are in no log."""
        self.reported = f"{tag}:calls:reported"
        """Set: ids of the calls that a dialplan of the shop's own reports, and that are not over."""
        self.late = f"{tag}:calls:late"
        """Set: ids of the calls that a former holder has handed in, and the holder hasn't taken up yet."""
        self.outbox = f"{tag}:outbox"
        """Stream: what the CRM is still to be told."""
        self.refused = f"{tag}:refused"
        """Hash: outbox entry id -> what the CRM refused for good."""
        self.watched = f"{tag}:journal"
        """Channel, of what is published: a call's id and the newest lines of its journal, a line each.

        An earlier version has a stream under this name.
        """
        self.statuses = f"{tag}:statuses"
        """Hash: extension -> its manager's state in the CRM."""
        self.module = f"{tag}:module"
        """Hash: what the CRM said of our module: whether telephony is on, and its own settings."""
        self.pbx = f"{tag}:pbx"
        """Hash: when the PBX was last connected, and when it had been started."""
        self.pbx_known = f"{tag}:pbx:known"
        """Hash: which PBX the account has, and since when."""
        self.tokens = f"{tag}:tokens"
        """Hash: a token's digest -> its name and when it was made."""
        self.tokens_used = f"{tag}:tokens:used"
        """Hash: a token's digest -> when it was used last."""
        self.staff = f"{tag}:staff"
        """Hash: a CRM user's id -> their name, and whether they are blocked or have left."""
        self.staff_about = f"{tag}:staff:about"
        """Hash: how the last synchronisation went, the CRM's shops, and what it was told of extensions."""
        self.events = f"{tag}:events"
        """Stream: the newest of what happened in the account beside its calls."""
        self.clicks = f"{tag}:clicks"
        """List: when clicks in the CRM placed calls within a day, from which extensions; it expires."""
        self.missed = f"{tag}:missed"
        """Hash: a customer's number -> how they were missed; only those who weren't called back."""
        self.missed_since = f"{tag}:missed:since"
        """Sorted set: the numbers in `missed`, by the moment since which they are missed."""
        self.missed_calls = f"{tag}:missed:calls"
        """Sorted set: ids of the missed calls that were taken note of in the last days, by their start."""
        self.missed_closed = f"{tag}:missed:closed"
        """Sorted set: how customers were missed and what became of it, by the moment of the first time."""
        self.missed_lost = f"{tag}:missed:lost"
        """String: until when missed customers who are lost were told as that."""
        self.alerts = f"{tag}:alerts"
        """Hash: what fails -> since when, and whether the administrator was told."""
        self.counted = f"{tag}:statistics:counted"
        """String: it is there when calls from before there were statistics are counted too."""

    def aside(self, key: str, at: float) -> str:
        """Give where a key of the account goes that isn't of its kind; `at` is in seconds since the epoch."""
        return f"{self._tag}:aside:{key.removeprefix(self._tag + ':')}:{int(at * 1000)}"

    def call(self, call_id: str) -> str:
        """String: a call's state; of one that is over and was packed, its journal too."""
        return f"{self._tag}:call:{call_id}"

    def channel(self, channel: str) -> str:
        """String: the call of ours that began with a channel; it expires."""
        return f"{self._tag}:channel:{channel}"

    def journal(self, call_id: str) -> str:
        """List: a call's journal lines."""
        return f"{self._tag}:call:{call_id}:journal"

    def missed_task(self, call_id: str) -> str:
        """String: the CRM's id of the task to call back that a missed call has made; it expires."""
        return f"{self._tag}:missed:task:{call_id}"

    def packed(self, call_id: str) -> str:
        """String: what was packed of a call of which something was written later."""
        return f"{self._tag}:call:{call_id}:packed"

    def all_of(self, call_id: str) -> tuple[str, str, str]:
        """Name all that is kept of one call alone, but for what expires."""
        return self.call(call_id), self.journal(call_id), self.packed(call_id)

    def number(self, number: str) -> str:
        """Sorted set: ids of the calls with a customer's number that are over, by their start."""
        return f"{self._tag}:number:{number}"

    def statistics(self, day: str) -> str:
        """Hash: what the calls of a day (``YYYY-MM-DD``) add up to."""
        return f"{self._tag}:statistics:{day}"

    @property
    def all(self) -> str:
        """Pattern of all keys of the account."""
        return f"{self._tag}:*"
