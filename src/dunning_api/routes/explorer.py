"""The customer explorer: customers of all ledgers by what they owe and what was done, and acting on many of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from dunning.collection import customer_bulk, explorer
from dunning.collection.despatch import Outbound
from dunning.collection.explorer import Search
from dunning.collection.explorer_store import CustomerFilter, Sort
from dunning.kit.database import ReadSession
from dunning.kit.errors import Malformed
from dunning.kit.ids import PersonId, TeamId
from dunning.kit.money import Money, MoneyError
from dunning.ledger.rules import search_form
from dunning_api import paging
from dunning_api.csv_files import CSV, csv_stream
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Currency, Day, Page
from dunning_api.schemas.explorer import CustomersBulk, CustomersBulkOut, CustomersBulkProgress, ExplorerRow

router = Router(tags=["customers"])

Amount = Annotated[str, Field(pattern=r"^[0-9]{1,15}(\.[0-9]{1,4})?$")]


def searched(  # one query parameter a condition
    ledger: Annotated[UUID | None, Query(description="Only customers of this ledger.")] = None,
    name: Annotated[str | None, Query(min_length=1, max_length=200, description="Beginning of the name; case and accents do not matter.")] = None,
    overdue_days_gte: Annotated[int | None, Query(ge=0, le=36_500, description="Something open fell due at least so many days ago.")] = None,
    overdue_amount_gte: Annotated[Amount | None, Query(description="Overdue in `currency` at least this much, as decimal text.", examples=["100.00"])] = None,
    currency: Annotated[Currency | None, Query(description="Of `overdue_amount_gte`, and of the order by it.")] = None,
    without_action_since: Annotated[
        Day | None,
        Query(
            description="There was no action with the customer on this day or after it: no message accepted, no task completed, nothing that somebody recorded."
        ),
    ] = None,
    action_type: Annotated[
        str | None,
        Query(max_length=60, description="With `without_action_since`: only what is of this type, a kind such as call, email, letter, or a step's code."),
    ] = None,
    step: Annotated[str | None, Query(max_length=100, description="The customer stands at this step: the highest that its open debts have completed.")] = None,
    status: Annotated[
        str | None,
        Query(
            max_length=60,
            description="Something open has this status; `ongoing` is none. An unknown one is refused with those that there are, as are steps and types.",
        ),
    ] = None,
    collector: Annotated[UUID | None, Query(description="Customers that this person collects from.")] = None,
    team: Annotated[UUID | None, Query(description="Customers that this team collects from.")] = None,
    unassigned: Annotated[bool, Query(description="Customers without a lead collector.")] = False,
    group: Annotated[str | None, Query(max_length=200, description="Customers of this group, by its code.")] = None,
    tag: Annotated[str | None, Query(max_length=200, description="Customers with this tag.")] = None,
    blocked: Annotated[bool | None, Query(description="Customers with an active account block, or without one.")] = None,
    next_action_before: Annotated[Day | None, Query(description="An action waits that is due before this day.")] = None,
    sort: Annotated[
        Literal["name", "oldest_due", "overdue_amount", "last_action"],
        Query(description="By name all customers; by oldest due day those who owe; by overdue amount the most first; by last action the longest ago first."),
    ] = "name",
) -> Search:
    """Return the search that a request's conditions make."""
    minor = None
    if overdue_amount_gte is not None:
        if currency is None:
            msg = "currency: name the one of overdue_amount_gte; currencies are never added."
            raise Malformed(msg, [{"field": "currency", "message": "is needed with overdue_amount_gte"}])
        try:
            minor = Money.parse(overdue_amount_gte, currency).minor
        except MoneyError as error:
            raise Malformed(str(error), [{"field": "overdue_amount_gte", "message": str(error)}]) from None
    where = CustomerFilter(
        name_prefix=None if name is None else search_form(name), overdue_days=overdue_days_gte, overdue_minor=minor, currency=currency,
        without_action_since=without_action_since, action_type=action_type, step_code=step, status_code=status, unassigned=unassigned, group_code=group,
        tag=tag, blocked=blocked, next_action_before=next_action_before,
    )  # fmt: skip
    return Search(
        where=where, ledger_id=ledger, person_id=None if collector is None else PersonId(collector), team_id=None if team is None else TeamId(team), sort=sort
    )


Searched = Annotated[Search, Depends(searched)]


def read_key(sort: Sort, key: list[str] | None) -> tuple[Any, UUID] | None:
    """Return the place at which a page begins, as its order has it."""
    if key is None:
        return None
    read: dict[str, Any] = {"name": str, "oldest_due": dt.date.fromisoformat, "overdue_amount": int, "last_action": dt.datetime.fromisoformat}
    return read[sort](key[0]), UUID(key[1])


@router.get("/customers", summary="Find customers", responses=problems(404))
async def explore_customers(search: Searched, work: Annotated[Work, reads()], limit: paging.Limit = 100, cursor: paging.Cursor = None) -> Page[ExplorerRow]:
    """Find customers of one ledger or all by what they owe, what was done, their step, status, people, group and blocks, each with sums, last and next action."""
    name = f"explorer_{search.sort}"
    after = read_key(search.sort, paging.unseal(work.keyring, name, cursor, 2))
    rows = await explorer.customers_after(work.session, work.clock, tenant_id=work.tenant_id, search=search, after=after, limit=limit + 1)
    more = paging.seal(work.keyring, name, rows[limit - 1]["key"], rows[limit - 1]["customer_id"]) if len(rows) > limit else None
    return Page(data=[ExplorerRow.of(row) for row in rows[:limit]], next_cursor=more)


@router.get("/customers.csv", response_class=StreamingResponse, summary="Customers as CSV", responses={**problems(404), **CSV})
async def export_customers(search: Searched, work: Annotated[Work, reads()]) -> StreamingResponse:
    """Return all customers that the conditions find, in their order; safe to open in a spreadsheet program. A customer has a line for each currency that it owes in."""
    await explorer.prepared(work.session, work.clock, tenant_id=work.tenant_id, search=search)

    async def found(session: ReadSession) -> AsyncIterator[list[ExplorerRow]]:
        async for some in explorer.all_customers(session, work.clock, tenant_id=work.tenant_id, search=search):
            yield [ExplorerRow.of(row) for row in some]

    return csv_stream(work, "customers", ExplorerRow, found)


@router.post("/customers/bulk", summary="Act on many customers", responses=problems(404, 409))
async def act_on_customers(body: CustomersBulk, work: Annotated[Work, writes("collection:write", idempotent=True)]) -> CustomersBulkOut:
    """Send from a template, make an action, hold, assign or put on the phone list, for customers named or found by a filter, up to 5,000 at once. Begin with `dry_run`. What sends needs `send`, what assigns `people:write`. One customer for whom it cannot be done stops no other: its row says why."""
    if body.sends:
        work.require("send")
    if body.act == "assign":
        work.require("people:write")
    key = paging.unseal(work.keyring, "customers_bulk", body.cursor, 2)
    done = await customer_bulk.act_on_customers(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, bulk=body.bulk(None if key is None else (key[0], UUID(key[1]))),
        outbound=Outbound.of(work.settings, work.keyring),
    )  # fmt: skip
    more = None if done.next_place is None else paging.seal(work.keyring, "customers_bulk", *done.next_place)
    return CustomersBulkOut.of(body, done, more)


@router.get("/customers/bulk/{bulk_id}", summary="How far an act on many customers is", responses=problems(404))
async def get_bulk_progress(bulk_id: UUID, work: Annotated[Work, reads()]) -> CustomersBulkProgress:
    """Tell how far the actions of a `send_template` or `create_action` are: sent, still under way, stopped and why. List them with `GET /v1/actions?bulk=`."""
    return CustomersBulkProgress.of(bulk_id, await customer_bulk.progress_of(work.session, tenant_id=work.tenant_id, bulk_id=bulk_id))
