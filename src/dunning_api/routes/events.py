"""The feed of what happened."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field

from dunning.events import service as events
from dunning_api.deps import Work, reads
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.events import EventFeed, EventOut

router = Router(tags=["events"])

Kind = Annotated[str, Field(max_length=80, pattern=r"^[a-z_]+\.[a-z_]+$", examples=["action.executed"])]


@router.get("/events", summary="What happened, in order", responses=problems())
async def list_events(
    work: Annotated[Work, reads()],
    after: Annotated[int, Query(ge=0, le=2**62, description="Number of the last event you have processed; 0 begins at the first.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    kind: Annotated[list[Kind] | None, Query(description="Only these kinds.", max_length=50)] = None,
) -> EventFeed:
    """Return events past a number. Numbers rise without gaps in the order of commit, so that a reader who stores the last number misses nothing; reading again from an older number gives the same events."""
    found = await events.events_after(work.session, tenant_id=work.tenant_id, after=after, limit=limit, kinds=kind)
    return EventFeed(data=[EventOut(**event) for event in found], last=found[-1]["seq"] if found else after)
