"""What a call tells, put into the CRM's fields and words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from ari_app.calls.orders import TellHangup, TellResult, TellRinging
from ari_app.calls.outcome import CRM_WORDS
from ari_app.retailcrm.messages import (
    CallDirection,
    CallEvent,
    CallResult,
    EventType,
    HangupStatus,
    UploadedCall,
)


@dataclass
class Wording:
    """How one account puts things: its time zone (a change holds for what is sent from then on), the shop
    that a number of its belongs to, and where its recordings are found (an address without a final slash).
    """

    zone: ZoneInfo
    site_of: Callable[[str | None], str | None]
    recordings_url: str

    def event(self, call_id: str, tell: TellRinging | TellHangup) -> CallEvent:
        """Put a popup, or its end, into an event."""
        over = CRM_WORDS[tell.ending].hangup_status if isinstance(tell, TellHangup) else None
        return CallEvent(
            phone=tell.phone,
            type=EventType(tell.direction) if isinstance(tell, TellRinging) else EventType.HANGUP,
            codes=tell.codes,
            hangup_status=HangupStatus(over) if over else None,
            call_external_id=call_id,
            external_phone=tell.external,
            site=self.site_of(tell.external),
        )

    def uploaded_call(self, call_id: str, tell: TellResult) -> UploadedCall:
        """Put a finished call into a line of the call history."""
        return UploadedCall(
            date=datetime.fromtimestamp(tell.started_at, self.zone).replace(tzinfo=None),
            type=CallDirection(tell.direction),
            phone=tell.phone,
            result=CallResult(CRM_WORDS[tell.ending].upload_result),
            external_id=call_id,
            code=tell.code,
            duration=tell.talking,
            duration_waiting=tell.waiting,
            record_url=f"{self.recordings_url}/{tell.recording}" if tell.recording else None,
            external_phone=tell.external,
            site=self.site_of(tell.external),
        )
