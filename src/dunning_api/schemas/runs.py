"""Shapes of runs and of what they decide."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
from pydantic import ConfigDict, Field

from dunning.collection.verify import Verification
from dunning_api.schemas.base import ExternalId, Input, LongText, MoneyOut, Output

RunState = Literal["queued", "planning", "proposed", "committing", "committed", "superseded", "failed", "cancelled"]
Outcome = Literal["planned", "executed", "moved", "failed", "excluded", "nothing"]
ContentMode = Literal["full", "link_only"]


class RunFilter(Input):
    """Which customers a run looks at; a customer counts when it is named by id or by your own id, and is in one of the groups where groups are given."""

    customer_ids: Annotated[list[UUID], Field(min_length=1, max_length=10_000)] | None = None
    customer_external_ids: Annotated[list[ExternalId], Field(min_length=1, max_length=10_000)] | None = None
    customer_groups: Annotated[list[Annotated[str, Field(max_length=100)]], Field(min_length=1, max_length=100)] | None = None


class RunLaunch(Input):
    """What to run. With nothing given: a proposal over all customers that are due for a look."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"dry_run": True}]})

    dry_run: Annotated[bool, Field(description="Only plan; nothing can be committed from it and nothing is stored on customers.")] = False
    commit_at_once: Annotated[
        bool, Field(description="Let it go out by itself once planned, where the ledger's run mode, freshness and breakers allow. Needs the scope `send`.")
    ] = False
    content_mode: Annotated[ContentMode | None, Field(description="What the mails of this run hold; wins over the steps'.")] = None
    filter: Annotated[RunFilter | None, Field(description="Only some customers; those are looked at even where nothing is due, so that reasons are told.")] = (
        None
    )


class RunCounts(Output):
    """What a run has counted so far."""

    customers: int
    customers_with_actions: int
    actions: int
    rows: int
    by_step: dict[str, int]
    unreachable: int
    failed: int
    outcomes: dict[str, int]

    @classmethod
    def of(cls, counts: dict[str, Any]) -> RunCounts:
        """Show a run's counts."""
        numbers = {name: counts.get(name, 0) for name in ("customers", "customers_with_actions", "actions", "rows", "unreachable", "failed")}
        return cls(**numbers, by_step=counts.get("by_step", {}), outcomes=counts.get("outcomes", {}))


class RunOut(Output):
    """A run. `reasons` counts items that are not asked for, by why; `held_because` says why it waits for a person, `held_reasons` all that holds it."""

    run_id: UUID
    ledger_id: UUID
    kind: str
    local_date: dt.date
    state: RunState
    dry_run: bool
    commit_at_once: bool
    content_mode: ContentMode | None
    filter: dict[str, Any]
    counts: RunCounts
    reasons: dict[str, int]
    held_because: str | None
    held_reasons: list[dict[str, Any]]
    error: str | None
    actor: str
    author: Annotated[str, Field(description="The name behind `actor`.")]
    business_at: dt.datetime
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    duration_seconds: float | None
    customers_per_second: float | None

    @classmethod
    def of(cls, row: asyncpg.Record) -> RunOut:
        """Show a run."""
        took = _planning_seconds(row)
        customers = row["counts"].get("customers", 0)
        return cls(
            run_id=row["run_id"],
            ledger_id=row["ledger_id"],
            kind=row["kind"],
            local_date=row["local_date"],
            state=row["state"],
            dry_run=row["dry_run"],
            commit_at_once=row["commit_at_once"],
            content_mode=row["content_mode"],
            filter=row["filter"],
            counts=RunCounts.of(row["counts"]),
            reasons=row["reasons"],
            held_because=row["held_because"],
            held_reasons=row["held_reasons"],
            error=row["error"],
            actor=row["actor"],
            author=row["author"],
            business_at=row["business_at"],
            created_at=row["created_at"],
            started_at=row["started_at"],
            finished_at=row["finished_at"],
            duration_seconds=None if took is None else round(took, 3),
            customers_per_second=round(customers / took, 1) if took else None,
        )


def _planning_seconds(row: asyncpg.Record) -> float | None:
    """Return how long planning took: what a proposal waits for a person is not the run's time."""
    if "planning_ms" in row["counts"]:
        return float(row["counts"]["planning_ms"]) / 1000
    return (row["finished_at"] - row["started_at"]).total_seconds() if row["finished_at"] and row["started_at"] else None


class PlannedRow(Output):
    """One item that an action asks for: the step it completes, what it owes, and what is asked for after netting."""

    item_id: UUID
    step_code: str
    repeat_no: int
    open: MoneyOut
    net: MoneyOut
    not_due: bool


class PlannedAction(Output):
    """An action that a run proposes. `unreachable`: nobody could be told by mail as things are."""

    scenario_id: UUID
    scenario_version: int
    step_code: str
    kind: str
    mode: str
    document_id: UUID | None
    rows: list[PlannedRow]
    info_item_ids: list[UUID]
    not_due_item_ids: list[UUID]
    credit_ids: list[UUID]
    totals: list[MoneyOut]
    unreachable: bool

    @classmethod
    def of(cls, action: list[Any], *, unreachable: bool) -> PlannedAction:
        """Show a stored action of a plan."""
        scenario_id, version, step_code, _rank, mode, kind, document_id, rows, info, not_due, credits_, totals = action
        return cls(
            scenario_id=scenario_id,
            scenario_version=version,
            step_code=step_code,
            kind=kind,
            mode=mode,
            document_id=document_id,
            rows=[
                PlannedRow(item_id=r[0], step_code=r[3], repeat_no=r[4], open=MoneyOut.of(r[7], r[5]), net=MoneyOut.of(r[6], r[5]), not_due=r[8]) for r in rows
            ],
            info_item_ids=info,
            not_due_item_ids=not_due,
            credit_ids=credits_,
            totals=[MoneyOut.of(minor, currency) for currency, minor in totals],
            unreachable=unreachable,
        )


class SkippedStep(Output):
    """A step that an item passes over, and why."""

    item_id: UUID
    step_code: str
    reason: str


class BlockedItem(Output):
    """An item that is not asked for: every reason by code, and the first day on which it can be; null: only a fact can tell."""

    item_id: UUID
    reasons: list[str]
    first_day: dt.date | None


class RunCustomerOut(Output):
    """What a run decided about one customer, and what became of it."""

    customer_id: UUID
    external_id: str
    name: str
    outcome: Outcome
    error: str | None
    excluded: bool
    excluded_by: str | None
    excluded_because: str | None
    actions: list[PlannedAction]
    skips: list[SkippedStep]
    reasons: list[BlockedItem]
    review_on: dt.date | None

    @classmethod
    def of(cls, row: asyncpg.Record) -> RunCustomerOut:
        """Show one customer of a run."""
        plan = row["plan"]
        lost = set(plan.get("unreachable", ()))
        return cls(
            customer_id=row["customer_id"],
            external_id=row["external_id"],
            name=row["name"],
            outcome=row["outcome"],
            error=row["error"],
            excluded=row["excluded"],
            excluded_by=row["excluded_by"],
            excluded_because=row["excluded_because"],
            actions=[PlannedAction.of(action, unreachable=n in lost) for n, action in enumerate(plan.get("actions", ()))],
            skips=[SkippedStep(item_id=s[0], step_code=s[4], reason=s[5]) for s in plan.get("skips", ())],
            reasons=[BlockedItem(item_id=i, reasons=codes, first_day=_date(day)) for i, codes, day in plan.get("reasons", ())],
            review_on=_date(plan.get("review_on")),
        )


def _date(ordinal: int | None) -> dt.date | None:
    return None if ordinal is None else dt.date.fromordinal(ordinal)


class RunCustomerUpdate(Input):
    """Whether a customer stays out of a proposal, and why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"excluded": True, "reason": "We are talking to their management."}]})

    excluded: bool
    reason: LongText | None = None


class DifferenceOut(Output):
    """A customer whose decision does not come out as stored: which parts differ, or why it cannot be told."""

    customer_id: UUID
    what: list[str]
    stored: dict[str, Any] | None
    recomputed: dict[str, Any] | None


class VerificationOut(Output):
    """What deciding a run again from its stored inputs found. `agrees` is true when every decision came out the same."""

    run_id: UUID
    checked: int
    agreed: int
    agrees: bool
    differences: list[DifferenceOut]
    differences_count: int

    @classmethod
    def of(cls, found: Verification) -> VerificationOut:
        """Show a verification."""
        return cls(
            run_id=found.run_id,
            checked=found.checked,
            agreed=found.agreed,
            agrees=found.differences_count == 0,
            differences=[DifferenceOut(customer_id=d.customer_id, what=list(d.what), stored=d.stored, recomputed=d.recomputed) for d in found.differences],
            differences_count=found.differences_count,
        )
