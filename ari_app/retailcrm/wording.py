"""What a call tells, put into the CRM's fields and words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from ari_app.accounts.current import Current
from ari_app.calls import CRM_WORDS, Ending, TellHangup, TellResult, TellRinging, WebAnalytics
from ari_app.retailcrm.messages import (
    CRM_TIME,
    CallDirection,
    CallEvent,
    CallResult,
    CallSource,
    Campaign,
    EventType,
    HangupStatus,
    UploadedCall,
    WebAnalyticsData,
)


@dataclass
class Wording:
    """How one account puts things: in its time zone and with the shops of its numbers, as they are when it is
    sent; its recordings are found at `recordings_url` (an address without a final slash).
    """

    current: Current
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
            site=self.current.account.site_of(tell.external),
            web_analytics_data=_analytics(tell.analytics) if isinstance(tell, TellRinging) else None,
        )

    def uploaded_call(self, call_id: str, tell: TellResult) -> UploadedCall:
        """Put a finished call into a line of the call history.

        When nobody can say whether anybody answered, nothing is said of who it was, nor of how long.
        """
        unknown = tell.ending is Ending.UNKNOWN
        began = datetime.fromtimestamp(tell.started_at, self.current.zone()).replace(tzinfo=None)
        file = f"{self.recordings_url}/{tell.recording}" if tell.recording else None
        source = tell.source
        return UploadedCall(
            date=datetime.strptime(tell.date, CRM_TIME) if tell.date else began,
            type=CallDirection(tell.direction),
            phone=tell.phone,
            result=CallResult(CRM_WORDS[tell.ending].upload_result),
            external_id=f"{call_id}-{tell.again + 1}" if tell.again else call_id,
            code=None if unknown else tell.code,
            duration=None if unknown else tell.talking,
            duration_waiting=None if unknown else tell.waiting,
            record_url=tell.link or file,
            source=CallSource.model_validate(asdict(source)) if source is not None else None,
            external_phone=tell.external,
            site=self.current.account.site_of(tell.external),
        )


def _analytics(analytics: WebAnalytics | None) -> WebAnalyticsData | None:
    if analytics is None:
        return None
    campaign = Campaign(name=analytics.campaign_name, code=analytics.campaign_code)
    named = analytics.campaign_name or analytics.campaign_code
    return WebAnalyticsData(campaign=campaign if named else None, query_string=analytics.query)
