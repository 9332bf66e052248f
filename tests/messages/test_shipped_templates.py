"""The shipped templates: every one in every language renders, and its text and HTML state the same."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from dunning.messages.language import amount, long_date, short_date, words_of
from dunning.messages.rendering import Rendered, render
from dunning.messages.shipped import LINK_ONLY_CODE, shipped_templates
from dunning.messages.templates import check, compile_template
from dunning.messages.words import SUPPORTED_LANGUAGES
from tests.messages.claims import ISSUED_ON, LINK, block, claim, rich_claim, row

CODES = ("claim-00", "claim-01", "claim-02", "claim-03", "claim-03-covered", "claim-04", "claim-04-uncovered", "claim-05", "claim-link", "internal-notice",
         "internal-request", "recovery-email", "reminder", "specific_action")  # fmt: skip
INTERNAL = {"internal-notice", "internal-request"}
SELECTED_ONLY = {"internal-request", "specific_action"}
"""Codes that show just the documents asked for; their claims hold no others."""
CRM = "https://crm.acme.example/customers/k"
SAMPLES: dict[str, dict[str, Any]] = {
    "one": claim(),
    "rich": rich_claim(),
    "bare": claim(block("GBP", row("1", days=3)), deadline_on=None, consequence=None, payment_reference=""),
    "pre due": claim(block("EUR", row("77", days=-5, still_open=10_000, step="00")), consequence=None),
}
PAID = {
    "en": "already paid",
    "es": r"(ya han efectuado el pago|ya ha pagado)",
    "it": r"(già provveduto al pagamento|già pagato)",
    "fr": r"(déjà effectué le règlement|déjà payé)",
}
EVERY = [(code, language) for code in CODES for language in SUPPORTED_LANGUAGES]


def rendered(code: str, language: str, data: dict[str, Any], *, contact: str | None = "Anna Rossi", linked: bool = True) -> Rendered:
    internal = code == "internal-notice"
    if code in SELECTED_ONLY:
        data = {**data, "blocks": [_asked(one) for one in data["blocks"] if any(r["section"] == "candidate" for r in one["rows"])]}
    return render(
        compile_template(f"shipped {code}", 1, shipped_templates()[code]), data, language, contact_name=contact,
        link_url=LINK if linked and not internal else None, crm_url=CRM if linked and internal else None,
        content_mode="link_only" if code == LINK_ONLY_CODE else "full",
    )  # fmt: skip


def _asked(one: dict[str, Any]) -> dict[str, Any]:
    """Return a block of a claim outside the scenario: the chosen rows, gross."""
    rows = [r for r in one["rows"] if r["section"] == "candidate"]
    sums = {name: sum(r["open_minor"] for r in rows if (r["days_overdue"] > 0) == late) for name, late in (("overdue_minor", True), ("not_due_minor", False))}
    return {**one, **sums, "rows": rows, "credit_minor": 0, "total_minor": sum(sums.values())}


class Page(HTMLParser):
    """The words of a page, and what a reader's program needs to read it aloud."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.silent = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.silent += tag in {"style", "title"}
        if tag == "a":
            self.links.append(dict(attrs)["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in {"style", "title"}

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.words.append(data)


def test_the_shipped_codes_are_the_ones_the_shipped_scenarios_use() -> None:
    """S0-02, S1, S2-21."""
    assert tuple(shipped_templates()) == CODES


@pytest.mark.parametrize("code", CODES)
def test_a_shipped_template_publishes_without_faults_or_warnings_in_four_languages(code: str) -> None:
    """B-22, C-13."""
    found = check(shipped_templates()[code], code=code)
    assert found.warnings == ()
    assert found.facts.languages == set(SUPPORTED_LANGUAGES)
    assert found.facts.unguarded == frozenset()
    assert found.facts.has_item_rows == (code != LINK_ONLY_CODE)
    assert bool(found.facts.full_only) == (code != LINK_ONLY_CODE)


@pytest.mark.parametrize(("code", "language"), EVERY)
@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("linked", [True, False])
def test_text_and_html_state_the_same_amounts_numbers_and_dates(code: str, language: str, sample: str, linked: bool) -> None:
    """Style 33; S0-06, S0-11, C-22."""
    data = SAMPLES[sample]
    if code in SELECTED_ONLY:
        data = {**data, "blocks": [_asked(one) for one in data["blocks"] if any(r["section"] == "candidate" for r in one["rows"])]}
    said = rendered(code, language, data, contact="Anna Rossi" if linked else None, linked=linked)
    page = Page(said.html or "")
    html_words = " ".join(" ".join(page.words).split())
    text_words = " ".join(said.text.split())
    facts = []
    if code != LINK_ONLY_CODE:
        for one in data["blocks"]:
            facts.append(amount(one["total_minor"], one["currency"], language))
            for r in one["rows"]:
                minor = -r["open_minor"] if r["section"] == "credit" else r["open_minor"]
                facts += [r["number"], amount(minor, one["currency"], language)]
                if r["section"] != "credit":
                    facts.append(short_date(ISSUED_ON.fromisoformat(r["due_on"]), language))
    if data["deadline_on"] and code not in {"claim-00", "internal-request"}:
        facts.append(long_date(ISSUED_ON.fromisoformat(data["deadline_on"]), language))
    if data["consequence"] and code not in {"claim-00", LINK_ONLY_CODE, *SELECTED_ONLY}:
        facts.append(data["consequence"])
    for fact in facts:
        shown = " ".join(fact.split())
        assert shown in text_words, (fact, said.text)
        assert shown in html_words, (fact, html_words)
    spaceless = {re.sub(r"\s", "", part) for part in (text_words, html_words)}
    numbers = [sorted(set(re.findall(r"\d[\d.,]*\d|\d", part)) - {"2"}) for part in (text_words, html_words)]
    dated = {
        word
        for r in (r for b in data["blocks"] for r in b["rows"])
        for word in re.findall(r"\d+", short_date(ISSUED_ON.fromisoformat(r["document_on"]), language))
    }
    assert set(numbers[0]) - dated == set(numbers[1]) - dated, spaceless
    if linked:
        assert (CRM if code == "internal-notice" else LINK) in said.text
        assert page.links == [CRM if code == "internal-notice" else LINK]
    else:
        assert page.links == []


@pytest.mark.parametrize(("code", "language"), EVERY)
def test_every_message_is_fair_to_one_who_has_paid(code: str, language: str) -> None:
    said = rendered(code, language, SAMPLES["one"])
    assert re.search(PAID[language], said.text)
    assert re.search(PAID[language], said.html or "")


@pytest.mark.parametrize(("code", "language"), EVERY)
def test_a_message_is_in_one_language(code: str, language: str) -> None:
    """C-13: no word of another language's own set appears."""
    said = rendered(code, language, claim(block("GBP", row("1"), row("2", section="credit"), row("3", days=-2)), consequence=None))
    for other in SUPPORTED_LANGUAGES:
        if other != language:
            for word in {words_of(other).total, words_of(other).not_due, words_of(other).part_paid}:
                assert word not in said.text
                assert word not in (said.html or "")
    assert f'<html lang="{language}"' in (said.html or "")


@pytest.mark.parametrize("language", SUPPORTED_LANGUAGES)
def test_a_mail_of_text_and_link_only_holds_no_amount_and_no_document(language: str) -> None:
    """S0-12: nothing that identifies the debt stands in subject, text or HTML."""
    data = rich_claim(consequence=None)
    said = rendered(LINK_ONLY_CODE, language, data)
    whole = f"{said.subject}\n{said.text}\n{said.html}"
    assert LINK in whole
    for one in data["blocks"]:
        for key in ("overdue_minor", "not_due_minor", "credit_minor", "total_minor"):
            assert amount(one[key], one["currency"], language) not in whole
        for r in one["rows"]:
            assert r["number"] not in whole
            for minor in (r["open_minor"], r["original_minor"]):
                assert f"{minor // 100}" not in whole.replace("100%", "")
    assert not re.search("€|EUR|USD|US\\$|IBAN", whole)
    control = rendered("claim-01", language, data)
    assert re.search("€|EUR", control.text)


@pytest.mark.parametrize("language", SUPPORTED_LANGUAGES)
def test_the_tone_rises_from_a_courtesy_to_a_last_notice(language: str) -> None:
    """S0-04..S0-09: six steps, six different texts."""
    first = [rendered(f"claim-0{n}", language, SAMPLES["one"]).text.splitlines()[0] for n in range(6)]
    assert len(set(first)) == 6


def test_internal_notices_hold_the_way_into_the_crm_and_never_the_customers_link() -> None:
    """S0-13."""
    for language in SUPPORTED_LANGUAGES:
        assert "{{link_url}}" not in str(shipped_templates()["internal-notice"][language])
        assert "{{crm_url}}" in shipped_templates()["internal-notice"][language]["text"]
    for code in set(CODES) - INTERNAL:
        assert "crm_url" not in str(shipped_templates()[code])


@pytest.mark.parametrize(("code", "language"), EVERY)
def test_the_page_can_be_read_aloud_and_loads_nothing(code: str, language: str) -> None:
    said = rendered(code, language, SAMPLES["rich"])
    page = Page(said.html or "")
    assert not [tag for tag, _ in page.tags if tag in {"img", "link", "script", "iframe"}]
    assert sum(tag == "h1" for tag, _ in page.tags) == 1
    for tag, attributes in page.tags:
        if tag == "table":
            assert attributes.get("role") == "presentation" or attributes.get("class") in {"rows", "payment"}
        if tag == "th":
            assert attributes.get("scope") in {"col", "row", "rowgroup"}
    assert len((said.html or "").encode()) < 100_000


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("ink", "paper"),
    [("#1d2430", "#ffffff"), ("#5b6472", "#ffffff"), ("#1f4e79", "#ffffff"), ("#ffffff", "#1f4e79"),
     ("#e8ecf2", "#1e242e"), ("#aab4c2", "#1e242e"), ("#9cc5ec", "#1e242e"), ("#10202f", "#9cc5ec")],
)  # fmt: skip
def test_colours_keep_a_contrast_of_four_and_a_half_in_light_and_dark(ink: str, paper: str) -> None:
    html = rendered("reminder", "en", SAMPLES["rich"]).html or ""
    assert ink in html
    assert paper in html
    bright, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
    assert (bright + 0.05) / (dark + 0.05) >= 4.5


def test_each_call_gives_contents_of_its_own() -> None:
    shipped_templates()["reminder"]["en"]["subject"] = "changed"
    assert shipped_templates()["reminder"]["en"]["subject"] != "changed"


DECLARED = {"en": "declared", "es": r"(declarada|hemos declarado)", "it": r"(denunciato|abbiamo denunciato)", "fr": r"(déclarée|avons déclaré)"}
INSURER = {"en": "insurer", "es": "aseguradora", "it": "assicuratore", "fr": "assureur"}
YET_TO_COME = {
    "en": r"(may be|before|possible)",
    "es": r"(puede declararse|previo|posible)",
    "it": r"(può essere|prima|possibile)",
    "fr": r"(peut être|avant|possible)",
}


@pytest.mark.parametrize("language", SUPPORTED_LANGUAGES)
def test_the_fourth_phase_says_that_the_debt_was_declared_and_the_third_that_the_insurer_will_be_told(language: str) -> None:
    """S0-07, S0-08: subject and body, in every language; whom no insurer covers reads of none."""
    told = rendered("claim-04", language, SAMPLES["one"])
    for part in (told.subject, told.text, told.html or ""):
        assert re.search(DECLARED[language], part, re.IGNORECASE), part[:200]
        assert INSURER[language] in part
    assert not re.search(YET_TO_COME[language], told.subject, re.IGNORECASE)
    warned = rendered("claim-03-covered", language, SAMPLES["one"])
    assert INSURER[language] in warned.subject
    assert INSURER[language] in warned.text
    for code in ("claim-03", "claim-04-uncovered"):
        plain = rendered(code, language, SAMPLES["one"])
        assert INSURER[language] not in plain.subject + plain.text + (plain.html or "")
