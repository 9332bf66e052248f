"""The pages as bytes: templates filled with words, a frozen claim and the state of today."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import hashlib
import html
import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dunning.evidence.challenge import Challenge
from dunning.evidence.live import Live, LiveBlock, LiveRow
from dunning.evidence.visits import Arrival, Visit
from dunning.messages.claim_rows import Block, Row, blocks_of
from dunning.messages.clean_text import clean_line, clean_paragraph
from dunning.messages.item_table import payment_lines
from dunning.messages.language import amount, due_status, kind_word, long_date, short_date, words_of
from dunning_api.portal.opt_out_words import OPT_OUT_WORDS
from dunning_api.portal.words import PAGE_WORDS, PageWords, counted, page_words

_ENVIRONMENT = Environment(
    loader=PackageLoader("dunning_api.portal"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_LOADER = _ENVIRONMENT.loader
if _LOADER is None:
    msg = "the portal has lost its templates"
    raise RuntimeError(msg)
_STYLE = _LOADER.get_source(_ENVIRONMENT, "style.css")[0]
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def language_of(wished: str | None, own: str) -> str:
    """Return the language of a page: the one asked for by the visitor, else the message's, else English."""
    return next((tag for tag in (wished, own) if tag is not None and tag in PAGE_WORDS), "en")


def _page(template: str, language: str, *, title: str, **values: Any) -> bytes:
    rendered = _ENVIRONMENT.get_template(template).render(
        language=language,
        words=page_words(language),
        title=title,
        style=Markup(_STYLE),  # noqa: S704  # our own file
        **values,
    )
    return rendered.encode()


def page_of(template: str, language: str, *, title: str, **values: Any) -> bytes:
    """Write a page of a template of this folder."""
    return _page(template, language, title=title, **values)


def landing(visit: Arrival, language: str, *, nonce: str, notice: str | None = None) -> bytes:
    """Write the page that asks: it holds nothing of the claim, not even the customer's name."""
    before, after = _landing_around_nonce(language, visit.sender.name, visit.sender.email, visit.asks, visit.link.audience == "internal", notice)
    return before + html.escape(nonce).encode() + after


@lru_cache(maxsize=256)
def _landing_around_nonce(language: str, name: str, email: str, asks: Challenge, internal: bool, notice: str | None) -> tuple[bytes, bytes]:
    """Return what stands before and after the nonce: all that differs between two visitors who are asked the same by the same sender."""
    words, sender = page_words(language), clean_line(name)
    labels = {
        Challenge.TAX_NUMBER: (words.tax_label, words.tax_hint),
        Challenge.DOCUMENT_NUMBER: (words.document_label.replace("{sender}", sender), words.document_hint),
        Challenge.BUTTON: None,
    }
    heading = words.internal_heading if internal else words.landing_heading.replace("{sender}", sender)
    text = words.internal_landing.replace("{sender}", sender) if internal else words.landing_text
    if asks is Challenge.BUTTON and not internal:
        text = words.button_text
    page = _page(
        "landing.html",
        language,
        nonce=_NONCE_STANDS_HERE,
        languages=_languages(language),
        title=f"{words.error}: {heading}" if notice else heading,
        heading=heading,
        text=text,
        asked=labels[asks],
        submit=words.internal_show if internal else words.show,
        notice=notice,
        email=None if internal else clean_line(email),
    )
    before, after = page.split(_NONCE_STANDS_HERE.encode())
    return before, after


_NONCE_STANDS_HERE = "nonce-" + secrets.token_hex(16)


def wrong_notice(visit: Arrival, language: str, tries_left: int) -> str:
    """Return what is said above the question after a wrong answer."""
    words = page_words(language)
    return f"{words.wrong.replace('{sender}', clean_line(visit.sender.name))} {counted(words.tries_left, tries_left)}"


def locked(visit: Arrival, language: str, minutes: int) -> bytes:
    """Write that no answers are taken for a while."""
    words = page_words(language)
    return _page(
        "notice.html",
        language,
        title=words.locked_heading,
        heading=words.locked_heading,
        texts=[counted(words.locked_text, minutes)],
        email=clean_line(visit.sender.email),
    )


def gone(language: str = "en") -> bytes:
    """Write that the page is not available: the same words for a link that never was, was revoked, or has expired."""
    words = page_words(language)
    return _page("notice.html", language, title=words.gone_heading, heading=words.gone_heading, texts=[words.gone_text], email=None)


def opt_out_asked(language: str) -> bytes:
    """Write the page with the one button that ends notices before the due date; it shows nothing of any claim."""
    said = OPT_OUT_WORDS[language]
    return _page("opt_out.html", language, title=said.heading, heading=said.heading, text=said.text, submit=said.button, languages=_languages(language))


def opt_out_done(language: str) -> bytes:
    """Write that there will be no more notices before the due date."""
    said = OPT_OUT_WORDS[language]
    return _page("notice.html", language, title=said.done_heading, heading=said.done_heading, texts=[said.done_text], email=None)


def busy(language: str = "en") -> bytes:
    """Write that the database is away."""
    words = page_words(language)
    return _page("notice.html", language, title=words.busy_heading, heading=words.busy_heading, texts=[words.busy_text], email=None)


def internal(visit: Visit, language: str) -> bytes:
    """Write a colleague's page: a pointer into the company's own system, and nothing that would open the customer's."""
    words, claim = page_words(language), visit.claim.data
    text = words.internal_text.replace("{claim}", clean_line(claim["claim_no"])).replace("{day}", _long(claim["issued_on"], language))
    return _page(
        "internal.html",
        language,
        title=words.internal_heading,
        heading=words.internal_heading,
        text=text,
        crm_url=visit.crm_url,
    )


def claim(visit: Visit, language: str, live: Live, *, nonce: str | None) -> bytes:
    """Write the claim: frozen as it was told, then as it stands today, then how to pay and, with a nonce, the form that confirms receipt."""
    words, data = page_words(language), visit.claim.data
    files = {str(row.item.item_id): row.item.file_url for block in live.blocks for row in block.rows}
    blocks = blocks_of(data, language)
    title = words.claim_title.replace("{claim}", clean_line(data["claim_no"]))
    return _page(
        "claim.html",
        language,
        title=title,
        heading=title,
        sender=clean_line(data["ledger"]["sender_name"]),
        email=clean_line(visit.sender.email),
        facts=_facts(data, language, words, settled=live.settled),
        deadline=_long(data["deadline_on"], language) if data.get("deadline_on") else None,
        consequence=clean_paragraph(data.get("consequence") or ""),
        settled=live.settled,
        still_open=[amount(block.claim_minor, block.currency, language) for block in live.blocks if block.claim_minor > 0],
        told_heading=words.told_heading.replace("{day}", _long(data["issued_on"], language)),
        today_heading=words.today_heading.replace("{day}", long_date(visit.today, language)),
        mail_words=words_of(language),
        told=[_told(block, raw, files, language) for block, raw in zip(blocks, data["blocks"], strict=True)],
        today=[_today(block, language) for block in live.blocks],
        payments=[] if live.settled else payment_lines(data, _still_to_pay(blocks, live, language), language),
        nonce=nonce,
    )


def acknowledgement(language: str, *, nonce: str, name: str, role: str) -> bytes:
    """Write the form that confirms receipt once more, saying which field is missing."""
    words = page_words(language)
    errors = [(field, text) for field, text, given in (("name", words.name_missing, name), ("role", words.role_missing, role)) if not given]
    return _page(
        "acknowledge.html",
        language,
        title=f"{words.error}: {words.acknowledge_heading}",
        errors=errors,
        nonce=nonce,
        name=name,
        role=role,
    )


def thanks(visit: Visit, language: str, *, name: str, role: str) -> bytes:
    """Write that receipt was confirmed."""
    words = page_words(language)
    values = {"name": name, "role": role, "day": long_date(visit.today, language), "claim": clean_line(visit.claim.data["claim_no"])}
    return _page(
        "notice.html",
        language,
        title=words.thanks_heading,
        heading=words.thanks_heading,
        texts=[_fill(words.thanks_text, values), words.thanks_close],
        email=clean_line(visit.sender.email),
    )


def _fill(phrase: str, values: Mapping[str, str]) -> str:
    # One pass, so that a typed "{role}" stays what was typed.
    parts = phrase.split("{")
    return parts[0] + "".join(values[name] + rest for name, _, rest in (part.partition("}") for part in parts[1:]))


def _languages(current: str) -> Sequence[tuple[str, str, bool]]:
    return [(tag, words.language_name, tag == current) for tag, words in PAGE_WORDS.items()]


def _long(iso: str, language: str) -> str:
    return long_date(dt.date.fromisoformat(iso), language)


def _facts(data: Mapping[str, Any], language: str, words: PageWords, *, settled: bool) -> Sequence[tuple[str, str]]:
    facts = [
        (words.to, clean_line(data["customer"]["name"])),
        (words.issued, _long(data["issued_on"], language)),
        (words.reminder, str(data["reminder_no"]) if data.get("reminder_no") else ""),
        (words.pay_by, _long(data["deadline_on"], language) if data.get("deadline_on") and not settled else ""),
    ]
    return [(label, value) for label, value in facts if value]


def _told(block: Block, raw: Mapping[str, Any], files: Mapping[str, str | None], language: str) -> Mapping[str, Any]:
    words = words_of(language)
    rows = [(row, files.get(str(line["item_id"]))) for row, line in zip(block.items, raw["rows"], strict=True)]
    groups: list[tuple[str, list[tuple[Row, str | None]], str]] = [
        (words.overdue, [pair for pair in rows if pair[0].is_overdue], block.overdue),
        (words.not_due, [pair for pair in rows if pair[0].is_not_due], block.not_due),
        (words.credits, [pair for pair in rows if pair[0].is_credit], block.credit),
    ]
    return {"currency": block.currency, "groups": [group for group in groups if group[1]], "total": block.total}


def _today(block: LiveBlock, language: str) -> Mapping[str, Any]:
    return {
        "currency": block.currency,
        "rows": [_today_row(row, block.currency, language) for row in block.rows],
        "claim": amount(block.claim_minor, block.currency, language),
        "all": amount(block.open_minor, block.currency, language),
        "differs": block.claim_minor != block.open_minor,
    }


def _today_row(row: LiveRow, currency: str, language: str) -> Mapping[str, Any]:
    standing = page_words(language).standings[row.standing]
    late = row.standing in {"overdue", "not_due", "part_paid"}
    return {
        "kind": kind_word(row.item.kind, language),
        "number": clean_line(row.item.number, cap=80),
        "due_on": None if row.item.direction == "credit" else short_date(row.item.due_on, language),
        "standing": due_status(row.days_overdue, language, part_paid=row.standing == "part_paid") if late else standing,
        "tone": {"settled": "good", "withdrawn": "good", "overdue": "late", "part_paid": "late" if row.days_overdue > 0 else ""}.get(row.standing, ""),
        "open": amount(row.open_minor, currency, language),
        "beside": not row.in_claim,
        "file_url": row.item.file_url,
    }


def _still_to_pay(blocks: Sequence[Block], live: Live, language: str) -> list[Block]:
    """Return the claim's currencies with what is open of them today, so that nobody is asked to transfer what has been paid."""
    open_today = {block.currency: block.claim_minor for block in live.blocks}
    return [
        dataclasses.replace(block, total=amount(open_today[block.currency], block.currency, language), total_minor=open_today[block.currency])
        for block in blocks
        if open_today.get(block.currency, 0) > 0
    ]
