"""What became of one stated row: the answer of every function that takes many rows at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from dunning.kit.errors import Conflict, DunningError, Malformed, NotFound

Outcome = Literal["created", "changed", "unchanged", "closed", "parked", "rejected", "duplicate"]


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """How a row ended. `waits_for` names what a parked row needs, such as `customer:C-7`; null means that a person must decide."""

    outcome: Outcome
    object_id: UUID | None = None
    field: str | None = None
    message: str | None = None
    waits_for: str | None = None
    error: type[DunningError] | None = None
    facts: Mapping[str, Any] | None = None


def unknown(noun: str, field: str, external_id: str) -> RowOutcome:
    """Park a row that names something that has not been given yet."""
    message = f"{noun} {external_id} is not known in this ledger: send it, and this row is tried again after the next import"
    return RowOutcome("parked", None, field, message, f"{noun}:{external_id}", NotFound)


def rejected(field: str, message: str, error: type[DunningError] = Malformed, facts: Mapping[str, Any] | None = None) -> RowOutcome:
    """Refuse a row; `facts` are for the machine that reads the answer to a single one."""
    return RowOutcome("rejected", None, field, message, None, error, facts)


def answered(outcome: RowOutcome) -> RowOutcome:
    """Return the outcome of a single stated object, or raise the error that its refusal stands for."""
    if outcome.outcome not in {"parked", "rejected"}:
        return outcome
    if outcome.error is NotFound and outcome.waits_for is not None:
        raise NotFound(outcome.waits_for.partition(":")[0])
    error = outcome.error or Conflict
    if issubclass(error, Malformed):
        msg = f"{outcome.field}: {outcome.message}"
        raise error(msg, errors=[{"field": outcome.field, "message": outcome.message}])
    raise error(outcome.message or "refused", **(outcome.facts or {}))


def passes(keys: Sequence[Hashable]) -> list[list[int]]:
    """Split positions into passes in which no key comes twice, each in the given order, so that a later row of a key finds the earlier one."""
    found: list[list[int]] = []
    seen: dict[Hashable, int] = {}
    for position, key in enumerate(keys):
        turn = seen.get(key, 0)
        seen[key] = turn + 1
        if turn == len(found):
            found.append([])
        found[turn].append(position)
    return found
