"""Shapes of the settable clock of test-mode tenants."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
from pydantic import AwareDatetime, ConfigDict, Field

from dunning_api.schemas.base import Input, Output


class ClockAdvance(Input):
    """Where the clock goes: an instant, or a number of days."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"days": 7}, {"to": "2026-03-31T08:00:00Z"}]})

    to: AwareDatetime | None = None
    days: Annotated[int, Field(ge=1, le=400)] | None = None


class WalkedNight(Output):
    """A ledger's night on the way."""

    ledger_id: UUID
    local_date: dt.date
    at: dt.datetime


class WalkOut(Output):
    """A walk of the clock. `nights` grows while it is under way."""

    walk_id: UUID
    from_at: dt.datetime
    to_at: dt.datetime
    state: Literal["queued", "walking", "done", "failed"]
    nights: list[WalkedNight]
    error: str | None
    created_at: dt.datetime
    finished_at: dt.datetime | None

    @classmethod
    def of(cls, row: asyncpg.Record) -> WalkOut:
        """Show a walk."""
        fields = {name: row[name] for name in cls.model_fields if name != "nights"}
        return cls(**fields, nights=[WalkedNight(**night) for night in row["nights"]])
