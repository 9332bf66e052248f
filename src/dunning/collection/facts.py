"""From rows of facts to positions: what the planning rules read about each customer of a page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

import asyncpg

from dunning.collection import catalogue, contact_budget, fact_store, override_store, sheet_store
from dunning.collection.catalogue import Catalogue
from dunning.collection.override_store import StoredOverride
from dunning.kit import calendar as business_days
from dunning.kit.database import ReadSession, encode_json
from dunning.kit.ids import ActionId, CustomerId, LedgerId, TenantId
from dunning.scenarios.position import Sent
from dunning.scenarios.rules import COMPLETED, CREDIT, SKIPPED, Calendar, Compiled, Day, Defaults, Fact, Id, Item, Position, Progress

_NONE: Mapping[CustomerId, ActionId] = MappingProxyType({})

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
    session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[CustomerId], today: dt.date, *, but_for: Mapping[CustomerId, ActionId] = _NONE
) -> tuple[list[CustomerFacts], Catalogue]:
    """Return positions of given customers, each as if the action named for it in `but_for` did not exist, and the scenarios they name."""
    rows = await fact_store.facts_of(session, tenant_id, customer_ids, today, but_for=but_for)
    return await _positions(session, tenant_id, rows, today)


async def _positions(session: ReadSession, tenant_id: TenantId, rows: Sequence[asyncpg.Record], today: dt.date) -> tuple[list[CustomerFacts], Catalogue]:
    named = _versions_named(rows)
    known = await catalogue.load(session, tenant_id, named)
    uses_calendar = known.uses_calendar(named)
    no_calendar = Calendar()
    own_steps = await _own_steps(session, tenant_id, rows)
    reachable = await _reachable(session, tenant_id, rows, today)
    made = []
    for row in rows:
        calendar = calendar_of(row["country"], row["subdivision"], today.year) if uses_calendar else no_calendar
        overrides = own_steps.get(row["customer_id"], ())
        of_customer = known.varied_by(overrides)
        position = position_of(row, of_customer.compiled, calendar, overrides, reachable.get(row["customer_id"], ()))
        made.append(CustomerFacts(CustomerId(row["customer_id"]), row["facts_version"], position, of_customer))
    return made, known


async def _own_steps(session: ReadSession, tenant_id: TenantId, rows: Sequence[asyncpg.Record]) -> dict[UUID, list[StoredOverride]]:
    found: dict[UUID, list[StoredOverride]] = {}
    for override in await override_store.overrides_of(session, tenant_id, [row["customer_id"] for row in rows]):
        found.setdefault(override.customer_id, []).append(override)
    return found


async def _reachable(session: ReadSession, tenant_id: TenantId, rows: Sequence[asyncpg.Record], today: dt.date) -> dict[UUID, tuple[tuple[str, Day], ...]]:
    """Return by customer from when the people in its roles may be written to; nothing is asked where no ledger has a budget of a person."""
    budgets = {row["ledger_id"]: (row["person_contact_budget"], row["person_contact_budget_days"]) for row in rows if row["person_contact_budget"] is not None}
    found: dict[UUID, tuple[tuple[str, Day], ...]] = {}
    for ledger_id, (budget, window) in budgets.items():  # a page is of one ledger
        contacts = await sheet_store.contacts_of(session, tenant_id, [row["customer_id"] for row in rows if row["ledger_id"] == ledger_id])
        emails = {one.email for of_customer in contacts.values() for one in of_customer if one.email and not one.internal}
        counted = await contact_budget.people(session, ledger_id, budget, window, emails, today)
        for customer_id, of_customer in contacts.items():
            found[customer_id] = tuple(contact_budget.roles_free_on(counted, of_customer).items())
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
    overrides: Sequence[StoredOverride] = (),
    reachable: tuple[tuple[str, Day], ...] = (),
) -> Position:
    """Build one customer's position from its row of facts; `reachable` says from when the people in its roles may be written to."""
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
    if row["kept_ids"]:
        items = _kept_back(items, zip(row["kept_ids"], row["kept_marks"], row["kept_until"], strict=True))
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
    if row["fact_ids"]:
        facts = tuple(map(Fact, row["fact_ids"], row["fact_kinds"], row["fact_days"]))
    contacts = () if row["last_contact"] is None else (row["last_contact"],)
    defaults = Defaults() if row["contact_budget"] is None else Defaults(contact_budget=row["contact_budget"], contact_budget_days=row["contact_budget_days"])
    own = tuple((str(one.scenario_id), one.kind, one.step_code, encode_json(one.content)) for one in overrides)
    return Position(
        tuple(items), tuple(progress), contacts, facts, sent, calendar, defaults, frozenset(row["tags"]), own, tuple(row["counted_days"] or ()), reachable
    )  # fmt: skip


def _kept_back(items: Sequence[Item], causes: Iterable[tuple[str | None, str, int | None]]) -> list[Item]:
    """Mark items with what keeps them back; a cause without an item is every item's. Of several alike the longest counts, one without an end before all."""
    ends: dict[str | None, dict[str, int | None]] = {}
    for item_id, mark, day in causes:
        own = ends.setdefault(item_id, {})
        own[mark] = _longer(own.get(mark, day), day)
    every = ends.get(None, {})
    made = []
    for item in items:
        marks = ends.get(str(item.id), every)
        if marks is not every:
            marks = every | {mark: _longer(every.get(mark, day), day) for mark, day in marks.items()}
        for mark, day in marks.items():
            item = _MARKS[mark](item, day)  # noqa: PLW2901  # the same item, marked
        made.append(item)
    return made


def _longer(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else max(one, other)


_MARKS: dict[str, Callable[[Item, int | None], Item]] = {
    "held": lambda item, until: item._replace(held=True, held_until=until),
    "promised": lambda item, until: item._replace(promise_until=until),
    "excluded": lambda item, _: item._replace(excluded=True),
    "specific_action": lambda item, _: item._replace(specific_action=True),
}


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
