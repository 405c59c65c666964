"""What is written to people of a shop by e-mail: of missed customers, and of what fails for long.

Plain text, in the account's language, in its time zone, with the page of the cabinet where it goes on. What
comes from outside, such as a customer's name, is one printable line before it is put into a header or a text;
a header with the end of a line in it is refused by Python's `email`, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import NamedTuple, TypeAlias

from ari_app.accounts.current import Current
from ari_app.calls import AlertEvent, MissedEvent, TellAlert, TellMail
from ari_app.retailcrm.mail import MailServer

Written: TypeAlias = TellMail | TellAlert

_LONGEST_NAME = 100


class _About(NamedTuple):
    """The subject, what is said first, and the page of the cabinet with what is to be done there."""

    subject: str
    said: str
    page: str
    there: str


class _Words(NamedTuple):
    """All that is said in one language; what fails is named by its `what`."""

    telephony: str
    missed: _About
    lost: _About
    fails: Mapping[str, str]
    back: Mapping[str, str]
    fails_at: str
    back_at: str
    fails_said: str
    back_said: str
    facts: Mapping[str, str]
    why: str
    """Why they are written to."""
    moment: str


_RUSSIAN = _Words(
    telephony="Телефония",
    missed=_About(
        "Пропущенный звонок: {who}",
        "Клиент позвонил и ни с кем не поговорил.",
        "/missed",
        "Перезвонить можно отсюда",
    ),
    lost=_About(
        "Клиенту не перезвонили: {who}",
        "Прошли сутки, а клиенту, который не дозвонился, никто не перезвонил.",
        "/missed?view=lost",
        "Все, кому не перезвонили",
    ),
    fails={
        "pbx": "Нет связи с АТС",
        "crm": "Нет связи с CRM",
        "recording": "Разговоры не записываются",
        "disk": "На диске нет места для записей разговоров",
    },
    back={
        "pbx": "Связь с АТС восстановлена",
        "crm": "Связь с CRM восстановлена",
        "recording": "Разговоры снова записываются",
        "disk": "Место для записей разговоров снова есть",
    },
    fails_at="Не работает",
    back_at="Снова работает",
    fails_said="{what}. Причина и что сделать — в кабинете, на вкладке «Информация».",
    back_said="{what}. Делать ничего не нужно.",
    facts={
        "name": "Клиент",
        "phone": "Телефон",
        "missed_at": "Позвонил",
        "times": "Звонков без ответа",
        "line": "На номер",
        "manager": "Чей клиент (добавочный)",
        "rung": "Кого вызывали",
        "since": "С какого времени",
        "until": "Когда восстановилось",
        "problem": "",
        "shop": "Магазин",
        "cabinet": "Кабинет",
    },
    why="Ваш адрес указан в кабинете телефонии, на вкладке «Телефония», в разделе «Письма». "
    "Отвечать на это письмо не нужно.",
    moment="%d.%m.%Y %H:%M",
)
_ENGLISH = _Words(
    telephony="Telephony",
    missed=_About(
        "Missed call: {who}",
        "A customer has called, and nobody has talked with them.",
        "/missed",
        "Call them back from here",
    ),
    lost=_About(
        "Not called back: {who}",
        "A day has passed, and nobody has called back a customer who got no answer.",
        "/missed?view=lost",
        "All who were not called back",
    ),
    fails={
        "pbx": "No connection to the PBX",
        "crm": "No connection to the CRM",
        "recording": "Calls are not recorded",
        "disk": "No room on the disk for recordings",
    },
    back={
        "pbx": "The connection to the PBX is back",
        "crm": "The connection to the CRM is back",
        "recording": "Calls are recorded again",
        "disk": "There is room for recordings again",
    },
    fails_at="It fails",
    back_at="It works again",
    fails_said="{what}. Why, and what to do, stands in the cabinet, under “Information”.",
    back_said="{what}. Nothing is to be done.",
    facts={
        "name": "Customer",
        "phone": "Phone",
        "missed_at": "Called",
        "times": "Calls without an answer",
        "line": "Number called",
        "manager": "Whose customer (extension)",
        "rung": "Who was rung",
        "since": "Since",
        "until": "Back at",
        "problem": "Why",
        "shop": "Shop",
        "cabinet": "Cabinet",
    },
    why="Your address stands in the telephony's cabinet under “Telephony”, “E-mail”. Please don't answer.",
    moment="%Y-%m-%d %H:%M",
)


@dataclass
class Letters:
    """What one account's people are written, by the operator's server; the cabinet is at `cabinet_url`
    (without a final slash).
    """

    current: Current
    cabinet_url: str
    server: MailServer

    def wanted(self, tell: Written) -> bool:
        """Tell whether who is to be written to still wants that."""
        mail = self.current.mail
        if isinstance(tell, TellAlert):
            return tell.to in mail.alerts
        return tell.to in (mail.lost if tell.event == MissedEvent.LOST else mail.missed)

    async def send(self, letter: EmailMessage, to: str) -> None:
        """Send a letter to an address.

        Raises:
            CrmError: as `MailServer.send` says.
        """
        await self.server.send(letter, to)

    def letter(self, ident: str, tell: Written, now: float) -> EmailMessage:
        """Write it; `ident` is the call with which a customer was missed, or what the alert is known by.

        One that is written twice has the same Message-ID, so that who has it already may see that.
        """
        words = _RUSSIAN if self.current.language == "ru" else _ENGLISH
        about = _of_alert(words, tell) if isinstance(tell, TellAlert) else _of_missed(words, tell)
        facts = self._alert(words, tell) if isinstance(tell, TellAlert) else self._missed(words, tell)
        shop = (words.facts["shop"], self.current.account.id)
        lines = [f"{name}: {_line(value)}" for name, value in (*facts, shop) if name and value]
        text = "\n".join(
            (about.said, "", *lines, "", f"{about.there}: {self.cabinet_url}{about.page}", "", words.why, "")
        )
        letter, sender = EmailMessage(SMTP), self.server.sender
        letter["From"] = Address(f"{words.telephony} {self.current.account.id}", addr_spec=sender)
        letter["To"] = Address(addr_spec=tell.to)
        letter["Subject"] = about.subject
        letter["Date"] = datetime.fromtimestamp(now, UTC)
        domain = sender.rpartition("@")[2]
        letter["Message-ID"] = self._message_id(ident, tell, str(tell.event), domain)
        if tell.event in (AlertEvent.BACK, MissedEvent.LOST):
            before = AlertEvent.FAILS if isinstance(tell, TellAlert) else MissedEvent.MISSED
            letter["References"] = self._message_id(ident, tell, str(before), domain)
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(text, cte="base64")
        return letter

    def _message_id(self, ident: str, tell: Written, event: str, domain: str) -> str:
        known = "\n".join((self.current.account.id, ident, event, tell.to))
        return f"<{hashlib.sha256(known.encode()).hexdigest()[:40]}@{domain}>"

    def _missed(self, words: _Words, tell: TellMail) -> Iterable[tuple[str, str]]:
        return (
            (words.facts["name"], tell.name),
            (words.facts["phone"], tell.phone),
            (words.facts["missed_at"], self._moment(words, tell.missed_at)),
            (words.facts["times"], str(tell.times) if tell.times > 1 else ""),
            (words.facts["line"], tell.external),
            (words.facts["manager"], tell.responsible),
            (words.facts["rung"], ", ".join(tell.rung.split())),
        )

    def _alert(self, words: _Words, tell: TellAlert) -> Iterable[tuple[str, str]]:
        until = self._moment(words, tell.at) if tell.event == AlertEvent.BACK else ""
        return (
            (words.facts["since"], self._moment(words, tell.since)),
            (words.facts["until"], until),
            (words.facts["problem"], tell.problem),
        )

    def _moment(self, words: _Words, at: float) -> str:
        return datetime.fromtimestamp(at, self.current.zone()).strftime(words.moment)


def _of_missed(words: _Words, tell: TellMail) -> _About:
    about = words.lost if tell.event == MissedEvent.LOST else words.missed
    who = _line(f"{tell.name}, {tell.phone}" if tell.name else tell.phone)
    return about._replace(subject=about.subject.format(who=who))


def _of_alert(words: _Words, tell: TellAlert) -> _About:
    is_back = tell.event == AlertEvent.BACK
    named, else_ = (words.back, words.back_at) if is_back else (words.fails, words.fails_at)
    what = named.get(tell.what, f"{else_}: {_line(tell.what)}")
    said = words.back_said if is_back else words.fails_said
    return _About(what, said.format(what=what), "/", words.facts["cabinet"])


def _line(text: str) -> str:
    """Give a text as one printable line of a bounded length."""
    shown = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(shown.split())[:_LONGEST_NAME]
