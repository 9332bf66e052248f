"""Shapes of one customer's changes to future steps, and of steps set by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from dunning.collection.override_store import StoredOverride
from dunning.collection.steps_by_hand import StepSet
from dunning.kit.ids import OverrideId
from dunning.scenarios.overrides import NoPlace
from dunning_api.schemas.base import Input, LongText, Output
from dunning_api.schemas.scenarios import Code


class StepOverrideCreate(Input):
    """One change of one step, for this customer only."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "scenario_id": "0198c0de-0000-7000-8000-000000000003",
                    "kind": "insert",
                    "step_code": "look-first",
                    "content": {
                        "rank": 15,
                        "name": "Look at the account before going on",
                        "mode": "manual",
                        "trigger": {"kind": "due_date", "offset_days": 5},
                        "task": {"kind": "checkpoint", "text": "Read the last letter from their lawyer, then go on or choose another step."},
                    },
                    "reason": "Their lawyer wrote on 2 March.",
                }
            ]
        }
    )

    scenario_id: Annotated[UUID, Field(description="The published scenario whose steps are changed for this customer.")]
    kind: Literal["insert", "change", "remove"]
    step_code: Annotated[Code, Field(description="The step that is changed or removed; for `insert` a code that the scenario does not have.")]
    content: Annotated[
        dict[str, Any],
        Field(
            default_factory=dict,
            description="For `insert` a whole step as in a scenario, with a rank that is free; for `change` the keys that are to be otherwise; else empty.",
        ),
    ]
    reason: LongText


class StepOverrideEnd(Input):
    """Why an override is taken back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "The matter is settled."}]})

    reason: LongText


class StepOverrideOut(Output):
    """A customer's change to a step. It is in force until it is removed; newer versions of the scenario keep it where the step is still there.

    `standing` says whether it changes anything: `in_force`; `removed`; or the scenario's present version has no place for it, because its step is gone
    (`step_gone`), the scenario has a step of this code itself (`step_in_scenario`), or the two do not fit together (`does_not_fit`).
    """

    override_id: UUID
    ledger_id: UUID
    customer_id: UUID
    scenario_id: UUID
    kind: str
    step_code: str
    content: dict[str, Any]
    reason: str
    actor: str
    author: Annotated[str, Field(description="The name behind `actor`.")]
    created_at: dt.datetime
    removed_at: dt.datetime | None
    removed_by: str | None
    removed_by_name: str | None
    standing: Literal["in_force", "removed", "step_gone", "step_in_scenario", "does_not_fit"]

    @classmethod
    def of(cls, stored: StoredOverride, without_place: Mapping[OverrideId, NoPlace]) -> StepOverrideOut:
        """Show an override; `without_place` tells which have no place in the scenario, and why."""
        lost = without_place.get(stored.override_id)
        standing = "removed" if stored.removed_at is not None else "in_force" if lost is None else lost.value
        return cls(**{name: getattr(stored, name) for name in cls.model_fields if name != "standing"}, standing=standing)


class StepSetIn(Input):
    """The step from which items go on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"step_code": "01", "reason": "Agreed on the phone to start anew."}]})

    step_code: Annotated[Code, Field(description="A step of the scenario that the items follow. It comes next, on the day its own conditions name.")]
    reason: LongText


class StepSetOut(Output):
    """One item whose step was set. `before` and `step_code` are both the step that comes next, `reached_before` and `reached` both the highest one behind it."""

    item_id: UUID
    before: Annotated[str | None, Field(description="The step that came next before; null: none was left.")]
    step_code: Annotated[str, Field(description="The step that comes next now.")]
    reached_before: Annotated[str | None, Field(description="The highest step that it had completed or skipped before; null: none.")]
    reached: Annotated[str | None, Field(description="The highest step that it has completed or skipped now; null: none.")]

    @classmethod
    def of(cls, done: StepSet) -> StepSetOut:
        """Show what was set."""
        return cls.model_validate(done)
