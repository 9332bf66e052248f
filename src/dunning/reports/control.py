"""Reports of control: what was done with which debts, what was not, by whom, and what waits. Each row names the objects that it is made of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection import explorer, filter_words, ledger_days
from dunning.collection.activity_store import ActivityFilter
from dunning.collection.explorer import Search
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession
from dunning.kit.ids import TenantId
from dunning.reports import control_store
from dunning.reports.periods import check_period
from dunning.tenancy import people

CONTROL_DAYS = 365
NEGLECTED_DAYS = 30


@dataclass(frozen=True, slots=True)
class Controlled:
    """A customer of the action control, with what was done about it."""

    row: asyncpg.Record
    done: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Registered:
    """Activities by customer, with the names of those who recorded them."""

    rows: Sequence[asyncpg.Record]
    names: dict[str, str]


async def action_control(
    session: ReadSession, clock: Clock, *, tenant_id: TenantId, search: Search, since: dt.date | None, after: tuple[Any, UUID] | None, limit: int
) -> list[Controlled]:
    """Return customers who owe by their oldest due day, each with the last things that were done since a day; None: within a year.

    Raises what a search does.
    """
    begins = since or await _days_ago(session, clock, tenant_id, search, CONTROL_DAYS)
    rows = await explorer.customers_after(session, clock, tenant_id=tenant_id, search=replace(search, sort="oldest_due"), after=after, limit=limit)
    done = await control_store.done_about(session, tenant_id, [row["customer_id"] for row in rows], begins)
    return [Controlled(row, done.get(row["customer_id"], [])) for row in rows]


async def without_action(
    session: ReadSession, clock: Clock, *, tenant_id: TenantId, search: Search, after: tuple[Any, UUID] | None, limit: int
) -> Sequence[asyncpg.Record]:
    """Return customers who owe and about whom nothing was done since the day that the search names, or within 30 days, by their oldest due day.

    Raises what a search does.
    """
    since = search.where.without_action_since or await _days_ago(session, clock, tenant_id, search, NEGLECTED_DAYS)
    neglected = replace(search, where=replace(search.where, without_action_since=since), sort="oldest_due")
    return await explorer.customers_after(session, clock, tenant_id=tenant_id, search=neglected, after=after, limit=limit)


async def _days_ago(session: ReadSession, clock: Clock, tenant_id: TenantId, search: Search, days: int) -> dt.date:
    """Return the day that lies so many days back in whichever of the ledgers is furthest behind."""
    here = await ledger_days.days_of(session, clock, tenant_id=tenant_id, ledger_id=search.ledger_id)
    return min(here.todays, default=clock.now().date()) - dt.timedelta(days=days)


async def activity_register(
    session: ReadSession, clock: Clock, *, tenant_id: TenantId, where: ActivityFilter, after: tuple[UUID, UUID] | None, limit: int
) -> Registered:
    """Return the activities of a period by customer, each customer's in the order in which they were recorded.

    `where` takes the period's first day in `since` and its last in `until`. Raises `NotFound` for an unknown ledger, `Malformed` for a period that ends
    before it begins or a kind that nothing is of.
    """
    if isinstance(where.since, dt.date) and where.until is not None:
        check_period(where.since, where.until)
    if where.kind is not None:
        await filter_words.check_activity_kind(session, tenant_id, where.kind)
    if where.ledger_id is not None:
        await ledger_days.days_of(session, clock, tenant_id=tenant_id, ledger_id=where.ledger_id)
    rows = await control_store.register_after(session, tenant_id, where, after, limit)
    return Registered(rows, await people.names_of(session, tenant_id=tenant_id, actors=[row["actor"] for row in rows]))


async def collector_activity(
    session: ReadSession, clock: Clock, *, tenant_id: TenantId, ledger_id: UUID | None, from_on: dt.date, to_on: dt.date, after: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """Return what each person did in a period, its last day included. Raises `NotFound`, `Malformed` for a period that ends before it begins."""
    check_period(from_on, to_on)
    days = await ledger_days.days_of(session, clock, tenant_id=tenant_id, ledger_id=ledger_id)
    return await control_store.collectors_after(session, tenant_id, days, from_on, to_on, after, limit)


async def approval_queue(
    session: ReadSession, clock: Clock, *, tenant_id: TenantId, ledger_id: UUID | None, after: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """Return actions that wait for approval with the days that they have waited, the longest first. Raises `NotFound` for an unknown ledger."""
    days = await ledger_days.days_of(session, clock, tenant_id=tenant_id, ledger_id=ledger_id)
    return await control_store.approvals_after(session, tenant_id, days, after, limit)
