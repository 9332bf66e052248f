"""Shapes of the agenda."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import asyncpg

from dunning.collection import worklist
from dunning.collection.worklist import Agenda
from dunning_api.schemas.base import Output
from dunning_api.schemas.totals import Totals, TotalsAsOf, told_totals


class AgendaEntry(Output):
    """An action that somebody has to look at, or that goes out by itself on its day. `why` says what it waits for, in a code.

    One that `waiting_for_operation` goes by itself once the tasks with the why `notice_waits` are done that name it in `operation_action_id`.
    """

    action_id: UUID
    ledger_id: UUID
    ledger_name: str
    customer_id: UUID
    customer_external_id: str
    customer_name: str
    person_id: UUID | None
    person_name: str | None
    origin: str
    kind: str
    mode: str
    scenario_id: UUID | None
    step_code: str | None
    step_name: str | None
    title: str | None
    task_kind: str | None
    task_text: str | None
    state: str
    why: str
    scheduled_on: dt.date
    days_late: int
    deadline_on: dt.date | None
    totals: Totals
    totals_as_of: TotalsAsOf
    items: int
    oldest_due_on: dt.date | None
    operation_action_id: UUID | None
    operation_no: int | None
    revision: int
    url: str

    @classmethod
    def of(cls, row: asyncpg.Record) -> AgendaEntry:
        """Show an action of the agenda."""
        told = {"totals", "totals_as_of", "why", "days_late", "url"}
        return cls(
            **{name: row[name] for name in cls.model_fields if name not in told},
            **told_totals(row),
            why=worklist.why(row),
            days_late=max(0, (row["today"] - row["scheduled_on"]).days),
            url=f"/v1/actions/{row['action_id']}",
        )


class AgendaCounts(Output):
    """How many actions each bucket holds. One that waits for approval, or for somebody to do it, is also due, overdue or coming."""

    due: int
    overdue: int
    coming: int
    to_approve: int
    to_do: int


class AgendaPage(Output):
    """A page of the agenda with the counts of all buckets; `person_ids` are those whose work it is, null: everybody's."""

    counts: AgendaCounts
    person_ids: list[UUID] | None
    data: list[AgendaEntry]
    next_cursor: str | None

    @classmethod
    def of(cls, found: Agenda, limit: int, next_cursor: str | None) -> AgendaPage:
        """Show a page."""
        person_ids = None if found.person_ids is None else list(found.person_ids)
        data = [AgendaEntry.of(row) for row in found.rows[:limit]]
        return cls(counts=AgendaCounts(**found.counts), person_ids=person_ids, data=data, next_cursor=next_cursor)
