"""«Настройки Asterisk»: nothing is stored that doesn't work, and no password goes where it doesn't belong."""

import asyncio
import io
import re
import zipfile
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from redis.asyncio import Redis

from ari_app.accounts.account import Account, RegisteredAccount
from ari_app.accounts.sections import PbxSettings
from cabinet.pages.asterisk import TRIES
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop, Reader, cabinet_shop
from tests.support.pace import at_this_pace

_VERSION = re.compile(r'name="version" value="([0-9a-f]+)"')
ARI_PASSWORD, AMI_PASSWORD = "ari-hunter2", "ami-hunter2"


class Pbx:
    """What Asterisk's HTTP server answers, as far as knocking at its doors goes."""

    def __init__(self) -> None:
        self.read_only = False
        self.rights = ["Originate", "CoreShowChannels", "Ping"]
        self.already_in = False
        self.silent = False
        self.elsewhere = ""
        self.logins: list[tuple[str, str, str]] = []
        """Passwords that came: by ARI or AJAM, the password, and at which address."""
        self.port = 0

    def routes(self) -> list[web.RouteDef]:
        """Where it answers."""
        return [
            web.get("/asterisk/ari/asterisk/info", self.info),
            web.delete("/asterisk/ari/bridges/{id}", self.bridge),
            web.post("/asterisk/rawman", self.rawman),
        ]

    async def info(self, request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "")
        self.logins.append(("ari", given, request.host))
        if self.silent:
            await asyncio.Event().wait()
        if self.elsewhere:
            raise web.HTTPFound(self.elsewhere)
        if given != f"Basic {b64encode(f'retailcrm:{ARI_PASSWORD}'.encode()).decode()}":
            raise web.HTTPUnauthorized
        return web.json_response({"system": {"version": "22.1.0"}})

    async def bridge(self, _: web.Request) -> web.Response:
        return web.Response(status=403 if self.read_only else 404)

    async def rawman(self, request: web.Request) -> web.Response:
        form = await request.post()
        match form.get("action"):
            case "Login" if self.already_in:
                return _answer("Error", "Message: Login Already In Use")
            case "Login":
                self.logins.append(("ajam", str(form["secret"]), request.host))
                if (form["username"], form["secret"]) != ("asterisk", AMI_PASSWORD):
                    return _answer("Error", "Message: Authentication failed")
                answer = _answer("Success", "Message: Authentication accepted")
                answer.set_cookie("mansession_id", "12345678")
                return answer
            case "ListCommands":
                return _answer("Success", *(f"{name}: what it does" for name in self.rights))
            case _:
                return _answer("Goodbye", "Message: Thanks for all the fish.")


def _answer(response: str, *lines: str) -> web.Response:
    return web.Response(text="\r\n".join([f"Response: {response}", *lines, "", ""]))


@pytest.fixture
async def pbx() -> AsyncIterator[Pbx]:
    pbx = Pbx()
    app = web.Application()
    app.add_routes(pbx.routes())
    async with TestServer(app) as server:
        pbx.port = server.port or 0
        yield pbx


@pytest.fixture
async def cabinet(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    """A cabinet whose operator lets PBXs be on this machine."""
    async with cabinet_shop(redis, tmp_path, pbx_networks="127.0.0.0/8") as cabinet:
        yield cabinet


@pytest.fixture
async def guarded(redis: Redis, tmp_path: Path) -> AsyncIterator[CabinetShop]:
    """A cabinet whose operator doesn't."""
    async with cabinet_shop(redis, tmp_path) as cabinet:
        yield cabinet


@pytest.fixture
async def reader(cabinet: CabinetShop) -> AsyncIterator[Reader]:
    async with cabinet.reader() as reader:
        await reader.enter(cabinet)
        yield reader


def filled_in(pbx: Pbx, **typed: str) -> dict[str, str]:
    """The form as an administrator fills it in."""
    return {
        "outgoing": "default,1",
        "host": "127.0.0.1",
        "http_port": str(pbx.port),
        "http_prefix": "/asterisk",
        "ami_username": "asterisk",
        "ami_password": AMI_PASSWORD,
        "channel_format": "PJSIP/##",
        "ari_username": "retailcrm",
        "ari_password": ARI_PASSWORD,
        "stasis_app": "retailcrm",
    } | typed


async def send(reader: Reader, fields: dict[str, str], path: str = "/asterisk") -> tuple[int, str]:
    """Send the form of the page as it is now; give the status, and the page or where to go."""
    page = await reader.text("/asterisk")
    version = _VERSION.search(page)
    token = re.search(r'name="token" value="([0-9a-f]+)"', page)
    assert version is not None
    assert token is not None
    answer = await reader.post(path, token=token[1], version=version[1], **fields)
    return answer.status, answer.headers.get("Location") or await answer.text()


async def stored(cabinet: CabinetShop, account: RegisteredAccount | None = None) -> RegisteredAccount:
    found = await cabinet.shop.service.accounts.find((account or cabinet.shop.account).id)
    assert found is not None
    return found


def wrong(page: str) -> dict[str, str]:
    """Give what the page says beside fields."""
    found = re.findall(r'<small class="wrong" id="(\w+)-wrong">([^<]*)</small>', page)
    return {name: " ".join(text.split()) for name, text in found}


async def test_what_works_is_stored_and_said(cabinet: CabinetShop, reader: Reader, pbx: Pbx) -> None:
    status, then = await send(reader, filled_in(pbx, outgoing="out,2"))
    assert (status, then) == (303, "/asterisk?saved=1")
    account = await stored(cabinet)
    assert account.pbx is not None
    assert account.pbx.ari_url == f"http://127.0.0.1:{pbx.port}/asterisk/"
    assert account.pbx.ari_password.get_secret_value() == ARI_PASSWORD
    assert account.pbx.outgoing == "out,2"
    assert account.pbx.guarded
    assert account.extensions == cabinet.shop.account.extensions
    text = await reader.text(then)
    assert "The changes are applied" in text
    assert "hunter2" not in text


async def test_a_shop_that_signed_in_just_now_can_take_calls_when_its_pbx_is_set_up(
    cabinet: CabinetShop, pbx: Pbx
) -> None:
    async with cabinet.reader() as reader:
        await reader.sign_in(cabinet.newcomer.url, NEW_KEY)
        assert "One step is left" in await reader.text("/asterisk")
        status, then = await send(reader, filled_in(pbx, ami_password=""))
        assert (status, then) == (303, "/asterisk?saved=1")
        found = [
            one for one in await cabinet.shop.service.accounts.all() if one.crm.url == cabinet.newcomer.url
        ]
        assert len(found) == 1
        assert isinstance(found[0], Account)
        assert found[0].pbx.ami_password is None


@pytest.mark.parametrize(
    ("typed", "fields"),
    [
        ({"ari_password": "wrong"}, {"ari_password"}),
        ({"ami_password": "wrong"}, {"ami_password"}),
        ({"http_prefix": "pbx"}, {"http_prefix"}),
        ({"http_port": "1"}, {"http_port"}),
        ({"host": "no-such-name.invalid"}, {"host"}),
        ({"tls": "yes"}, {"tls"}),
    ],
)
async def test_what_does_not_work_is_not_stored_and_is_said_beside_its_field(
    cabinet: CabinetShop, reader: Reader, pbx: Pbx, typed: dict[str, str], fields: set[str]
) -> None:
    status, text = await send(reader, filled_in(pbx, **typed))
    assert status == 422
    assert wrong(text).keys() == fields
    assert "No access to A" in text
    assert text.count("Nothing is stored") == 1
    for name, value in filled_in(pbx, **typed).items():
        if name != "tls":
            assert f'value="{value}"' in text, name
    assert await stored(cabinet) == cabinet.shop.account


async def test_without_access_the_page_says_the_sentence_that_administrators_know(
    cabinet: CabinetShop, pbx: Pbx
) -> None:
    async with cabinet.reader("ru") as reader:
        await reader.enter(cabinet)
        _, text = await send(reader, filled_in(pbx, ami_password="wrong", ari_password="wrong"))
    assert "Нет доступа до AMI: проверьте адрес, порт, логин или пароль" in text
    assert "Нет доступа до ARI: проверьте адрес, порт, логин или пароль" in text


async def test_a_user_with_too_few_rights_is_told_which(
    cabinet: CabinetShop, reader: Reader, pbx: Pbx
) -> None:
    pbx.rights, pbx.read_only = ["Ping"], True
    status, text = await send(reader, filled_in(pbx))
    assert status == 422
    assert "write = originate,reporting" in text
    assert "read_only = no" in text
    assert wrong(text).keys() == {"ari_username", "ami_username"}


async def test_a_user_who_may_come_in_only_once_is_told_so(reader: Reader, pbx: Pbx) -> None:
    pbx.already_in = True
    _, text = await send(reader, filled_in(pbx))
    assert "allowmultiplelogin" in wrong(text)["ami_username"]


async def test_a_silent_pbx_is_given_up_after_a_few_seconds(reader: Reader, pbx: Pbx) -> None:
    pbx.silent = True
    began = asyncio.get_running_loop().time()
    status, text = await send(reader, filled_in(pbx))
    assert status == 422
    assert wrong(text).keys() == {"host"}
    assert asyncio.get_running_loop().time() - began < at_this_pace(6)


async def test_who_sends_us_elsewhere_is_not_followed(reader: Reader, pbx: Pbx) -> None:
    pbx.elsewhere = "/asterisk/ari/asterisk/info"
    status, text = await send(reader, filled_in(pbx))
    assert status == 422
    assert "HTTP 302" in text
    assert len([one for one in pbx.logins if one[0] == "ari"]) == 1


async def test_checking_stores_nothing(cabinet: CabinetShop, reader: Reader, pbx: Pbx) -> None:
    status, text = await send(reader, filled_in(pbx), "/asterisk/check")
    assert status == 200
    assert text.count("There is access") == 2
    assert "changes are applied" not in text
    assert await stored(cabinet) == cabinet.shop.account
    _, text = await send(reader, filled_in(pbx, http_port="1"), "/asterisk/check")
    assert "Nothing is stored" not in text
    assert "Nothing is applied" not in text
    status, text = await send(reader, filled_in(pbx, http_port="0"), "/asterisk/check")
    assert (status, "Result of the check" in text) == (200, False)
    assert "Enter a number from 1 to 65535" in wrong(text)["http_port"]


async def test_a_stored_password_is_kept_when_nothing_is_typed_and_never_shown(
    cabinet: CabinetShop, reader: Reader, pbx: Pbx
) -> None:
    await send(reader, filled_in(pbx))
    status, _ = await send(reader, filled_in(pbx, ari_password="", ami_password="", outgoing="other"))
    assert status == 303
    account = await stored(cabinet)
    assert account.pbx is not None
    assert account.pbx.outgoing == "other"
    assert account.pbx.ari_password.get_secret_value() == ARI_PASSWORD
    assert account.pbx.ami_password is not None
    status, _ = await send(
        reader, filled_in(pbx, ari_password="", ami_password="") | {"ami_password-forget": "yes"}
    )
    assert status == 303
    account = await stored(cabinet)
    assert account.pbx is not None
    assert account.pbx.ami_password is None


@pytest.mark.parametrize("changed", [{"host": "localhost"}, {"http_port": "1"}])
async def test_a_stored_password_goes_to_no_other_address(
    cabinet: CabinetShop, reader: Reader, pbx: Pbx, changed: dict[str, str]
) -> None:
    await send(reader, filled_in(pbx))
    before, pbx.logins = await stored(cabinet), []
    typed = filled_in(pbx, ari_password="", ami_password="", **changed)
    for path in ("/asterisk/check", "/asterisk"):
        _, text = await send(reader, typed, path)
        if "http_port" in changed:  # nobody is there: that is told first
            assert wrong(text).keys() == {"http_port"}
        else:
            assert wrong(text).keys() == {"ari_password", "ami_password"}
            assert "once more" in wrong(text)["ari_password"]
    kept = b64encode(f"retailcrm:{ARI_PASSWORD}".encode()).decode()
    ours = f"127.0.0.1:{pbx.port}"  # there the service itself logs in with them
    elsewhere = {password for _, password, host in pbx.logins if host != ours}
    assert elsewhere.isdisjoint({f"Basic {kept}", AMI_PASSWORD})
    assert await stored(cabinet) == before


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "::1", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254"]
)
async def test_an_address_in_our_own_network_is_not_even_knocked_at(
    guarded: CabinetShop, pbx: Pbx, host: str
) -> None:
    async with guarded.reader() as reader:
        await reader.enter(guarded)
        for path in ("/asterisk/check", "/asterisk"):
            _, text = await send(reader, filled_in(pbx, host=host), path)
            assert "service's own network" in wrong(text)["host"].replace("&#39;", "'")
    assert pbx.logins == []
    assert await stored(guarded) == guarded.shop.account


@pytest.mark.parametrize(
    "host", ["127.1", "http://pbx", "user@pbx", "pbx:80", "pbx/x", "a..b", "2130706433", ""]
)
async def test_what_is_no_host_is_refused(reader: Reader, pbx: Pbx, host: str) -> None:
    status, text = await send(reader, filled_in(pbx, host=host))
    assert status == 422
    assert wrong(text).keys() == {"host"}


async def test_what_the_operator_applied_stays_the_operators(guarded: CabinetShop, pbx: Pbx) -> None:
    """A shop whose file says 127.0.0.1 may change all but the address."""
    account = guarded.shop.account
    theirs = account.pbx.model_copy(update={"http_port": pbx.port, "http_prefix": "asterisk"})
    await guarded.shop.service.accounts.apply(account.model_copy(update={"pbx": theirs}), keep_client_id=True)
    async with guarded.reader() as reader:
        await reader.enter(guarded)
        status, _ = await send(reader, filled_in(pbx, outgoing="other"))
        assert status == 303
        account_now = await stored(guarded)
        assert account_now.pbx is not None
        assert not account_now.pbx.guarded
        _, text = await send(reader, filled_in(pbx, host="127.0.0.2"))
        assert wrong(text).keys() == {"host"}


async def test_an_application_that_another_shop_uses_is_refused_without_naming_the_shop(
    cabinet: CabinetShop, reader: Reader, pbx: Pbx
) -> None:
    await send(reader, filled_in(pbx))
    async with cabinet.reader() as other:
        await other.sign_in(cabinet.newcomer.url, NEW_KEY)
        status, text = await send(other, filled_in(pbx))
        assert status == 422
        assert "another name" in wrong(text)["stasis_app"]
        assert cabinet.shop.account.id not in text
        assert (await send(other, filled_in(pbx, stasis_app="second")))[0] == 303


async def test_connections_are_tried_only_so_often(cabinet: CabinetShop, reader: Reader, pbx: Pbx) -> None:
    for _ in range(TRIES):
        await send(reader, filled_in(pbx), "/asterisk/check")
    pbx.logins = []
    status, text = await send(reader, filled_in(pbx))
    assert status == 422
    assert "checked too often" in text
    assert (pbx.logins, await stored(cabinet)) == ([], cabinet.shop.account)


async def test_a_form_that_shows_older_settings_is_refused_before_anything_is_tried(
    cabinet: CabinetShop, reader: Reader, pbx: Pbx
) -> None:
    old = _VERSION.search(await reader.text("/asterisk"))
    assert old is not None
    await send(reader, filled_in(pbx, outgoing="first"))
    pbx.logins = []
    answer = await reader.post(
        "/asterisk", token=await reader.token("/"), version=old[1], **filled_in(pbx, outgoing="second")
    )
    assert answer.status == 409
    text = await answer.text()
    assert "somebody else changed these settings" in text
    assert 'value="second"' in text
    assert re.search(r'id="outgoing-there">Stored now: <b>first</b>', text)
    assert pbx.logins == []


@pytest.mark.parametrize("path", ["/asterisk", "/asterisk/check", "/asterisk/files"])
async def test_strangers_and_forms_without_token_get_nowhere(
    cabinet: CabinetShop, reader: Reader, pbx: Pbx, path: str
) -> None:
    assert (await reader.post(path, **filled_in(pbx))).status == 403
    async with cabinet.reader() as stranger:
        answer = await stranger.post(path, token=await stranger.token(), **filled_in(pbx))
        assert answer.status == 303
        assert answer.headers["Location"].startswith("/sign-in")
        assert (await stranger.get("/asterisk")).status == 303
    assert pbx.logins == []


async def test_each_sees_their_own(cabinet: CabinetShop, reader: Reader, pbx: Pbx) -> None:
    await send(reader, filled_in(pbx, outgoing="mine-alone", manager_caller_name="Mine"))
    async with cabinet.reader() as other:
        await other.sign_in(cabinet.newcomer.url, NEW_KEY)
        text = await other.text("/asterisk")
        assert "mine-alone" not in text
        assert 'value="Mine"' not in text


async def test_the_service_does_not_connect_to_a_typed_pbx_that_has_moved_into_our_network(
    guarded: CabinetShop, pbx: Pbx
) -> None:
    service, account = guarded.shop.service, guarded.shop.account
    typed = account.pbx.model_copy(
        update={
            "host": "localhost",
            "http_port": pbx.port,
            "ari_password": SecretStr(ARI_PASSWORD),
            "ami_password": SecretStr(AMI_PASSWORD),
            "guarded": True,
        }
    )
    await service.accounts.change(account.id, lambda now: now.model_copy(update={"pbx": typed}))
    ari, ajam = await _problems(guarded, typed)
    assert "own network" in ari
    assert "own network" in ajam
    assert pbx.logins == []


async def _problems(cabinet: CabinetShop, pbx: PbxSettings) -> tuple[str, str]:
    """Wait until the service says why it reaches a PBX neither by ARI nor by AJAM."""
    deadline = asyncio.get_running_loop().time() + 10
    while asyncio.get_running_loop().time() < deadline:
        shop = cabinet.shop.service.shops.get(cabinet.shop.account.id)
        if shop is not None and shop.settings.pbx == pbx and shop.ajam is not None:
            ari, ajam = shop.line.pbx.problem, shop.ajam.problem
            if ari and ajam:
                return ari, ajam
        await asyncio.sleep(0.02)  # looking again, not waiting for luck: the deadline decides
    raise AssertionError("the service says nothing of the PBX")


async def test_passwords_are_made_for_a_new_pbx_and_stay_the_same(cabinet: CabinetShop, pbx: Pbx) -> None:
    async with cabinet.reader() as newcomer:
        await newcomer.sign_in(cabinet.newcomer.url, NEW_KEY)
        page = await newcomer.text("/asterisk")
        made = re.findall(r'name="(ari_password|ami_password)" type="password" value="([0-9a-f]{24})"', page)
        assert [name for name, _ in made] == ["ari_password", "ami_password"]
        assert len({password for _, password in made}) == 2
        again = await newcomer.text("/asterisk")
        assert all(password in again for _, password in made)
        token, version = re.search(r'name="token" value="([0-9a-f]+)"', page), _VERSION.search(page)
        assert token is not None
        assert version is not None
        fields = filled_in(pbx, **dict(made))
        answer = await newcomer.post("/asterisk/files", token=token[1], version=version[1], **fields)
        with zipfile.ZipFile(io.BytesIO(await answer.read())) as files:
            assert f"password = {dict(made)['ari_password']}" in files.read("asterisk/ari.conf").decode()


async def test_a_new_pbx_gets_its_files_before_it_lets_us_in(
    cabinet: CabinetShop, reader: Reader, pbx: Pbx
) -> None:
    async with cabinet.reader() as newcomer:
        await newcomer.sign_in(cabinet.newcomer.url, NEW_KEY)
        page = await newcomer.text("/asterisk")
        fields = filled_in(pbx, ari_password="thought-up-1", ami_password="thought-up-2")
        token, version = re.search(r'name="token" value="([0-9a-f]+)"', page), _VERSION.search(page)
        assert token is not None
        assert version is not None
        answer = await newcomer.post("/asterisk/files", token=token[1], version=version[1], **fields)
        assert answer.headers["Content-Disposition"] == 'attachment; filename="retailcrm.zip"'
        assert answer.headers["Cache-Control"] == "no-store"
        with zipfile.ZipFile(io.BytesIO(await answer.read())) as files:
            names = files.namelist()
            assert "password = thought-up-1" in files.read("asterisk/ari.conf").decode()
            assert "secret = thought-up-2" in files.read("asterisk/manager.conf").decode()
        assert {"asterisk/extensions_retailcrm.conf", "freepbx/extensions_custom.conf"} <= set(names)
        status, text = await send(newcomer, fields | {"ari_password": ""}, "/asterisk/files")
        assert status == 422
        assert 'aria-describedby="ari_password-wrong' in text
    [account] = [
        one for one in await cabinet.shop.service.accounts.registered() if one.crm.url == cabinet.newcomer.url
    ]
    assert account.pbx is None
    assert pbx.logins == []
