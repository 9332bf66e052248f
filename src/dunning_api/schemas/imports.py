"""Shapes of imports."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from dunning.ledger.import_store import Import, RowRecord
from dunning_api.schemas.base import MoneyOut, Output

OUTCOMES = ("created", "changed", "unchanged", "closed", "parked", "rejected", "duplicate")


class CountsOut(Output):
    """Rows by what became of them."""

    created: int
    changed: int
    unchanged: int
    closed: int
    parked: int
    rejected: int
    duplicate: int


class SumOut(Output):
    """The sum of rows of one currency that ended one way."""

    outcome: str
    total: MoneyOut


class ImportOut(Output):
    """How far an import is. `error` says why it failed, or what a person has to decide.

    `assigned` customers were given to somebody by the ledger's rules; for `unassigned` ones of the ledger no rule fits (null: there are no rules).
    """

    import_id: UUID
    ledger_id: UUID
    format: str
    kind: str
    mode: str
    dry_run: bool
    state: str
    error: str | None
    counts: CountsOut
    counts_by_kind: dict[str, CountsOut]
    assigned: int
    unassigned: int | None
    totals: list[SumOut]
    complete_as_of: dt.datetime | None
    created_at: dt.datetime
    finished_at: dt.datetime | None

    @classmethod
    def of(cls, found: Import) -> ImportOut:
        """Show an import."""
        shown = {name: getattr(found, name) for name in cls.model_fields if name not in {"counts", "counts_by_kind", "assigned", "unassigned", "totals"}}
        by_kind = found.counts.get("by_kind", {})
        sums = found.counts.get("totals", {})
        return cls(
            counts=_counts(found.counts),
            counts_by_kind={kind: _counts(by_kind[kind]) for kind in sorted(by_kind)},
            assigned=found.counts.get("assigned", 0),
            unassigned=found.counts.get("unassigned"),
            totals=[
                SumOut(outcome=outcome, total=MoneyOut.of(sums[currency][outcome], currency)) for currency in sorted(sums) for outcome in sorted(sums[currency])
            ],
            **shown,
        )


def _counts(counts: dict[str, int]) -> CountsOut:
    return CountsOut(**{outcome: counts.get(outcome, 0) for outcome in OUTCOMES})


class ImportRowOut(Output):
    """What became of one row. `waits_for` names what a parked row needs; null there means that a person must decide."""

    row_no: int
    kind: str
    external_id: str | None
    outcome: str
    field: str | None
    message: str | None
    waits_for: str | None

    @classmethod
    def of(cls, row: RowRecord) -> ImportRowOut:
        """Show a row."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})
