"""Promises to pay."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Response

from dunning.collection import promises
from dunning.collection.despatch import Outbound
from dunning.collection.promise_store import PromiseFilter
from dunning.kit.ids import PromiseId
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.etags import IfMatch, expected_revision, tag
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Day, Page
from dunning_api.schemas.promises import Cancellation, PromiseCreate, PromiseOut, PromiseRecord, PromiseUpdate

router = Router(tags=["promises"])


@router.post("/promises", status_code=201, summary="Record a promise", responses=problems(404, 409))
async def record_promise(body: PromiseCreate, work: Annotated[Work, writes("collection:write", repeatable=True)], response: Response) -> PromiseOut:
    """Record what a customer promises to pay and until when. Kept and broken are found by themselves; a call is on the list for the day after its last.

    What is disputed or held is not owed meanwhile: the verdict is about the rest, and while that is nothing the promise waits.
    """
    if body.reminder is not None:
        work.require("send")
    row = await promises.record_promise(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, promised=body.promised(), outbound=Outbound.of(work.settings, work.keyring)
    )
    tag(response, row["version"])
    return PromiseOut.of(row)


@router.get("/promises", summary="List promises", responses=problems(404))
async def list_promises(
    work: Annotated[Work, reads()],
    ledger: Annotated[UUID | None, Query(description="Only promises of this ledger.")] = None,
    customer: Annotated[UUID | None, Query(description="Only promises of this customer.")] = None,
    item: Annotated[UUID | None, Query(description="Only promises about this item.")] = None,
    plan: Annotated[UUID | None, Query(description="Only instalments of this payment plan.")] = None,
    state: Annotated[Literal["open", "kept", "broken", "cancelled"] | None, Query(description="Only promises in this state.")] = None,
    promised_from: Annotated[Day | None, Query(description="Promised for this day or later.")] = None,
    promised_to: Annotated[Day | None, Query(description="Promised for this day or earlier.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[PromiseOut]:
    """List promises with their items and what has come in, oldest first."""
    key = paging.unseal(work.keyring, "promises", cursor, 1)
    where = PromiseFilter(
        ledger_id=ledger, customer_id=customer, item_id=item, plan_id=plan, state=state, from_on=promised_from, to_on=promised_to
    )  # fmt: skip
    found = await promises.promises_after(work.session, tenant_id=work.tenant_id, where=where, after=UUID(key[0]) if key else None, limit=limit + 1)
    more = paging.seal(work.keyring, "promises", found[limit - 1]["promise_id"]) if len(found) > limit else None
    return Page(data=[PromiseOut.of(row) for row in found[:limit]], next_cursor=more)


@router.get("/promises/{promise_id}", summary="Get a promise", responses=problems(404))
async def get_promise(promise_id: UUID, work: Annotated[Work, reads()], response: Response) -> PromiseRecord:
    """Return a promise with its history; its ETag goes into `If-Match` of a change."""
    row = await promises.promise_of(work.session, tenant_id=work.tenant_id, promise_id=PromiseId(promise_id))
    tag(response, row["version"])
    return PromiseRecord.whole(row, await promises.history_of(work.session, tenant_id=work.tenant_id, promise=row))


@router.patch("/promises/{promise_id}", summary="Move or change a promise", responses=problems(404, 409, 412, 428))
async def update_promise(
    promise_id: UUID, body: PromiseUpdate, work: Annotated[Work, writes("collection:write")], response: Response, if_match: IfMatch = None
) -> PromiseOut:
    """Move an open promise to another day, or change its grace, tolerance, pause or note. The day it had stays in its history."""
    row = await promises.change_promise(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, promise_id=PromiseId(promise_id),
        expected_version=expected_revision(if_match), reason=body.reason, outbound=Outbound.of(work.settings, work.keyring), **body.fields(),
    )  # fmt: skip
    tag(response, row["version"])
    return PromiseOut.of(row)


@router.post("/promises/{promise_id}/cancel", summary="Take a promise back", responses=problems(404, 409))
async def cancel_promise(promise_id: UUID, body: Cancellation, work: Annotated[Work, writes("collection:write")]) -> PromiseOut:
    """Cancel an open promise: its items have the status that they had before, and are reminded of again."""
    row = await promises.cancel_promise(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, promise_id=PromiseId(promise_id), reason=body.reason,
        outbound=Outbound.of(work.settings, work.keyring),
    )  # fmt: skip
    return PromiseOut.of(row)
