"""From the first sign-in to the first call that is heard: an administrator follows docs/ru/nachalo.md."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from zipfile import ZipFile

import pytest
from playwright.async_api import expect

from ari_app.demo.pbx.phones import Rings
from ari_app.settings import Settings
from ari_app.store.accounts import Accounts
from ari_app.store.calls import CallStore
from tests.browser.conftest import Windows
from tests.browser.windows import Window
from tests.support.office import API_KEY, OUR_NUMBER, SECRET_KEY, Office

pytestmark = pytest.mark.asyncio(loop_scope="session")

DOCUMENT = Path(__file__).parents[2] / "docs/ru/nachalo.md"
ANNA = "+79161234567"
_PLAY = """player => new Promise((heard, silent) => {
  player.addEventListener("timeupdate", () => { if (player.currentTime > 0) heard(player.duration); });
  player.addEventListener("error", () => silent(player.error));
  player.play().catch(silent);
})"""
"""Gives the recording's seconds as soon as some of it was heard."""


class Guide:
    """The steps of the document: what they name in «…», in their order.

    Called with a word of the cabinet's, it gives it back: where the document names another one, or none,
    the test fails.
    """

    def __init__(self) -> None:
        section = DOCUMENT.read_text("utf-8").partition("### От входа до первого звонка\n")[2]
        steps = re.search(r"^1\. .*?(?=^\S(?<!\d))", section, re.DOTALL | re.MULTILINE)
        assert steps is not None
        self.ahead = [" ".join(word.split()) for word in re.findall("«([^»]+)»", steps[0])]

    def __call__(self, word: str) -> str:
        assert self.ahead[:1] == [word]
        return self.ahead.pop(0)


async def test_from_the_first_sign_in_to_the_first_call(office: Office, open_window: Windows) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    office.settings = Settings(
        data_dir=office.folder, crm_domains=("loopback",), pbx_networks="127.0.0.0/8", _env_file=None
    )
    await office.start_without_account()
    guide = Guide()
    async with office.web() as site:
        window = await open_window(site, language="ru")
        await _sign_in(guide, window, office)
        files = await _set_up_asterisk(guide, window, office)
        await office.until(lambda: office.listening, "the PBX was not connected")
        await _give_an_extension(guide, window, olga)
        await _add_a_number(guide, window)
        await _decide_where_calls_go(guide, window, office)
        async with _try_it_out(guide, window, office, olga, files):
            await _first_call(guide, window, office, olga)
            await _hear_it(window)
        await window.page.get_by_role("link", name=guide("Информация")).first.click()
        await expect(window.page.get_by_text(guide("Всё работает."))).to_be_visible()
    assert guide.ahead == []


async def _sign_in(guide: Guide, window: Window, office: Office) -> None:
    page = window.page
    await window.open("/")
    await expect(page).to_have_url(re.compile("/sign-in"))
    await expect(page.get_by_role("heading", name=guide("Вход"))).to_be_visible()
    crm, key = page.get_by_label(guide("Адрес CRM")), page.get_by_label(guide("API ключ сервиса"))
    await crm.fill(office.crm_account.url)
    await key.fill("wrong" + API_KEY)
    window.expected.add(422)
    await page.get_by_role("button", name=guide("Вход")).click()
    await expect(page.locator("#key-wrong")).to_be_visible()
    await expect(crm).to_have_value(office.crm_account.url)
    await expect(page.get_by_text(guide("Где взять ключ?"))).to_be_visible()
    assert office.crm.violations == ['GET /api/credentials: 403 Wrong "apiKey" value.']
    office.crm.violations.clear()
    await key.fill(API_KEY)
    await page.get_by_role("button", name="Вход").click()
    await expect(page.get_by_role("heading", name=guide("Информация"))).to_be_visible()
    await expect(page.get_by_role("heading", name=guide("До первого звонка"))).to_be_visible()
    found = await Accounts(office.redis, SECRET_KEY).registered()
    assert [one.crm.url for one in found] == [office.crm_account.url]
    office.calls = CallStore(office.redis, found[0].id)


async def _set_up_asterisk(guide: Guide, window: Window, office: Office) -> ZipFile:
    """Set Asterisk up, and give the files for it that were downloaded."""
    page, asterisk = window.page, office.lab.asterisk
    await page.get_by_role("link", name=guide("Настройки Asterisk")).first.click()
    await page.get_by_label(guide("Хост / адрес Asterisk")).fill("127.0.0.1")
    await page.get_by_label(guide("Порт AJAM и ARI")).fill(str(office.pbx_port))
    await page.get_by_label(guide("AMI Prefix")).fill(asterisk.http_prefix)
    passwords = [page.get_by_label(guide(name)) for name in ("Пароль ARI", "Пароль AMI")]
    for password in passwords:
        await expect(password).to_have_value(re.compile("[0-9a-f]{24}"))
    # this Asterisk has users already: they are typed in place of those that would be made
    typed = {
        "ari_username": asterisk.ari_username,
        "ari_password": "wrong",
        "stasis_app": office.app,
        "ami_username": office.ami_username,
        "ami_password": asterisk.ami_password,
    }
    for name, text in typed.items():
        await page.locator(f"[name={name}]").fill(text)
    async with page.expect_download() as coming:
        await page.get_by_role("button", name=guide("Скачать файлы для Asterisk")).click()
    files = ZipFile(await (await coming.value).path())
    for name in ("Куда положить файлы: Asterisk", "Куда положить файлы: FreePBX"):
        await page.get_by_text(guide(name)).click()
    await expect(page.get_by_text("#include extensions_")).to_be_visible()
    await page.get_by_role("button", name=guide("Проверить соединение")).click()
    tried = page.locator("#tried")
    await expect(tried.locator("[data-part=ari]")).to_have_attribute("data-state", "bad")
    await expect(tried).to_contain_text("Нет доступа")
    await expect(page.locator("[name=host]")).to_have_value("127.0.0.1")
    assert (await Accounts(office.redis, SECRET_KEY).registered())[0].pbx is None
    await page.locator("[name=ari_password]").fill(asterisk.ari_password)
    await page.get_by_role("button", name="Проверить соединение").click()
    works = guide("Доступ есть.")
    for part in ("ari", "ajam"):
        await expect(tried.locator(f"[data-part={part}]")).to_contain_text(works)
    await page.get_by_role("button", name=guide("Применить изменения")).click()
    await expect(page.get_by_text(guide("Изменения применены."))).to_be_visible()
    assert asterisk.ari_password not in await page.content()
    return files


async def _give_an_extension(guide: Guide, window: Window, olga: str) -> None:
    page = window.page
    await page.get_by_role("link", name=guide("Внутренние телефоны")).click()
    await page.get_by_role("button", name=guide("Синхронизировать пользователей")).click()
    row = page.get_by_role("row").filter(has_text="Менеджер 1")
    await row.get_by_text(guide("Добавить")).click()
    await expect(page.locator(f"#free option[value='{olga}']")).to_be_attached()
    await page.locator("[name=code]").fill("Ольга")
    await page.get_by_role("button", name=guide("Сохранить")).click()
    await expect(page.locator("[name=code]")).to_have_value("Ольга")
    await expect(page.locator(".row small.wrong")).to_contain_text("цифр")
    await page.locator("[name=code]").fill(olga)
    await page.get_by_role("button", name="Сохранить").click()
    await expect(page.get_by_text(guide("Сохранено и передано в retailCRM."))).to_be_visible()
    await expect(row).to_contain_text(olga)


async def _add_a_number(guide: Guide, window: Window) -> None:
    page = window.page
    await page.get_by_role("link", name=guide("Внешние телефоны")).click()
    await page.get_by_label(guide("Номер"), exact=True).fill(OUR_NUMBER)
    await page.get_by_label(guide("Магазин в retailCRM")).select_option(index=1)
    await page.get_by_role("button", name=guide("Добавить")).click()
    await expect(page.get_by_role("row").filter(has_text="+7 495 111-22-33")).to_be_visible()


async def _decide_where_calls_go(guide: Guide, window: Window, office: Office) -> None:
    page, queue = window.page, f"queues,{office.lab.queue()}"
    await page.get_by_role("link", name=guide("Телефония")).click()
    steps = page.get_by_role("group", name=guide("Если ответственный менеджер не взял трубку"))
    first, second = (steps.get_by_role("combobox").nth(number) for number in range(2))
    await expect(first.locator("option:checked")).to_have_text(guide("Сотрудникам: всем сразу"))
    await second.select_option(label=guide("Очередь Asterisk"))
    await expect(page.locator(f"#places option[value='{queue}']")).to_be_attached()
    await steps.locator("[name=fallback-1-place]").fill(queue)
    await page.get_by_role("button", name=guide("Применить изменения")).click()
    await expect(page.get_by_text("Изменения применены.")).to_be_visible()
    assert (await Accounts(office.redis, SECRET_KEY).registered())[0].calls.fallback.endswith(
        f";queue:{queue}"
    )


@asynccontextmanager
async def _on_the_pbx(office: Office, files: ZipFile) -> AsyncIterator[None]:
    """Put the dialplan onto the PBX that was downloaded, as long as this is entered."""
    asterisk = office.lab.asterisk
    place = asterisk.folder / "etc" / "extensions_more.conf"
    place.write_bytes(files.read(f"asterisk/extensions_{office.app}.conf"))
    try:
        await asterisk.command("dialplan reload")
        yield
    finally:
        place.unlink()
        await asterisk.command("dialplan reload")


@asynccontextmanager
async def _try_it_out(
    guide: Guide, window: Window, office: Office, olga: str, files: ZipFile
) -> AsyncIterator[None]:
    """Try it out; the dialplan, which was forgotten till then, stays as long as this is entered."""
    page = window.page
    await page.get_by_role("link", name=guide("Информация")).first.click()
    await page.get_by_role("button", name=guide("Позвонить мне сейчас")).click()
    await expect(page).to_have_url(re.compile("/call-me"))
    await page.get_by_role("button", name="Позвонить мне сейчас").click()
    await expect(page.get_by_role("alert")).to_contain_text(f"нет контекста {office.app}-incoming")
    async with _on_the_pbx(office, files):
        await page.get_by_label(guide("Чей телефон должен зазвонить")).select_option(olga)
        await page.get_by_label(guide("Как будто звонят с номера")).fill(ANNA)
        async with office.phone(olga, Rings()) as phone:
            await page.get_by_role("button", name=guide("Позвонить мне сейчас")).click()
            await expect(page.get_by_role("status")).to_contain_text(guide("Телефон звонит: снимите трубку."))
            assert (await phone.rings()).name == "Иванова Анна"
            await page.get_by_role("button", name="Позвонить мне сейчас").click()
            await expect(page.get_by_role("alert")).to_contain_text("Уже идёт другой пробный звонок")
            phone.answer()
            done = page.get_by_text(guide("Весь путь звонка работает."))
            await expect(done).to_be_visible(timeout=60_000)
        await expect(page.locator("#trial [data-state=good][data-step]")).to_have_count(6)
        seconds: float = await page.locator("audio").evaluate(_PLAY)
        assert 5 < seconds < 15
        await page.get_by_role("link", name="CallLog").click()
        await expect(page.locator(".empty")).to_be_visible()
        yield


async def _first_call(guide: Guide, window: Window, office: Office, olga: str) -> None:
    page = window.page
    await page.get_by_role("link", name=guide("Звонки сейчас")).click()
    await expect(page.locator(".empty")).to_be_visible()
    async with office.phone(olga, Rings()) as phone, office.call(ANNA) as anna:
        row = page.get_by_role("row").filter(has_text="Иванова Анна")
        await expect(row).to_contain_text(olga)
        await phone.rings()
        phone.answer()
        await expect(row.locator("[data-stage=talking]")).to_be_visible()
        await office.recorded()
        await expect(row.locator("[data-since]")).to_have_text(re.compile("0:0[2-9]"))  # they talk
        anna.hang_up()
        await anna.ended()
    await expect(page.locator(".empty")).to_be_visible()
    await office.report()
    await page.get_by_role("link", name=guide("CallLog")).click()
    await expect(page.get_by_role("row").filter(has_text="Иванова Анна")).to_contain_text("отвечен")


async def _hear_it(window: Window) -> None:
    page = window.page
    await page.get_by_role("link", name="Иванова Анна").click()
    await expect(page.get_by_text("Карточка клиента показана")).to_be_visible()
    seconds: float = await page.locator("audio").evaluate(_PLAY)
    assert 0.5 < seconds < 15
