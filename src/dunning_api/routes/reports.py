"""Reports of control, as pages and as files for a spreadsheet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from fastapi.responses import StreamingResponse

from dunning.collection.activity_store import ActivityFilter
from dunning.kit.database import ReadSession
from dunning.reports import control
from dunning_api import paging
from dunning_api.csv_files import CSV, csv_file
from dunning_api.deps import Work, reads
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.routes.explorer import Searched, read_key
from dunning_api.schemas.base import Day, Output, Page
from dunning_api.schemas.explorer import ExplorerRow
from dunning_api.schemas.reports import ApprovalRow, CollectorRow, ControlRow, RegisterRow

router = Router(tags=["reports"])

_EXPORT_PAGE = 500
Ledger = Annotated[UUID | None, Query(description="Only of this ledger.")]
From = Annotated[Day, Query(alias="from", description="First day of the period.", examples=["2026-03-01"])]
To = Annotated[Day, Query(alias="to", description="Last day of the period.", examples=["2026-03-31"])]
Kind = Annotated[str | None, Query(max_length=80, description="Only activities of this kind; one that there is none of is refused with those that there are.")]
Since = Annotated[Day | None, Query(description="What was done since this day; missing: within a year.")]


def _page(work: Work, name: str, rows: Sequence[Any], limit: int, key: Callable[[Any], tuple[Any, ...]]) -> str | None:
    return paging.seal(work.keyring, name, *key(rows[limit - 1])) if len(rows) > limit else None


def _by_due(one: ExplorerRow) -> tuple[Any, ...]:
    return one.oldest_due_on, one.customer_id


@router.get("/reports/action-control", summary="Customers by oldest due day with what was done", responses=problems(404))
async def report_action_control(
    search: Searched, work: Annotated[Work, reads()], since: Since = None, limit: paging.Limit = 100, cursor: paging.Cursor = None
) -> Page[ControlRow]:
    """List customers who owe by their oldest due day, each with sums, step, next action and the last ten actions with it. Takes the conditions of `GET /customers`; its order is fixed."""
    rows = await _controlled(work, work.session, search, since, paging.unseal(work.keyring, "action_control", cursor, 2), limit + 1)
    return Page(data=rows[:limit], next_cursor=_page(work, "action_control", rows, limit, _by_due))


@router.get("/reports/action-control.csv", response_class=StreamingResponse, summary="Action control as CSV", responses={**problems(404), **CSV})
async def export_action_control(search: Searched, work: Annotated[Work, reads()], since: Since = None) -> StreamingResponse:
    """Return the action control as a file that is safe to open in a spreadsheet program."""
    await _controlled(work, work.session, search, since, None, 1)
    return _file(work, "action-control", ControlRow, lambda session, key: _controlled(work, session, search, since, key, _EXPORT_PAGE), _by_due)


async def _controlled(work: Work, session: ReadSession, search: Searched, since: dt.date | None, key: list[str] | None, limit: int) -> list[ControlRow]:
    found = await control.action_control(
        session, work.clock, tenant_id=work.tenant_id, search=search, since=since, after=read_key("oldest_due", key), limit=limit
    )
    return [ControlRow.controlled(one) for one in found]


@router.get("/reports/customers-without-action", summary="Customers without action", responses=problems(404))
async def report_customers_without_action(
    search: Searched, work: Annotated[Work, reads()], limit: paging.Limit = 100, cursor: paging.Cursor = None
) -> Page[ExplorerRow]:
    """List customers who owe and about whom nothing was done since `without_action_since` (missing: within 30 days), by their oldest due day."""
    rows = await _neglected(work, work.session, search, paging.unseal(work.keyring, "without_action", cursor, 2), limit + 1)
    return Page(data=rows[:limit], next_cursor=_page(work, "without_action", rows, limit, _by_due))


@router.get(
    "/reports/customers-without-action.csv", response_class=StreamingResponse, summary="Customers without action as CSV", responses={**problems(404), **CSV}
)
async def export_customers_without_action(search: Searched, work: Annotated[Work, reads()]) -> StreamingResponse:
    """Return customers without action as a file that is safe to open in a spreadsheet program."""
    await _neglected(work, work.session, search, None, 1)
    return _file(work, "customers-without-action", ExplorerRow, lambda session, key: _neglected(work, session, search, key, _EXPORT_PAGE), _by_due)


async def _neglected(work: Work, session: ReadSession, search: Searched, key: list[str] | None, limit: int) -> list[ExplorerRow]:
    found = await control.without_action(session, work.clock, tenant_id=work.tenant_id, search=search, after=read_key("oldest_due", key), limit=limit)
    return [ExplorerRow.of(row) for row in found]


def _registered_key(row: RegisterRow) -> tuple[Any, ...]:
    return row.customer_id, row.activity_id


@router.get("/reports/activity-register", summary="Register of activities by customer", responses=problems(404))
async def report_activity_register(
    work: Annotated[Work, reads()], begins: From, ends: To, ledger: Ledger = None, kind: Kind = None,
    limit: paging.Limit = 100, cursor: paging.Cursor = None,
) -> Page[RegisterRow]:  # fmt: skip
    """List the activities of a period by customer, each customer's in the order in which they were recorded."""
    where = ActivityFilter(ledger_id=ledger, kind=kind, since=begins, until=ends)
    rows = await _registered(work, work.session, where, paging.unseal(work.keyring, "activity_register", cursor, 2), limit + 1)
    return Page(data=rows[:limit], next_cursor=_page(work, "activity_register", rows, limit, _registered_key))


@router.get("/reports/activity-register.csv", response_class=StreamingResponse, summary="Register of activities as CSV", responses={**problems(404), **CSV})
async def export_activity_register(work: Annotated[Work, reads()], begins: From, ends: To, ledger: Ledger = None, kind: Kind = None) -> StreamingResponse:
    """Return the register as a file that is safe to open in a spreadsheet program."""
    where = ActivityFilter(ledger_id=ledger, kind=kind, since=begins, until=ends)
    await _registered(work, work.session, where, None, 1)
    return _file(work, "activity-register", RegisterRow, lambda session, key: _registered(work, session, where, key, _EXPORT_PAGE), _registered_key)


async def _registered(work: Work, session: ReadSession, where: ActivityFilter, key: list[str] | None, limit: int) -> list[RegisterRow]:
    after = (UUID(key[0]), UUID(key[1])) if key else None
    found = await control.activity_register(session, work.clock, tenant_id=work.tenant_id, where=where, after=after, limit=limit)
    return [RegisterRow.registered(row, found.names) for row in found.rows]


def _person_key(row: CollectorRow) -> tuple[Any, ...]:
    return (row.person_id,)


@router.get("/reports/collector-activity", summary="Activity by collector", responses=problems(404))
async def report_collector_activity(
    work: Annotated[Work, reads()], begins: From, ends: To, ledger: Ledger = None, limit: paging.Limit = 100, cursor: paging.Cursor = None
) -> Page[CollectorRow]:
    """List people who work with customers (admins, managers, collectors, account managers) with what each did in a period, as far as the caller sees it: calls and how many were taken, tasks, approvals, promises, disputes."""
    rows = await _collectors(work, work.session, begins, ends, ledger, paging.unseal(work.keyring, "collector_activity", cursor, 1), limit + 1)
    return Page(data=rows[:limit], next_cursor=_page(work, "collector_activity", rows, limit, _person_key))


@router.get("/reports/collector-activity.csv", response_class=StreamingResponse, summary="Activity by collector as CSV", responses={**problems(404), **CSV})
async def export_collector_activity(work: Annotated[Work, reads()], begins: From, ends: To, ledger: Ledger = None) -> StreamingResponse:
    """Return the activity by collector as a file that is safe to open in a spreadsheet program."""
    await _collectors(work, work.session, begins, ends, ledger, None, 1)
    return _file(
        work, "collector-activity", CollectorRow, lambda session, key: _collectors(work, session, begins, ends, ledger, key, _EXPORT_PAGE), _person_key
    )


async def _collectors(
    work: Work, session: ReadSession, begins: dt.date, ends: dt.date, ledger: UUID | None, key: list[str] | None, limit: int
) -> list[CollectorRow]:
    rows = await control.collector_activity(
        session, work.clock, tenant_id=work.tenant_id, ledger_id=ledger, from_on=begins, to_on=ends, after=UUID(key[0]) if key else None, limit=limit
    )
    return [CollectorRow.of(row) for row in rows]


def _approval_key(row: ApprovalRow) -> tuple[Any, ...]:
    return (row.action_id,)


@router.get("/reports/approval-queue", summary="How long what waits for approval has waited", responses=problems(404))
async def report_approval_queue(
    work: Annotated[Work, reads()], ledger: Ledger = None, limit: paging.Limit = 100, cursor: paging.Cursor = None
) -> Page[ApprovalRow]:
    """List actions that wait for approval, those that have waited the longest first."""
    rows = await _approvals(work, work.session, ledger, paging.unseal(work.keyring, "approval_queue", cursor, 1), limit + 1)
    return Page(data=rows[:limit], next_cursor=_page(work, "approval_queue", rows, limit, _approval_key))


@router.get("/reports/approval-queue.csv", response_class=StreamingResponse, summary="The approval queue as CSV", responses={**problems(404), **CSV})
async def export_approval_queue(work: Annotated[Work, reads()], ledger: Ledger = None) -> StreamingResponse:
    """Return the approval queue as a file that is safe to open in a spreadsheet program."""
    await _approvals(work, work.session, ledger, None, 1)
    return _file(work, "approval-queue", ApprovalRow, lambda session, key: _approvals(work, session, ledger, key, _EXPORT_PAGE), _approval_key)


async def _approvals(work: Work, session: ReadSession, ledger: UUID | None, key: list[str] | None, limit: int) -> list[ApprovalRow]:
    rows = await control.approval_queue(session, work.clock, tenant_id=work.tenant_id, ledger_id=ledger, after=UUID(key[0]) if key else None, limit=limit)
    return [ApprovalRow.of(row) for row in rows]


def _file(
    work: Work,
    name: str,
    shape: type[Output],
    page: Callable[[ReadSession, list[str] | None], Awaitable[Sequence[Any]]],
    key: Callable[[Any], tuple[Any, ...]],
) -> StreamingResponse:
    """Answer with all pages of a report as one file; the last page is one that is not full."""

    async def following(session: ReadSession, place: list[str] | None) -> tuple[Sequence[Any], list[str] | None]:
        rows = await page(session, place)
        return rows, [str(part) for part in key(rows[-1])] if len(rows) == _EXPORT_PAGE else None

    return csv_file(work, name, shape, following)
