"""The customer's way through the page in a real browser: landing, answer, claim, confirmation; in two languages, on a desk and a phone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.conftest import TenantWorld
from tests.evidence.rows import make_told

pytestmark = pytest.mark.browser
WAYS = {
    "en": ("Last 4 characters", "Show the page", "Payment reminder C-000123", "Your name", "Your role in the company", "Confirm receipt", "Receipt confirmed"),
    "it": ("Ultimi 4 caratteri", "Mostra la pagina", "Sollecito di pagamento C-000123", "Il vostro nome", "Il vostro ruolo in azienda",
           "Conferma la ricezione", "Ricezione confermata"),
}  # fmt: skip
SIZES = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 375, "height": 740}}


async def keep(page: Page, name: str) -> None:
    """Keep a picture where `DUNNING_SCREENSHOTS` says."""
    folder = os.environ.get("DUNNING_SCREENSHOTS")
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


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
    box = await page.locator("main").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= SIZES[size]["width"]
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
    found = await page.evaluate(
        """() => ({
            lang: document.documentElement.lang,
            mains: document.querySelectorAll('main').length,
            headings: [...document.querySelectorAll('h1,h2,h3')].map(h => Number(h.tagName[1])),
            unlabelled: [...document.querySelectorAll('input:not([type=hidden])')].filter(i => !i.labels.length).length,
            captionless: [...document.querySelectorAll('table')].filter(t => !t.caption || !t.querySelector('th[scope=col]')).length,
            ids: [...document.querySelectorAll('[id]')].map(e => e.id),
            small: [...document.querySelectorAll('button, input[type=text]')].filter(e => e.getBoundingClientRect().height < 44).length,
        })"""
    )
    assert found["lang"] == "en"
    assert found["mains"] == 1
    assert found["headings"][0] == 1
    assert found["headings"].count(1) == 1
    assert all(after - before <= 1 for before, after in zip(found["headings"], found["headings"][1:], strict=False))
    assert (found["unlabelled"], found["captionless"], found["small"]) == (0, 0, 0)
    assert len(found["ids"]) == len(set(found["ids"]))
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        assert await page.evaluate(CONTRASTS) == []
    await page.close()


CONTRASTS = """() => {
    const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
    return [...document.querySelectorAll('body *')].filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
        .filter(e => e.getClientRects().length && !['STYLE', 'SCRIPT'].includes(e.tagName))
        .map(e => { const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x); return [e.textContent.trim().slice(0, 30), (a + 0.05) / (b + 0.05)]; })
        .filter(([, ratio]) => ratio < 4.5);
}"""
