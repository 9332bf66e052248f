"""The customer's way through the page in a real browser: landing, answer, claim, confirmation; in two languages, on a desk and a phone."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.browser import SIZES, faults_of, keep
from tests.conftest import TenantWorld
from tests.evidence.rows import make_told

pytestmark = pytest.mark.browser
WAYS = {
    "en": ("Last 4 characters", "Show the page", "Payment reminder C-000123", "Your name", "Your role in the company", "Confirm receipt", "Receipt confirmed"),
    "it": ("Ultimi 4 caratteri", "Mostra la pagina", "Sollecito di pagamento C-000123", "Il vostro nome", "Il vostro ruolo in azienda",
           "Conferma la ricezione", "Ricezione confermata"),
}  # fmt: skip


@pytest.mark.parametrize(("language", "scheme", "size"), [("en", "light", "desk"), ("it", "dark", "phone")])
async def test_a_customer_finds_the_way_from_the_mail_to_the_confirmation(
    served: str, chromium: Browser, tenant: TenantWorld, language: str, scheme: str, size: str
) -> None:
    """S0-12, S0-14, S2-02: with scripts switched off, by label and keyboard, without sideways scrolling, without a console error."""
    told = await make_told(tenant, language=language)
    question, show, heading, name, role, confirm, done = WAYS[language]
    context = await chromium.new_context(java_script_enabled=False, viewport=SIZES[size], color_scheme=scheme)
    page = await context.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("request", lambda request: troubles.append(request.url) if not request.url.startswith(served) else None)
    label = f"{language}-{scheme}-{size}"
    await page.goto(served + told.path)
    await keep(page, f"{label}-1-landing")
    await page.get_by_label(question).fill("0000")
    await page.get_by_role("button", name=show).click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await keep(page, f"{label}-2-wrong")
    troubles.clear()  # the browser reports the 403 of a wrong answer
    await page.get_by_label(question).fill("7890")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1, name=heading)).to_be_visible()
    await expect(page.get_by_text("IT60 X054 2811 1010 0000 0123 456")).to_be_visible()
    await keep(page, f"{label}-3-claim")
    assert await faults_of(page) == []
    await page.emulate_media(color_scheme=scheme)
    await page.get_by_label(name).fill("Anna Rossi")
    await page.get_by_label(role).fill("CFO")
    await page.get_by_role("button", name=confirm).click()
    await expect(page.get_by_role("heading", level=1, name=done)).to_be_visible()
    await keep(page, f"{label}-4-done")
    assert await context.cookies() == []
    await context.close()
    assert troubles == []
    assert await told.grade() == "acknowledged"


async def test_the_settled_page_and_the_neutral_page_look_like_the_others(served: str, chromium: Browser, tenant: TenantWorld) -> None:
    """After payment the page says settled; a dead link says nothing."""
    told = await make_told(tenant)
    await told.settle("1001", "1002", "1003")
    page = await chromium.new_page(viewport=SIZES["desk"])
    await page.goto(served + told.path)
    await page.get_by_label("Last 4 characters").fill("7890")
    await page.get_by_role("button").click()
    await expect(page.get_by_role("heading", name="Settled")).to_be_visible()
    await keep(page, "settled")
    await page.goto(served + "/c/rubbish")
    await expect(page.get_by_role("heading", level=1)).to_have_text("This page is not available")
    await keep(page, "gone")
    await page.close()


@pytest.mark.parametrize("step", ["landing", "claim"])
async def test_the_page_has_what_assistive_technology_needs(served: str, chromium: Browser, tenant: TenantWorld, step: str) -> None:
    """Landmarks, one first heading, headings in order, a label a field, a header a table, a language, and text that is readable on its ground."""
    told = await make_told(tenant)
    page = await chromium.new_page()
    await page.goto(served + told.path)
    if step == "claim":
        await page.get_by_label("Last 4 characters").fill("7890")
        await page.get_by_role("button").click()
    assert await faults_of(page) == []
    assert await page.evaluate("document.documentElement.lang") == "en"
    await page.close()
