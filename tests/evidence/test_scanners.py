"""L1: a link scanner never counts as a reader. Scripted behaviours of mail gateways, previews and crawlers; none may get above `fetched`.

Each runs against a link as it is by default, and again as the control against a link whose question is switched off: there the ones that
press buttons do get `opened`, so the test can fail.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from collections.abc import Awaitable, Callable
from urllib.parse import urljoin

import httpx
import pytest
from playwright.async_api import Browser, Page

from dunning.evidence.rules import LADDER, Grade
from tests.conftest import MONDAY, TenantWorld
from tests.evidence.conftest import fields_of
from tests.evidence.rows import LAST_FOUR, SECRETS, Told, make_told

Scanner = Callable[[httpx.AsyncClient, Told], Awaitable[list[httpx.Response]]]
OUTLOOK = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
PREVIEW = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"


def by_agent(agent: str) -> Scanner:
    """Visit as one program family."""

    async def scan(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
        return [await client.get(told.path, headers={"User-Agent": agent})]

    return scan


async def by_head(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """HEAD only."""
    return [await client.head(told.path)]


async def head_then_get(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """HEAD, then GET, on every mail."""
    return [await client.head(told.path), await client.get(told.path)]


async def get_twice(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """Two visits a moment apart, from one gateway."""
    return [await client.get(told.path), await client.get(told.path)]


async def get_storm(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """Twenty visits at once."""
    return list(await asyncio.gather(*(client.get(told.path) for _ in range(20))))


async def get_with_assets(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """Fetch the page and everything it names."""
    page = await client.get(told.path)
    names = re.findall(r'(?:href|src)="([^"#]+)"', page.text)
    web = [urljoin(f"http://testserver{told.path}", name) for name in names if not name.startswith("mailto:")]
    return [page, *[await client.get(url) for url in web]]


async def other_methods(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """Try the methods nobody uses."""
    return [await client.request(method, told.path) for method in ("OPTIONS", "PUT", "DELETE", "PATCH", "PROPFIND", "TRACE")]


async def post_nothing(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """POST without a body, without having been on the page."""
    return [await client.post(told.path)]


async def post_json(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """POST as an API client."""
    return [await client.post(told.path, json={"answer": LAST_FOUR, "form": "answer"})]


async def post_multipart(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """POST the form's fields as another media type."""
    fields = fields_of((await client.get(told.path)).text) | {"answer": LAST_FOUR}
    return [await client.post(told.path, files={name: (None, value) for name, value in fields.items()})]


async def post_right_answer_without_the_page(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """Even the right answer needs the page's own nonce."""
    return [await client.post(told.path, data={"form": "answer", "answer": LAST_FOUR, "nonce": "t1.AAAA.BBBB"})]


async def answer_in_the_address(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """A GET never shows the claim, whatever its query says."""
    return [await client.get(told.path, params={"answer": LAST_FOUR, "form": "answer"})]


async def submit_untouched(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """Submit the form as it stands: what a script's `form.submit()` does (Safe Links)."""
    return [await client.post(told.path, data=fields_of((await client.get(told.path)).text))]


async def submit_empty(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """Submit with the visible field empty."""
    return [await client.post(told.path, data=fields_of((await client.get(told.path)).text) | {"answer": ""})]


def filling(*texts: str) -> Scanner:
    """Fill every field with the same junk and submit."""

    async def scan(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
        fields = fields_of((await client.get(told.path)).text)
        return [await client.post(told.path, data=fields | {"answer": text, "name": text, "role": text}) for text in texts]

    return scan


async def fill_words_of_the_page(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """Answer with what the page itself says, a word at a time."""
    page = (await client.get(told.path)).text
    words = list(dict.fromkeys(re.findall(r"\w{4,}", re.sub(r"(?s)<style>.*?</style>|<[^>]+>", " ", page))))[:60]
    fields = fields_of(page)
    return [await client.post(told.path, data=fields | {"answer": word}) for word in words]


async def fill_parts_of_the_link(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """Answer with pieces of the address."""
    fields = fields_of((await client.get(told.path)).text)
    return [await client.post(told.path, data=fields | {"answer": part}) for part in (told.token, *told.token.split("."), told.token[-4:])]


async def guess_in_order(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """Try numbers until the door shuts, and on."""
    fields = fields_of((await client.get(told.path)).text)
    return [await client.post(told.path, data=fields | {"answer": f"{n:04}"}) for n in range(7880, 7900)]


async def post_storm(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """Guess in parallel, the right number among the guesses but not first."""
    fields = fields_of((await client.get(told.path)).text)
    for n in range(5):
        await client.post(told.path, data=fields | {"answer": f"wrong{n}"})
    return list(await asyncio.gather(*(client.post(told.path, data=fields | {"answer": f"{n:04}"}) for n in range(7880, 7900))))


async def acknowledge_from_the_question(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """Send the other form with the nonce of this one."""
    fields = fields_of((await client.get(told.path)).text) | {"form": "acknowledge", "name": "Gateway", "role": "scanner"}
    return [await client.post(told.path, data=fields)]


async def replay_after_a_day(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """Come back 24 hours later with what was seen."""
    fields = fields_of((await client.get(told.path)).text)
    await told.world.set_clock(MONDAY + dt.timedelta(days=1))
    return [await client.get(told.path), await client.post(told.path, data=fields)]


async def switch_languages(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """Follow every language of the page and submit each."""
    pages = [await client.get(told.path, params={"lang": tag}) for tag in ("en", "es", "it", "fr", "xx", "../..")]
    return pages + [await client.post(told.path, data=fields_of(page.text)) for page in pages]


async def below_the_page(client: httpx.AsyncClient, told: Told) -> list[httpx.Response]:
    """Probe around the address."""
    return [await client.get(told.path + tail) for tail in ("/", "/claim", "/acknowledge", "%2F", "?answer", ".json")]


SCANNERS: dict[str, Scanner] = {
    "HEAD": by_head,
    "HEAD, then GET": head_then_get,
    "GET as Outlook's gateway": by_agent(OUTLOOK),
    "GET as an iPhone": by_agent(IPHONE),
    "GET as Firefox": by_agent(FIREFOX),
    "GET as a chat preview": by_agent(PREVIEW),
    "GET without a name": by_agent(""),
    "GET twice": get_twice,
    "GET twenty times at once": get_storm,
    "GET with everything it names": get_with_assets,
    "the other methods": other_methods,
    "POST of nothing": post_nothing,
    "POST of JSON": post_json,
    "POST as multipart": post_multipart,
    "the right answer without the page": post_right_answer_without_the_page,
    "the right answer in the address": answer_in_the_address,
    "auto-submit": submit_untouched,
    "auto-submit of an empty field": submit_empty,
    "junk in every field": filling("test", "asdf1234", "https://example.com", "1' or '1'='1"),
    "an address in every field": filling("scanner@gateway.example", "John Smith", "+39 02 1234567"),
    "the usual numbers": filling("0000", "1234", "9999", "1111"),
    "words of the page": fill_words_of_the_page,
    "parts of the link": fill_parts_of_the_link,
    "guessing in order": guess_in_order,
    "guessing in parallel after the lock": post_storm,
    "acknowledging from the question": acknowledge_from_the_question,
    "coming back after a day": replay_after_a_day,
    "every language": switch_languages,
    "around the address": below_the_page,
}
PRESSES_BUTTONS = {"auto-submit", "auto-submit of an empty field", "junk in every field", "an address in every field", "the usual numbers",
                   "words of the page", "parts of the link", "every language", "coming back after a day"}  # fmt: skip


def above_fetched(grade: str) -> bool:
    """Tell whether a grade says more than a fetch."""
    return LADDER.index(Grade(grade)) > LADDER.index(Grade.FETCHED)


@pytest.mark.parametrize("behaviour", SCANNERS)
async def test_a_scanner_never_counts_as_a_reader(anonymous: httpx.AsyncClient, told: Told, behaviour: str) -> None:
    """L1: nothing above `fetched`, and nothing of the claim in any answer."""
    pages = await SCANNERS[behaviour](anonymous, told)
    assert not above_fetched(await told.grade())
    for page in pages:
        assert page.status_code < 500
        assert [secret for secret in SECRETS if secret in page.text and secret != LAST_FOUR] == []


@pytest.mark.parametrize("behaviour", sorted(PRESSES_BUTTONS))
async def test_with_the_question_switched_off_the_same_scanner_does_open(anonymous: httpx.AsyncClient, tenant: TenantWorld, behaviour: str) -> None:
    """The control of L1: a lowered question lowers the grade to `opened`, which a machine reaches; never more."""
    told = await make_told(tenant, challenge="button")
    await SCANNERS[behaviour](anonymous, told)
    assert await told.grade() == "opened"


async def wait_and_look(page: Page) -> None:
    """Load the page, run its scripts if it had any, and wait."""
    await page.wait_for_timeout(300)


async def click_everything(page: Page) -> None:
    """Click every button and every link."""
    for _ in range(3):
        for button in await page.query_selector_all("button, input[type=submit]"):
            await button.click(timeout=2000, force=True)
            break
    for link in await page.query_selector_all("a[href^='?']"):
        await link.click(timeout=2000)
        break


async def fill_and_click(page: Page) -> None:
    """Fill every field with junk and press the button."""
    for _ in range(2):
        for entry in await page.query_selector_all("input[type=text]"):
            await entry.fill("A1B2C3")
        await page.click("button")


async def submit_by_script(page: Page) -> None:
    """Submit the form past its required field, as a script of the gateway does."""
    async with page.expect_navigation():
        await page.evaluate("() => HTMLFormElement.prototype.submit.call(document.forms[0])")


HEADLESS = {"looks": wait_and_look, "clicks everything": click_everything, "fills and clicks": fill_and_click, "submits by script": submit_by_script}


@pytest.mark.browser
@pytest.mark.parametrize("behaviour", HEADLESS)
async def test_a_headless_browser_with_scripts_never_counts_as_a_reader(served: str, chromium: Browser, told: Told, behaviour: str) -> None:
    """L1 with a real Chromium that runs scripts."""
    page = await chromium.new_page()
    await page.goto(served + told.path)
    await HEADLESS[behaviour](page)
    text = await page.content()
    await page.close()
    assert await told.grade() == "fetched"
    assert [secret for secret in SECRETS if secret in text] == []


@pytest.mark.browser
async def test_with_the_question_switched_off_the_headless_browser_does_open(served: str, chromium: Browser, tenant: TenantWorld) -> None:
    """The control of the test above."""
    told = await make_told(tenant, challenge="button")
    page = await chromium.new_page()
    await page.goto(served + told.path)
    await submit_by_script(page)
    await page.close()
    assert await told.grade() == "opened"
