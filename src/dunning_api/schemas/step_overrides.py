"""Shapes of one customer's changes to future steps, and of steps set by hand."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from dunning.collection.override_store import StoredOverride
from dunning.collection.steps_by_hand import StepSet
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
    """A customer's change to a step. It is in force until it is removed; newer versions of the scenario keep it where the step is still there."""

    override_id: UUID
    ledger_id: UUID
    customer_id: UUID
    scenario_id: UUID
    kind: str
    step_code: str
    content: dict[str, Any]
    reason: str
    actor: str
    created_at: dt.datetime
    removed_at: dt.datetime | None
    removed_by: str | None

    @classmethod
    def of(cls, stored: StoredOverride) -> StepOverrideOut:
        """Show an override."""
        return cls(**{name: getattr(stored, name) for name in cls.model_fields})


class StepSetIn(Input):
    """The step from which items go on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"step_code": "01", "reason": "Agreed on the phone to start anew."}]})

    step_code: Annotated[Code, Field(description="A step of the scenario that the items follow. It comes next, on the day its own conditions name.")]
    reason: LongText


class StepSetOut(Output):
    """One item whose step was set."""

    item_id: UUID
    before: Annotated[str | None, Field(description="The highest step that it had completed or skipped; null: none.")]
    step_code: str

    @classmethod
    def of(cls, done: StepSet) -> StepSetOut:
        """Show what was set."""
        return cls(item_id=done.item_id, before=done.before, step_code=done.step_code)
