"""The ready-made placeholders.

The table of a claim's rows and the payment details, as text and as HTML, saying the same.

Rows stand in up to three sections (overdue, not yet due, credits), each with its subtotal where there are several, and
one total a currency. HTML carries its styles on the elements, since it is put in after the template's own styles were
inlined, and class names that a layout's dark mode can address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from markupsafe import Markup, escape

from dunning.messages.claim_rows import Block, Missing, Row
from dunning.messages.clean_text import clean_line
from dunning.messages.language import amount, more_rows, words_of

ROWS_CAP = 500
"""Rows shown a currency; what is beyond is counted and summed in one line, so that sums still agree."""

_LINE = 'style="border-bottom:1px solid #d5dae1"'
_NUMBER = 'align="right" style="border-bottom:1px solid #d5dae1;white-space:nowrap"'
_MUTED = '<span class="muted" style="color:#5b6472">'
_HEAD = 'style="border-bottom:2px solid #5b6472;vertical-align:bottom"'


@dataclass(frozen=True, slots=True)
class _Section:
    heading: str
    rows: Sequence[Row]
    rest: str | None
    subtotal: str


def _with_stage(block: Block, language: str) -> Block:
    """Say each row's step in its status where rows of several steps stand together (C-12)."""
    if len({row.step_code for row in block.items if not isinstance(row.step_code, Missing)}) < 2:
        return block
    stage = words_of(language).stage
    rows = [
        row if isinstance(row.step_code, Missing) else row._replace(status=f"{row.status}, {stage.replace('{code}', row.step_code)}") for row in block.items
    ]
    return replace(block, items=rows)


def _sections(block: Block, language: str) -> list[_Section]:
    words = words_of(language)
    groups = (
        (words.overdue, [row for row in block.items if row.is_overdue], block.overdue),
        (words.not_due, [row for row in block.items if row.is_not_due], block.not_due),
        (words.credits, [row for row in block.items if row.is_credit], block.credit),
    )
    left = ROWS_CAP
    made: list[_Section] = []
    for heading, rows, subtotal in groups:
        if rows:
            shown, hidden = rows[:left], rows[left:]
            left -= len(shown)
            rest = more_rows(len(hidden), amount(sum(row.open_minor for row in hidden), block.currency, language), language) if hidden else None
            made.append(_Section(heading, shown, rest, subtotal))
    return made


def rows_as_text(blocks: Sequence[Block], language: str) -> str:
    """Write the table for the text of a mail: aligned columns, a block a currency."""
    words = words_of(language)
    out: list[str] = []
    for block in blocks:
        sections = _sections(_with_stage(block, language), language)
        lines: list[tuple[str, str, str, str, str] | str] = [(words.document, words.due_on, words.original, words.open, words.status)]
        for section in sections:
            if len(sections) > 1:
                lines += ["", f"{section.heading} ({block.currency})"]
            lines += [(f"{row.kind} {row.number}", "" if row.is_credit else row.due_on, row.original, row.open, row.status) for row in section.rows]
            if section.rest:
                lines.append(f"  … {section.rest}")
            if len(sections) > 1:
                lines.append(f"{words.subtotal}{words.colon} {section.subtotal}")
        widths = [max(len(line[i]) for line in lines if isinstance(line, tuple)) for i in range(4)]
        for line in lines:
            if isinstance(line, str):
                out.append(line)
            else:
                document, due, original, still_open, status = line
                out.append(f"{document:<{widths[0]}}  {due:<{widths[1]}}  {original:>{widths[2]}}  {still_open:>{widths[3]}}  {status}".rstrip())
        out += ["", f"{words.total}{words.colon} {block.total}", ""]
    return "\n".join(out).rstrip()


def rows_as_html(blocks: Sequence[Block], language: str) -> Markup:
    """Write the table for the HTML of a mail, with header cells for screen readers."""
    words = words_of(language)
    head, dated = _html_head(language), str(escape(words.dated))
    out: list[str] = []
    for block in blocks:
        sections = _sections(_with_stage(block, language), language)
        out.append(
            '<table class="rows" width="100%" cellpadding="6" cellspacing="0" border="0"'
            ' style="border-collapse:collapse;font-size:14px;line-height:20px;margin:0 0 16px">'
            f"<thead>{head}</thead>"
        )
        for section in sections:
            out.append("<tbody>")
            if len(sections) > 1:
                out.append(f'<tr><th scope="rowgroup" colspan="4" align="left" style="padding-top:14px">{escape(section.heading)}</th></tr>')
            out += [_html_row(row, dated) for row in section.rows]
            if section.rest:
                out.append(f'<tr><td colspan="4" {_LINE}>… {escape(section.rest)}</td></tr>')
            if len(sections) > 1:
                out.append(f'<tr><td colspan="3">{escape(words.subtotal)}</td><td align="right" style="white-space:nowrap">{section.subtotal}</td></tr>')
            out.append("</tbody>")
        out.append(
            f'<tfoot><tr class="total" style="font-size:16px;font-weight:bold"><th scope="row" colspan="3" align="left"'
            f' style="border-top:2px solid #5b6472">{escape(words.total)}</th>'
            f'<td align="right" style="border-top:2px solid #5b6472;white-space:nowrap">{block.total}</td></tr></tfoot></table>'
        )
    return Markup("".join(out))  # noqa: S704  every value above is escaped or made of digits and currency signs


def _html_row(row: Row, dated: str) -> str:
    document_on = "" if isinstance(row.document_on, Missing) else f"<br>{_MUTED}{dated.replace('{day}', row.document_on)}</span>"
    due = "" if row.is_credit else f"{row.due_on}<br>"
    return (
        f'<tr valign="top"><td {_LINE}>{_escaped(row.kind)} <b>{escape(row.number)}</b>{document_on}</td>'
        f"<td {_LINE}>{due}{_MUTED}{_escaped(row.status)}</span></td><td {_NUMBER}>{row.original}</td><td {_NUMBER}><b>{row.open}</b></td></tr>"
    )


@lru_cache(maxsize=16)
def _html_head(language: str) -> str:
    words = words_of(language)
    return (
        f'<tr><th scope="col" align="left" width="34%" {_HEAD}>{escape(words.document)}</th>'
        f'<th scope="col" align="left" width="30%" {_HEAD}>{escape(words.due_on)}, {escape(words.status.lower())}</th>'
        f'<th scope="col" align="right" width="18%" {_HEAD}>{escape(words.original)}</th>'
        f'<th scope="col" align="right" width="18%" {_HEAD}>{escape(words.open)}</th></tr>'
    )


@lru_cache(maxsize=4096)
def _escaped(text: str) -> str:
    return str(escape(text))


def payment_lines(claim: Mapping[str, Any], blocks: Sequence[Block], language: str) -> list[list[tuple[str, str]]]:
    """Return label and value of what a bank transfer needs, one list an account.

    Empty when no account takes any of the currencies.
    """
    words = words_of(language)
    whole = claim.get("payment_reference") or ""
    references = {block["currency"]: block.get("payment_reference", whole) for block in claim["blocks"]}
    made: list[list[tuple[str, str]]] = []
    for block in blocks:
        for account in claim["ledger"].get("bank_accounts") or ():
            if account["currency"] != block.currency:
                continue
            iban = "".join(clean_line(account["iban"]).split())
            lines = [
                (words.beneficiary, clean_line(account["beneficiary"])),
                (words.bank, clean_line(account.get("bank_name") or "")),
                ("IBAN", " ".join(iban[i : i + 4] for i in range(0, len(iban), 4))),
                ("BIC", clean_line(account.get("bic") or "")),
                (words.amount, block.total if block.total_minor > 0 else ""),
                (words.reference, clean_line(references.get(block.currency) or "", cap=140)),
            ]
            made.append([(label, value) for label, value in lines if value])
    return made


def payment_as_text(accounts: Sequence[Sequence[tuple[str, str]]], language: str) -> str:
    """Write payment details for the text of a mail."""
    colon = words_of(language).colon
    width = max(len(label) for account in accounts for label, _ in account) + len(colon)
    return "\n\n".join("\n".join(f"{label + colon:<{width}} {value}" for label, value in account) for account in accounts)


def payment_as_html(accounts: Sequence[Sequence[tuple[str, str]]]) -> Markup:
    """Write payment details for the HTML of a mail."""
    out: list[str] = []
    for account in accounts:
        out.append(
            '<table class="payment" width="100%" cellpadding="4" cellspacing="0" border="0"'
            ' style="border-collapse:collapse;font-size:14px;line-height:20px;margin:0 0 16px">'
        )
        out += [
            f'<tr valign="top"><th scope="row" align="left" width="34%" class="muted" style="color:#5b6472;font-weight:normal">{escape(label)}</th>'
            f"<td>{escape(value)}</td></tr>"
            for label, value in account
        ]
        out.append("</table>")
    return Markup("".join(out))  # noqa: S704  every value above is escaped
