"""E-mail to people of the shops: by the operator's own server (SMTP), one letter to one address at a time.

What a letter says is `letters.py`'s. What the server answers is read as the CRM's answers are, by what can be
done about it: what it refuses for this letter or this address alone (5xx) is never sent again as it is; what
a person must mend first, such as a wrong password, is tried rarely; all else later. No message holds the
password.
"""

from __future__ import annotations

import asyncio
import ssl
from email.message import EmailMessage
from urllib.parse import urlsplit

import aiosmtplib
from pydantic import SecretStr

from ari_app.failures import NO_ANSWER, in_words
from ari_app.retailcrm.errors import CrmDenied, CrmError, CrmRefused, CrmUnavailable
from ari_app.settings import Settings, SmtpTls

ANSWER_SECONDS = 30.0
"""So long the server may take for each of its answers; it may look for spam before it takes a letter."""
LETTER_SECONDS = 90.0
"""And for all of them."""
AT_ONCE = 4
"""So many connections of all shops there are at once."""
_LONGEST_SAID = 200
_NEEDS_A_PERSON = (530, 534, 535, 538)
"""Sign in first; with another mechanism; with another password; with TLS: whatever is sent."""


class MailServer:
    """The operator's server."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: SmtpTls,
        sender: str,
        user: str | None = None,
        password: SecretStr | None = None,
        name: str = "localhost",
    ) -> None:
        """Know it; `name` is what we say there that we are called."""
        self.sender = sender
        self._host, self._port, self._tls, self._name = host, port, tls, name
        self._user, self._password = user, password
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._trusted: ssl.SSLContext | None = None

    @classmethod
    def of(cls, settings: Settings) -> MailServer | None:
        """Give the server that the settings name; None when they name none."""
        if settings.smtp_host is None or settings.smtp_sender is None:
            return None
        return cls(
            settings.smtp_host,
            settings.smtp_at,
            settings.smtp_tls,
            settings.smtp_sender,
            settings.smtp_user,
            settings.smtp_password,
            urlsplit(settings.public_url).hostname or "localhost",
        )

    async def send(self, letter: EmailMessage, to: str) -> None:
        """Have a letter sent to an address.

        Raises:
            CrmUnavailable: it was not taken, or nobody knows whether it was.
            CrmDenied: the operator's settings must be mended.
            CrmRefused: the server wants this letter, or this address, never.
        """
        try:
            async with self._turn, asyncio.timeout(LETTER_SECONDS):
                await self._send(letter, to)
        except (aiosmtplib.SMTPException, OSError) as problem:  # a time that is over is an OSError
            raise self._read(problem) from None

    async def _send(self, letter: EmailMessage, to: str) -> None:
        if self._trusted is None and self._tls is not SmtpTls.NONE:
            self._trusted = await asyncio.to_thread(ssl.create_default_context)
        await aiosmtplib.send(
            letter,
            sender=self.sender,
            recipients=[to],
            hostname=self._host,
            port=self._port,
            username=self._user,
            password=self._password.get_secret_value() if self._password is not None else None,
            local_hostname=self._name,
            timeout=ANSWER_SECONDS,
            use_tls=self._tls is SmtpTls.TLS,
            start_tls=self._tls is SmtpTls.STARTTLS,
            tls_context=self._trusted,
        )

    def _read(self, problem: Exception) -> CrmError:
        match problem:
            case aiosmtplib.SMTPRecipientsRefused(recipients=[one, *_]):
                return self._read(one)
            case aiosmtplib.SMTPAuthenticationError():
                said = f"mail: the server does not take the user and the password ({problem.code})"
                return CrmDenied(said) if problem.code >= 500 else CrmUnavailable(said)
            case aiosmtplib.SMTPResponseException():
                return self._answered(problem)
            case aiosmtplib.SMTPNotSupported():
                return CrmDenied("mail: the server offers no such sign-in, or no TLS")
            case TimeoutError():
                return CrmUnavailable(f"mail: {NO_ANSWER}")
            case aiosmtplib.SMTPConnectError(__cause__=OSError() as cause):
                return self._read(cause)
            case aiosmtplib.SMTPServerDisconnected(__context__=ssl.SSLError() as cause):
                return self._read(cause)
            case aiosmtplib.SMTPConnectError() | aiosmtplib.SMTPServerDisconnected() | ConnectionResetError():
                return CrmUnavailable("mail: it breaks off without an answer")
            case ssl.SSLCertVerificationError():
                return CrmUnavailable(f"mail: its certificate is not trusted ({problem.verify_message})")
            case ssl.SSLError():
                return CrmUnavailable("mail: it does not speak TLS as we do")
            case aiosmtplib.SMTPException():
                return CrmDenied(f"mail: {_bounded(problem.message)}")
            case _:
                return CrmUnavailable(f"mail: {in_words(problem)}")

    def _answered(self, answer: aiosmtplib.SMTPResponseException) -> CrmError:
        said = f"{answer.code} {_bounded(answer.message)}".strip()
        if answer.code < 500:
            return CrmUnavailable(f"mail: {said}")
        about_this_one = isinstance(answer, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError)
        if about_this_one and answer.code not in _NEEDS_A_PERSON:
            return CrmRefused("mail", said)
        return CrmDenied(f"mail: {said}")


def _bounded(said: str) -> str:
    """Give what the server says as one short line."""
    return "".join(sign if sign.isprintable() else " " for sign in said)[:_LONGEST_SAID].strip()
