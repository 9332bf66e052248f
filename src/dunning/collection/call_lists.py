"""The phone list of a day: customers with a call that waits, the most urgent first, with everything that whoever calls wants to see."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from dunning.collection import call_list_store, contact_budget, worklist
from dunning.collection.call_list_store import Terms
from dunning.collection.priority import BROKEN_WITHIN_DAYS, Facts, Part, Weights, parts_of, score_of
from dunning.collection.worklist import Whose
from dunning.collection.worklist_store import Scope
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession
from dunning.kit.ids import LedgerId, TenantId
from dunning.kit.money import format_minor
from dunning.kit.spreadsheet import safe_cell
from dunning.ledger import ledgers
from dunning.scenarios.rules import Reason
from dunning.tenancy import people

EXPORT_PAGE = 500
_HEADER = [
    "customer_id", "external_id", "name", "collector", "callers", "not_before", "because", "priority", "parts", "currency", "overdue", "oldest_due_on", "phones", "calls", "last_contact_on", "last_contact",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ranked:
    """A customer's place on the list. `not_before` is the day until which the contact budget keeps it from being called; those stand at the end."""

    customer_id: UUID
    ledger_id: LedgerId
    score: int
    parts: tuple[Part, ...]
    facts: Facts
    not_before: dt.date | None

    @property
    def key(self) -> tuple[bool, int, bytes]:
        """What the list is ordered by."""
        return self.not_before is not None, -self.score, self.customer_id.bytes


@dataclass(frozen=True, slots=True)
class CallRow:
    """A customer on the list, with what is to be said and to whom."""

    ranked: Ranked
    row: asyncpg.Record
    contact_by: str | None
    """The name of whoever had the last contact."""
    phones_from: Mapping[str, dt.date]
    """The days from which contacts may be called whose own budget is spent, by id as text."""


@dataclass(frozen=True, slots=True)
class CallList:
    """A page of a list, how many customers are on all of it, and how many of them are not to be called on the day."""

    rows: Sequence[CallRow]
    customers: int
    not_yet: int


async def call_list(
    session: ReadSession, clock: Clock, *, tenant_id: TenantId, on: dt.date, whose: Whose, after: tuple[bool, int, UUID] | None, limit: int
) -> CallList:
    """Return the customers whose call waits for a day up to `on`, by falling score, those who may not be called yet last, past a place in that order.

    Raises what `worklist.scope_of` does.

    Scores are made of the facts as they are now: a row may move between two pages when something happens meanwhile.
    """
    scope = await worklist.scope_of(session, clock, tenant_id=tenant_id, whose=whose)
    terms = await call_list_store.terms_of(session, tenant_id, scope.days.ledger_ids)
    ranked = await _ranked(session, tenant_id, scope, terms, on)
    if not ranked:
        await worklist.known(session, tenant_id=tenant_id, whose=whose)
    left = [one for one in ranked if after is None or one.key > (after[0], -after[1], after[2].bytes)]
    return CallList(await _shown(session, tenant_id, left[:limit], on, scope, terms), len(ranked), sum(one.not_before is not None for one in ranked))


async def as_csv(session: ReadSession, clock: Clock, *, tenant_id: TenantId, on: dt.date, whose: Whose) -> AsyncIterator[bytes]:
    """Yield the whole list as a CSV file that is safe to open in a spreadsheet program: a line a customer and currency, one where nothing is overdue."""
    scope = await worklist.scope_of(session, clock, tenant_id=tenant_id, whose=whose)
    terms = await call_list_store.terms_of(session, tenant_id, scope.days.ledger_ids)
    ranked = await _ranked(session, tenant_id, scope, terms, on)
    yield _lines([_HEADER])
    for begin in range(0, len(ranked), EXPORT_PAGE):
        shown = await _shown(session, tenant_id, ranked[begin : begin + EXPORT_PAGE], on, scope, terms)
        yield _lines([_cells(one, owed) for one in shown for owed in (*one.ranked.facts.overdue,) or (None,)])


async def weights_of(session: ReadSession, *, tenant_id: TenantId, ledger_id: LedgerId) -> Weights:
    """Return the weights by which a ledger's calls are ordered; raise `NotFound`."""
    await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    return Weights.read((await call_list_store.terms_of(session, tenant_id, [ledger_id]))[ledger_id].priority_weights)


async def _ranked(session: ReadSession, tenant_id: TenantId, scope: Scope, terms: Mapping[LedgerId, Terms], on: dt.date) -> list[Ranked]:
    weights = {ledger_id: Weights.read(stated.priority_weights) for ledger_id, stated in terms.items()}
    since = min(scope.days.todays, default=on) - dt.timedelta(days=BROKEN_WITHIN_DAYS)
    found = []
    for row in await call_list_store.facts_of_calls(session, tenant_id, scope, on, since):
        facts = Facts(
            overdue=[(currency, minor) for currency, minor in row["overdue"]], oldest_due_on=row["oldest_due_on"],
            broken_promises=row["broken_promises"], last_contact_on=row["last_contact_on"], steps=row["steps"],
        )  # fmt: skip
        parts = parts_of(facts, weights[row["ledger_id"]], row["today"])
        found.append(Ranked(row["customer_id"], LedgerId(row["ledger_id"]), score_of(parts), parts, facts, _not_before(row, max(on, row["today"]))))
    return sorted(found, key=lambda one: one.key)


def _not_before(row: asyncpg.Record, on: dt.date) -> dt.date | None:
    """Return the first day on which the contact budget allows a call, where it does not on the day of the list."""
    if not row["contact_days"]:
        return None
    free_on = contact_budget.free_on(row["contact_days"], row["contact_budget"], row["contact_budget_days"])
    return free_on if free_on is not None and free_on > on else None


async def _shown(
    session: ReadSession, tenant_id: TenantId, ranked: Sequence[Ranked], on: dt.date, scope: Scope, terms: Mapping[LedgerId, Terms]
) -> list[CallRow]:
    rows = await call_list_store.rows_of(session, tenant_id, [one.customer_id for one in ranked], on, scope.person_ids)
    names = await people.names_of(session, tenant_id=tenant_id, actors=[row["contact_actor"] for row in rows.values() if row["contact_actor"] is not None])
    phones_from = await _phones_from(session, rows, on, scope, terms)
    return [
        CallRow(one, row, names.get(row["contact_actor"]), phones_from) for one in ranked if (row := rows.get(one.customer_id)) is not None
    ]  # fmt: skip


async def _phones_from(
    session: ReadSession, rows: Mapping[UUID, asyncpg.Record], on: dt.date, scope: Scope, terms: Mapping[LedgerId, Terms]
) -> dict[str, dt.date]:
    """Return the contacts of some customers whose budget as people is spent on a day, each with the day from which it is not."""
    found: dict[str, dt.date] = {}
    todays = dict(zip(scope.days.ledger_ids, scope.days.todays, strict=True))
    for ledger_id, (_, budget, window) in terms.items():
        phones = [phone for row in rows.values() if row["ledger_id"] == ledger_id for phone in row["phones"] if phone["email"]]
        if budget is None or window is None or not phones:
            continue
        day = max(on, todays[ledger_id])
        counted = await contact_budget.people(session, ledger_id, budget, window, {phone["email"] for phone in phones}, day)
        for phone in phones:
            free_on = counted.free_on(phone["email"])
            if free_on is not None and free_on > day:
                found[phone["contact_id"]] = free_on
    return found


def _cells(one: CallRow, owed: tuple[str, int] | None) -> list[str]:
    """Return the cells of a line with what is overdue in one currency."""
    row, ranked = one.row, one.ranked
    currency, overdue = ("", "") if owed is None else (owed[0], format_minor(owed[1], owed[0]))
    callers = dict.fromkeys(call["person_name"] for call in row["actions"] if call["person_name"] is not None)
    contact = "" if row["contact_at"] is None else " ".join(filter(None, [row["contact_kind"], row["contact_outcome"], one.contact_by, row["contact_text"]]))
    cells = [
        row["customer_id"], row["external_id"], row["name"], row["collector_name"] or "", ", ".join(callers), ranked.not_before or "",
        Reason.CONTACT_BUDGET if ranked.not_before else "", ranked.score,
        ", ".join(f"{part.name} {part.points}" for part in ranked.parts if part.points),
        currency, overdue, ranked.facts.oldest_due_on or "",
        ", ".join(f"{phone['name'] or 'contact'}: {phone['phone']}" for phone in row["phones"]),
        ", ".join(str(action["title"]) for action in row["actions"]), row["contact_on"] or "", contact,
    ]  # fmt: skip
    return [safe_cell(str(cell)) for cell in cells]


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
