"""Pure rules of the ledger: names for search, which items an amount settles, what is undone first, when a snapshot closes too much."""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

Direction = Literal["debit", "credit"]


def search_form(name: str) -> str:
    """Write a name as it is searched: small letters without accents, single spaces."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c))
    return " ".join(plain.split())


def direction_of(document_type: str) -> Direction:
    """Tell whether a document makes the customer owe or takes away from what is owed."""
    return "credit" if document_type == "credit_note" else "debit"


def covered_by_insurance(cover: str, until_on: dt.date | None, on: dt.date) -> bool:
    """Tell whether a customer's credit insurance covers what it owes on a day; `until_on` is the last covered one, None has no end."""
    return cover == "active" and (until_on is None or until_on >= on)


@dataclass(frozen=True, slots=True)
class OpenItem:
    """What an amount can be set against; `open_minor` is in the currency of the item."""

    item_id: UUID
    customer_id: UUID
    document_id: UUID
    external_id: str
    currency: str
    due_on: dt.date
    document_on: dt.date
    number: str
    open_minor: int
    episode: int
    direction: Direction


@dataclass(frozen=True, slots=True)
class Part:
    """How much of an amount settles one item."""

    item: OpenItem
    minor: int


def oldest_first(items: Iterable[OpenItem]) -> list[OpenItem]:
    """Order items as an unspecified payment settles them: by due date, document date, number, id."""
    return sorted(items, key=lambda i: (i.due_on, i.document_on, i.number, i.item_id))


def settle(minor: int, items: Iterable[OpenItem]) -> list[Part]:
    """Spread an amount over open debit items in their given order; what does not fit stays with the payer."""
    parts = []
    for item in items:
        take = min(minor, item.open_minor)
        if take > 0:
            parts.append(Part(item, take))
            minor -= take
    return parts


@dataclass(frozen=True, slots=True)
class LiveEntry:
    """One entry of the append-only book that has not been reversed."""

    allocation_id: UUID
    kind: str
    item_id: UUID
    receipt_id: UUID | None
    credit_item_id: UUID | None
    currency: str
    amount_minor: int
    episode: int
    value_on: dt.date


@dataclass(frozen=True, slots=True)
class Unwinding:
    """Entries to reverse, and how much of the last of them is set against the item again."""

    reversed_entries: tuple[LiveEntry, ...]
    kept: tuple[LiveEntry, int] | None


def unwind(newest_first: Sequence[LiveEntry], excess_minor: int) -> Unwinding:
    """Choose the entries to undo so that an item is settled by `excess_minor` less; the newest money leaves first.

    An entry is reversed whole; where that frees too much, the rest of it is entered again.
    """
    undone: list[LiveEntry] = []
    for entry in newest_first:
        if excess_minor <= 0:
            break
        undone.append(entry)
        excess_minor -= entry.amount_minor
    kept = (undone[-1], -excess_minor) if undone and excess_minor < 0 else None
    return Unwinding(tuple(undone), kept)


@dataclass(frozen=True, slots=True)
class Closing:
    """What a snapshot would close, in one currency, beside what is open there."""

    currency: str
    closing_count: int
    closing_minor: int
    open_count: int
    open_minor: int


def closes_too_much(closings: Iterable[Closing], limit_percent: int) -> bool:
    """Tell whether a snapshot would close more than the limit, in number or amount; a file cut short looks like this."""
    found = list(closings)
    count, of_count = sum(c.closing_count for c in found), sum(c.open_count for c in found)
    return count * 100 > of_count * limit_percent or any(c.closing_minor * 100 > c.open_minor * limit_percent for c in found)
