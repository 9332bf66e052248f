"""Shapes of activities, of what came of a call, and of what was agreed in it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import asyncpg
from pydantic import AwareDatetime, ConfigDict, Field, model_validator

from dunning.collection.activities import Done
from dunning.collection.calls import Agreed, Recorded
from dunning.collection.disputes import Contested
from dunning.collection.promises import Promised
from dunning.kit.ids import CustomerId, ItemId, PersonId
from dunning.ledger.rows import Code
from dunning_api.schemas.actions import ActionOut
from dunning_api.schemas.base import Input, LongText, MoneyIn, Output
from dunning_api.schemas.disputes import DisputeOut
from dunning_api.schemas.promises import PromiseOut

Outcome = Literal["reached", "no_answer", "wrong_number", "call_back", "promised", "disputed", "other"]
_ITEMS = "Open items of the customer; missing: its oldest debts that the amount covers."

_TOLD_WITH: dict[Outcome, str] = {"promised": "promise", "disputed": "dispute", "call_back": "call_back_on"}


class PromiseMade(Input):
    """What the customer promised."""

    amount: MoneyIn
    promised_on: dt.date
    item_ids: Annotated[list[UUID], Field(min_length=1, max_length=1000, description=_ITEMS)] | None = None
    grace_days: Annotated[int, Field(ge=0, le=365, description="Days after the promised one on which the money may still come.")] = 0
    tolerance_percent: Annotated[int, Field(ge=0, le=99, description="Which share may be missing, in percent; all of it never is.")] = 0
    pauses: Annotated[bool, Field(description="Whether nobody reminds of the items until day and grace are over.")] = True
    note: LongText | None = None


class DisputeRaised(Input):
    """What the customer contests."""

    item_ids: Annotated[list[UUID], Field(min_length=1, max_length=1000, description="Open items of the customer.")]
    reason: Annotated[Code, Field(description="A code of your own: goods_damaged, price, not_delivered.")]
    text: LongText | None = None
    owner_id: UUID | None = Field(None, description="Who sees to it; missing: the person for whom the key acts, else the lead collector.")
    deadline_on: dt.date | None = None


class Talk(Input):
    """What came of talking to a customer."""

    outcome: Outcome | None = None
    text: LongText | None = None
    contact_id: UUID | None = Field(None, description="Which contact of the customer it was.")
    person_id: UUID | None = Field(None, description="Who did it; missing: the person for whom the key acts.")
    at: AwareDatetime | None = Field(None, description="When; missing: now.")
    promise: PromiseMade | None = None
    dispute: DisputeRaised | None = None
    call_back_on: dt.date | None = Field(None, description="On which day to call again.")

    @property
    def agrees(self) -> bool:
        """Whether something is to be made of it beside the activity."""
        return self.promise is not None or self.dispute is not None or self.call_back_on is not None

    def done(self, kind: str, person_id: PersonId | None, action_id: UUID | None = None) -> Done:
        """Return the activity as the domain has it."""
        who = PersonId(self.person_id) if self.person_id is not None else person_id
        return Done(kind=kind, text=self.text, outcome=self.outcome, person_id=who, contact_id=self.contact_id, action_id=action_id, at=self.at)

    def agreed(self, customer_id: CustomerId, person_id: PersonId | None) -> Agreed:
        """Return what was agreed as the domain has it."""
        promise = dispute = None
        if self.promise is not None:
            given = self.promise
            promise = Promised(
                customer_id=customer_id, item_ids=None if given.item_ids is None else [ItemId(one) for one in given.item_ids], amount=given.amount.money,
                promised_on=given.promised_on, grace_days=given.grace_days, tolerance_percent=given.tolerance_percent, pauses=given.pauses,
                source="customer", note=given.note or self.text,
            )  # fmt: skip
        if self.dispute is not None:
            raised = self.dispute
            dispute = Contested(
                item_ids=[ItemId(one) for one in raised.item_ids], reason=raised.reason, text=raised.text or self.text, source="customer",
                owner_id=raised.owner_id or person_id, deadline_on=raised.deadline_on,
            )  # fmt: skip
        return Agreed(promise=promise, dispute=dispute, call_back_on=self.call_back_on)


class ActivityCreate(Talk):
    """Something that was done about a customer."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "call", "outcome": "no_answer", "text": "No answer; will try again on Thursday."}]})

    kind: Annotated[
        str,
        Field(
            pattern=r"^[a-z][a-z0-9_]{0,59}$",
            description="call, visit, meeting, note, email_received, or a word of your own; not one that the software writes itself, such as promise_broken.",
        ),
    ]
    outcome: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$", description="What came of it: a word of a call, or one of your own.")] | None = None  # type: ignore[assignment]  # a call's words are some of these


class CallOutcome(Talk):
    """What came of a call that waited."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"outcome": "reached", "text": "Ms Rossi will check with her bank.", "call_back_on": None, "completes": None}]}
    )

    outcome: Outcome
    completes: bool | None = Field(None, description="Whether the call is done; missing: unless `call_back_on` puts it off to another day.")

    @model_validator(mode="after")
    def says_what_came_of_it(self) -> Self:
        """Refuse an outcome that names a promise, a dispute or another call without saying which: the call would end and nothing follow."""
        needed = _TOLD_WITH.get(self.outcome)
        if needed is not None and getattr(self, needed) is None:
            msg = f"the outcome {self.outcome} comes with `{needed}`; where there is none, choose reached or other"
            raise ValueError(msg)
        return self


class ActivityRecord(Output):
    """Something that was done about a customer. Never changed or removed. `author` is the name behind `actor`, who recorded it; `person_name` who did it."""

    activity_id: UUID
    ledger_id: UUID
    customer_id: UUID
    action_id: UUID | None
    kind: str
    outcome: str | None
    text: str | None
    person_id: UUID | None
    person_name: str | None
    contact_id: UUID | None
    data: dict[str, Any]
    actor: str
    author: str
    business_at: dt.datetime
    recorded_at: dt.datetime

    @classmethod
    def of(cls, row: asyncpg.Record, names: dict[str, str]) -> ActivityRecord:
        """Show an activity."""
        return cls(**{name: row[name] for name in cls.model_fields if name != "author"}, author=names.get(row["actor"], row["actor"]))


class ActivityWithResults(ActivityRecord):
    """An activity with what was made of it: the call that it was or that is to follow, the promise, the dispute."""

    action: ActionOut | None
    promise: PromiseOut | None
    dispute: DisputeOut | None

    @classmethod
    def recorded(cls, made: Recorded, names: dict[str, str]) -> ActivityWithResults:
        """Show what was recorded."""
        return cls(
            **ActivityRecord.of(made.activity, names).model_dump(),
            action=None if made.action is None else ActionOut.of(made.action),
            promise=None if made.promise is None else PromiseOut.of(made.promise),
            dispute=None if made.dispute is None else DisputeOut.of(made.dispute),
        )
