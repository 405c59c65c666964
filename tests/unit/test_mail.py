"""What the operator's server for e-mail answers is read by what can be done about it; no password is said."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from email.message import EmailMessage
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from ari_app.retailcrm import mail
from ari_app.retailcrm.errors import CrmDenied, CrmError, CrmRefused, CrmUnavailable
from ari_app.retailcrm.mail import MailServer
from ari_app.settings import Settings, SmtpTls
from tests.support.postman import PASSWORD, SENDER, USER, Postman

ANNA = "anna@shop.example"


@pytest.fixture
async def postman() -> AsyncIterator[Postman]:
    async with Postman() as postman:
        yield postman


def letter() -> EmailMessage:
    said = EmailMessage()
    said["From"], said["To"], said["Subject"] = SENDER, ANNA, "Пропущенный звонок"
    said.set_content("Клиент позвонил.\n", cte="base64")
    return said


async def problem_of(server: MailServer) -> CrmError:
    with pytest.raises(CrmError) as error:
        await server.send(letter(), ANNA)
    assert PASSWORD not in str(error.value)
    return error.value


async def test_a_letter_comes_as_it_was_written(postman: Postman) -> None:
    await postman.known().send(letter(), ANNA)
    ((to, came),) = postman.taken
    assert (to, came["Subject"], came.get_content()) == (ANNA, "Пропущенный звонок", "Клиент позвонил.\n")


@pytest.mark.parametrize(
    ("command", "answer", "kind"),
    [
        ("RCPT", "550 5.1.1 no such user", CrmRefused),
        ("RCPT", "450 4.7.1 greylisted, come again", CrmUnavailable),
        ("RCPT", "530 5.7.0 sign in first", CrmDenied),
        ("MAIL", "553 5.7.1 not with this address", CrmDenied),
        ("MAIL", "421 4.3.2 going down", CrmUnavailable),
        ("DATA", "554 5.7.1 looks like spam", CrmRefused),
        ("DATA", "452 4.3.1 no room", CrmUnavailable),
    ],
)
async def test_what_it_answers_is_for_this_letter_for_all_or_for_now(
    postman: Postman, command: str, answer: str, kind: type[CrmError]
) -> None:
    postman.answers[command] = answer
    problem = await problem_of(postman.known())
    assert type(problem) is kind
    assert str(problem) == f"mail: {answer}"


async def test_what_it_says_is_told_as_one_short_line(postman: Postman) -> None:
    postman.answers["RCPT"] = "550-no\r\n550 such\x07 user" + "!" * 300
    said = str(await problem_of(postman.known()))
    assert "\n" not in said
    assert "\x07" not in said
    assert len(said) < 250


async def test_a_server_that_is_away_may_be_back_later(postman: Postman) -> None:
    await postman.go()
    try:
        problem = await problem_of(postman.known())
    finally:
        await postman.come()
    assert type(problem) is CrmUnavailable
    assert str(problem) == "mail: Connection refused"


async def test_a_server_that_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "ANSWER_SECONDS", 0.2)
    done = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        problem = await problem_of(MailServer("127.0.0.1", port, SmtpTls.NONE, SENDER))
        done.set()
    assert type(problem) is CrmUnavailable
    assert str(problem) == "mail: no answer came in time"


async def test_it_lets_us_in_with_the_password_alone() -> None:
    async with Postman(asks_for_password=True) as postman:
        await postman.known(user=USER, password=SecretStr(PASSWORD)).send(letter(), ANNA)
        assert len(postman.taken) == 1
        wrong = await problem_of(postman.known(user=USER, password=SecretStr(PASSWORD + "!")))
        assert type(wrong) is CrmDenied
        assert str(wrong) == "mail: the server does not take the user and the password (535)"
        assert type(await problem_of(postman.known())) is CrmDenied
        assert len(postman.taken) == 1


async def test_without_the_tls_that_the_operator_wants_nothing_is_sent(postman: Postman) -> None:
    for tls in (SmtpTls.STARTTLS, SmtpTls.TLS):
        problem = await problem_of(postman.known(tls=tls, user=USER, password=SecretStr(PASSWORD)))
        assert isinstance(problem, CrmDenied | CrmUnavailable)
    assert postman.tried == 0


def certificate(folder: Path) -> Path:
    """Make one for 127.0.0.1 that nobody trusts, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]),
            False,
        )
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


@pytest.mark.parametrize("tls", [SmtpTls.STARTTLS, SmtpTls.TLS])
async def test_a_certificate_must_be_trusted_and_then_all_goes_encrypted(
    tls: SmtpTls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    later, at_once = (context, None) if tls is SmtpTls.STARTTLS else (None, context)
    async with Postman(asks_for_password=True, certificate=later, at_once=at_once) as postman:
        known = {"tls": tls, "user": USER, "password": SecretStr(PASSWORD)}
        untrusted = await problem_of(postman.known(**known))
        assert type(untrusted) is CrmUnavailable
        assert "certificate" in str(untrusted)
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        await postman.known(**known).send(letter(), ANNA)
        assert [to for to, _ in postman.taken] == [ANNA]


def test_without_a_server_in_the_settings_there_is_none() -> None:
    assert MailServer.of(Settings(_env_file=None)) is None
