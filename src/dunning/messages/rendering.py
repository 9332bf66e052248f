"""Rendering a frozen claim through a template: subject, text and HTML in one language, the same bytes every time.

Pure: no clock, no database. What a template does not ask for is not computed. Values from outside are cleaned to one
line, HTML escapes them, and a value that is missing stops the message instead of leaving a blank.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

from jinja2 import Template
from markupsafe import Markup, escape

from dunning.kit.errors import Conflict
from dunning.messages.claim_rows import Block, Missing, ValueIsMissing, blocks_of, selected_only
from dunning.messages.clean_text import clean_header, clean_line, clean_paragraph
from dunning.messages.html_text import text_of_html
from dunning.messages.item_table import payment_as_html, payment_as_text, payment_lines, rows_as_html, rows_as_text
from dunning.messages.language import amounts, day_count, join_words, long_date
from dunning.messages.personal import PERSONAL_TEXT, named_in, parts_of
from dunning.messages.placeholders import PLACEHOLDERS, Kind
from dunning.messages.templates import CompiledLanguage, CompiledTemplate

OUTPUT_CAP = 256 * 1024
"""Characters a template may write, ready-made tables not counted: those are bounded by their own row limit."""

_BLANK_LINES = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")
_WEB_ADDRESS = re.compile(r"https?://[^\s\"'<>\\^`{}|\x00-\x20\x7f-\x9f]+")
_FULL_ONLY = frozenset(entry.name for entry in PLACEHOLDERS.values() if entry.full_only)
_PERSONAL_PARTS = ("personal_subject", PERSONAL_TEXT)
_ADVICE = MappingProxyType(
    {
        "deadline": "give the step deadline_days, or write {% if deadline %} … {% endif %} around it",
        "consequence": "give the step a consequence, or write {% if consequence %} … {% endif %} around it",
        "contact_name": "name the contact, or use {{addressee}}, which falls back to the customer's name",
        "payment_details": "give the ledger a bank account in the claim's currency",
    }
)


class CannotRender(Conflict):
    """The message cannot be written from this claim and template.

    Nothing was sent. `facts` name template, version, language and placeholder.
    """

    code = "message_cannot_be_rendered"
    title = "The message cannot be rendered"


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a mail says. `html` is None when the template has none."""

    language: str
    subject: str
    text: str
    html: str | None


def render(
    compiled: CompiledTemplate,
    claim: Mapping[str, Any],
    language: str,
    *,
    contact_name: str | None = None,
    link_url: str | None = None,
    crm_url: str | None = None,
    opt_out_url: str | None = None,
    content_mode: Literal["full", "link_only"] | None = None,
) -> Rendered:
    """Render a claim in one language; `content_mode` is the claim's unless given.

    Raises `CannotRender` when a printed placeholder has no value, when a mail of text and link only would show amounts,
    documents or rows, when a link is no web address, or when the template writes more than 256 kB; `TemplateRefused`
    when it lacks the language.
    """
    chosen = compiled.in_language(language)
    mode = content_mode or claim.get("content_mode") or "full"
    if mode == "link_only":
        _refuse_details(compiled, chosen, claim)
    source = _Source(claim, language, contact_name, link_url, crm_url, opt_out_url)
    values: dict[str, Any] = {}
    html_values: dict[str, Any] = {}
    extra = 0
    # What somebody's own words show stands where they put it, and not once more where the template has it.
    own_words = named_in(claim.get(PERSONAL_TEXT) or "") if PERSONAL_TEXT in chosen.used else set()
    try:
        for name in chosen.used:
            kind, optional = PLACEHOLDERS[name].kind, PLACEHOLDERS[name].optional
            if kind is Kind.READY_MADE and name in own_words:
                values[name], html_values[name] = (Missing(name), Missing(name)) if optional else ("", Markup())
            elif kind is Kind.READY_MADE:
                values[name], html_values[name] = _READY_MADE[name](source)
                if values[name]:
                    extra += max(len(values[name]), len(html_values[name]))
            else:
                values[name] = value = _VALUES[name](source) or Missing(name)
                if kind is Kind.PARAGRAPH and value:
                    html_values[name] = escape(value).replace("\n", Markup("<br>"))
        if chosen.has_item_rows:
            values["blocks"] = source.blocks
            values["items"] = [row for block in source.blocks for row in block.items]
        limit = OUTPUT_CAP + extra
        own_subject = claim.get("personal_subject")
        subject = _filled(source, own_subject, named_in(own_subject))[0] if own_subject else _run(chosen.subject, values, limit)
        html = _run(chosen.html, values | html_values, limit) if chosen.html else None
        text = _run(chosen.text, values, limit) if chosen.text else text_of_html(html or "")
    except ValueIsMissing as missing:
        advice = _ADVICE.get(missing.name, f"write {{% if {missing.name} %}} … {{% endif %}} around it")
        raise _refusal(compiled, language, f"{{{{{missing.name}}}}} has no value in this claim: {advice}.", missing.name) from None
    except _TooLong:
        detail = "The template writes more than 256 kB for this claim: use {{items_list}} instead of a loop of your own, or shorten the loop."
        raise _refusal(compiled, language, detail) from None
    except _NoWebAddress as bad:
        raise _refusal(
            compiled,
            language,
            f"{{{{{bad.name}}}}} is not a web address that begins with https:// or http://.",
            bad.name,
        ) from None
    return Rendered(language, clean_header(subject), _BLANK_LINES.sub("\n\n", text).strip("\n") + "\n", html)


def _refusal(compiled: CompiledTemplate, language: str, detail: str, placeholder: str | None = None) -> CannotRender:
    return CannotRender(detail, template_id=compiled.template_id, version=compiled.version, language=language, placeholder=placeholder)


def _refuse_details(compiled: CompiledTemplate, chosen: CompiledLanguage, claim: Mapping[str, Any]) -> None:
    personal = {name for part in _PERSONAL_PARTS for name in named_in(claim.get(part) or "")}
    shown = sorted((chosen.used | personal) & _FULL_ONLY)
    if shown or chosen.has_item_rows:
        what = ", ".join(f"{{{{{name}}}}}" for name in shown) or "rows of items"
        detail = f"A mail of text and link only must not show {what}: use a template without them, such as claim-link, or send the full content."
        raise _refusal(compiled, chosen.language, detail, shown[0] if shown else None)


class _TooLong(Exception):
    pass


class _NoWebAddress(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _run(template: Template, values: dict[str, Any], limit: int) -> str:
    size = 0
    pieces: list[str] = []
    for piece in template.root_render_func(template.new_context(values, shared=True)):
        size += len(piece)
        if size > limit:
            raise _TooLong
        pieces.append(piece)
    return "".join(pieces)


@dataclass(slots=False)
class _Source:
    """What values are made from; rows are written once, when first asked for."""

    claim: Mapping[str, Any]
    language: str
    contact_name: str | None
    link_url: str | None
    crm_url: str | None
    opt_out_url: str | None

    @cached_property
    def blocks(self) -> list[Block]:
        return blocks_of(self.claim, self.language)

    @cached_property
    def selected(self) -> list[Block]:
        return selected_only(self.blocks, self.language)

    @cached_property
    def asked_rows(self) -> list[Mapping[str, Any]]:
        return [row for block in self.claim["blocks"] for row in block["rows"] if row["section"] == "candidate"]

    def sum_of(self, key: str) -> str:
        return amounts([(block[key], block["currency"]) for block in self.claim["blocks"]], self.language)

    def address(self, name: str, value: str | None) -> str | None:
        if value is not None and _WEB_ADDRESS.fullmatch(value) is None:
            raise _NoWebAddress(name)
        return value


def _day(source: _Source, iso: str | None) -> str | None:
    return long_date(dt.date.fromisoformat(iso), source.language) if iso else None


def _longest_overdue(source: _Source) -> str | None:
    days = max((row["days_overdue"] for row in source.asked_rows), default=0)
    return day_count(days, source.language) if days > 0 else None


def _listed_numbers(source: _Source) -> str:
    numbers = [clean_line(row["number"], cap=80) for row in source.asked_rows]
    # A sentence or subject with dozens of numbers helps nobody; the table has them all.
    shown = numbers[:10] + ([f"+{len(numbers) - 10}"] if len(numbers) > 10 else [])
    return join_words(shown, source.language)


_VALUES: Mapping[str, Callable[[_Source], str | None]] = MappingProxyType(
    {
        "customer_name": lambda s: clean_line(s.claim["customer"]["name"]),
        "customer_number": lambda s: clean_line(s.claim["customer"]["external_id"]),
        "contact_name": lambda s: clean_line(s.contact_name or ""),
        "addressee": lambda s: clean_line(s.contact_name or "") or clean_line(s.claim["customer"]["name"]),
        "creditor_name": lambda s: clean_line(s.claim["ledger"]["name"]),
        "sender_name": lambda s: clean_line(s.claim["ledger"]["sender_name"]) or clean_line(s.claim["ledger"]["name"]),
        "sender_email": lambda s: clean_line(s.claim["ledger"].get("reply_to") or s.claim["ledger"]["sender_email"]),
        "claim_number": lambda s: clean_line(s.claim["claim_no"]),
        "issued_on": lambda s: _day(s, s.claim["issued_on"]),
        "reminder_number": lambda s: str(s.claim["reminder_no"]),
        "deadline": lambda s: _day(s, s.claim.get("deadline_on")),
        "consequence": lambda s: clean_paragraph(s.claim.get("consequence") or ""),
        "step_name": lambda s: clean_line(s.claim["step"]["name"]),
        "step_code": lambda s: clean_line(s.claim["step"]["code"]),
        "link_url": lambda s: s.address("link_url", s.link_url),
        "crm_url": lambda s: s.address("crm_url", s.crm_url),
        "opt_out_url": lambda s: s.address("opt_out_url", s.opt_out_url),
        "items_count": lambda s: str(len(s.asked_rows)),
        "items_amount": lambda s: s.sum_of("total_minor"),
        "items_amount_selected": lambda s: amounts([(block.total_minor, block.currency) for block in s.selected], s.language),
        "overdue_amount": lambda s: s.sum_of("overdue_minor"),
        "not_due_amount": lambda s: s.sum_of("not_due_minor"),
        "oldest_due_on": lambda s: _day(s, min((row["due_on"] for row in s.asked_rows), default=None)),
        "longest_overdue": _longest_overdue,
        "document_numbers": _listed_numbers,
        "payment_reference": lambda s: clean_line(s.claim.get("payment_reference") or ""),
    }
)


def _rows(blocks: list[Block], language: str, name: str) -> tuple[str | Missing, Markup | Missing]:
    if not blocks:
        return Missing(name), Missing(name)
    return rows_as_text(blocks, language), rows_as_html(blocks, language)


def _payment(source: _Source) -> tuple[str | Missing, Markup | Missing]:
    accounts = payment_lines(source.claim, source.blocks, source.language)
    if not accounts:
        return Missing("payment_details"), Missing("payment_details")
    return payment_as_text(accounts, source.language), payment_as_html(accounts)


def _personal(source: _Source) -> tuple[Any, Any]:
    written = clean_paragraph(source.claim.get(PERSONAL_TEXT) or "")
    if not written:
        return Missing(PERSONAL_TEXT), Missing(PERSONAL_TEXT)
    return _filled(source, written, named_in(written))


def _filled(source: _Source, written: str, names: set[str]) -> tuple[str, Markup]:
    """Return a person's own words with their placeholders filled in, as text and as HTML; the words themselves are only ever text."""
    texts: dict[str, str] = {}
    pages: dict[str, Markup] = {}
    for name in names:
        made = _READY_MADE.get(name)
        text, page = made(source) if made else (_VALUES[name](source) or Missing(name), None)
        if isinstance(text, Missing):
            raise ValueIsMissing(name)
        texts[name], pages[name] = str(text), escape(text) if page is None else page
    parts = list(parts_of(written))
    html = [pages[part] if is_name else escape(part).replace("\n", Markup("<br>")) for is_name, part in parts]
    return "".join(texts[part] if is_name else part for is_name, part in parts), Markup("").join(html)


_READY_MADE: Mapping[str, Callable[[_Source], tuple[Any, Any]]] = MappingProxyType(
    {
        "items_list": lambda s: _rows(s.blocks, s.language, "items_list"),
        "items_list_selected": lambda s: _rows(s.selected, s.language, "items_list_selected"),
        "payment_details": _payment,
        PERSONAL_TEXT: _personal,
    }
)
