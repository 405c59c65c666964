"""What people of a shop are written: in its language, and with all that they need to act on it."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from ari_app.accounts.current import Current
from ari_app.accounts.reading import read_account
from ari_app.calls import AlertEvent, AlertWay, MissedEvent, TellAlert, TellMail
from ari_app.retailcrm.letters import Letters, Written
from ari_app.retailcrm.mail import MailServer
from ari_app.settings import SmtpTls
from tests.support.accounts import account_toml

TEN = 1_795_676_400.0
"""26 November 2026, 10:00 in Moscow."""
ANNA, CHIEF = "anna@shop.example", "chief@shop.example"
MAIL = f"""
[mail]
missed = ["{ANNA}"]
lost = ["{CHIEF}"]
alerts = ["{CHIEF}"]
"""


@pytest.fixture
def letters() -> Letters:
    current = Current(read_account(account_toml() + MAIL))
    current.writes = True
    server = MailServer("127.0.0.1", 25, SmtpTls.NONE, "calls@service.example")
    return Letters(current, "https://calls.example.com", server)


def missed(**more: object) -> TellMail:
    about = {"at": TEN + 60, "phone": "+79161234567", "event": MissedEvent.MISSED.value, "to": ANNA}
    known = {"missed_at": TEN, "times": 1, "external": "+74951112233", "rung": "101 102"}
    return TellMail(**(about | known | more))  # type: ignore[arg-type]


def alert(event: AlertEvent = AlertEvent.FAILS, what: str = "pbx") -> TellAlert:
    return TellAlert(TEN + 600, event, what, AlertWay.MAIL, TEN, "nobody listens at that port", CHIEF)


def written(letters: Letters, tell: Written) -> EmailMessage:
    """Give a letter as it comes out of the wire."""
    letter = letters.letter("m1", tell, TEN + 61)
    return message_from_bytes(letter.as_bytes(), policy=SMTP)


def test_a_missed_customer_is_told_with_all_that_is_needed_to_call_back(letters: Letters) -> None:
    letter = written(letters, missed(name="Анна Иванова", responsible="102", times=3))
    assert letter["Subject"] == "Пропущенный звонок: Анна Иванова, +79161234567"
    assert letter["To"] == ANNA
    assert letter["From"] == '"Телефония shop.retailcrm.ru" <calls@service.example>'
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter.get_content_type() == "text/plain"
    assert letter.get_content().splitlines() == [
        "Клиент позвонил и ни с кем не поговорил.",
        "",
        "Клиент: Анна Иванова",
        "Телефон: +79161234567",
        "Позвонил: 26.11.2026 10:00",
        "Звонков без ответа: 3",
        "На номер: +74951112233",
        "Чей клиент (добавочный): 102",
        "Кого вызывали: 101, 102",
        "Магазин: shop.retailcrm.ru",
        "",
        "Перезвонить можно отсюда: https://calls.example.com/missed",
        "",
        "Ваш адрес указан в кабинете телефонии, на вкладке «Телефония», в разделе «Письма». "
        "Отвечать на это письмо не нужно.",
    ]


def test_one_who_is_lost_is_told_below_the_same_subject_of_before(letters: Letters) -> None:
    first = written(letters, missed(to=CHIEF))
    lost = written(letters, missed(event=MissedEvent.LOST.value, to=CHIEF))
    assert lost["Subject"] == "Клиенту не перезвонили: +79161234567"
    assert "https://calls.example.com/missed?view=lost" in lost.get_content()
    assert lost["References"] == first["Message-ID"] != lost["Message-ID"]


@pytest.mark.parametrize(
    ("what", "fails", "back"),
    [
        ("pbx", "Нет связи с АТС", "Связь с АТС восстановлена"),
        ("crm", "Нет связи с CRM", "Связь с CRM восстановлена"),
        ("recording", "Разговоры не записываются", "Разговоры снова записываются"),
        ("disk", "На диске нет места для записей разговоров", "Место для записей разговоров снова есть"),
        ("moon", "Не работает: moon", "Снова работает: moon"),
    ],
)
def test_an_alert_says_what_fails_since_when_and_where_to_look(
    letters: Letters, what: str, fails: str, back: str
) -> None:
    letter, over = written(letters, alert(what=what)), written(letters, alert(AlertEvent.BACK, what))
    assert (letter["Subject"], over["Subject"]) == (fails, back)
    assert letter.get_content().splitlines()[:5] == [
        f"{fails}. Причина и что сделать — в кабинете, на вкладке «Информация».",
        "",
        "С какого времени: 26.11.2026 10:00",
        "Магазин: shop.retailcrm.ru",
        "",
    ]
    assert "Кабинет: https://calls.example.com/" in letter.get_content()
    assert "Когда восстановилось: 26.11.2026 10:10" in over.get_content()
    assert over["References"] == letter["Message-ID"]


def test_no_english_stands_in_a_russian_letter(letters: Letters) -> None:
    for tell in (missed(), missed(event=MissedEvent.LOST.value), alert(), alert(AlertEvent.BACK)):
        text = written(letters, tell).get_content()
        said = [
            line for line in text.splitlines() if "shop.retailcrm.ru" not in line and "https://" not in line
        ]
        assert not any(letter in "abdefghijklnopqstuvwxyz" for letter in "".join(said))


def test_a_shop_whose_crm_speaks_another_language_is_written_in_english(letters: Letters) -> None:
    letters.current.take_language("es")
    assert written(letters, missed())["Subject"] == "Missed call: +79161234567"
    text = written(letters, alert()).get_content()
    assert "No connection to the PBX" in text
    assert "Why: nobody listens at that port" in text


@pytest.mark.parametrize("break_", ["\r\n", "\n", "\r", "\x0b", "\x85", "\u2028", "\x00"])
def test_a_customers_name_puts_nothing_into_the_header_or_the_text(letters: Letters, break_: str) -> None:
    name = f"Анна{break_}Bcc: everybody@evil.example{break_}{break_}Call +70000000000"
    for tell in (missed(name=name), missed(name="", phone=name), missed(rung=name, external=name)):
        letter = written(letters, tell)
        assert set(letter.keys()) == {
            *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
            *("Content-Type", "Content-Transfer-Encoding", "MIME-Version"),
        }
        assert not any(line.startswith(("Bcc", "Call")) for line in letter.get_content().splitlines())


def test_a_long_name_is_cut(letters: Letters) -> None:
    assert len(written(letters, missed(name="Ж" * 1000))["Subject"]) < 150


def test_the_same_letter_written_twice_is_known_by_its_id(letters: Letters) -> None:
    one, again = written(letters, missed()), written(letters, missed())
    assert one["Message-ID"] == again["Message-ID"]
    assert one["Message-ID"] != written(letters, missed(to=CHIEF))["Message-ID"]
    assert ANNA not in one["Message-ID"]


def test_who_was_taken_off_the_list_is_not_written_any_more(letters: Letters) -> None:
    assert letters.wanted(missed())
    assert letters.wanted(alert())
    assert not letters.wanted(missed(to=CHIEF))
    assert not letters.wanted(missed(event=MissedEvent.LOST.value))
    letters.current.writes = False
    assert not letters.wanted(missed())
    assert not letters.wanted(alert())
