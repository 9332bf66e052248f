"""Shapes of promises and payment plans."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
from pydantic import ConfigDict, Field, model_validator

from dunning.collection.payment_plans import Agreed, Rhythm
from dunning.collection.promise_follow_up import Reminder
from dunning.collection.promises import Promised
from dunning.kit.ids import CustomerId, ItemId
from dunning.ledger.rows import Code
from dunning_api.schemas.base import Currency, Input, LongText, MoneyIn, MoneyOut, Output
from dunning_api.schemas.scenarios import Code as TemplateCode

_ID = "0198c0de-0000-7000-8000-000000000001"
ItemIds = Annotated[list[UUID], Field(min_length=1, max_length=1000, description="Open items of the customer; null: its oldest debts that the amount covers.")]
GraceDays = Annotated[int, Field(ge=0, le=365, description="Days after the promised one on which the money may still come.")]
Tolerance = Annotated[int, Field(ge=0, le=99, description="Which share of the amount may be missing, in percent; all of it never is.")]
Pauses = Annotated[bool, Field(description="Whether nobody reminds of the items until day and grace are over.")]
Source = Annotated[Literal["team", "customer"], Field(description="Who stated it.")]


class PromiseReminder(Input):
    """A mail to the customer before the promised day."""

    days_before: Annotated[int, Field(ge=1, le=60)]
    template: Annotated[TemplateCode, Field(description="Code of a published template.")]


class PromiseCreate(Input):
    """What a customer promises to pay, and until when."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "customer_id": _ID, "item_ids": None, "amount": {"amount": "100.00", "currency": "EUR"}, "promised_on": "2026-03-13", "grace_days": 2,
                    "tolerance_percent": 5, "pauses": True, "source": "customer", "note": "Announced by phone by Ms Rossi.",
                }
            ]
        }
    )  # fmt: skip

    customer_id: UUID
    item_ids: ItemIds | None = None
    amount: MoneyIn
    promised_on: dt.date
    grace_days: GraceDays = 0
    tolerance_percent: Tolerance = 0
    pauses: Pauses = True
    source: Source = "team"
    note: LongText | None = None
    status_code: Annotated[Code, Field(description="A status of the category `promised`.")] = "promised"
    reminder: Annotated[PromiseReminder | None, Field(description="Needs the scope `send`.")] = None

    @model_validator(mode="after")
    def _positive(self) -> PromiseCreate:
        if self.amount.money.minor <= 0:
            msg = "amount must be more than nothing"
            raise ValueError(msg)
        return self

    def promised(self) -> Promised:
        """Return it as the domain has it."""
        shared = self.model_dump(include={"promised_on", "grace_days", "tolerance_percent", "pauses", "source", "note", "status_code"})
        return Promised(
            customer_id=CustomerId(self.customer_id), item_ids=None if self.item_ids is None else [ItemId(one) for one in self.item_ids],
            amount=self.amount.money, reminder=None if self.reminder is None else Reminder(self.reminder.days_before, self.reminder.template), **shared,
        )  # fmt: skip


class PromiseUpdate(Input):
    """What is to change; what is left out stays. Items and amount are for good: cancel the promise and record another."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"promised_on": "2026-03-16", "reason": "Their bank needs until Monday."}]})

    promised_on: dt.date = Field(default=dt.date.min)
    grace_days: GraceDays = Field(default=0)
    tolerance_percent: Tolerance = Field(default=0)
    pauses: Pauses = Field(default=True)
    note: LongText | None = None
    reason: Annotated[LongText | None, Field(description="Why; goes into the history.")] = None

    def fields(self) -> dict[str, Any]:
        """Return what was given, without the reason."""
        return {name: value for name, value in self.given().items() if name != "reason"}


class PromiseItemOut(Output):
    """An item of a promise: what it owed when the promise was given, and what it owes now."""

    item_id: UUID
    number: str
    open_at_start: MoneyOut
    open_amount: MoneyOut


class PromiseOut(Output):
    """A promise. `due_by_then` is what must have come in by its day, with the instalments before.

    It is looked at within seconds of every entry and every day, for 400 days after its last: what was kept is open or broken again when its payment is
    returned, what was broken is kept when money turns up that is dated in time.
    """

    promise_id: UUID
    ledger_id: UUID
    customer_id: UUID
    plan_id: UUID | None
    instalment: int | None
    state: str
    reason: Annotated[
        str | None,
        Field(
            description="kept: `paid`, or `rest_paid` where the rest is not owed. broken: `not_paid`, `payment_returned`. cancelled: `by_hand`, `nothing_owed`, "
            "`plan_broken`. open: what it waits for, `disputed` or `held`; null: for the money."
        ),
    ]
    amount: MoneyOut
    due_by_then: MoneyOut
    received: Annotated[
        MoneyOut,
        Field(
            description="What had come in by its last day, as of the last look: receipts recorded since it was given, by their value dates, set against its "
            "items or left on account. Each cent on account counts for one promise, the oldest first."
        ),
    ]
    paid_on: Annotated[dt.date | None, Field(description="The value date of the last of it.")]
    promised_on: dt.date
    grace_days: int
    last_on: Annotated[
        dt.date | None,
        Field(
            description="The last day on which it can be kept: the promised one with its grace, and a day more for each on which all of it was disputed or "
            "held. Null while that has no end."
        ),
    ]
    tolerance_percent: int
    pauses: bool
    source: str
    note: str | None
    given_on: dt.date
    decided_on: dt.date | None
    follow_up_action_id: UUID | None
    reminder_action_id: UUID | None
    items: list[PromiseItemOut]
    actor: str
    author: Annotated[str, Field(description="The name behind `actor`.")]
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime

    @classmethod
    def of(cls, row: asyncpg.Record) -> PromiseOut:
        """Show a promise."""
        return cls(**promise_fields(row))


class PromiseEventOut(Output):
    """One thing that happened to a promise or a payment plan."""

    kind: str
    actor: str
    author: Annotated[str, Field(description="The name behind `actor`.")]
    at: dt.datetime
    data: dict[str, Any]

    @classmethod
    def of(cls, row: asyncpg.Record) -> PromiseEventOut:
        """Show one."""
        return cls(kind=row["kind"], actor=row["actor"], author=row["author"], at=row["business_at"], data=row["data"])


class PromiseRecord(PromiseOut):
    """A promise with its history: given, moved, kept, broken or cancelled."""

    history: list[PromiseEventOut]

    @classmethod
    def whole(cls, row: asyncpg.Record, history: list[asyncpg.Record]) -> PromiseRecord:
        """Show a promise with its history."""
        return cls(**promise_fields(row), history=[PromiseEventOut.of(one) for one in history])


def promise_fields(row: asyncpg.Record) -> dict[str, Any]:
    """Return the fields of a promise."""
    currency = row["currency"]
    amounts = {"amount": row["amount_minor"], "due_by_then": row["due_by_then_minor"], "received": row["received_minor"]}
    items = [
        PromiseItemOut(
            item_id=item["item_id"], number=item["number"], open_at_start=MoneyOut.of(item["open_at_start_minor"], currency),
            open_amount=MoneyOut.of(item["open_minor"], currency),
        )
        for item in row["items"]
    ]  # fmt: skip
    plain = {name: row[name] for name in PromiseOut.model_fields if name not in {*amounts, "items"}}
    return {**plain, **{name: MoneyOut.of(minor, currency) for name, minor in amounts.items()}, "items": items}


class Cancellation(Input):
    """Why an agreement is taken back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Recorded for the wrong customer."}]})

    reason: LongText


class InstalmentIn(Input):
    """One instalment."""

    promised_on: dt.date
    amount: MoneyIn


class RhythmIn(Input):
    """Instalments of equal size; the first ones take what does not divide."""

    count: Annotated[int, Field(ge=2, le=60)]
    first_on: dt.date
    every_days: Annotated[int | None, Field(ge=1, le=366, description="Days from one to the next; null: a month.")] = None


class PlanCreate(Input):
    """A payment plan: either its instalments, or how many there are and when."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "customer_id": _ID, "item_ids": None, "total": {"amount": "100.00", "currency": "EUR"},
                    "rhythm": {"count": 3, "first_on": "2026-03-31", "every_days": None}, "grace_days": 3, "source": "team", "note": None,
                }
            ]
        }
    )  # fmt: skip

    customer_id: UUID
    item_ids: ItemIds | None = None
    total: Annotated[MoneyIn | None, Field(description="Null: all that is open of the items.")] = None
    currency: Annotated[Currency | None, Field(description="Of which debts, where neither items nor a total are given.")] = None
    instalments: Annotated[list[InstalmentIn], Field(min_length=2, max_length=60)] | None = None
    rhythm: RhythmIn | None = None
    grace_days: GraceDays = 0
    tolerance_percent: Tolerance = 0
    pauses: Pauses = True
    source: Source = "team"
    note: LongText | None = None

    @model_validator(mode="after")
    def _one_way(self) -> PlanCreate:
        if (self.instalments is None) == (self.rhythm is None):
            msg = "give either instalments or rhythm"
            raise ValueError(msg)
        given = [part.amount for part in self.instalments or []] + ([self.total] if self.total else [])
        if any(money.money.minor <= 0 for money in given):
            msg = "each amount must be more than nothing"
            raise ValueError(msg)
        if len({money.currency for money in given}) > 1:
            msg = "a plan is in one currency"
            raise ValueError(msg)
        return self

    def agreed(self) -> Agreed:
        """Return it as the domain has it."""
        shared = self.model_dump(include={"grace_days", "tolerance_percent", "pauses", "source", "note"})
        if self.rhythm is not None:
            instalments: Any = Rhythm(self.rhythm.count, self.rhythm.first_on, self.rhythm.every_days or "month")
        else:
            instalments = [(part.promised_on, part.amount.money) for part in self.instalments or []]
        stated = self.instalments[0].amount.currency if self.instalments else None
        return Agreed(
            customer_id=CustomerId(self.customer_id), item_ids=None if self.item_ids is None else [ItemId(one) for one in self.item_ids],
            total=self.total.money if self.total else None, currency=self.currency or stated, instalments=instalments, **shared,
        )  # fmt: skip


class PlanOut(Output):
    """A payment plan with its instalments."""

    plan_id: UUID
    ledger_id: UUID
    customer_id: UUID
    state: str
    total: MoneyOut
    source: str
    note: str | None
    agreed_on: dt.date
    ended_on: dt.date | None
    actor: str
    author: Annotated[str, Field(description="The name behind `actor`.")]
    instalments: list[PromiseOut]
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime

    @classmethod
    def of(cls, row: asyncpg.Record, instalments: list[asyncpg.Record]) -> PlanOut:
        """Show a plan."""
        return cls(**plan_fields(row, instalments))


class PlanRecord(PlanOut):
    """A payment plan with its history: agreed, kept, broken, open again or cancelled, with the reason where somebody gave one."""

    history: list[PromiseEventOut]

    @classmethod
    def whole(cls, row: asyncpg.Record, instalments: list[asyncpg.Record], history: list[asyncpg.Record]) -> PlanRecord:
        """Show a plan with its history."""
        return cls(**plan_fields(row, instalments), history=[PromiseEventOut.of(one) for one in history])


def plan_fields(row: asyncpg.Record, instalments: list[asyncpg.Record]) -> dict[str, Any]:
    """Return the fields of a plan."""
    plain = {name: row[name] for name in PlanOut.model_fields if name not in {"total", "instalments"}}
    return {**plain, "total": MoneyOut.of(row["total_minor"], row["currency"]), "instalments": [PromiseOut.of(one) for one in instalments]}
