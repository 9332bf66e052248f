"""Hostile text changes nothing but text (I1): names, subjects, references and cells may hold anything."""

from __future__ import annotations

import csv
import email
import email.policy
import io
import itertools
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from dunning.kit import spreadsheet
from dunning.kit.spreadsheet import safe_cell
from dunning.messages import mime, rendering
from dunning.messages.clean_text import clean_header, clean_line, clean_paragraph, is_clean_header
from dunning.messages.mime import build_mime
from dunning.messages.rendering import CannotRender, Rendered, render
from dunning.messages.shipped import shipped_templates
from dunning.messages.templates import compile_template
from tests.messages.claims import LINK, block, claim, row
from tests.messages.test_mime import HEADERS, SENT_AT

PIECES = [
    "\r\nBcc: x@evil.example", "\nSubject: y", "=?UTF-8?Q?=0A?=Bcc: x@evil.example", "=?utf-8?b?DQpCY2M6IHg=?=", "==??=?", "\u2028", "\u2029", "\x00", "\x0b", "\x85", "\ud800",
    "\u202e", "\r", "\n.\r\n", "<LF>.<CRLF>", "{{ customer_name }}", "{{ 7*7 }}", "{% for item in items %}x{% endfor %}", "{{ ''.__class__.__mro__ }}", "{# x #}", "#customer_name",
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'", '"', "\\", ",", ";", "(", ")", "<a@b.example>", "&amp;", "é", "日本", "😀", " ", "Rossi", "x" * 400,
]  # fmt: skip
hostile = st.one_of(st.text(alphabet=st.characters(), max_size=80), st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join))
TEMPLATE = {
    "en": {
        "subject": "{{customer_name}} {{claim_number}} {{document_numbers}} {{payment_reference}}",
        "text": "Dear {{addressee}}\n{% if consequence %}{{consequence}}{% endif %}\n{{items_list}}\n{{payment_details}}\n{% for item in items %}{{item.number}}{% endfor %}",
        "html": "<html><body><p>{{customer_name}} {{addressee}} {% if consequence %}{{consequence}}{% endif %}</p>{{items_list}}{{payment_details}}"
        "{% for item in items %}<i>{{item.number}}</i>{% endfor %}</body></html>",
    }
}


def hostile_claim(name: str, number: str, reference: str, other: str) -> dict[str, Any]:
    data = claim(block("EUR", row(number)), payment_reference=reference, consequence=other, claim_no="C-1")
    data["customer"] = {"external_id": other or "1", "name": name}
    data["ledger"]["name"] = data["ledger"]["sender_name"] = data["ledger"]["bank_accounts"][0]["beneficiary"] = name
    return data


def tags_of(html: str) -> list[str]:
    from html.parser import HTMLParser

    found: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append(f"{tag} {[name for name, _ in attrs]}")

    Tags().feed(html)
    return found


def recipients_and_headers(raw: bytes) -> tuple[list[str], list[str]]:
    for policy in (email.policy.SMTP, email.policy.compat32):
        made = email.message_from_bytes(raw, policy=policy)
        assert made.keys() == HEADERS, "another header"
    parsed = email.message_from_bytes(raw, policy=email.policy.SMTP)
    assert isinstance(parsed, EmailMessage)
    return [address.addr_spec for name in ("To", "Cc", "Bcc") if parsed[name] for address in parsed[name].addresses], list(parsed.keys())


EXPECTED_TAGS = tags_of(
    render(compile_template("hostile", 1, TEMPLATE), hostile_claim("Rossi", "1001", "1001", "x"), "en", contact_name="Anna").html or ""
)  # fmt: skip


def a_mail_of(name: str, number: str, reference: str, other: str) -> bool:
    """Say that a mail written from hostile data has the headers, the recipient and the tags of any other; False where it is refused with its cause."""
    try:
        said = render(compile_template("hostile", 1, TEMPLATE), hostile_claim(name, number, reference, other), "en", contact_name=other)
    except CannotRender as refused:
        assert refused.facts["placeholder"] in {"customer_name", "document_numbers", "payment_reference", "addressee"}
        return False
    raw = build_mime(
        said, message_id="<m.1@acme.example>", date=SENT_AT, from_name=name, from_email="ar@acme.example", to_name=other, to_email="anna@rossi.example",
    )  # fmt: skip
    recipients, _ = recipients_and_headers(raw)
    assert recipients == ["anna@rossi.example"], "another recipient"
    assert is_clean_header(said.subject), "a subject of two lines"
    inserted = [tag for tag in tags_of(said.html or "") if tag != "br []"]
    assert inserted == [tag for tag in EXPECTED_TAGS if tag != "br []"], "another tag"
    given_texts = (name, number, reference, other)
    if not any("49" in text for text in given_texts):
        left = said.text
        for text in given_texts:
            left = left.replace(text, "") if text else left
        assert "49" not in left, "template code was run"
    return True


def a_mail_without_the_renderer(subject: str, name: str) -> bool:
    """Say that a subject and names which nobody has cleaned before add no header and no recipient."""
    raw = build_mime(
        Rendered("en", subject, subject, subject), message_id="<m.1@acme.example>", date=SENT_AT, from_name=name, from_email="ar@acme.example",
        to_name=subject, to_email="anna@rossi.example",
    )  # fmt: skip
    assert recipients_and_headers(raw)[0] == ["anna@rossi.example"], "another recipient"
    return True


def a_cell_of(text: str) -> bool:
    """Say that a cell of a CSV file comes back as one cell that no spreadsheet program takes for a formula; False where it is shown as it is."""
    written = io.StringIO()
    csv.writer(written).writerow([safe_cell(text), "x"])
    ((cell, _),) = csv.reader(io.StringIO(written.getvalue()))
    assert not begins_formula(cell), "a formula"
    assert safe_cell(safe_cell(text)) == safe_cell(text)
    return cell != text


Law = Callable[..., bool]


def tried(law: Law, *texts: st.SearchStrategy[str], examples: Sequence[tuple[str, ...]] = (), **limits: Any) -> Counter[str]:
    """Try a law on generated texts, and return how many texts there were, in how many trials, and in how many of them it had something to say."""
    counts: Counter[str] = Counter()

    @settings(**limits)
    @given(st.tuples(*texts))
    def holds(chosen: tuple[str, ...]) -> None:
        counts["texts"] += len(chosen)
        counts["trials"] += 1
        counts["told"] += law(*chosen)

    for one in examples:
        holds = example(one)(holds)
    holds()
    return counts


def enough(counts: Counter[str], share: float) -> None:
    """Bound what was tried: of the full form 10,000 texts or more, and a law that is silent on most would prove little."""
    print(dict(counts))
    assert counts["texts"] >= (10_000 if os.environ.get("DUNNING_HYPOTHESIS") == "full" else 100)
    assert counts["told"] >= share * counts["trials"]


def test_hostile_names_numbers_and_references_change_nothing_but_text() -> None:
    """I1: header count and recipients as expected, no tag more in the page, 0 template code run."""
    known = ("=?UTF-8?Q?=0A?=Bcc: x é", "\r\nBcc: y", "{{ 7*7 }}", "</td></tr></table><script>")
    enough(tried(a_mail_of, hostile, hostile, hostile, hostile, examples=[known]), 0.3)


def test_hostile_subjects_and_names_add_no_header_even_without_the_renderer() -> None:
    enough(tried(a_mail_without_the_renderer, hostile, hostile), 1.0)


def _raw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put texts into headers as they came; only what ASCII cannot say is left out."""
    monkeypatch.setattr(mime, "clean_header", lambda text, **_: text)
    monkeypatch.setattr(mime, "_unstructured", lambda _, text: text.encode("ascii", "ignore").decode())
    monkeypatch.setattr(mime, "_mailbox", lambda _, name, address: f'"{name.encode("ascii", "ignore").decode()}" <{address}>')
    monkeypatch.setattr(mime, "_compare", lambda *_: None)


def _unescaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "escape", Markup)


def _run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run what stands in names and numbers as template code."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    code = "{{ 7*7 }}"
    ran = ImmutableSandboxedEnvironment().from_string(code).render()
    monkeypatch.setattr(rendering, "clean_line", lambda text, **limits: clean_line(text, **limits).replace(code, ran))


BROKEN: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], Law, int, str]] = {
    "headers as they came": (_raw, a_mail_without_the_renderer, 2, "another header|another recipient"),
    "a page as it came": (_unescaped, a_mail_of, 4, "another tag"),
    "data as template code": (_run, a_mail_of, 4, "template code was run"),
    "cells as they came": (lambda patched: patched.setattr(spreadsheet, "_begins_formula", lambda _: False), a_cell_of, 1, "a formula"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_control_a_careless_version_is_found_by_the_same_texts(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many texts as the short form tries, and each control fails for the reason that it stands for."""
    breaks, law, count, found = BROKEN[what]
    breaks(monkeypatch)
    with pytest.raises(AssertionError, match=found):
        tried(law, *[hostile] * count, max_examples=100, phases=(Phase.generate,), derandomize=True, database=None)


def test_a_mail_joined_without_care_is_caught_by_the_same_check() -> None:
    """The control: one value put into the headers as it came."""
    raw = b"".join(f"{name}: x\r\n".encode() for name in HEADERS) + b"\r\nx"
    broken = raw.replace(b"Subject: x", b"Subject: y\r\nBcc: x@evil.example")
    recipients_and_headers(raw.replace(b"To: x", b"To: anna@rossi.example"))
    with pytest.raises(AssertionError, match="another header"):
        recipients_and_headers(broken)


def test_template_code_in_data_stays_text() -> None:
    """I1, with its control: the same text as a template does run."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    said = render(compile_template("hostile", 1, TEMPLATE), hostile_claim("{{ 7*7 }}", "{% raw %}", "{{x}}", "#customer_name"), "en", contact_name="{{ 7*7 }}")
    assert "Dear {{ 7*7 }}" in said.text
    assert "49" not in said.text
    assert ImmutableSandboxedEnvironment().from_string("{{ 7*7 }}").render() == "49"


@given(hostile)
def test_cleaned_text_is_one_harmless_line_and_cleaning_again_changes_nothing(text: str) -> None:
    line = clean_line(text)
    assert len(line.splitlines()) <= 1
    assert clean_line(line) == line
    line.encode()
    header = clean_header(text)
    assert is_clean_header(header)
    assert clean_header(header) == header
    paragraph = clean_paragraph(text)
    assert paragraph.count("\r") == 0
    paragraph.encode()


def test_overlong_text_is_cut_below_at_and_above_the_limit() -> None:
    assert [len(clean_line("x" * n)) for n in (299, 300, 301)] == [299, 300, 300]
    assert clean_line("x" * 301).endswith("…")


def test_links_and_shipped_mails_survive_hostile_data() -> None:
    for code, contents in shipped_templates().items():
        if code != "claim-link":
            said = render(compile_template(f"hostile {code}", 1, contents), hostile_claim("<b>\r\nx</b>", "=1+1", "\x00=?x", "a\nb"), "fr", link_url=LINK)
            assert "<b>x" not in (said.html or "")
            assert "\x00" not in said.text
            assert "&lt;b&gt;" in (said.html or "")


# Cells of CSV exports

COMMANDS = ["1+1", "cmd|' /C calc'!A0", 'HYPERLINK("https://evil.example")', "SUM(A1:A9)", 'IMPORTXML(CONCAT("https://evil.example"),"//a")', "A1", "x"]
STARTS = [
    "=",
    "+",
    "-",
    "@",
    "\t=",
    "\r=",
    "\n=",
    " =",
    "\x00=",
    "\ufeff=",
    "\u200b=",
    "\u00a0+",
    "＝",
    "＋",
    "－",
    "＠",
    '\t"=',
    "|",
    "%",
    "\u2028=",
    "+\t",
    "-@",
    "==",
]
BROKEN_OUT = ["a\r\n=1+1", "a\n@x", "a;=1+1", "a\t=1+1", 'a";=1', "x\n\n -cmd"]
PAYLOADS = [start + command for start, command in itertools.product(STARTS, COMMANDS)] + BROKEN_OUT + [f"{b}{c}" for b in BROKEN_OUT for c in COMMANDS]


def begins_formula(cell: str) -> bool:
    """What a spreadsheet program takes for a formula, after it dropped what it does not show; cells also end at their line ends."""
    for piece in io.StringIO(cell.replace("\r", "\n").replace(";", "\n").replace("\t", "\n")).read().split("\n"):
        seen = unicodedata.normalize("NFKC", piece).lstrip("\ufeff\u200b\u00a0 \x00\u2028")
        if seen[:1] in set("=+-@") and not seen[1:].replace(".", "", 1).isdigit():
            return True
    return False


def test_two_hundred_payloads_come_out_of_a_csv_export_as_text() -> None:
    """I1: 0 formulas, with its control: unprotected, nearly all of them are formulas."""
    assert len(set(PAYLOADS)) >= 200
    written = io.StringIO()
    csv.writer(written).writerows([[safe_cell(payload)] for payload in PAYLOADS])
    cells = [line[0] for line in csv.reader(io.StringIO(written.getvalue()))]
    assert len(cells) == len(PAYLOADS)
    assert [cell for cell in cells if begins_formula(cell)] == []
    assert sum(map(begins_formula, PAYLOADS)) > 150


@pytest.mark.parametrize(
    "plain", ["", "Rossi & Figli", "1001", "-12.50", "12.50", "2026-03-02", "a=b", "C-000123", "e-mail", "'quoted", "Rossi; Bianchi", "two\nlines"]
)
def test_plain_cells_and_numbers_stay_as_they_are(plain: str) -> None:
    assert safe_cell(plain) == plain


def test_hostile_texts_come_out_of_a_csv_export_as_one_cell_that_is_no_formula() -> None:
    """I1: 0 formulas, and protecting a cell twice changes nothing."""
    cells = st.one_of(hostile, st.tuples(st.sampled_from(STARTS), hostile).map("".join), st.sampled_from(PAYLOADS))
    enough(tried(a_cell_of, cells), 0.3)
