"""The clock of a test-mode tenant: walking it forward."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from dunning.collection import walks
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Page
from dunning_api.schemas.test_clock import ClockAdvance, WalkOut

router = Router(tags=["test clock"])


@router.post("/test-clock/advance", status_code=202, summary="Advance the test clock", responses=problems(409))
async def advance_clock(body: ClockAdvance, work: Annotated[Work, writes("admin", repeatable=True)]) -> WalkOut:
    """Walk the clock of a test-mode tenant forward. A worker stops at each local night of each ledger and at each opening of a send window, and does what is due there; mails go to the sink. Poll `GET /test-clock/walks/{walk_id}`. A live tenant has no settable clock."""
    return WalkOut.of(await walks.advance(work.session, work.clock, tenant_id=work.tenant_id, to=body.to, days=body.days))


@router.get("/test-clock/walks", summary="List walks", responses=problems())
async def list_walks(work: Annotated[Work, reads()], limit: paging.Limit = 100, cursor: paging.Cursor = None) -> Page[WalkOut]:
    """List walks of the clock, newest first."""
    key = paging.unseal(work.keyring, "walks", cursor, 1)
    rows = await walks.walks_before(work.session, tenant_id=work.tenant_id, before=UUID(key[0]) if key else None, limit=limit + 1)
    more = paging.seal(work.keyring, "walks", rows[limit - 1]["walk_id"]) if len(rows) > limit else None
    return Page(data=[WalkOut.of(row) for row in rows[:limit]], next_cursor=more)


@router.get("/test-clock/walks/{walk_id}", summary="Get a walk", responses=problems(404))
async def get_walk(walk_id: UUID, work: Annotated[Work, reads()]) -> WalkOut:
    """Return a walk: where it has come to, and which nights it has passed."""
    return WalkOut.of(await walks.walk_of(work.session, tenant_id=work.tenant_id, walk_id=walk_id))
