"""A real browser for the tests of pages: sizes, pictures, and what a page must have for everybody to use it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

SIZES: dict[str, Any] = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 375, "height": 740}}


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """A headless Chromium; tests that need it are skipped with a message where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine: install it (apt-get install chromium) to run the browser tests")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def keep(page: Page, name: str) -> None:
    """Keep a picture where `DUNNING_SCREENSHOTS` says."""
    folder = os.environ.get("DUNNING_SCREENSHOTS")
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


async def faults_of(page: Page) -> list[str]:
    """Return what a page lacks: landmarks, one first heading, headings in order, labels, table headers, sizes to touch, room, and contrast in both schemes."""
    found: list[str] = await page.evaluate(STRUCTURE)
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        found += [f"{scheme}: {text!r} has a contrast of {ratio:.1f}" for text, ratio in await page.evaluate(CONTRASTS)]
    return found


STRUCTURE = """() => {
    const all = (query, of = document) => [...of.querySelectorAll(query)];
    const main = document.querySelector('main'), levels = all('h1,h2,h3').map(h => Number(h.tagName[1])), ids = all('[id]').map(e => e.id);
    const seen = e => e.getClientRects().length && getComputedStyle(e).clipPath === 'none' && !e.closest('thead, caption');
    const edge = main.getBoundingClientRect().right;
    return [
        ...(document.documentElement.lang ? [] : ['no language']),
        ...(document.title ? [] : ['no title']),
        ...(all('main').length === 1 ? [] : ['not one main part']),
        ...(levels.filter(l => l === 1).length === 1 ? [] : ['not one first heading']),
        ...(levels.every((l, i) => !i || l - levels[i - 1] <= 1) ? [] : ['a level of headings is left out: ' + levels]),
        ...ids.filter((id, i) => ids.indexOf(id) !== i).map(id => `the id ${id} is there twice`),
        ...all('input:not([type=hidden]), textarea').filter(f => !f.labels.length).map(f => `no label: ${f.outerHTML}`),
        ...all('[aria-describedby], [aria-labelledby]').flatMap(e => `${e.getAttribute('aria-describedby') || ''} ${e.getAttribute('aria-labelledby') || ''}`.trim().split(' +'))
            .flatMap(text => text.split(' ')).filter(id => id && !document.getElementById(id)).map(id => `nothing has the id ${id}`),
        ...all('table').filter(t => !t.caption || !t.querySelector('th[scope=col]')).map(() => 'a table without caption or column headings'),
        ...all('button, input[type=text], textarea').filter(e => e.getBoundingClientRect().height < 44).map(e => `too small to touch: ${e.outerHTML}`),
        ...all('*', main).filter(e => seen(e) && e.getBoundingClientRect().right > edge + 0.5).map(e => `sticks out: ${e.outerHTML.slice(0, 90)}`),
        ...(document.documentElement.scrollWidth > innerWidth ? ['scrolls sideways'] : []),
    ];
}"""

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
