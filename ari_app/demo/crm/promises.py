"""What our product must never tell a CRM, whatever the API itself would swallow.

The order of what one call tells: `in`/`out`, each person once; one `hangup`, naming those who were told and
nobody else; one upload, after the hangup. All has one direction: a colleague to whom an outgoing call is
transferred hears `out` too. Requests that a fault kept from being carried out count as tried.
Of a call that a dialplan of the shop's own reports, the end may be all that is ever known.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ari_app.demo.crm.rules import ToldCall, ToldEvent

REPORTED = "reported-"
"""So begin the ids of calls that we only hear of."""
_CLOCKS_APART = timedelta(seconds=60)


@dataclass(slots=True)
class _OneCall:
    direction: str | None = None
    told: set[str] = field(default_factory=set)
    tried: set[str] = field(default_factory=set)  # codes in events that a fault kept from being carried out
    hangups: int = 0
    hangup_tried: bool = False
    uploaded: bool = False


class Promises:
    """Follows the calls of one account; each method answers with the promises that were broken."""

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)
        self._calls: dict[str, _OneCall] = {}
        self._disturbed = False

    def event_tried(self, event: ToldEvent | None) -> None:
        """An event was not carried out, by the CRM's fault: from now on popups may have expired unsent."""
        self._disturbed = True
        if event is None or event.call_external_id is None:
            return
        call = self._call(event.call_external_id)
        if event.type == "hangup":
            call.hangup_tried = True
        else:
            call.tried |= set(event.codes)
            call.direction = call.direction or event.type

    def event_told(self, event: ToldEvent) -> list[str]:
        """A new event; not an exact repeat of one that was taken before."""
        if event.call_external_id is None:
            return [f"{event.type} without callExternalId"]
        call = self._call(event.call_external_id)
        broken = self._hangup(call, event) if event.type == "hangup" else self._popup(call, event)
        if len(set(event.codes)) < len(event.codes):
            broken.append("names a code twice")
        broken += _numbers(event.phone, event.external_phone)
        return [f"call {event.call_external_id}: {event.type} {text}" for text in broken]

    def _popup(self, call: _OneCall, event: ToldEvent) -> list[str]:
        broken = []
        if again := call.told & set(event.codes):
            broken.append(f"told twice to {', '.join(sorted(again))}")
        if call.hangups:
            broken.append("told after the hangup")
        if event.hangup_status is not None:
            broken.append("has a hangupStatus")
        broken += _direction(call, event.type)
        call.told |= set(event.codes)
        return broken

    def _hangup(self, call: _OneCall, event: ToldEvent) -> list[str]:
        broken = []
        if call.hangups:
            broken.append("told a second time")
        if call.uploaded:
            broken.append("told after the upload")
        strangers = set(event.codes) - call.told - call.tried
        only_the_end = (
            (event.call_external_id or "").startswith(REPORTED) and not call.told and len(strangers) == 1
        )
        if strangers and not self._disturbed and not only_the_end:
            broken.append(f"names codes that were never told: {', '.join(sorted(strangers))}")
        if missing := call.told - set(event.codes):
            broken.append(f"leaves out codes that were told: {', '.join(sorted(missing))}")
        call.hangups += 1
        call.hangup_tried = True
        return broken

    def call_uploaded(self, uploaded: ToldCall, now: datetime) -> list[str]:
        """A new upload; `now` is aware."""
        call = self._call(uploaded.external_id)
        broken = _direction(call, uploaded.type)
        if call.told and not call.hangup_tried:
            broken.append("comes before the call's hangup")
        durations = (uploaded.duration, uploaded.duration_waiting)
        if uploaded.result == "unknown" and (uploaded.code, *durations) != (None, None, None):
            broken.append("is unknown but says who it was, or how long")
        if uploaded.result != "unknown" and None in durations:
            broken.append("lacks duration or durationWaiting")
        if uploaded.result != "answered" and (uploaded.duration or uploaded.record_url):
            broken.append(f"is {uploaded.result!r} but has talking time or a recording")
        if self._in_zone(uploaded.date) > now + _CLOCKS_APART:
            broken.append(f"is dated in the future: {uploaded.date} in {self._zone.key}")
        broken += _numbers(uploaded.phone, uploaded.external_phone)
        call.uploaded = True
        return [f"call {uploaded.external_id}: upload {text}" for text in broken]

    def _in_zone(self, date: str) -> datetime:
        return datetime.strptime(date, "%Y-%m-%d %H:%M:%S").replace(tzinfo=self._zone)

    def _call(self, external_id: str) -> _OneCall:
        return self._calls.setdefault(external_id, _OneCall())


def _direction(call: _OneCall, direction: str) -> list[str]:
    told, call.direction = call.direction, call.direction or direction
    return [] if told in (None, direction) else [f"is {direction!r}, but the call was told as {told!r}"]


def _numbers(*numbers: str | None) -> list[str]:
    """Numbers are told as E.164; a short one (a service number, an extension) has no such form."""
    return [
        f"number {number} is not E.164"
        for number in numbers
        if number is not None
        and not (
            number[1:].isdecimal() if number.startswith("+") else number.isdecimal() and len(number) < 10
        )
    ]
