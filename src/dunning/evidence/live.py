"""How the documents of a claim stand now, beside the frozen claim: settled, part paid, still open, and what else is open.

Standard library only. The frozen claim stays what it was; this is the second block of the page.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

ASKED_FOR = frozenset({"candidate", "info"})
"""Sections of a claim that its total asks for: the rows that it reminds of, and overdue ones beside them. What is not yet due is only shown."""


class Standing(StrEnum):
    """How an item stands today."""

    SETTLED = "settled"
    WITHDRAWN = "withdrawn"
    PART_PAID = "part_paid"
    OVERDUE = "overdue"
    NOT_DUE = "not_due"
    CREDIT = "credit"


@dataclass(frozen=True, slots=True)
class ItemNow:
    """An item's facts at this moment; credits have the direction `credit`."""

    item_id: UUID
    number: str
    kind: str
    direction: str
    document_on: dt.date
    due_on: dt.date
    currency: str
    amount_minor: int
    allocated_minor: int
    is_void: bool
    file_url: str | None

    @property
    def open_minor(self) -> int:
        """What is not yet settled; a void item has nothing open."""
        return 0 if self.is_void else self.amount_minor - self.allocated_minor


@dataclass(frozen=True, slots=True)
class LiveRow:
    """One item today. Credits count negative; `in_claim` tells the claim's own rows from what is open beside them."""

    item: ItemNow
    standing: Standing
    days_overdue: int
    open_minor: int
    in_claim: bool
    asked_for: bool


@dataclass(frozen=True, slots=True)
class LiveBlock:
    """One currency today: what the claim asked for that is still open, all rows of the claim together, and everything that is open."""

    currency: str
    rows: tuple[LiveRow, ...]
    asked_minor: int
    claim_minor: int
    open_minor: int


@dataclass(frozen=True, slots=True)
class Live:
    """The state of a claim today. `settled`: nothing that it asked for is open any more."""

    blocks: tuple[LiveBlock, ...]
    settled: bool


def standing_of(item: ItemNow, today: dt.date) -> Standing:
    """Tell how an item stands on a day."""
    if item.is_void:
        return Standing.WITHDRAWN
    if item.open_minor == 0:
        return Standing.SETTLED
    if item.direction == "credit":
        return Standing.CREDIT
    if item.allocated_minor > 0:
        return Standing.PART_PAID
    return Standing.OVERDUE if item.due_on < today else Standing.NOT_DUE


def live_of(claim: Mapping[str, Any], items: Iterable[ItemNow], today: dt.date) -> Live:
    """Set the items of a customer as they are now against a frozen claim, a block a currency, the claim's currencies first."""
    sections = {UUID(str(row["item_id"])): row["section"] for block in claim["blocks"] for row in block["rows"]}
    order = list(dict.fromkeys(block["currency"] for block in claim["blocks"]))
    by_currency: dict[str, list[LiveRow]] = {currency: [] for currency in order}
    for item in items:
        section = sections.get(item.item_id)
        sign = -1 if item.direction == "credit" else 1
        row = LiveRow(
            item,
            standing_of(item, today),
            (today - item.due_on).days,
            sign * item.open_minor,
            in_claim=section is not None,
            asked_for=section in ASKED_FOR,
        )
        by_currency.setdefault(item.currency, []).append(row)
    blocks = tuple(_block(currency, rows) for currency, rows in by_currency.items() if rows)
    asked = [row for block in blocks for row in block.rows if row.asked_for]
    return Live(blocks, settled=bool(asked) and all(row.open_minor == 0 for row in asked))


def _block(currency: str, rows: Sequence[LiveRow]) -> LiveBlock:
    in_order = sorted(rows, key=lambda row: (not row.in_claim, row.item.due_on, row.item.number))
    asked = sum(row.open_minor for row in rows if row.asked_for)
    claim = sum(row.open_minor for row in rows if row.in_claim)
    return LiveBlock(currency, tuple(in_order), asked, claim, sum(row.open_minor for row in rows))
