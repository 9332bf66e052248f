"""Shapes of actions, what belongs to them, claims, activities and the timeline."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
from pydantic import ConfigDict, Field

from dunning.collection.action_models import ActionModel
from dunning.collection.actions import Parts
from dunning.collection.customer_messages import MessagePreview
from dunning.collection.item_updates import Updated
from dunning.collection.operation_tasks import Recorded
from dunning_api.schemas.base import Input, LongText, MoneyIn, MoneyOut, Output
from dunning_api.schemas.outlook import PassedStep
from dunning_api.schemas.totals import Totals, TotalsAsOf, amounts, told_totals

ActionState = Literal["awaiting_approval", "scheduled", "executed", "waiting", "completed", "cancelled", "rejected", "superseded"]
ActionKind = Literal["notice", "task", "operations"]
ActionOrigin = Literal["scenario", "specific", "ad_hoc"]


class ActionOut(Output):
    """One planned or executed occurrence for a customer and its items. `reason` says why it stands as it does, where that needs saying.

    `content` is what people have made of it: of an action outside the scenario all that it says or asks, of one of the scenario what was changed.
    `task_kind` and `task_text` say what somebody is to do, or was to do before the action ended otherwise. `superseded_by` took its place.
    `operation_action_id` and `operation_no` name the operation that a task carries out. `created_by` is who made it where no run did.
    """

    action_id: UUID
    ledger_id: UUID
    customer_id: UUID
    run_id: UUID | None
    origin: str
    scenario_id: UUID | None
    scenario_version: int | None
    step_code: str | None
    step_name: str | None
    kind: ActionKind
    mode: str
    title: str | None
    content: dict[str, Any] | None
    content_mode: str | None
    document_id: UUID | None
    person_id: UUID | None
    person_name: str | None
    model_id: UUID | None
    copied_from_action_id: UUID | None
    superseded_by: UUID | None
    bulk_id: UUID | None
    afterwards: str | None
    afterwards_step_code: str | None
    counts_as_step: str | None
    operation_action_id: UUID | None
    operation_no: int | None
    created_by: str | None
    created_by_name: str | None
    approved_at: dt.datetime | None
    approved_by: str | None
    approved_by_name: str | None
    local_date: dt.date
    scheduled_on: dt.date
    state: ActionState
    reason: str | None
    task_kind: str | None
    task_text: str | None
    totals: Totals
    totals_as_of: TotalsAsOf
    deadline_on: dt.date | None
    executed_at: dt.datetime | None
    completed_on: dt.date | None
    revision: int
    created_at: dt.datetime
    updated_at: dt.datetime

    @classmethod
    def of(cls, row: asyncpg.Record) -> ActionOut:
        """Show an action."""
        return cls(**action_fields(row))


def action_fields(row: asyncpg.Record) -> dict[str, Any]:
    """Return the fields of an action's row as it is shown."""
    shown = {name: row[name] for name in ActionOut.model_fields if not name.startswith("totals")}
    return shown | told_totals(row)


class ActionItem(Output):
    """An item of an action: the step that the action completes for it, those that it passes over with that, what was open then and what is open now.

    `state` is `pending`, `completed`, `skipped`, or `void` once it has left the action, with the reason. Outside the scenario `step_code` is null, unless the action counts as a step, and `state` is `attached`, `listed`, `released` or `dropped`.
    """

    item_id: UUID
    document_id: UUID
    external_id: str
    number: str
    due_on: dt.date
    step_code: str | None
    repeat_no: int | None
    state: str
    reason: str | None
    passed_over: list[PassedStep]
    original: MoneyOut
    open_then: MoneyOut
    open_now: MoneyOut
    completed_on: dt.date | None

    @classmethod
    def of(cls, row: asyncpg.Record) -> ActionItem:
        """Show an item of an action."""
        currency = row["currency"]
        return cls(
            item_id=row["item_id"],
            document_id=row["document_id"],
            external_id=row["external_id"],
            number=row["number"],
            due_on=row["due_on"],
            step_code=row["step_code"],
            repeat_no=row["repeat_no"],
            state=row["state"],
            reason=row["reason"],
            passed_over=[PassedStep(**step) for step in row["passed_over"]],
            original=MoneyOut.of(row["amount_minor"], currency),
            open_then=MoneyOut.of(row["open_minor"], currency),
            open_now=MoneyOut.of(row["open_now_minor"], currency),
            completed_on=row["completed_on"],
        )


class ClaimOut(Output):
    """A claim as it was frozen. `data` is what its messages say; a void claim was never told, or not to everybody."""

    claim_id: UUID
    claim_no: str
    action_id: UUID
    customer_id: UUID
    revision: int
    state: Literal["issued", "told", "void"]
    void_reason: str | None
    replaces_id: UUID | None
    language: str
    content_mode: str
    deadline_on: dt.date | None
    issued_on: dt.date
    issued_at: dt.datetime
    told_at: dt.datetime | None
    data: dict[str, Any]

    @classmethod
    def of(cls, row: asyncpg.Record) -> ClaimOut:
        """Show a claim."""
        return cls(**{name: row[name] for name in cls.model_fields if name != "claim_no"}, claim_no=row["data"]["claim_no"])


class OperationOut(Output):
    """An operation of an action. `waiting` with a `due_on` is for a person, whose task is `task_id`; without one its moment has not come.

    Once it is done, it says what was done: when, for which amounts and items, under which policy and reference. `reason` says why it is not needed.
    """

    operation_no: int
    kind: str
    at_moment: str
    state: Literal["waiting", "done", "failed", "not_needed"]
    reason: str | None
    due_on: dt.date | None
    task_id: UUID | None
    params: dict[str, Any]
    done_on: dt.date | None
    amounts: list[MoneyOut]
    item_ids: list[UUID]
    policy: str | None
    reference: str | None
    note: str | None
    actor: str | None
    author: Annotated[str | None, Field(description="The name behind `actor`.")]
    done_at: dt.datetime | None

    @classmethod
    def of(cls, row: asyncpg.Record) -> OperationOut:
        """Show an operation."""
        plain = ("operation_no", "kind", "at_moment", "state", "task_id", "params", "actor", "author", "done_at")
        return cls(**{name: row[name] for name in plain}, **operation_facts(row["result"], row["params"]))


def operation_facts(result: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was recorded of an operation, as it is shown; its items are those that it is about until somebody says otherwise."""
    texts = {name: result.get(name) for name in ("reason", "due_on", "done_on", "policy", "reference", "note")}
    return texts | {"amounts": amounts(result.get("amounts", ())), "item_ids": result.get("item_ids", params.get("item_ids", []))}


class ActivityOut(Output):
    """Something that was done about a customer; notes are activities of the kind `note`. Never changed or removed. `author` is the name behind `actor`."""

    activity_id: UUID
    ledger_id: UUID
    customer_id: UUID
    action_id: UUID | None
    kind: str
    text: str | None
    data: dict[str, Any]
    actor: str
    author: str
    business_at: dt.datetime
    recorded_at: dt.datetime

    @classmethod
    def of(cls, row: asyncpg.Record, names: Mapping[str, str]) -> ActivityOut:
        """Show an activity with the name of who did it."""
        return cls(**{name: row[name] for name in cls.model_fields if name != "author"}, author=names.get(row["actor"], row["actor"]))


class ActionMessage(Output):
    """A message of an action."""

    message_id: UUID
    notice: str
    channel: str
    audience: str
    is_primary: bool
    is_copy: bool
    to_email: str | None
    to_name: str | None
    language: str
    content_mode: str
    state: str
    reason: str | None
    delivery: str
    claim_id: UUID
    not_before: dt.datetime
    valid_until: dt.datetime
    sent_at: dt.datetime | None
    accepted_at: dt.datetime | None

    @classmethod
    def of(cls, row: asyncpg.Record) -> ActionMessage:
        """Show a message."""
        return cls(**{name: row[name] for name in cls.model_fields})


class ActionWithParts(ActionOut):
    """An action with its items, claims, operations, notes and messages. `completed_by` is who completed it, or the software that its mail was accepted."""

    completed_by: str | None
    completed_by_name: str | None
    items: list[ActionItem]
    claims: list[ClaimOut]
    operations: list[OperationOut]
    activities: list[ActivityOut]
    messages: list[ActionMessage]

    @classmethod
    def whole(cls, row: asyncpg.Record, parts: Parts) -> ActionWithParts:
        """Show an action with what belongs to it."""
        return cls(
            **action_fields(row),
            completed_by=parts.completed_by,
            completed_by_name=None if parts.completed_by is None else parts.names.get(parts.completed_by, parts.completed_by),
            items=[ActionItem.of(item) for item in parts.items],
            claims=[ClaimOut.of(claim) for claim in parts.claims],
            operations=[OperationOut.of(operation) for operation in parts.operations],
            activities=[ActivityOut.of(note, parts.names) for note in parts.notes],
            messages=[ActionMessage.of(message) for message in parts.messages],
        )


class Because(Input):
    """Why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "The customer has announced its payment by phone."}]})

    reason: LongText


class Reschedule(Input):
    """The new day."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"scheduled_on": "2026-03-09"}]})

    scheduled_on: dt.date


class OperationFacts(Input):
    """What was done of an operation; what is missing is taken from it: its items, what is open of them now, the policy stated with the customer's cover."""

    amounts: Annotated[list[MoneyIn], Field(max_length=50, description="One amount a currency.")] | None = None
    item_ids: Annotated[list[UUID], Field(min_length=1, max_length=1_000, description="Items of the operation; missing: all of them.")] | None = None
    policy: Annotated[str, Field(min_length=1, max_length=200, description="The insurance policy, or whatever it was done under.")] | None = None
    reference: Annotated[str, Field(min_length=1, max_length=200, description="By which the other side knows it.")] | None = None

    def recorded(self) -> Recorded:
        """Return it as the collection takes it."""
        sums = None if self.amounts is None else [one.money for one in self.amounts]
        return Recorded(amounts=sums, item_ids=self.item_ids, policy=self.policy, reference=self.reference)


class Completion(Input):
    """When it was done; missing: today. The task of an operation takes what was done in `facts`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "Spoke with Ms Rossi; payment is on its way."}]})

    completed_on: dt.date | None = None
    note: LongText | None = None
    facts: OperationFacts | None = None


class NoteCreate(Input):
    """A note."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "Asked for a copy of invoice 1001."}]})

    text: LongText


class OperationDone(OperationFacts):
    """What was done, and when; missing: today."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "done_on": "2026-03-02", "amounts": [{"amount": "1234.50", "currency": "EUR"}], "policy": "POL-88/1001", "reference": "D-88",
                    "note": "Declared on the insurer's portal.",
                }
            ]
        }
    )  # fmt: skip

    done_on: dt.date | None = None
    note: LongText | None = None

    def recorded(self) -> Recorded:
        """Return it as the collection takes it."""
        return replace(super().recorded(), done_on=self.done_on, note=self.note)


class MessagePreviewOut(Output):
    """What a message would say now, to how many people, and which of the chosen items it would leave out."""

    template: str
    language: str
    subject: str
    text: str
    html: str | None
    recipients: int
    items: int
    totals: list[MoneyOut]
    left_out: dict[str, str]

    @classmethod
    def of(cls, made: MessagePreview) -> MessagePreviewOut:
        """Show a preview."""
        said = made.rendered
        return cls(
            template=made.template, language=said.language, subject=said.subject, text=said.text, html=said.html, recipients=len(made.recipients),
            items=made.shown, totals=[MoneyOut.of(minor, currency) for currency, minor in made.totals],
            left_out={str(drop.item_id): drop.reason for drop in made.dropped},
        )  # fmt: skip


class ItemUpdateOut(Output):
    """What was made: comments, the action of the mail, the action of `next` or else the task that follows the status up, and the specific actions left."""

    comment_ids: list[UUID]
    message: ActionOut | None
    action: ActionOut | None
    left_action_ids: list[UUID]

    @classmethod
    def of(cls, made: Updated) -> ItemUpdateOut:
        """Show what was made."""
        return cls(
            comment_ids=list(made.comment_ids),
            message=None if made.message_action is None else ActionOut.of(made.message_action),
            action=None if made.action is None else ActionOut.of(made.action),
            left_action_ids=list(made.left_action_ids),
        )


class ActionModelOut(Output):
    """A saved model; `content` is its pattern."""

    model_id: UUID
    code: str
    name: str
    content: dict[str, Any]
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime

    @classmethod
    def of(cls, model: ActionModel) -> ActionModelOut:
        """Show a model."""
        return cls.model_validate(model)
