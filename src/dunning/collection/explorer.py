"""The customer explorer: customers of one ledger or all, by what they owe, what was done and who looks after them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection import customer_steps, explorer_store, filter_words, ledger_days
from dunning.collection.explorer_store import CustomerFilter, Sort
from dunning.collection.ledger_days import LedgerDays
from dunning.collection.step_store import Rungs
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession
from dunning.kit.errors import Malformed
from dunning.kit.ids import PersonId, TeamId, TenantId
from dunning.tenancy import people, people_store

EXPORT_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is looked for, where, and in which order. A person or a team stands for the customers they collect from."""

    where: CustomerFilter
    ledger_id: UUID | None = None
    person_id: PersonId | None = None
    team_id: TeamId | None = None
    sort: Sort = "name"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A search with its ledgers, people, ladders and currency looked up."""

    days: LedgerDays
    where: CustomerFilter
    rungs: Rungs
    sort: Sort
    currency: str | None


async def prepared(session: ReadSession, clock: Clock, *, tenant_id: TenantId, search: Search) -> Prepared:
    """Look up what a search names. Raises `NotFound`, and `Malformed` where a condition needs another or names what nothing has, or the order needs a currency."""
    days = await ledger_days.days_of(session, clock, tenant_id=tenant_id, ledger_id=search.ledger_id)
    where = search.where
    if search.person_id is not None:
        await people.person_of(session, tenant_id=tenant_id, person_id=search.person_id)
        where = replace(where, person_ids=[search.person_id])
    if search.team_id is not None:
        await people.team_of(session, tenant_id=tenant_id, team_id=search.team_id)
        members = await people_store.members_of(session, tenant_id, search.team_id)
        where = replace(where, person_ids=[one for one in members if search.person_id in {None, one}])
    if where.action_type is not None and where.without_action_since is None:
        msg = "action_type: goes with without_action_since, which says from which day on nothing of that type was done."
        raise Malformed(msg, [{"field": "action_type", "message": "is given without without_action_since"}])
    currency = where.currency or _only(days.currencies)
    if currency is None and search.sort == "overdue_amount":
        msg = "currency: the ledgers have several currencies, which are never added. Name the one to sort by."
        raise Malformed(msg, [{"field": "currency", "message": "is needed to sort by overdue_amount"}])
    if where.status_code is not None:
        await filter_words.check_status(session, tenant_id, where.status_code)
    if where.step_code is not None:
        await filter_words.check_step(session, tenant_id, where.step_code)
    if where.action_type is not None:
        await filter_words.check_action_type(session, tenant_id, where.action_type)
    return Prepared(days, where, await customer_steps.rungs(session, tenant_id), search.sort, currency)


async def customers_after(
    session: ReadSession, clock: Clock, *, tenant_id: TenantId, search: Search, after: tuple[Any, UUID] | None, limit: int
) -> Sequence[asyncpg.Record]:
    """Return a page of customers past a key and id. Raises what `prepared` does.

    By name all customers are listed, by oldest due day those who owe, by overdue amount those who owe in that currency, the most first, and by last
    action those first for whom nothing was done the longest.
    """
    made = await prepared(session, clock, tenant_id=tenant_id, search=search)
    return await explorer_store.customers_after(
        session, tenant_id, made.days, made.where, made.rungs, sort=made.sort, currency=made.currency, after=after, limit=limit
    )


async def all_customers(session: ReadSession, clock: Clock, *, tenant_id: TenantId, search: Search) -> AsyncIterator[Sequence[asyncpg.Record]]:
    """Yield all customers that a search finds, in its order, some at a time. Raises what `prepared` does."""
    made = await prepared(session, clock, tenant_id=tenant_id, search=search)
    some: list[asyncpg.Record] = []
    async for row in explorer_store.stream(session, tenant_id, made.days, made.where, made.rungs, sort=made.sort, currency=made.currency):
        some.append(row)
        if len(some) == EXPORT_PAGE:
            yield some
            some = []
    yield some


def _only(currencies: Sequence[str]) -> str | None:
    """Return the currency that all ledgers share."""
    return currencies[0] if len(set(currencies)) == 1 else None
