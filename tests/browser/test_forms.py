"""Each form of the cabinet in a real browser: what is wrong is said where it is, what is right is kept."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Dialog, Locator, Page, Route, expect

from ari_app.demo.crm.faults import Slow
from ari_app.demo.crm.simulator import Refusal
from tests.browser.axe import is_open_to_all
from tests.browser.conftest import Windows
from tests.browser.windows import PHONE, Window
from tests.cabinet.cabinet_shop import NEW_KEY, CabinetShop
from tests.cabinet.shop import API_KEY, CLIENT_ID

pytestmark = pytest.mark.asyncio(loop_scope="session")

APPLY = "Apply changes"


@pytest_asyncio.fixture(loop_scope="session")
async def window(cabinet: CabinetShop, open_window: Windows) -> AsyncIterator[Window]:
    """The administrator's window."""
    window = await open_window(cabinet.address)
    await window.open(f"/account/{cabinet.secret}")
    window.expected.add(422)
    yield window


@pytest.fixture
def page(window: Window) -> Page:
    return window.page


async def test_the_door_is_opened_by_the_keyboard_alone(cabinet: CabinetShop, open_window: Windows) -> None:
    window = await open_window(cabinet.address)
    keyboard = window.page.keyboard
    await window.open("/calls")
    await expect(window.page.get_by_label("CRM address")).to_be_focused()
    await keyboard.type(cabinet.shop.crm_account.url)
    await keyboard.press("Tab")
    await keyboard.type(API_KEY)
    await keyboard.press("Enter")
    await expect(window.page.get_by_role("heading", name="Call log")).to_be_visible()
    await keyboard.press("Tab")
    await expect(window.page.get_by_role("link", name="Skip to the content")).to_be_focused()


async def test_the_crms_own_page_opens_the_cabinet_also_in_place_of_another_session(
    cabinet: CabinetShop, open_window: Windows
) -> None:
    window = await open_window(cabinet.address)
    page = window.page
    for _ in range(2):
        await page.goto("about:blank")
        await page.set_content(
            f'<form method="post" action="{cabinet.address}/account/{cabinet.secret}">'
            f'<input name="clientId" value="{CLIENT_ID}"><button>Open</button></form>'
        )
        await page.get_by_role("button", name="Open").click()
        await expect(page.get_by_role("heading", name="Information")).to_be_visible()
        await window.open("/calls")
        await expect(page.get_by_role("heading", name="Call log")).to_be_visible()


async def test_a_key_without_rights_is_told_which_ones_it_lacks(
    cabinet: CabinetShop, open_window: Windows
) -> None:
    window = await open_window(cabinet.address, language="ru", width=PHONE)
    window.expected.add(422)
    cabinet.newcomer.rights.scopes -= {"telephony_write"}
    await window.open("/sign-in")
    await window.page.get_by_label("Адрес CRM").fill(cabinet.newcomer.url)
    await window.page.get_by_label("API ключ сервиса").fill(NEW_KEY)
    await window.page.get_by_role("button", name="Вход").click()
    await expect(window.page.locator("#key-wrong")).to_contain_text("/api/telephony")
    await expect(window.page.get_by_label("API ключ сервиса")).to_be_focused()
    await is_open_to_all(window)


async def test_settings_can_be_applied_only_when_something_was_changed(window: Window, page: Page) -> None:
    await window.open("/telephony")
    apply, seconds = page.get_by_role("button", name=APPLY), page.get_by_label("The responsible manager")
    await expect(apply).to_be_disabled()
    before = await seconds.input_value()
    await seconds.fill("25")
    await expect(apply).to_be_enabled()
    await seconds.fill(before)
    await expect(apply).to_be_disabled()
    await seconds.fill("0")
    await apply.click()
    await expect(_wrong(seconds)).to_contain_text("from 1 to 600")
    await expect(seconds).to_have_value("0")
    await expect(seconds).to_be_focused()
    await is_open_to_all(window)
    await seconds.fill("25")
    await apply.click()
    await expect(page.get_by_text("The changes are applied.")).to_be_visible()
    await expect(page).to_have_url(re.compile(r"/telephony$"))  # so the script has run
    await page.reload()
    await expect(page.get_by_text("The changes are applied.")).to_have_count(0)
    await expect(seconds).to_have_value("25")


async def test_enter_right_behind_a_letter_applies_what_was_typed(window: Window, page: Page) -> None:
    await window.open("/telephony")
    prefix = page.get_by_label("Prefix of CallerID(name)")
    await prefix.focus()
    enabled = await prefix.evaluate(
        """(field) => {
          field.value = "S";
          field.dispatchEvent(new InputEvent("input", {bubbles: true}));
          return !field.form.querySelector("[data-apply]").disabled;
        }"""
    )
    assert enabled
    await prefix.press("Enter")
    await expect(page.get_by_text("The changes are applied.")).to_be_visible()
    await expect(prefix).to_have_value("S")


async def test_a_stray_click_does_not_lose_what_was_changed(window: Window, page: Page) -> None:
    asked: list[str] = []

    async def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.dismiss()

    page.on("dialog", stay)
    await window.open("/telephony")
    prefix = page.get_by_label("Prefix of CallerID(name)")
    await prefix.fill("Shop")
    await page.get_by_role("link", name="Calls now").click()
    await expect(page).to_have_url(f"{window.site}/telephony")
    await expect(prefix).to_have_value("Shop")
    assert asked == ["beforeunload"]


async def test_a_call_that_nobody_takes_goes_where_the_steps_say(
    cabinet: CabinetShop, window: Window, page: Page
) -> None:
    await window.open("/telephony")
    steps = page.get_by_role("group", name="When the responsible manager does not take the call")
    await steps.get_by_label("Step 1").select_option(label="Employees, all at once")
    await page.get_by_role("button", name=APPLY).click()
    await expect(page.get_by_text("Tick who is to be rung.")).to_be_visible()
    await steps.get_by_label("102").first.check()
    await steps.get_by_label("103").first.check()
    await page.get_by_role("button", name=APPLY).click()
    await expect(page.get_by_text("The changes are applied.")).to_be_visible()
    account = await cabinet.shop.service.accounts.find(cabinet.shop.account.id)
    assert account is not None
    assert account.calls.fallback == "group:102,103"


async def test_an_extension_is_given_in_place_and_not_twice(
    cabinet: CabinetShop, window: Window, page: Page
) -> None:
    await window.open("/extensions")
    await page.get_by_role("button", name="Synchronise users").click()
    row = page.get_by_role("row").filter(has_text="Борисов")
    await row.get_by_role("link").click()
    code = page.locator("[name=code]")
    await expect(code).to_be_focused()
    await code.fill("101")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("small.wrong")).to_contain_text("101 belongs to Ольгина")
    await expect(code).to_have_value("101")
    await is_open_to_all(window)
    await code.fill("112")
    await page.get_by_role("button", name="Save").click()
    await expect(row).to_contain_text("112")
    account = await cabinet.shop.service.accounts.find(cabinet.shop.account.id)
    assert account is not None
    assert {one.user_id: one.code for one in account.extensions}[2] == "112"


async def test_an_extension_that_is_being_given_is_not_taken_away_by_the_end_of_the_synchronisation(
    cabinet: CabinetShop, window: Window, page: Page
) -> None:
    async def when_the_row_is_open(route: Route) -> None:
        await opened.wait()
        await route.continue_()

    opened = asyncio.Event()
    await window.open("/extensions")
    synchronise = page.get_by_role("button", name="Synchronise users")
    row = page.get_by_role("row").filter(has_text="Борисов")
    await synchronise.click()
    await expect(row).to_be_visible()
    await expect(synchronise).to_be_visible()
    cabinet.shop.crm_account.fault(Slow(4.0), route="users", times=1)  # the page is there before it is done
    await page.route("**/extensions/progress", when_the_row_is_open)
    await synchronise.click()
    await row.get_by_role("link").click()
    code = page.locator("[name=code]")
    await expect(code).to_be_focused()
    await page.evaluate("""document.addEventListener("htmx:afterRequest", ({detail}) => {
        if ("unasked" in detail.elt.dataset) document.body.dataset.came = "yes";
    })""")
    opened.set()
    await expect(page.locator("body[data-came]")).to_be_attached()
    await expect(code).to_be_focused()


async def test_a_number_of_the_shop_is_added(window: Window, page: Page) -> None:
    await window.open("/numbers")
    form = page.locator("form.new")
    await form.get_by_label("Number").fill("five")
    await form.get_by_role("button", name="Add").click()
    await expect(form.locator("small.wrong")).to_contain_text("not a telephone number")
    await expect(form.get_by_label("Number")).to_have_value("five")
    await is_open_to_all(window)
    await form.get_by_label("Number").fill("8 (495) 777-00-11")
    await form.get_by_role("button", name="Add").click()
    await expect(page.get_by_role("row").filter(has_text="+7 495 777-00-11")).to_be_visible()


async def test_a_token_is_shown_once_opens_the_api_and_is_taken_away(window: Window, page: Page) -> None:
    await window.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await window.open("/api-access")
    await page.get_by_label("What the token is for").fill(" ")
    await page.get_by_role("button", name="Make a token").click()
    await expect(page.locator("#token-name-wrong")).to_be_visible()
    await is_open_to_all(window)
    await page.get_by_label("What the token is for").fill("Reports")
    await page.get_by_role("button", name="Make a token").click()
    await page.locator(".once").get_by_role("button", name="Copy").click()
    token = await page.locator("#new-token").inner_text()
    assert await page.evaluate("navigator.clipboard.readText()") == token
    calls, bearer = f"{window.site}/api/calls", {"Authorization": f"Bearer {token}"}
    await window.open("/api-access")
    assert token not in await page.content()
    context = page.context
    assert (await context.request.get(calls, headers=bearer)).status == 200
    page.once("dialog", agree)
    await page.get_by_role("button", name="Revoke Reports").click()
    await expect(page.get_by_text("The token is revoked")).to_be_visible()
    assert (await context.request.get(calls, headers=bearer)).status == 401


async def test_a_new_client_id_is_issued_only_to_who_knows_what_it_means(
    cabinet: CabinetShop, window: Window, page: Page
) -> None:
    await window.open("/api-access")
    before = await page.locator("#client-id").inner_text()
    await page.get_by_text("Issue a new clientId").first.click()
    await page.get_by_role("button", name="Issue a new clientId").click()
    await expect(page.locator("#sure-wrong")).to_be_visible()
    await page.get_by_label("I am going to change the clientId").check()
    await page.get_by_role("button", name="Issue a new clientId").click()
    await expect(page.get_by_text("There is a new clientId")).to_be_visible()
    assert await page.locator("#client-id").inner_text() != before


async def test_a_call_is_looked_for_while_its_number_is_typed(
    cabinet: CabinetShop, window: Window, page: Page
) -> None:
    await cabinet.call()
    await window.open("/calls")
    number, rows = page.get_by_label("Customer's number"), page.locator("#calls tbody tr")
    await expect(rows).to_have_count(1)
    await number.fill("8 903 000-00-00")
    await expect(page.get_by_text("There are no calls with")).to_be_visible()
    await number.fill("Anna")
    await expect(page.get_by_text("This is not a number.")).to_be_visible()
    await number.fill("8 916 123-45-67")
    await expect(rows).to_have_count(1)
    await page.reload()
    await expect(number).to_have_value("8 916 123-45-67")
    await expect(rows).to_have_count(1)


async def test_a_period_of_the_statistics_must_not_end_before_it_begins(window: Window, page: Page) -> None:
    await window.open("/statistics")
    await page.get_by_label("From").fill("2026-11-20")
    await page.get_by_label("To", exact=True).fill("2026-11-01")
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_role("alert")).to_contain_text("before the first")
    await page.get_by_label("To", exact=True).fill("2026-11-21")
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_what_the_crm_refused_is_sent_again(cabinet: CabinetShop, window: Window, page: Page) -> None:
    cabinet.shop.crm_account.fault(Refusal("Errors in the entity format"), route="upload", times=1)
    await cabinet.call()
    await cabinet.shop.told()
    await window.open("/events")
    await expect(page.get_by_text("Errors in the entity format").first).to_be_visible()
    await is_open_to_all(window)
    await page.get_by_role("button", name="Send again").click()
    await expect(page.get_by_text("is on its way to the CRM")).to_be_visible()
    await cabinet.shop.crm_account.wait_until(lambda account: len(account.uploads) == 1, timeout=60)


async def test_a_call_appears_while_one_looks_and_lasts(
    cabinet: CabinetShop, window: Window, page: Page
) -> None:
    await window.open("/live")
    await expect(page.locator(".empty")).to_be_visible()
    await cabinet.shop.reports("in", uniqueid="1700000000.77")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.locator("[data-since]")).to_have_text(re.compile("0:0[1-9]"))


async def test_the_language_is_chosen_once_for_all_pages(window: Window, page: Page) -> None:
    await window.open("/statistics")
    await page.get_by_role("button", name="Русский").click()
    await expect(page.get_by_role("heading", name="Статистика")).to_be_visible()
    await page.get_by_role("link", name="Телефония").click()
    await expect(page.get_by_role("heading", name="Телефония")).to_be_visible()
    await page.get_by_role("button", name="Выйти").click()
    await expect(page.get_by_role("heading", name="Вход")).to_be_visible()
    await window.open("/calls")
    await expect(page.get_by_role("heading", name="Вход")).to_be_visible()


async def test_on_a_phone_the_sections_are_a_menu(cabinet: CabinetShop, open_window: Windows) -> None:
    window = await open_window(cabinet.address, width=PHONE)
    await window.open(f"/account/{cabinet.secret}")
    page = window.page
    await page.locator(".menu summary").click()
    await is_open_to_all(window)
    await page.get_by_role("link", name="Event log").click()
    await expect(page.get_by_role("heading", name="Event log")).to_be_visible()
    await expect(page.locator(".menu summary")).to_have_text("Event log")


async def test_a_page_that_breaks_its_policy_is_noticed(window: Window, page: Page) -> None:
    await page.evaluate("document.head.append(Object.assign(document.createElement('script'), {text: '1'}))")
    (complaint,) = window.complaints
    assert "Content Security Policy" in complaint
    window.complaints.clear()


async def agree(dialog: Dialog) -> None:
    """Answer yes to what is asked."""
    await dialog.accept()


def _wrong(field: Locator) -> Locator:
    """What is said to be wrong beside a field."""
    return field.page.locator("small.wrong:visible").first
