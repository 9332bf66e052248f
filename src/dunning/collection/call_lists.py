"""The phone list of a day: customers with a call that waits, the most urgent first, with everything that whoever calls wants to see."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from dunning.collection import call_list_store, worklist
from dunning.collection.priority import BROKEN_WITHIN_DAYS, Facts, Part, Weights, parts_of, score_of
from dunning.collection.worklist import Whose
from dunning.collection.worklist_store import Scope
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession
from dunning.kit.ids import LedgerId, TenantId
from dunning.kit.money import format_minor
from dunning.kit.spreadsheet import safe_cell
from dunning.ledger import ledgers
from dunning.tenancy import people

EXPORT_PAGE = 500
_HEADER = [
    "customer_id", "external_id", "name", "collector", "priority", "parts", "overdue", "oldest_due_on", "phones", "calls", "last_contact_on", "last_contact",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ranked:
    """A customer's place on the list."""

    customer_id: UUID
    score: int
    parts: tuple[Part, ...]
    facts: Facts


@dataclass(frozen=True, slots=True)
class CallRow:
    """A customer on the list, with what is to be said and to whom."""

    ranked: Ranked
    row: asyncpg.Record
    contact_by: str | None
    """The name of whoever had the last contact."""


@dataclass(frozen=True, slots=True)
class CallList:
    """A page of a list, and how many customers are on all of it."""

    rows: Sequence[CallRow]
    customers: int


async def call_list(
    session: ReadSession, clock: Clock, *, tenant_id: TenantId, on: dt.date, whose: Whose, after: tuple[int, UUID] | None, limit: int
) -> CallList:
    """Return the customers whose call waits for a day up to `on`, by falling score, past a score and id. Raises what `worklist.scope_of` does.

    Scores are made of the facts as they are now: a row may move between two pages when something happens meanwhile.
    """
    scope = await worklist.scope_of(session, clock, tenant_id=tenant_id, whose=whose)
    ranked = await _ranked(session, tenant_id, scope, on)
    if not ranked:
        await worklist.known(session, tenant_id=tenant_id, whose=whose)
    left = [one for one in ranked if after is None or (-one.score, one.customer_id.bytes) > (-after[0], after[1].bytes)]
    return CallList(await _shown(session, tenant_id, left[:limit], on, scope), len(ranked))


async def as_csv(session: ReadSession, clock: Clock, *, tenant_id: TenantId, on: dt.date, whose: Whose) -> AsyncIterator[bytes]:
    """Yield the whole list as a CSV file that is safe to open in a spreadsheet program."""
    scope = await worklist.scope_of(session, clock, tenant_id=tenant_id, whose=whose)
    ranked = await _ranked(session, tenant_id, scope, on)
    yield _lines([_HEADER])
    for begin in range(0, len(ranked), EXPORT_PAGE):
        yield _lines([_cells(one) for one in await _shown(session, tenant_id, ranked[begin : begin + EXPORT_PAGE], on, scope)])


async def weights_of(session: ReadSession, *, tenant_id: TenantId, ledger_id: LedgerId) -> Weights:
    """Return the weights by which a ledger's calls are ordered; raise `NotFound`."""
    await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    return Weights.read((await call_list_store.weights_of(session, tenant_id, [ledger_id]))[ledger_id])


async def _ranked(session: ReadSession, tenant_id: TenantId, scope: Scope, on: dt.date) -> list[Ranked]:
    stated = await call_list_store.weights_of(session, tenant_id, scope.days.ledger_ids)
    weights = {ledger_id: Weights.read(stored) for ledger_id, stored in stated.items()}
    since = min(scope.days.todays, default=on) - dt.timedelta(days=BROKEN_WITHIN_DAYS)
    found = []
    for row in await call_list_store.facts_of_calls(session, tenant_id, scope, on, since):
        facts = Facts(
            overdue=[(currency, minor) for currency, minor in row["overdue"]], oldest_due_on=row["oldest_due_on"],
            broken_promises=row["broken_promises"], last_contact_on=row["last_contact_on"], steps=row["steps"],
        )  # fmt: skip
        parts = parts_of(facts, weights[row["ledger_id"]], row["today"])
        found.append(Ranked(row["customer_id"], score_of(parts), parts, facts))
    return sorted(found, key=lambda one: (-one.score, one.customer_id.bytes))


async def _shown(session: ReadSession, tenant_id: TenantId, ranked: Sequence[Ranked], on: dt.date, scope: Scope) -> list[CallRow]:
    rows = await call_list_store.rows_of(session, tenant_id, [one.customer_id for one in ranked], on, scope.person_ids)
    names = await people.names_of(session, tenant_id=tenant_id, actors=[row["contact_actor"] for row in rows.values() if row["contact_actor"] is not None])
    return [
        CallRow(one, row, names.get(row["contact_actor"])) for one in ranked if (row := rows.get(one.customer_id)) is not None
    ]  # fmt: skip


def _cells(one: CallRow) -> list[str]:
    row, ranked = one.row, one.ranked
    contact = "" if row["contact_at"] is None else " ".join(filter(None, [row["contact_kind"], row["contact_outcome"], one.contact_by, row["contact_text"]]))
    cells = [
        row["customer_id"], row["external_id"], row["name"], row["person_name"] or "", ranked.score,
        ", ".join(f"{part.name} {part.points}" for part in ranked.parts if part.points),
        ", ".join(f"{format_minor(minor, currency)} {currency}" for currency, minor in ranked.facts.overdue), ranked.facts.oldest_due_on or "",
        ", ".join(f"{phone['name'] or 'contact'}: {phone['phone']}" for phone in row["phones"]),
        ", ".join(str(action["title"]) for action in row["actions"]), "" if row["contact_at"] is None else row["contact_at"].date(), contact,
    ]  # fmt: skip
    return [safe_cell(str(cell)) for cell in cells]


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
