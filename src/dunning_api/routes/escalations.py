"""The report of payments that come just before the next step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query
from fastapi.responses import StreamingResponse

from dunning.kit.database import ReadSession
from dunning.reports import escalations
from dunning.reports.escalations import Habitual
from dunning_api import paging
from dunning_api.csv_files import CSV, csv_file
from dunning_api.deps import Work, reads
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.routes.reports import From, Ledger, To
from dunning_api.schemas.base import Day, Page
from dunning_api.schemas.escalations import HabitRow

router = Router(tags=["reports"])

_EXPORT_PAGE = 500


@dataclass(frozen=True, slots=True)
class Question:
    """What a request asks: a period, of which customers, and from when on paying late is a habit."""

    from_on: Day
    to_on: Day
    ledger_id: UUID | None
    collector_id: UUID | None
    habitual: Habitual


def asked(
    begins: From,
    ends: To,
    ledger: Ledger = None,
    collector: Annotated[UUID | None, Query(description="Customers that this person collects from.")] = None,
    days: Annotated[int, Query(ge=0, le=30, description="How many days before the next step's day a payment is just before it; the day itself is 0.")] = 2,
    at_least: Annotated[int, Query(ge=1, le=1000, description="So many items settled just before their next step make a habit.")] = 3,
    share_gte: Annotated[int, Query(ge=1, le=100, description="And so many percent of all items that the customer settled after a reminder.")] = 75,
) -> Question:
    """Return what a request asks."""
    return Question(begins, ends, ledger, collector, Habitual(days, at_least, share_gte))


Asked = Annotated[Question, Depends(asked)]


@router.get("/reports/paid-before-escalation", summary="Customers who pay just before the next step", responses=problems(404))
async def report_paid_before_escalation(
    asked_for: Asked,
    work: Annotated[Work, reads()],
    limit: Annotated[int, Query(ge=1, le=500, description="Customers looked at for one page; those without the habit are left out of it.")] = 100,
    cursor: paging.Cursor = None,
) -> Page[HabitRow]:
    """List customers who, once reminded, regularly settle just before the next step comes: how often, at which steps, how late, how much, and the last times.

    An item counts when a payment settled it in the period, by value date, after at least one reminder. The next step's day is the one that its scenario gives
    it by due date, distance between steps, grace and calendar; spacing and holds are left aside. The order is that of customer ids.
    """
    rows, place = await _habits(work, work.session, asked_for, paging.unseal(work.keyring, "paid_before_escalation", cursor, 1), limit)
    return Page(data=rows, next_cursor=None if place is None else paging.seal(work.keyring, "paid_before_escalation", *place))


@router.get(
    "/reports/paid-before-escalation.csv",
    response_class=StreamingResponse,
    summary="Customers who pay just before the next step as CSV",
    responses={**problems(404), **CSV},
)
async def export_paid_before_escalation(asked_for: Asked, work: Annotated[Work, reads()]) -> StreamingResponse:
    """Return all customers who regularly settle just before the next step as a file that is safe to open in a spreadsheet program."""
    await _habits(work, work.session, asked_for, None, 1)
    return csv_file(work, "paid-before-escalation", HabitRow, lambda session, key: _habits(work, session, asked_for, key, _EXPORT_PAGE))


async def _habits(work: Work, session: ReadSession, question: Question, key: list[str] | None, limit: int) -> tuple[Sequence[HabitRow], list[str] | None]:
    found, place = await escalations.paid_before_escalation(
        session, work.clock, tenant_id=work.tenant_id, ledger_id=question.ledger_id, collector_id=question.collector_id, from_on=question.from_on,
        to_on=question.to_on, habitual=question.habitual, after=UUID(key[0]) if key else None, limit=limit,
    )  # fmt: skip
    return [HabitRow.of(habit) for habit in found], None if place is None else [str(place)]
