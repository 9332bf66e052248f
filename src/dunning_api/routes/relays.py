"""Relays and suppressed addresses: what keeps mail from leaving, and how a person lets it go again."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from dunning.messages import relay_service, suppressions
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Page
from dunning_api.schemas.messages import RelayList, RelayOut, SuppressionOut

router = Router(tags=["messages"])


@router.get("/relays", summary="List relays", responses=problems())
async def list_relays(work: Annotated[Work, reads()]) -> RelayList:
    """List the relays and whether they take mail, with advice where a person must act."""
    return RelayList(data=[RelayOut.of(relay) for relay in await relay_service.relays_of(work.session, tenant_id=work.tenant_id)])


@router.post("/relays/{name}/resume", summary="Resume your own queue at a relay", responses=problems(404, 409))
async def resume_relay(
    name: Annotated[str, Path(max_length=40, description="`smtp` or `sink`.", examples=["smtp"])], work: Annotated[Work, writes("admin")]
) -> RelayOut:
    """Let your own mail go again after the cause of the relay's refusals was mended. A queue that was not stopped stays as it is. A relay that is suspended for everybody is its operator's to resume (409)."""
    return RelayOut.of(await relay_service.resume_own_queue(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, name=name))


@router.get("/suppressions", summary="List suppressed addresses", responses=problems())
async def list_suppressions(
    work: Annotated[Work, reads()],
    address: Annotated[str | None, Query(max_length=320, description="Only this address, whole.", examples=["ap@customer.example"])] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[SuppressionOut]:
    """List addresses to which nothing is sent. They are kept as digests; `address` finds one by its text."""
    key = paging.unseal(work.keyring, "suppressions", cursor, 1)
    found = await suppressions.suppressions_after(work.session, tenant_id=work.tenant_id, after=key[0] if key else None, limit=limit + 1, address=address)
    more = paging.seal(work.keyring, "suppressions", found[limit - 1].key) if len(found) > limit else None
    return Page(data=[SuppressionOut.of(one) for one in found[:limit]], next_cursor=more)


@router.delete("/suppressions/{key}", status_code=204, summary="Lift a suppression", responses=problems(404))
async def lift_suppression(
    key: Annotated[str, Path(max_length=64, pattern="^[0-9a-f]*$", description="`key` of the list.")], work: Annotated[Work, writes("send")]
) -> None:
    """Take an address off the list after a person has confirmed that it works. Messages that ended for it stay ended."""
    await suppressions.lift_suppression(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, key=key)
