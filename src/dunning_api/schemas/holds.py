"""Shapes of holds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from dunning.ledger.hold_store import Hold
from dunning.ledger.rows import Code
from dunning_api.schemas.base import Input, LongText, Output


class HoldCreate(Input):
    """Reminding stops for one ledger, customer or item."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "scope": "customer",
                    "object_id": "0198c0de-0000-7000-8000-000000000001",
                    "reason": "payment_in_flight",
                    "until_on": "2026-03-20",
                    "comment": "They sent the bank's confirmation.",
                }
            ]
        }
    )

    scope: Literal["ledger", "customer", "item"]
    object_id: Annotated[UUID, Field(description="Id of the ledger, customer or item.")]
    reason: Annotated[Code, Field(description="A code of your own; items held for `dispute` count as disputed in the position.")]
    comment: LongText | None = None
    from_on: Annotated[dt.date | None, Field(description="First held day; missing: today.")] = None
    until_on: Annotated[dt.date | None, Field(description="Last held day; null holds until it is released.")] = None


class HoldOut(Output):
    """A hold. It ends by itself after `until_on`, or when it is released. Names are of those behind `created_by` and `released_by`."""

    hold_id: UUID
    ledger_id: UUID
    customer_id: UUID | None
    item_id: UUID | None
    scope: str
    origin: str
    reason: str
    comment: str | None
    from_on: dt.date
    until_on: dt.date | None
    created_by: str
    created_by_name: str
    created_at: dt.datetime
    released_at: dt.datetime | None
    released_by: str | None
    released_by_name: str | None

    @classmethod
    def of(cls, hold: Hold, names: Mapping[str, str]) -> HoldOut:
        """Show a hold with the names of who set and released it."""
        shown = {name: getattr(hold, name) for name in cls.model_fields if not name.endswith("_name")}
        released_by = hold.released_by
        return cls(**shown, created_by_name=names.get(hold.created_by, hold.created_by), released_by_name=released_by and names.get(released_by, released_by))
