"""Shapes of the event feed."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from dunning_api.schemas.base import Output


class EventOut(Output):
    """One event: ids and words; read the object for its present state."""

    seq: int
    event_id: UUID
    kind: str
    subject_kind: str
    subject_id: UUID
    customer_id: UUID | None
    data: dict[str, Any]
    actor: str
    business_at: dt.datetime
    recorded_at: dt.datetime


class EventFeed(Output):
    """Events in order; ask again with `after` = `last`."""

    data: list[EventOut]
    last: int
