"""The rows and sums of a frozen claim in a language: what templates loop over and the ready-made tables show."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from dunning.messages.clean_text import clean_line
from dunning.messages.language import amount, due_status, kind_word, short_date, words_of


class Missing:
    """A value that a claim does not have.

    False when asked, an error when printed, so that it is never a blank in a mail.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        raise ValueIsMissing(self.name)

    def __html__(self) -> str:
        raise ValueIsMissing(self.name)


class ValueIsMissing(Exception):
    """A missing value was printed; `name` is its placeholder."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Row(NamedTuple):
    """One item of a claim as words. Credits are negative, whatever the sign they were stored with."""

    number: str
    kind: str
    document_on: str | Missing
    due_on: str
    days_overdue: str
    original: str
    open: str
    status: str
    currency: str
    step_code: str | Missing
    is_overdue: bool
    is_not_due: bool
    is_credit: bool
    is_selected: bool
    open_minor: int


@dataclass(frozen=True, slots=True)
class Block:
    """The rows and sums of one currency. Currencies are never added (C-21)."""

    currency: str
    items: Sequence[Row]
    overdue: str
    not_due: str
    credit: str
    total: str
    total_minor: int
    has_not_due: bool
    has_credit: bool


def blocks_of(claim: Mapping[str, Any], language: str) -> list[Block]:
    """Write a claim's blocks in a language, in the claim's order."""
    credit_word = words_of(language).credit
    return [_block(block, language, credit_word) for block in claim["blocks"]]


def _block(block: Mapping[str, Any], language: str, credit_word: str) -> Block:
    currency = block["currency"]
    rows = [_row(row, currency, language, credit_word) for row in block["rows"]]
    return Block(
        currency,
        rows,
        amount(block["overdue_minor"], currency, language),
        amount(block["not_due_minor"], currency, language),
        amount(-abs(block["credit_minor"]), currency, language),
        amount(block["total_minor"], currency, language),
        block["total_minor"],
        any(row.is_not_due for row in rows),
        any(row.is_credit for row in rows),
    )


@lru_cache(maxsize=16_384)
def _short_day(iso: str, language: str) -> str:
    return short_date(dt.date.fromisoformat(iso), language)


def _row(row: Mapping[str, Any], currency: str, language: str, credit_word: str) -> Row:
    days = row["days_overdue"]
    credit = row["section"] == "credit"
    original, still_open = row["original_minor"], row["open_minor"]
    if credit:
        original, still_open = -abs(original), -abs(still_open)
        status = credit_word
    else:
        status = due_status(days, language, part_paid=row["status"] == "part_paid")
    document_on, step_code = row.get("document_on"), row.get("step_code")
    return Row(
        clean_line(row["number"], cap=80),
        kind_word(row["kind"], language),
        _short_day(document_on, language) if document_on else Missing("item.document_on"),
        _short_day(row["due_on"], language),
        str(days),
        amount(original, currency, language),
        amount(still_open, currency, language),
        status,
        currency,
        clean_line(step_code) if step_code else Missing("item.step_code"),
        not credit and days > 0,
        not credit and days <= 0,
        credit,
        row["section"] == "candidate",
        still_open,
    )


def selected_only(blocks: Iterable[Block], language: str) -> list[Block]:
    """Keep the rows a claim asks for, with their own sums, and the currencies that have any (S4-16)."""
    kept: list[Block] = []
    for block in blocks:
        rows = [row for row in block.items if row.is_selected]
        if rows:
            overdue = sum(row.open_minor for row in rows if row.is_overdue)
            not_due = sum(row.open_minor for row in rows if row.is_not_due)
            kept.append(
                Block(
                    block.currency,
                    rows,
                    overdue=amount(overdue, block.currency, language),
                    not_due=amount(not_due, block.currency, language),
                    credit=amount(0, block.currency, language),
                    total=amount(overdue + not_due, block.currency, language),
                    total_minor=overdue + not_due,
                    has_not_due=any(row.is_not_due for row in rows),
                    has_credit=False,
                )
            )
    return kept
