"""Shapes of doing the same to many actions, and of sending again."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from dunning.collection.action_queries import ActionFilter
from dunning.collection.bulk import AT_ONCE, Bulk, Results
from dunning.collection.resending import Repeat
from dunning.kit.ids import ActionId
from dunning_api.schemas.action_content import ContentModeName
from dunning_api.schemas.actions import ActionKind, ActionState
from dunning_api.schemas.base import Input, LongText, Output


class Resend(Input):
    """How something is sent again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"content_mode": "full"}]})

    contact_ids: Annotated[list[UUID], Field(max_length=50, description="Other contacts of the customer; missing: those told before.")] = Field(
        default_factory=list
    )
    content_mode: ContentModeName | None = Field(
        None, description="Missing: as before. Words that somebody has written for the message have to fit: `link_only` shows neither amounts nor documents."
    )
    counts_as_reminder: bool = Field(default=False, description="Whether the count of reminders rises.")

    def repeat(self) -> Repeat:
        """Return it as the collection takes it."""
        return Repeat(contact_ids=tuple(self.contact_ids), content_mode=self.content_mode, counts_as_reminder=self.counts_as_reminder)


class BulkFilter(Input):
    """Which actions, instead of their ids; the newest come first."""

    ledger_id: UUID | None = None
    customer_id: UUID | None = None
    run_id: UUID | None = None
    person_id: UUID | None = None
    step_code: Annotated[str, Field(max_length=100)] | None = None
    state: ActionState | None = None
    kind: ActionKind | None = None
    origin: Literal["scenario", "specific", "ad_hoc"] | None = None
    from_on: dt.date | None = None
    to_on: dt.date | None = None

    @model_validator(mode="after")
    def _not_all(self) -> Self:
        if not self.model_fields_set:
            msg = "state at least one condition; to act on everything, name the ledger"
            raise ValueError(msg)
        return self

    def where(self) -> ActionFilter:
        """Return it as the collection takes it."""
        return ActionFilter(**self.given())


class BulkCreate(Input):
    """What is done to which actions."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"act": "cancel", "filter": {"state": "waiting"}, "reason": "The customer has paid in cash.", "dry_run": True}]}
    )

    act: Literal["approve", "reject", "cancel", "reschedule", "reassign", "skip", "run_now", "resend"]
    action_ids: Annotated[list[UUID], Field(min_length=1, max_length=AT_ONCE, description="The actions; or give a filter.")] | None = None
    filter: BulkFilter | None = None
    reason: LongText | None = Field(None, description="Why; asked for by `reject`, `cancel` and `skip`.")
    scheduled_on: dt.date | None = Field(None, description="The new day of `reschedule`.")
    person_id: UUID | None = Field(None, description="Who has them from now on, of `reassign`, and looks after their customers too; null: nobody.")
    content_mode: ContentModeName | None = Field(None, description="Of `resend`; missing: as before.")
    counts_as_reminder: bool = Field(default=False, description="Of `resend`: whether the count of reminders rises.")
    dry_run: bool = Field(default=False, description="Only say what would become of each.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.action_ids is None) == (self.filter is None):
            msg = "give either action_ids or filter"
            raise ValueError(msg)
        if self.act in {"reject", "cancel", "skip"} and self.reason is None:
            msg = f"reason: say why; {self.act} asks for it"
            raise ValueError(msg)
        if self.act == "reschedule" and self.scheduled_on is None:
            msg = "scheduled_on: name the new day"
            raise ValueError(msg)
        if self.act == "reassign" and "person_id" not in self.model_fields_set:
            msg = "person_id: name who has them from now on, or null"
            raise ValueError(msg)
        return self

    def bulk(self) -> Bulk:
        """Return it as the collection takes it."""
        return Bulk(
            act=self.act,
            action_ids=None if self.action_ids is None else [ActionId(one) for one in self.action_ids],
            where=None if self.filter is None else self.filter.where(),
            reason=self.reason,
            scheduled_on=self.scheduled_on,
            person_id=self.person_id,
            repeat=Repeat(content_mode=self.content_mode, counts_as_reminder=self.counts_as_reminder),
            dry_run=self.dry_run,
        )


class BulkResult(Output):
    """What became of one action. `ready` stands for done in a dry run; `refused` and `unknown` say why."""

    action_id: UUID
    outcome: Literal["done", "ready", "refused", "unknown"]
    state: ActionState | None
    code: str | None
    detail: str | None


class BulkOut(Output):
    """What became of each action; `more` tells that the filter finds further ones: ask again."""

    act: str
    dry_run: bool
    counts: dict[str, int]
    more: bool
    data: list[BulkResult]

    @classmethod
    def of(cls, body: BulkCreate, done: Results) -> BulkOut:
        """Show the results."""
        counts: dict[str, int] = {}
        for one in done.results:
            counts[one.outcome] = counts.get(one.outcome, 0) + 1
        return cls(act=body.act, dry_run=body.dry_run, counts=counts, more=done.more, data=[BulkResult.model_validate(one) for one in done.results])
