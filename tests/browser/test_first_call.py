"""From the first sign-in to the first call that is heard: what an administrator does on their first day."""

import re

import pytest
from playwright.async_api import expect

from ari_app.demo.pbx.phones import Rings
from ari_app.settings import Settings
from ari_app.store.accounts import Accounts
from ari_app.store.calls import CallStore
from tests.browser.conftest import Windows
from tests.browser.windows import Window
from tests.support.office import API_KEY, SECRET_KEY, Office

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA = "+79161234567"
_PLAY = """player => new Promise((heard, silent) => {
  player.addEventListener("timeupdate", () => { if (player.currentTime > 0) heard(player.duration); });
  player.addEventListener("error", () => silent(player.error));
  player.play().catch(silent);
})"""
"""Gives the recording's seconds as soon as some of it was heard."""


async def test_from_the_first_sign_in_to_the_first_call(office: Office, open_window: Windows) -> None:
    (olga,) = office.managers(1)
    office.customer(ANNA, "Иванова Анна", manager=olga)
    office.settings = Settings(
        data_dir=office.folder, crm_domains=("loopback",), pbx_networks="127.0.0.0/8", _env_file=None
    )
    await office.start_without_account()
    async with office.web() as site:
        window = await open_window(site, language="ru")
        await _sign_in(window, office)
        await _set_up_asterisk(window, office)
        await _give_an_extension(window, olga)
        await office.until(lambda: office.listening, "the PBX was not connected")
        await _first_call(window, office, olga)
        await _hear_it(window)


async def _sign_in(window: Window, office: Office) -> None:
    page = window.page
    await window.open("/")
    await expect(page).to_have_url(re.compile("/sign-in"))
    await page.get_by_label("Адрес CRM").fill(office.crm_account.url)
    await page.get_by_label("API ключ сервиса").fill("wrong" + API_KEY)
    window.expected.add(422)
    await page.get_by_role("button", name="Вход").click()
    await expect(page.locator("#key-wrong")).to_be_visible()
    await expect(page.get_by_label("Адрес CRM")).to_have_value(office.crm_account.url)
    assert office.crm.violations == ['GET /api/credentials: 403 Wrong "apiKey" value.']
    office.crm.violations.clear()
    await page.get_by_label("API ключ сервиса").fill(API_KEY)
    await page.get_by_role("button", name="Вход").click()
    await expect(page.get_by_role("heading", name="Информация")).to_be_visible()
    found = await Accounts(office.redis, SECRET_KEY).registered()
    assert [one.crm.url for one in found] == [office.crm_account.url]
    office.calls = CallStore(office.redis, found[0].id)


async def _set_up_asterisk(window: Window, office: Office) -> None:
    page, asterisk = window.page, office.lab.asterisk
    await page.get_by_role("link", name="Настройки Asterisk").first.click()
    typed = {
        "host": "127.0.0.1",
        "http_port": str(office.pbx_port),
        "http_prefix": asterisk.http_prefix,
        "ari_username": asterisk.ari_username,
        "ari_password": "wrong",
        "stasis_app": office.app,
        "ami_username": office.ami_username,
        "ami_password": asterisk.ami_password,
    }
    for name, text in typed.items():
        await page.locator(f"[name={name}]").fill(text)
    await page.get_by_role("button", name="Проверить соединение").click()
    tried = page.locator("#tried")
    await expect(tried.locator("[data-part=ari]")).to_have_attribute("data-state", "bad")
    await expect(tried).to_contain_text("Нет доступа")
    await expect(page.locator("[name=host]")).to_have_value("127.0.0.1")
    assert (await Accounts(office.redis, SECRET_KEY).registered())[0].pbx is None
    await page.locator("[name=ari_password]").fill(asterisk.ari_password)
    await page.get_by_role("button", name="Проверить соединение").click()
    for part in ("ari", "ajam"):
        await expect(tried.locator(f"[data-part={part}]")).to_have_attribute("data-state", "good")
    await page.get_by_role("button", name="Применить изменения").click()
    await expect(page.get_by_text("Изменения применены.")).to_be_visible()
    assert asterisk.ari_password not in await page.content()


async def _give_an_extension(window: Window, olga: str) -> None:
    page = window.page
    await page.get_by_role("link", name="Внутренние телефоны").click()
    await page.get_by_role("button", name="Синхронизировать пользователей").click()
    row = page.get_by_role("row").filter(has_text="Менеджер 1")
    await row.get_by_role("link").click()
    await page.locator("[name=code]").fill("Ольга")
    await page.get_by_role("button", name="Сохранить").click()
    await expect(page.locator("[name=code]")).to_have_value("Ольга")
    await expect(page.locator(".row small.wrong")).to_contain_text("цифр")
    await page.locator("[name=code]").fill(olga)
    await page.get_by_role("button", name="Сохранить").click()
    await expect(row).to_contain_text(olga)


async def _first_call(window: Window, office: Office, olga: str) -> None:
    page = window.page
    await page.get_by_role("link", name="Звонки сейчас").click()
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
    await page.get_by_role("link", name="CallLog").click()
    await expect(page.get_by_role("row").filter(has_text="Иванова Анна")).to_contain_text("отвечен")


async def _hear_it(window: Window) -> None:
    page = window.page
    await page.get_by_role("link", name="Иванова Анна").click()
    await expect(page.get_by_text("Карточка клиента показана")).to_be_visible()
    seconds: float = await page.locator("audio").evaluate(_PLAY)
    assert 0.5 < seconds < 15
