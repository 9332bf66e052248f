"""From rows of facts to positions: what the planning rules read about each customer of a page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

import asyncpg

from dunning.collection import catalogue, fact_store, override_store
from dunning.collection.catalogue import Catalogue
from dunning.collection.override_store import StoredOverride
from dunning.kit import calendar as business_days
from dunning.kit.database import ReadSession, encode_json
from dunning.kit.ids import CustomerId, LedgerId, TenantId
from dunning.scenarios.position import Sent
from dunning.scenarios.rules import COMPLETED, CREDIT, SKIPPED, Calendar, Compiled, Defaults, Fact, Id, Item, Position, Progress
from dunning.scenarios.steps import TriggerKind

YEARS_BEFORE = 2
YEARS_AFTER = 2
"""Years around today whose public holidays a position carries: business-day counts and shifts look no further."""


class CustomerFacts(NamedTuple):
    """Hold one customer's position, with the version of the facts it was read from."""

    customer_id: CustomerId
    facts_version: int
    position: Position
    known: Catalogue
    """The scenario versions that the position names, with the customer's own steps where it has any."""


async def due_facts(
    session: ReadSession,
    tenant_id: TenantId,
    ledger_id: LedgerId,
    today: dt.date,
    *,
    after: UUID | None,
    revision: int,
    limit: int,
    every: bool = False,
    customer_ids: Sequence[UUID] | None = None,
    group_codes: Sequence[str] | None = None,
) -> tuple[list[CustomerFacts], Catalogue]:
    """Return positions of the next customers that are to be looked at, and the scenarios they name."""
    rows = await fact_store.facts_of_due(
        session, tenant_id, ledger_id, today, after=after, revision=revision, limit=limit, every=every,
        customer_ids=customer_ids, group_codes=group_codes,
    )  # fmt: skip
    return await _positions(session, tenant_id, rows, today)


async def facts_of(
    session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[CustomerId], today: dt.date, *, without_action: UUID | None = None
) -> tuple[list[CustomerFacts], Catalogue]:
    """Return positions of given customers, as if one action did not exist where `without_action` names it, and the scenarios they name."""
    rows = await fact_store.facts_of(session, tenant_id, customer_ids, today, without_action=without_action)
    return await _positions(session, tenant_id, rows, today)


async def _positions(session: ReadSession, tenant_id: TenantId, rows: Sequence[asyncpg.Record], today: dt.date) -> tuple[list[CustomerFacts], Catalogue]:
    named = _versions_named(rows)
    known = await catalogue.load(session, tenant_id, named)
    uses_calendar = known.uses_calendar(named)
    no_calendar = Calendar()
    excluding = await fact_store.excluding_statuses(session, tenant_id) if any(row["status_codes"] for row in rows) else frozenset()
    own_steps = await _own_steps(session, tenant_id, rows)
    made = []
    for row in rows:
        calendar = calendar_of(row["country"], row["subdivision"], today.year) if uses_calendar else no_calendar
        overrides = own_steps.get(row["customer_id"], ())
        of_customer = known.varied_by(overrides)
        position = position_of(row, of_customer.compiled, calendar, excluding, overrides)
        made.append(CustomerFacts(CustomerId(row["customer_id"]), row["facts_version"], position, of_customer))
    return made, known


async def _own_steps(session: ReadSession, tenant_id: TenantId, rows: Sequence[asyncpg.Record]) -> dict[UUID, list[StoredOverride]]:
    found: dict[UUID, list[StoredOverride]] = {}
    for override in await override_store.overrides_of(session, tenant_id, [row["customer_id"] for row in rows]):
        found.setdefault(override.customer_id, []).append(override)
    return found


def _versions_named(rows: Sequence[asyncpg.Record]) -> set[tuple[Id, int]]:
    named: set[tuple[Id, int]] = set()
    for row in rows:
        if row["item_ids"]:
            named.update(zip(row["scenario_ids"], row["versions"], strict=True))
        if row["progress_ids"]:
            named.update(zip(row["progress_scenarios"], row["progress_versions"], strict=True))
    return {pair for pair in named if pair[0] is not None}


@lru_cache(maxsize=512)
def calendar_of(country: str, subdivision: str | None, year: int) -> Calendar:
    """Return weekends and public holidays of a country for the years around one."""
    days = [day.toordinal() for near in range(year - YEARS_BEFORE, year + YEARS_AFTER + 1) for day in business_days.holidays_of(country, subdivision, near)]
    return Calendar(frozenset({5, 6}), frozenset(days))


def position_of(
    row: asyncpg.Record,
    scenarios: Mapping[tuple[Id, int], Compiled],
    calendar: Calendar,
    excluding: Collection[str] = frozenset(),
    overrides: Sequence[StoredOverride] = (),
) -> Position:
    """Build one customer's position from its row of facts; `excluding` are the statuses that take items out of reminding."""
    items: list[Item] = []
    if row["item_ids"]:
        items = list(
            map(
                Item, row["item_ids"], row["document_ids"], row["numbers"], row["documents_on"], row["dues_on"], row["currencies"],
                row["opens_minor"], row["amounts_minor"], row["directions"], row["episodes"], row["scenario_ids"], row["versions"],
                row["delivered_on"],
            )
        )  # fmt: skip
        if True in row["automatic"]:
            items = [item._replace(automatic_collection=True) if auto else item for item, auto in zip(items, row["automatic"], strict=True)]
    if row["held_item_ids"]:
        items = _with_holds(items, row["held_item_ids"], row["held_until"])
    if row["pending_ids"]:
        pending = set(row["pending_ids"])
        items = [item._replace(pending_action=True) if item.id in pending else item for item in items]
    progress: list[Progress] = []
    if row["progress_ids"]:
        progress, stated = _progress_of(row)
        if stated:
            items = [item._replace(deadline_on=stated[item.id]) if item.id in stated else item for item in items]
    if row["imported_ids"]:
        progress += _imported(row, items, scenarios)
    if row["receipt_ids"]:
        items += [
            Item(receipt_id, None, number, on, on, currency, open_minor, amount_minor, CREDIT)
            for receipt_id, number, on, currency, open_minor, amount_minor in zip(
                row["receipt_ids"], row["receipt_numbers"], row["received_on"], row["receipt_currencies"], row["receipt_opens_minor"],
                row["receipt_amounts_minor"], strict=True,
            )
        ]  # fmt: skip
    sent: frozenset[Sent] = frozenset()
    if row["sent_on"]:
        sent = frozenset(map(Sent, row["sent_on"], row["sent_scenarios"], row["sent_kinds"], row["sent_documents"]))
    facts: tuple[Fact, ...] = ()
    if row["returned_ids"]:
        pairs = zip(row["returned_ids"], row["returned_on"], strict=True)
        facts = tuple(Fact(item_id, TriggerKind.PAYMENT_RETURNED.value, on) for item_id, on in pairs)
    if row["status_codes"]:
        excluded = {item_id for item_id, code in zip(row["status_item_ids"], row["status_codes"], strict=True) if code in excluding}
        items = [item._replace(excluded=True) if item.id in excluded else item for item in items]
    if row["agreed_ids"]:
        items, agreed = _agreed(items, row)
        facts = (*facts, *agreed)
    contacts = tuple(row["contact_days"] or (() if row["last_contact"] is None else (row["last_contact"],)))
    defaults = Defaults() if row["contact_budget"] is None else Defaults(contact_budget=row["contact_budget"], contact_budget_days=row["contact_budget_days"])
    own = tuple((str(one.scenario_id), one.kind, one.step_code, encode_json(one.content)) for one in overrides)
    return Position(tuple(items), tuple(progress), contacts, facts, sent, calendar, defaults, frozenset(row["tags"]), own)


def _agreed(items: Sequence[Item], row: asyncpg.Record) -> tuple[list[Item], list[Fact]]:
    """Mark what is disputed, promised or attached to a specific action, and return with it what has come of promises and disputes."""
    marks: dict[str, dict[str, object]] = {}
    known = {item.id for item in items}
    facts: list[Fact] = []
    for item_id, kind, on in zip(row["agreed_ids"], row["agreed_kinds"], row["agreed_on"], strict=True):
        mark = marks.setdefault(item_id, {})
        if kind == "disputed":
            mark["excluded"] = True
        elif kind == "attached":
            mark["specific_action"] = True
        elif kind == "promised":
            mark["promise_until"] = max(on, mark.get("promise_until", on))
        elif item_id in known:
            facts.append(Fact(item_id, kind, on))
    return [item._replace(**marks[str(item.id)]) if marks.get(str(item.id)) else item for item in items], facts  # type: ignore[arg-type]  # names of fields


def _with_holds(items: Sequence[Item], item_ids: Sequence[str | None], until: Sequence[int | None]) -> list[Item]:
    """Mark what is held; a hold without an item holds all, and one without an end outlasts every other."""
    ends: dict[str | None, int | None] = {}
    for item_id, day in zip(item_ids, until, strict=True):
        if item_id not in ends:
            ends[item_id] = day
        else:
            before = ends[item_id]
            ends[item_id] = None if before is None or day is None else max(before, day)
    made = []
    for item in items:
        found = [ends[key] for key in (item.id, None) if key in ends]
        if found:
            finite = [day for day in found if day is not None]
            made.append(item._replace(held=True, held_until=max(finite) if len(finite) == len(found) else None))
        else:
            made.append(item)
    return made


def _progress_of(row: asyncpg.Record) -> tuple[list[Progress], dict[Id, int]]:
    """Return rows of progress, and per item the deadline that the last completion about it stated."""
    made: list[Progress] = []
    last: dict[Id, tuple[int, int | None]] = {}
    for item_id, episode, scenario_id, version, step, repeat_no, state, reason, on, counted, kind, deadline in zip(
        row["progress_ids"], row["progress_episodes"], row["progress_scenarios"], row["progress_versions"], row["progress_steps"],
        row["progress_repeats"], row["progress_states"], row["progress_reasons"], row["progress_on"], row["progress_counted_from"],
        row["progress_kinds"], row["progress_deadlines"], strict=True,
    ):  # fmt: skip
        completed = state == COMPLETED
        contact = completed and kind != "operations"
        made.append(Progress(item_id, episode, scenario_id, version, step, repeat_no, state, reason, on, counted, contact))
        if contact and on >= last.get(item_id, (0, None))[0]:
            last[item_id] = on, deadline
    return made, {item_id: deadline for item_id, (_, deadline) in last.items() if deadline is not None}


def _imported(row: asyncpg.Record, items: Sequence[Item], scenarios: Mapping[tuple[Id, int], Compiled]) -> list[Progress]:
    """Return the progress with which items came: the step reached is completed, those below it are skipped."""
    by_id = {item.id: item for item in items}
    made: list[Progress] = []
    for item_id, step_code, on in zip(row["imported_ids"], row["imported_steps"], row["imported_on"], strict=True):
        item = by_id[item_id]
        compiled = None if item.scenario_id is None else scenarios.get((item.scenario_id, item.version))
        if compiled is None or item.scenario_id is None or step_code not in compiled.index_of:
            continue
        made.append(Progress(item_id, 1, item.scenario_id, item.version, step_code, 0, COMPLETED, "imported", on))
        below = compiled.ladder[: compiled.index_of[step_code]]
        made += [Progress(item_id, 1, item.scenario_id, item.version, step.code, 0, SKIPPED, "imported", on, None, contact=False) for step in below]
    return made
