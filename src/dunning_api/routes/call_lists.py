"""Call lists: whom to call on a day, in which order, and putting customers on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path
from fastapi.responses import StreamingResponse

from dunning.collection import call_lists, call_tasks, worklist
from dunning.collection.worklist import Whose
from dunning.kit.ids import LedgerId
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.routes.agenda import EverybodyQuery, LedgerQuery, PersonQuery, TeamQuery, whose
from dunning_api.schemas.base import Day
from dunning_api.schemas.call_lists import CallListPage, CallListRow, CallTasksCreate, CallTasksOut, PrioritiesOut

router = Router(tags=["call lists"])

On = Annotated[Day, Path(description="The day; calls that waited for an earlier one are on its list too.", examples=["2026-03-02"])]
_CSV: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/csv": {"schema": {"type": "string"}}},
        "description": "A customer in its order has a line a currency, with `currency` and `overdue` as a plain number; one where nothing is overdue. `collector` leads it, `callers` are whose the calls are.",
    }
}


@router.get("/call-lists/{date}", summary="Whom to call on a day", responses=problems(404))
async def get_call_list(
    date: On,
    work: Annotated[Work, reads()],
    person: PersonQuery = None,
    team: TeamQuery = None,
    ledger: LedgerQuery = None,
    everybody: EverybodyQuery = False,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> CallListPage:
    """List customers whose call waits, the most urgent first, with phone numbers, amounts and last contact. The priority is a sum of named parts; each is shown. Those whom the contact budget keeps from being called yet stand last, with the day from which they may."""
    key = paging.unseal(work.keyring, "call_list", cursor, 3)
    found = await call_lists.call_list(
        work.session, work.clock, tenant_id=work.tenant_id, on=date, whose=whose(work, person, team, ledger, everybody=everybody),
        after=(key[0] == "True", int(key[1]), UUID(key[2])) if key else None, limit=limit + 1,
    )  # fmt: skip
    last = found.rows[limit - 1].ranked if len(found.rows) > limit else None
    more = None if last is None else paging.seal(work.keyring, "call_list", last.not_before is not None, last.score, last.customer_id)
    return CallListPage(on=date, customers=found.customers, not_yet=found.not_yet, data=[CallListRow.of(row) for row in found.rows[:limit]], next_cursor=more)


@router.get("/call-lists/{date}/export.csv", response_class=StreamingResponse, summary="A call list as CSV", responses={**problems(404), **_CSV})
async def export_call_list(
    date: On,
    work: Annotated[Work, reads()],
    person: PersonQuery = None,
    team: TeamQuery = None,
    ledger: LedgerQuery = None,
    everybody: EverybodyQuery = False,
) -> StreamingResponse:
    """Return the whole list of a day in its order; safe to open in a spreadsheet program."""
    chosen = whose(work, person, team, ledger, everybody=everybody)
    await worklist.scope_of(work.session, work.clock, tenant_id=work.tenant_id, whose=chosen)
    await worklist.known(work.session, tenant_id=work.tenant_id, whose=chosen)
    headers = {"Content-Disposition": f'attachment; filename="calls-{date}.csv"'}
    return StreamingResponse(_export(work, date, chosen), media_type="text/csv", headers=headers)


async def _export(work: Work, date: Day, chosen: Whose) -> AsyncIterator[bytes]:
    # The route's own transaction ends before the body is sent, so the stream opens one of its own.
    async with work.reading_again() as session:
        async for chunk in call_lists.as_csv(session, work.clock, tenant_id=work.tenant_id, on=date, whose=chosen):
            yield chunk


@router.post("/call-tasks", summary="Put customers on the phone list", responses=problems(404))
async def create_call_tasks(body: CallTasksCreate, work: Annotated[Work, writes("collection:write", repeatable=True)]) -> CallTasksOut:
    """Make a call task for each of some customers, or for those of chosen activities, and say what became of each. Whose call waits already for that day or one before it keeps that one; whose contact budget is spent on the day is refused."""
    if body.override_contact_budget:
        work.require("budget:override")
    results = await call_tasks.create_call_tasks(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, calls=body.calls())
    return CallTasksOut.of(results, dry_run=body.dry_run)


@router.get("/ledgers/{ledger_id}/call-priorities", summary="How calls are ordered", responses=problems(404))
async def get_call_priorities(ledger_id: UUID, work: Annotated[Work, reads()]) -> PrioritiesOut:
    """Return the weights by which a ledger's calls are ordered: its own `priority_weights` over the defaults."""
    return PrioritiesOut.model_validate(await call_lists.weights_of(work.session, tenant_id=work.tenant_id, ledger_id=LedgerId(ledger_id)))
