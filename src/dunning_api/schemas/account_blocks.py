"""Shapes of account blocks."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
from pydantic import ConfigDict, Field

from dunning_api.schemas.base import Input, LongText, MoneyOut, Output, Text

Degree = Literal["no_changes", "no_new_orders", "no_deliveries", "full"]


class BlockCreate(Input):
    """What a customer may not do any more, and why."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "customer_id": "0198c0de-0000-7000-8000-000000000001", "degree": "no_new_orders", "reason": "Invoices are open for two months.",
                    "item_ids": None, "lifts_when_settled": True,
                }
            ]
        }
    )  # fmt: skip

    customer_id: UUID
    degree: Annotated[Degree, Field(description="From the mildest to the strictest: no_changes, no_new_orders, no_deliveries, full.")]
    reason: LongText
    item_ids: Annotated[list[UUID] | None, Field(min_length=1, max_length=1000, description="The items that cause it; null: everything overdue.")] = None
    lifts_when_settled: Annotated[bool, Field(description="Whether it ends by itself when these items are settled.")] = True
    renewable: Annotated[bool, Field(description="Whether it comes back when a payment by which it was lifted is returned.")] = True


class BlockLift(Input):
    """Why a block ends."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Payment was confirmed by their bank."}]})

    reason: LongText


class BlockConfirm(Input):
    """What the CRM has carried out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"what": "blocked", "reference": "CRM-4711", "note": None}]})

    what: Literal["blocked", "unblocked"]
    reference: Annotated[Text | None, Field(description="The CRM's own id of what it did.")] = None
    note: LongText | None = None


class BlockItemOut(Output):
    """An item that causes a block."""

    item_id: UUID
    number: str
    open_amount: MoneyOut


class BlockOut(Output):
    """An account block. A step places it (`origin` step) or a person; it ends when its items are settled, or by hand."""

    block_id: UUID
    ledger_id: UUID
    customer_id: UUID
    state: str
    degree: str
    reason: str
    origin: str
    action_id: UUID | None
    lifts_when_settled: bool
    renewable: Annotated[bool, Field(description="Whether it comes back when a payment by which it was lifted is returned.")]
    renews_id: Annotated[UUID | None, Field(description="The block that has come back with this one.")]
    items: list[BlockItemOut]
    placed_on: dt.date
    placed_by: str
    placed_by_name: str
    lifted_on: dt.date | None
    lifted_by: str | None
    lifted_by_name: str | None
    lifted_because: str | None
    confirmed: Annotated[dict[str, Any], Field(description="What the CRM has confirmed: `blocked` and `unblocked`, each with reference, note, actor, at.")]
    created_at: dt.datetime
    updated_at: dt.datetime

    @classmethod
    def of(cls, row: asyncpg.Record) -> BlockOut:
        """Show a block."""
        items = [
            BlockItemOut(item_id=item["item_id"], number=item["number"], open_amount=MoneyOut.of(item["open_minor"], item["currency"])) for item in row["items"]
        ]
        plain = {name: row[name] for name in cls.model_fields if name not in {"items", "confirmed"}}
        return cls(**plain, items=items, confirmed=row["confirmed"] or {})
