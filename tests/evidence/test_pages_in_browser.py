"""The pages as people meet them, in a real browser: a colleague's, a claim on a phone, and those that say no."""

from __future__ import annotations

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from dunning.evidence.tokens import token_of
from dunning.kit.database import Database
from dunning.kit.settings import Settings
from dunning.messages.opt_out_links import opt_out_url
from dunning_worker.world import world_of
from tests.browser import SIZES, faults_of, keep
from tests.collection.stage import Stage, scenario, step
from tests.conftest import KEYRING, TenantWorld
from tests.evidence.rows import make_told

pytestmark = pytest.mark.browser


@pytest.fixture
async def stage(tenant: TenantWorld, database: Database, settings: Settings, api: httpx.AsyncClient) -> Stage:
    """A company without a ledger yet."""
    return Stage(tenant, world_of(database, settings, KEYRING), api)


async def speaks(stage: Stage, *languages: str) -> None:
    """Let the company write in some languages; the first is its ledger's."""
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute("update tenant set languages = $2 where tenant_id = $1", stage.tenant_id, list(languages))
        await session.execute("update ledger set language = $2 where tenant_id = $1", stage.tenant_id, languages[0])


async def path_to(stage: Stage, audience: str) -> str:
    """Return the path of the newest link for an audience."""
    (link, *_) = await stage.tenant.rows(
        "select link_id, key_id from link where tenant_id = $1 and audience = $2 order by link_id desc", stage.tenant_id, audience
    )
    return "/c/" + token_of(KEYRING, stage.tenant_id, link["link_id"], str(link["key_id"]))  # type: ignore[arg-type]


async def asked(stage: Stage) -> str:
    """Ask Bruno, who reads Italian, about four invoices of a French customer, and return the path of his link."""
    await stage.open(scenario(step(10, "a", 90)))
    await speaks(stage, "it", "fr")
    customer_id = await stage.customer(language="fr")
    items = [str(await stage.invoice(f"{n}9350.5{n}", days_overdue=30 * n)) for n in range(1, 5)]
    await stage.api.patch("/v1/tenant", json={"internal_domains": ["acme.example"]})
    body = {
        "item_ids": items,
        "comment": "Une palette manque, dit le client.",
        "notify": "internal",
        "message": {"to_emails": ["bruno@acme.example"], "text": "Bruno, abbiamo consegnato tutto?\nhttps://very.long.example/" + "x" * 90},
    }
    await stage.post(f"/customers/{customer_id}/item-updates", body, status=201)
    await stage.settle()
    return await path_to(stage, "internal")


async def focused(page: Page) -> str:
    """Return what has the focus: its text, or its name in a form."""
    return str(await page.evaluate("(document.activeElement.name || document.activeElement.innerText || '').trim()"))


@pytest.mark.parametrize("size", ["desk", "phone"])
async def test_a_colleague_takes_charge_and_replies_by_keyboard_in_his_own_language(served: str, chromium: Browser, stage: Stage, size: str) -> None:
    """S4-11: statuses and comments at a glance; nothing sticks out, everything has its name, and what was done is said at once."""
    path = await asked(stage)
    context = await chromium.new_context(java_script_enabled=False, viewport=SIZES[size])
    page = await context.new_page()
    await page.goto(served + path)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Solo per colleghi")
    assert "Customer C1" not in await page.content(), "a scanner that follows the link sees nothing"
    assert await faults_of(page) == []
    await page.get_by_role("button").click()
    await keep(page, f"colleague-{size}-1")
    assert await faults_of(page) == []
    assert await page.evaluate("document.documentElement.lang") == "it"
    await expect(page.get_by_role("list").get_by_role("listitem")).to_have_count(1)
    reached = []
    for _ in range(4):
        await page.keyboard.press("Tab")
        reached.append(await focused(page))
    assert reached == ["Vai al contenuto", "Prendo in carico", "text", "Salva la risposta"]
    await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("preso in carico")
    await expect(page.get_by_role("button")).to_have_count(1)
    await page.get_by_label("La vostra risposta").fill("   ")
    await page.get_by_role("button").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await keep(page, f"colleague-{size}-2-nothing")
    assert await focused(page) == "text"
    assert await page.get_by_label("La vostra risposta").get_attribute("aria-invalid") == "true"
    assert await faults_of(page) == []
    await page.get_by_label("La vostra risposta").fill("Sì, tutto.\nLa bolla è firmata.")
    await page.get_by_role("button").click()
    await expect(page.get_by_role("list").get_by_role("listitem")).to_have_count(2)
    await keep(page, f"colleague-{size}-3-replied")
    assert await faults_of(page) == []
    await context.close()


@pytest.mark.parametrize("size", ["desk", "phone"])
async def test_long_amounts_and_names_stay_inside_a_claim(served: str, chromium: Browser, stage: Stage, size: str) -> None:
    """S0-12: part paid, seven digits, a long name, in Spanish, on a phone; the documents of today stand in the order of those that were told."""
    await stage.open(scenario(step(10, "a", 1, deadline_days=7)), challenge="button")
    await stage.customer(name="Construcciones y Excavaciones Hermanos Fernández-Villaverde S.L.U.")
    items = [await stage.invoice("9351053.77", days_overdue=days) for days in (40, 3, 21)]
    await stage.pay("1000000.01", items[0])
    await stage.remind()
    page = await chromium.new_page(viewport=SIZES[size])
    await page.goto(served + await path_to(stage, "customer") + "?lang=es")
    await page.get_by_role("button").click()
    await keep(page, f"claim-long-{size}")
    assert await faults_of(page) == []
    told, today = [await table.locator("tbody .wide b").all_inner_texts() for table in await page.locator("table").all()]
    assert told == today
    await page.evaluate("document.querySelector('tbody .open').style.transform = 'translateX(300px)'")
    assert [fault for fault in await faults_of(page) if fault.startswith("sticks out")], "the control: what sticks out is found"
    await page.close()


async def test_a_settled_claim_asks_for_nothing_any_more(served: str, chromium: Browser, tenant: TenantWorld) -> None:
    """S0-12: somebody who has paid must not read a demand, not even in the part that stays as it was sent."""
    told = await make_told(tenant)
    page = await chromium.new_page(viewport=SIZES["phone"])
    for settled in (False, True):
        await page.goto(served + told.path)
        await page.get_by_label("Last 4 characters").fill("7890")
        await page.get_by_role("button").click()
        demand = page.get_by_text("Deliveries stop after that day.")
        await expect(demand).to_have_count(0 if settled else 1)
        assert await faults_of(page) == []
        await told.settle("1001", "1002", "1003") if not settled else None
    await page.close()


@pytest.mark.parametrize(
    ("locale", "gone", "asked_again"), [("it-IT", "non è disponibile", "Non volete più avvisi"), ("fr-FR", "n’est pas disponible", "échéance")]
)
async def test_the_pages_that_say_no_speak_the_visitors_language(
    served: str, chromium: Browser, tenant: TenantWorld, locale: str, gone: str, asked_again: str
) -> None:
    """S2-02: a revoked link, one that never was, and the way out of notices before the due date."""
    language = locale[:2]
    told = await make_told(tenant, language=language)
    context = await chromium.new_context(locale=locale, viewport=SIZES["phone"])
    page = await context.new_page()
    async with tenant.database.transaction(tenant.tenant_id) as session:
        await session.execute("update link set revoked_at = now(), revoked_because = 'left' where tenant_id = $1", tenant.tenant_id)
    for path in (told.path, "/c/rubbish", "/o/rubbish"):
        await page.goto(served + path)
        await expect(page.get_by_role("heading", level=1)).to_contain_text(gone)
        assert await page.evaluate("document.documentElement.lang") == language
        assert await faults_of(page) == []
    key_id = next(iter(KEYRING.keys))
    await page.goto(str(opt_out_url(tenant.tenant_id, told.message_id, key_id, keyring=KEYRING, public_url=served)))
    await keep(page, f"opt-out-{language}")
    await expect(page.get_by_role("heading", level=1)).to_contain_text(asked_again)
    assert await faults_of(page) == []
    await page.get_by_role("button").click()
    await expect(page.get_by_role("button")).to_have_count(0)
    assert await faults_of(page) == []
    await context.close()


async def test_the_api_docs_open_offline_and_an_operation_can_be_tried(served: str, chromium: Browser, api: httpx.AsyncClient) -> None:
    """Groups with what they are, in an order to learn in; a key is pasted once and the first call answers."""
    page = await chromium.new_page(viewport=SIZES["desk"])
    elsewhere: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url) if not request.url.startswith((served, "data:")) else None)
    page.set_default_timeout(90_000)
    await page.goto(f"{served}/docs")
    await page.wait_for_selector(".opblock-tag")
    assert [await group.get_attribute("data-tag") for group in (await page.locator(".opblock-tag").all())[:3]] == ["tenant", "people", "ledgers"]
    assert await page.locator(".opblock-tag").count() == await page.locator(".opblock-tag small p").count()
    await keep(page, "docs")
    await page.get_by_role("button", name="Authorize").first.click()
    await page.locator(".modal-ux input").fill(api.headers["Authorization"].removeprefix("Bearer "))
    await page.locator(".modal-ux button.authorize").click()
    await page.locator(".modal-ux button.btn-done").click()
    await page.locator("#operations-tag-tenant a.nostyle").click()
    await page.locator("#operations-tenant-get_tenant .opblock-summary-control").click()
    await page.locator("#operations-tenant-get_tenant button.execute").click()
    await expect(page.locator("#operations-tenant-get_tenant tr.response td.response-col_status").first).to_contain_text("200", timeout=30_000)
    await keep(page, "docs-tried")
    assert elsewhere == []
    await page.close()
