"""Shapes of disputes."""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
from pydantic import ConfigDict, Field, model_validator

from dunning.collection.dispute_credits import Next
from dunning.collection.disputes import Contested
from dunning.kit.ids import ItemId, PersonId
from dunning.ledger.rows import Code
from dunning_api.schemas.base import Input, LongText, MoneyIn, MoneyOut, Output

_ID = "0198c0de-0000-7000-8000-000000000001"


class DisputeCreate(Input):
    """What is contested, and why."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"item_ids": [_ID], "reason": "goods_damaged", "text": "Two of ten boxes arrived wet.", "source": "customer", "deadline_on": None}]
        }
    )

    item_ids: Annotated[list[UUID], Field(min_length=1, max_length=1000, description="Open items of one customer.")]
    reason: Annotated[Code, Field(description="A code of your own: goods_damaged, price, not_delivered.")]
    text: LongText | None = None
    source: Annotated[Literal["team", "customer"], Field(description="Who raised it.")] = "team"
    owner_id: Annotated[
        UUID | None,
        Field(description="Who sees to it, and looks after the customer too from then on; missing: the person for whom the key acts, else the lead collector."),
    ] = None
    deadline_on: Annotated[dt.date | None, Field(description="Until when; missing: the follow-up delay of the status.")] = None
    status_code: Annotated[Code, Field(description="A status of the category `disputed`.")] = "disputed"
    amount: Annotated[MoneyIn | None, Field(description="Where less than all that is open is contested: how much, taken from the oldest items.")] = None

    @model_validator(mode="after")
    def _positive(self) -> DisputeCreate:
        if self.amount is not None and self.amount.money.minor <= 0:
            msg = "amount must be more than nothing"
            raise ValueError(msg)
        return self

    def contested(self, person_id: PersonId | None) -> Contested:
        """Return it as the domain has it."""
        return Contested(
            item_ids=[ItemId(item_id) for item_id in self.item_ids], reason=self.reason, text=self.text, source=self.source,
            owner_id=self.owner_id or person_id, deadline_on=self.deadline_on, status_code=self.status_code,
            amount=None if self.amount is None else self.amount.money,
        )  # fmt: skip


class DisputeUpdate(Input):
    """What is to change; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"deadline_on": "2026-03-20", "text": "The carrier's report is on its way."}]})

    reason: Code = Field(default="other")
    text: LongText | None = None
    owner_id: UUID | None = None
    deadline_on: dt.date | None = None

    def fields(self) -> dict[str, Any]:
        """Return what was given."""
        return self.given()


class DisputeResolve(Input):
    """How a dispute ended, and what comes next.

    Where a credit note is to come (accepted, or `credit_note` is given) the items are held until it has arrived, for 30 days where nothing else is said; a
    task sees to it. Rejected and withdrawn, they go on in their scenario at once.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "resolution": "partly_accepted", "text": "Two of ten boxes are credited.", "credit_note": {"amount": "20.00", "currency": "EUR"},
                    "hold_days": 14,
                }
            ]
        }
    )  # fmt: skip

    resolution: Literal["accepted", "partly_accepted", "rejected", "withdrawn"]
    text: LongText | None = None
    hold_days: Annotated[int | None, Field(ge=0, le=366, description="For how many days from today the items are held; 0: not at all.")] = None
    hold_until: Annotated[dt.date | None, Field(description="Instead of `hold_days`: the last day on which they are held.")] = None
    credit_note: Annotated[
        MoneyIn | None, Field(description="What the credit note will be over; missing: where the dispute is accepted, all that was contested.")
    ] = None

    @model_validator(mode="after")
    def _positive(self) -> DisputeResolve:
        if self.credit_note is not None and self.credit_note.money.minor <= 0:
            msg = "credit_note must be more than nothing"
            raise ValueError(msg)
        return self

    def following(self) -> Next:
        """Return what comes next as the domain has it."""
        return Next(hold_until=self.hold_until, hold_days=self.hold_days, credit=None if self.credit_note is None else self.credit_note.money)


class DisputeItemOut(Output):
    """A disputed item: what is contested of it, what it owes now, and what is to be credited for it."""

    item_id: UUID
    number: str
    disputed: MoneyOut
    open_amount: MoneyOut
    credit: Annotated[MoneyOut | None, Field(description="Null: nothing that anybody has announced.")]
    open: bool


class DisputeOut(Output):
    """A dispute. Its items stay in every balance; nobody reminds of them until it is resolved, and as long as they are held after that."""

    dispute_id: UUID
    ledger_id: UUID
    customer_id: UUID
    state: str
    reason: str
    text: str | None
    source: str
    owner_id: UUID | None
    owner_name: str | None
    deadline_on: dt.date | None
    overdue_on: Annotated[dt.date | None, Field(description="When its deadline was found passed.")]
    attention: Annotated[
        list[Literal["overdue", "not_followed_up"]],
        Field(description="Why an open dispute needs somebody: its deadline has passed, or the task that followed it up was cancelled."),
    ]
    opened_on: dt.date
    opened_by: str
    opened_by_name: str
    resolution: str | None
    resolution_text: str | None
    resolved_on: dt.date | None
    resolved_by: str | None
    resolved_by_name: str | None
    held_until: Annotated[dt.date | None, Field(description="The last day on which its items are held after it was resolved.")]
    credit_awaited: Annotated[bool, Field(description="Whether a credit note for it is still to come; when it has, the hold ends.")]
    follow_up_action_id: Annotated[UUID | None, Field(description="The task that follows it up; once it is accepted, the one that sees to the credit note.")]
    items: list[DisputeItemOut]
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime

    @classmethod
    def of(cls, row: asyncpg.Record) -> DisputeOut:
        """Show a dispute."""
        items = [
            DisputeItemOut(
                item_id=item["item_id"], number=item["number"], disputed=MoneyOut.of(item["disputed_minor"], item["currency"]),
                open_amount=MoneyOut.of(item["open_minor"], item["currency"]), open=item["open"],
                credit=None if item["credit_minor"] is None else MoneyOut.of(item["credit_minor"], item["currency"]),
            )
            for item in row["items"]
        ]  # fmt: skip
        reasons: dict[Literal["overdue", "not_followed_up"], bool] = {"overdue": row["is_overdue"], "not_followed_up": row["is_unattended"]}
        plain = {name: row[name] for name in cls.model_fields if name not in {"items", "attention"}}
        return cls(**plain, items=items, attention=[reason for reason, holds in reasons.items() if holds])


class DisputeReasonOut(Output):
    """What one reason amounts to: open disputes and what they contest, and how long those took that were resolved since the given day."""

    reason: str
    open: int
    contested: list[MoneyOut]
    resolved: int
    mean_days_to_resolve: Annotated[str | None, Field(description="Days with one decimal; null where none was resolved.")]

    @classmethod
    def of(cls, row: asyncpg.Record) -> DisputeReasonOut:
        """Show a reason."""
        mean = None
        if row["resolved"]:
            mean = str((Decimal(row["days_to_resolve"]) / row["resolved"]).quantize(Decimal("0.1"), ROUND_HALF_UP))
        contested = [MoneyOut.of(minor, currency) for currency, minor in row["contested"]]
        return cls(reason=row["reason"], open=row["open"], contested=contested, resolved=row["resolved"], mean_days_to_resolve=mean)


class DisputeSummaryOut(Output):
    """The disputes of a ledger by their reasons."""

    data: list[DisputeReasonOut]
