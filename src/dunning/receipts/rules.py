"""Pure rules of receipts: what a receipt settles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from dunning.kit.money import format_minor
from dunning.ledger.rules import OpenItem, Part, oldest_first, settle


@dataclass(frozen=True, slots=True)
class Wanted:
    """An amount for some items of one target, in minor units."""

    label: str
    minor: int
    items: tuple[OpenItem, ...]


@dataclass(frozen=True, slots=True)
class Short:
    """How much an item has open, in minor units, beside what the receipt's other parts already take of it."""

    item_id: UUID
    external_id: str
    number: str
    open_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an allocation cannot be made, for the person who asked for it; `short` are the items that have less open than was asked, with what they have."""

    message: str
    short: tuple[Short, ...] = ()


def spread(minor: int, items: Sequence[OpenItem], left: Mapping[UUID, int]) -> list[Part]:
    """Spread an amount over debit items, oldest first; `left` is what is still open of each."""
    debits = [i for i in oldest_first(items) if i.direction == "debit"]
    return settle(minor, [_with_left(item, left) for item in debits])


def allot(customer_id: UUID, wanted: Sequence[Wanted], left: Mapping[UUID, int]) -> list[Part] | Refused:
    """Set amounts against what they name, all or nothing; `left` is what is still open of each item."""
    remaining = dict(left)
    parts: list[Part] = []
    for want in wanted:
        if any(item.customer_id != customer_id for item in want.items):
            return Refused(f"{want.label} belongs to another customer than the receipt")
        if any(item.direction != "debit" for item in want.items):
            return Refused(f"{want.label} is a credit: a receipt pays invoices, never credits")
        found = spread(want.minor, want.items, remaining)
        if sum(part.minor for part in found) < want.minor:
            return _too_much(want, remaining)
        for part in found:
            remaining[part.item.item_id] -= part.minor
        parts += found
    return parts


def _too_much(want: Wanted, remaining: Mapping[UUID, int]) -> Refused:
    short = tuple(Short(i.item_id, i.external_id, i.number, remaining.get(i.item_id, 0), i.currency) for i in oldest_first(want.items))
    said = ", ".join(f"{one.external_id}: {format_minor(one.open_minor, one.currency)} {one.currency}" for one in short)
    asked = f"{format_minor(want.minor, want.items[0].currency)} {want.items[0].currency}" if want.items else "an amount"
    return Refused(f"{want.label} has less open than the {asked} to be allocated to it (open now: {said or 'nothing'})", short)


def _with_left(item: OpenItem, left: Mapping[UUID, int]) -> OpenItem:
    open_minor = left.get(item.item_id, 0)
    if open_minor == item.open_minor:
        return item
    return OpenItem(**{name: getattr(item, name) for name in OpenItem.__slots__ if name != "open_minor"}, open_minor=open_minor)
