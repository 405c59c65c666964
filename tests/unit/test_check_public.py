"""The public address, as it is found from this machine."""

import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ari_app.check import everything, public
from ari_app.check.findings import Finding, State
from ari_app.check.look import NothingThere, clock_finding, look

Answer = Callable[[web.Request], web.Response]


def as_the_service(request: web.Request) -> web.Response:
    if request.path == "/healthz":
        return web.Response(text="ok\n")
    return web.Response(status=401 if request.path == "/crm/call" else 404)


@asynccontextmanager
async def served(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.Response:
        return answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def found(
    url: str, runs: bool = True, trusted: ssl.SSLContext | None = None, proxies: int = 0
) -> list[Finding]:
    connector = aiohttp.TCPConnector(ssl=trusted or True)
    async with aiohttp.ClientSession(connector=connector) as session:
        return [one async for one in public.address(session, url, runs, trusted, proxies)]


async def test_an_address_that_leads_to_us_and_refuses_strangers() -> None:
    async with served(as_the_service) as url:
        findings = await found(url)
    assert [one.state for one in findings] == [State.WARNING, State.GOOD, State.GOOD]
    assert "from this machine only" in findings[0].sentence


async def test_an_address_that_leads_to_another_server() -> None:
    async with served(lambda _: web.Response(text="It works!")) as url:
        *_, finding = await found(url)
    assert finding.state is State.BAD
    assert "isn't the service" in finding.sentence


async def test_a_web_server_that_keeps_the_crms_clicks_from_us() -> None:
    def shut(request: web.Request) -> web.Response:
        return web.Response(status=403) if request.path == "/crm/call" else as_the_service(request)

    async with served(shut) as url:
        *_, finding = await found(url)
    assert finding.state is State.BAD
    assert "/crm/call answers a stranger 403" in finding.sentence


@pytest.mark.parametrize(
    ("seen", "counted", "state", "said"),
    [
        ("1", 0, State.WARNING, "set ARI_APP_PROXIES=1"),
        ("2", 1, State.WARNING, "set ARI_APP_PROXIES=2"),
        ("0", 1, State.WARNING, "X-Forwarded-For"),
        ("1", 1, State.GOOD, ""),
    ],
)
async def test_a_proxy_is_found_out_and_explained(seen: str, counted: int, state: State, said: str) -> None:
    def behind_a_proxy(request: web.Request) -> web.Response:
        answer = as_the_service(request)
        answer.headers[public.SEEN_HEADER] = seen
        return answer

    async with served(behind_a_proxy) as url:
        (finding,) = [one for one in await found(url, proxies=counted) if one.subject == "proxies"]
    assert finding.state is state
    assert said in (finding.remedy or "")


async def test_a_web_server_with_tls_that_names_nobody_is_found_out(tmp_path: Path) -> None:
    def silent_proxy(request: web.Request) -> web.Response:
        answer = as_the_service(request)
        answer.headers[public.SEEN_HEADER] = "0"
        return answer

    ours, theirs = certificate(tmp_path, 60)
    async with served(silent_proxy, theirs) as url:
        (finding,) = [one for one in await found(url, trusted=ours) if one.subject == "proxies"]
    assert "all visitors look like one" in finding.sentence


async def test_while_no_service_runs_nobody_is_asked() -> None:
    findings = await found("http://calls.shop.ru", runs=False)
    assert [one.state for one in findings] == [State.WARNING, State.UNKNOWN]
    assert "isn't encrypted" in findings[0].sentence


@pytest.mark.parametrize(("days", "state"), [(5, State.WARNING), (60, State.GOOD)])
async def test_a_certificate_has_its_days(days: int, state: State, tmp_path: Path) -> None:
    ours, theirs = certificate(tmp_path, days)
    async with served(as_the_service, theirs) as url:
        findings = await found(url, trusted=ours)
    (finding,) = [one for one in findings if "certificate" in one.sentence]
    assert finding.state is state
    assert f" {days} days" in finding.sentence


async def test_a_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    _, theirs = certificate(tmp_path, 60)
    async with served(as_the_service, theirs) as url:
        *_, finding = await found(url)
    assert finding.state is State.BAD
    assert "its certificate is not trusted" in finding.sentence


async def test_clocks_are_compared_by_what_the_other_one_says() -> None:
    def slow_clock(_: web.Request) -> web.Response:
        return web.Response(headers={"Date": formatdate(1_000_000_000, usegmt=True)})

    async with served(slow_clock) as url, everything.session() as session:
        answer = await look(session, "GET", url, clock=lambda: 1_000_000_090.0)
    assert answer.skew == -89.5
    finding = clock_finding("clock", "the CRM's", answer.skew, 30, "calls stand there at the wrong time")
    assert finding.state is State.WARNING
    assert "90 s behind ours" in finding.sentence
    assert clock_finding("clock", "the CRM's", None, 30, "").state is State.UNKNOWN


async def test_nobody_at_an_address_is_told_in_words() -> None:
    async with everything.session() as session:
        with pytest.raises(NothingThere, match="Connection refused"):
            await look(session, "GET", "http://127.0.0.1:1/")


def certificate(folder: Path, days: int) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a certificate for this machine; give the context that trusts it and the one that shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "calls")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days, hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "calls.pem"
    kind = serialization.Encoding.PEM
    private = key.private_bytes(kind, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(made.public_bytes(kind) + private)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(file)
    return ssl.create_default_context(cadata=made.public_bytes(kind).decode()), theirs
