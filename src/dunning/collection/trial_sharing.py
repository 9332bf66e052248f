"""For how many customers rules would find somebody once a file is imported, asked by a dry run of one piece of the file after another.

That somebody is found depends on the customer and the rules alone, only who it is on the shares. So pieces are looked at apart, and nothing is
locked or written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from dunning.collection import assignment_store, rulebook
from dunning.collection.assignment_rules import COLLECTOR, Candidate
from dunning.collection.assignment_store import Page
from dunning.collection.rulebook import InForce
from dunning.kit.database import ReadSession
from dunning.kit.ids import CustomerId, LedgerId, TenantId
from dunning.ledger import ledgers
from dunning.ledger.ledger_store import Ledger
from dunning.ledger.rules import OpenItem

PAGE = 5_000


@dataclass(frozen=True, slots=True)
class Terms:
    """The rules of a ledger, and by how much the import would lower what customers owe beyond what its rows say, in the ledger's currency."""

    ledger: Ledger
    rules: InForce
    lower_by: Mapping[UUID, int]

    def as_owing(self, customers: Iterable[Candidate]) -> list[Candidate]:
        """Return customers as they would stand at the end of the import."""
        return [replace(one, open_minor=(one.open_minor or 0) - self.lower_by.get(one.customer_id, 0)) for one in customers]


@dataclass(slots=True)
class Found:
    """Customers of a piece for whom somebody was found when they came, by role."""

    by_role: dict[str, set[UUID]] = field(default_factory=dict)


async def terms_of(session: ReadSession, *, tenant_id: TenantId, ledger_id: LedgerId, closing: Sequence[OpenItem]) -> Terms:
    """Return what decides, where an import would close some items beside what its rows say."""
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    lower_by: dict[UUID, int] = {}
    for item in closing:
        if item.direction == "debit" and item.currency == ledger.currency:
            lower_by[item.customer_id] = lower_by.get(item.customer_id, 0) + item.open_minor
    return Terms(ledger, await rulebook.in_force(session, tenant_id=tenant_id, ledger=ledger), lower_by)


async def look_at_new(session: ReadSession, terms: Terms, found: Found, *, tenant_id: TenantId, customer_ids: Sequence[CustomerId]) -> None:
    """Note for whom of some customers who were just created somebody is found at once, as `sharing.apply_to_new` would."""
    for role in terms.rules.rules if customer_ids else ():
        page = Page(terms.ledger.ledger_id, role, len(customer_ids), customer_ids=list(customer_ids))
        given = terms.rules.share_out(role, await assignment_store.candidates(session, tenant_id, page, None), {}).given
        found.by_role.setdefault(role, set()).update(one.customer_id for one in given)


async def look_at_named(session: ReadSession, terms: Terms, found: Found, *, tenant_id: TenantId, external_ids: Sequence[str]) -> dict[str, int]:
    """Return the counts of an import for the customers of one piece, once all of its rows stand."""
    counts: dict[str, int] = {}
    for role in terms.rules.rules:
        at_once = found.by_role.get(role, set())
        page = Page(terms.ledger.ledger_id, role, len(external_ids), external_ids=list(external_ids))
        customers = await assignment_store.candidates(session, tenant_id, page, terms.ledger.currency)
        _count(counts, terms, role, [one for one in customers if one.customer_id not in at_once], len(at_once))
    return counts


async def look_at_others(session: ReadSession, terms: Terms, *, tenant_id: TenantId, named: Collection[str]) -> dict[str, int]:
    """Return the counts of an import for all customers of the ledger that its file does not name."""
    counts: dict[str, int] = {}
    for role in terms.rules.rules:
        page = Page(terms.ledger.ledger_id, role, PAGE)
        while customers := await assignment_store.candidates(session, tenant_id, page, terms.ledger.currency):
            _count(counts, terms, role, [one for one in customers if one.external_id not in named], 0)
            page = replace(page, after=customers[-1].customer_id)
    return counts


def _count(counts: dict[str, int], terms: Terms, role: str, customers: Sequence[Candidate], at_once: int) -> None:
    shared = terms.rules.share_out(role, terms.as_owing(customers), {})
    counts["assigned"] = counts.get("assigned", 0) + at_once + len(shared.given)
    if role == COLLECTOR:
        counts["unassigned"] = counts.get("unassigned", 0) + len(shared.left)
