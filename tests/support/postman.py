"""A server for e-mail (aiosmtpd) at which a test says what it answers, and reads what it has taken."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as POLICY
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from ari_app.retailcrm.mail import MailServer
from ari_app.settings import SmtpTls

USER, PASSWORD = "calls", "hunter2-hunter2"
SENDER = "calls@service.example"


@dataclass
class Postman:
    """It takes what comes, unless a test says otherwise: `answers` by the command, or the address, it is to.

    Each answer is a line of SMTP, such as ``450 later``.
    """

    answers: dict[str, str] = field(default_factory=dict)
    taken: list[tuple[str, EmailMessage]] = field(default_factory=list)
    """To whom, and what."""
    tried: int = 0
    asks_for_password: bool = False
    certificate: ssl.SSLContext | None = None
    at_once: ssl.SSLContext | None = None
    """TLS from the first byte."""
    port: int = 0
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Postman:
        await self.come()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.go()

    async def come(self) -> None:
        """Open, at the port of before."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, "127.0.0.1", self.port, ssl=self.at_once)
        self.port = self._server.sockets[0].getsockname()[1]

    async def go(self) -> None:
        """Close."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def subjects(self) -> list[tuple[str, str]]:
        """To whom, and about what."""
        return [(to, str(letter["Subject"])) for to, letter in self.taken]

    def known(self, **more: Any) -> MailServer:
        """Give it as the service knows it."""
        about: dict[str, Any] = {"tls": SmtpTls.NONE, "sender": SENDER} | more
        return MailServer("127.0.0.1", self.port, **about)

    def _session(self) -> SMTP:
        return SMTP(
            self,
            hostname="postman.example",
            tls_context=self.certificate,
            require_starttls=self.certificate is not None,
            auth_require_tls=False,
            authenticator=self._authenticate if self.asks_for_password else None,
            loop=asyncio.get_running_loop(),
        )

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, how: str, who: Any
    ) -> AuthResult:
        given = cast(LoginPassword, who)
        is_known = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_known, handled=False)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.tried += 1
        if self.asks_for_password and not session.authenticated:
            return "530 5.7.0 sign in first"
        if (answer := self.answers.get("MAIL")) is not None:
            return answer
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if (answer := self.answers.get(address, self.answers.get("RCPT"))) is not None:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if (answer := self.answers.get("DATA")) is not None:
            return answer
        assert isinstance(envelope.content, bytes)
        letter = message_from_bytes(envelope.content, policy=POLICY)
        (to,) = envelope.rcpt_tos
        self.taken.append((to, letter))
        return "250 OK"
