"""Ledgers: one company's receivables each."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from dunning.kit.ids import LedgerId
from dunning.ledger import ledgers
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.etags import IfMatch, expected_revision, tag
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Page
from dunning_api.schemas.ledgers import Freshness, LedgerCreate, LedgerOut, LedgerUpdate

router = Router(tags=["ledgers"])


@router.post("/ledgers", status_code=201, summary="Create a ledger", responses=problems(404, 409))
async def create_ledger(body: LedgerCreate, work: Annotated[Work, writes("ledger:write", repeatable=True)], response: Response) -> LedgerOut:
    """Create a ledger. Nobody is reminded until a scenario is assigned, a first run was approved and sending is on."""
    ledger = await ledgers.create_ledger(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, **body.fields())
    tag(response, ledger.version)
    return LedgerOut.of(ledger)


@router.get("/ledgers", summary="List ledgers", responses=problems())
async def list_ledgers(
    work: Annotated[Work, reads()],
    external_id: Annotated[str | None, Query(max_length=200, description="Your own id of the ledger.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[LedgerOut]:
    """List ledgers, oldest first."""
    key = paging.unseal(work.keyring, "ledgers", cursor, 1)
    found = await ledgers.ledgers_after(work.session, tenant_id=work.tenant_id, after=UUID(key[0]) if key else None, limit=limit + 1, external_id=external_id)
    more = paging.seal(work.keyring, "ledgers", found[limit - 1].ledger_id) if len(found) > limit else None
    return Page(data=[LedgerOut.of(ledger) for ledger in found[:limit]], next_cursor=more)


@router.get("/ledgers/{ledger_id}", summary="Get a ledger", responses=problems(404))
async def get_ledger(ledger_id: UUID, work: Annotated[Work, reads()], response: Response) -> LedgerOut:
    """Return a ledger; its ETag goes into `If-Match` of a change."""
    ledger = await ledgers.ledger_of(work.session, tenant_id=work.tenant_id, ledger_id=LedgerId(ledger_id))
    tag(response, ledger.version)
    return LedgerOut.of(ledger)


@router.patch("/ledgers/{ledger_id}", summary="Change a ledger", responses=problems(404, 409, 412, 428))
async def update_ledger(
    ledger_id: UUID, body: LedgerUpdate, work: Annotated[Work, writes("ledger:write")], response: Response, if_match: IfMatch = None
) -> LedgerOut:
    """Change settings; what is left out stays. All customers are planned again. 412 when somebody changed it since you read it."""
    ledger = await ledgers.update_ledger(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        ledger_id=LedgerId(ledger_id),
        expected_version=expected_revision(if_match),
        **body.fields(),
    )
    tag(response, ledger.version)
    return LedgerOut.of(ledger)


@router.put("/ledgers/{ledger_id}/freshness", summary="State how fresh the facts are", responses=problems(404))
async def state_freshness(ledger_id: UUID, body: Freshness, work: Annotated[Work, writes("ledger:write")]) -> LedgerOut:
    """State that all facts up to an instant have been sent. With `freshness_limit_hours`, automatic sending stops when this grows old."""
    ledger = await ledgers.state_freshness(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        ledger_id=LedgerId(ledger_id),
        complete_as_of=body.complete_as_of,
    )
    return LedgerOut.of(ledger)
