"""What a call tells, put into the CRM's fields and words."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass
from datetime import datetime

from ari_app.accounts.current import Current
from ari_app.accounts.sections import Notify
from ari_app.calls import (
    CRM_WORDS,
    AlertEvent,
    Ending,
    TellAlert,
    TellCustomer,
    TellHangup,
    TellNotice,
    TellResult,
    TellRinging,
    TellTask,
    WebAnalytics,
)
from ari_app.retailcrm.messages import (
    CRM_TIME,
    TASK_TIME,
    CallDirection,
    CallEvent,
    CallResult,
    CallSource,
    Campaign,
    CustomersPhone,
    EventType,
    HangupStatus,
    NewCustomer,
    NewTask,
    Notification,
    UploadedCall,
    WebAnalyticsData,
)

_NOTICE = "api.info"
_FAILS = {
    "pbx": "связь с АТС",
    "crm": "связь с CRM",
    "recording": "запись разговоров",
    "disk": "диск: на нём нет места для записей",
}


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

    def task(self, call_id: str, tell: TellTask) -> NewTask | None:
        """Put a missed customer into a task; None when nobody of the CRM is there to have it."""
        account, settings = self.current.account, self.current.account.missed
        users = map(account.user_of, (*tell.codes, settings.task_for))
        performer = next((user for user in users if user is not None), None)
        if performer is None:
            return None
        due = tell.missed_at + 60 * settings.task_minutes
        return NewTask(
            text=f"Перезвонить: {tell.name or tell.phone} · {call_id}",
            commentary=self._missed(tell),
            datetime=datetime.fromtimestamp(due, self.current.zone()).strftime(TASK_TIME),
            performer_id=performer,
            phone=tell.phone,
            phone_site=account.site_of(tell.external),
        )

    def notification(self, tell: TellNotice) -> Notification | None:
        """Put a missed customer into a message for people of the CRM; None when there is nobody to see it."""
        account, settings = self.current.account, self.current.account.missed
        message = f"<p>{html.escape(self._missed(tell))}</p>"
        if settings.notify is Notify.GROUP and settings.notify_group:
            return Notification(type=_NOTICE, message=message, user_groups=(settings.notify_group,))
        codes = dict.fromkeys((*tell.codes, settings.task_for))
        users = tuple(user for code in codes if (user := account.user_of(code)) is not None)
        if settings.notify is not Notify.MANAGER or not users:
            return None
        return Notification(type=_NOTICE, message=message, user_ids=users)

    def customer(self, tell: TellCustomer) -> NewCustomer:
        """Make a customer of a caller: named by their number, by which the CRM knows them again."""
        return NewCustomer(
            external_id=f"tel-{tell.phone.lstrip('+')}",
            first_name=tell.phone,
            phones=(CustomersPhone(number=tell.phone),),
            manager_id=self.current.account.user_of(tell.code),
        )

    def alert(self, tell: TellAlert) -> Notification | None:
        """Put what fails, or is back, into a message for a group; None when there is none to see it."""
        group = self.current.account.alerts.group
        if not group:
            return None
        since = datetime.fromtimestamp(tell.since, self.current.zone()).strftime("%d.%m.%Y %H:%M")
        what = html.escape(_FAILS.get(tell.what, tell.what))
        if tell.event == AlertEvent.BACK:
            said = f"Снова в порядке: {what}. Не работало с {since}."
        else:
            said = f"Не работает с {since}: {what}. Причина — в кабинете телефонии, вкладка «Информация»."
        return Notification(type=_NOTICE, message=f"<p>{said}</p>", user_groups=(group,))

    def _missed(self, tell: TellTask | TellNotice) -> str:
        """Say it as the CRM's people read it: in Russian."""
        when = datetime.fromtimestamp(tell.missed_at, self.current.zone()).strftime("%d.%m.%Y %H:%M")
        who = f"{tell.name}, {tell.phone}" if tell.name else tell.phone
        line = f" на номер {tell.external}" if tell.external else ""
        return f"Пропущенный звонок: {who}, {when}{line}. Клиент ни с кем не поговорил."


def _analytics(analytics: WebAnalytics | None) -> WebAnalyticsData | None:
    if analytics is None:
        return None
    campaign = Campaign(name=analytics.campaign_name, code=analytics.campaign_code)
    named = analytics.campaign_name or analytics.campaign_code
    return WebAnalyticsData(campaign=campaign if named else None, query_string=analytics.query)
