"""Runs: propose, look, edit, commit, verify."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query

from dunning.collection import runs
from dunning.collection.despatch import Outbound
from dunning.collection.verify import verify_run as verify
from dunning.kit.ids import CustomerId, LedgerId, RunId
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Page
from dunning_api.schemas.runs import Outcome, RunCustomerOut, RunCustomerUpdate, RunLaunch, RunOut, RunState, VerificationOut

router = Router(tags=["runs"])


@router.post("/ledgers/{ledger_id}/runs", status_code=202, summary="Launch a run", responses=problems(404, 409))
async def launch_run(ledger_id: UUID, body: RunLaunch, work: Annotated[Work, writes("collection:write", idempotent=True)]) -> RunOut:
    """Queue a run: a worker plans it and it becomes a proposal, to be looked at, edited and committed. Poll `GET /runs/{run_id}`.

    One run of a ledger is open at a time; 409 names it. A dry run may always be launched and stores nothing on customers. With `commit_at_once` the run goes out by itself where nothing holds it; else it stays a proposal and `held_because` says why.
    """
    if body.commit_at_once:
        work.require("send")
    chosen = body.filter
    run = await runs.launch_run(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        ledger_id=LedgerId(ledger_id),
        dry_run=body.dry_run,
        commit_at_once=body.commit_at_once,
        content_mode=body.content_mode,
        customer_ids=None if chosen is None or chosen.customer_ids is None else [CustomerId(i) for i in chosen.customer_ids],
        customer_external_ids=None if chosen is None else chosen.customer_external_ids,
        customer_groups=None if chosen is None else chosen.customer_groups,
    )
    return RunOut.of(run)


@router.get("/runs", summary="List runs", responses=problems())
async def list_runs(
    work: Annotated[Work, reads()],
    ledger: Annotated[UUID | None, Query(description="Only runs of this ledger.")] = None,
    state: Annotated[RunState | None, Query(description="Only runs in this state; `proposed` waits for a person.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[RunOut]:
    """List runs, newest first."""
    key = paging.unseal(work.keyring, "runs", cursor, 1)
    rows = await runs.runs_before(work.session, tenant_id=work.tenant_id, before=UUID(key[0]) if key else None, limit=limit + 1, ledger_id=ledger, state=state)
    more = paging.seal(work.keyring, "runs", rows[limit - 1]["run_id"]) if len(rows) > limit else None
    return Page(data=[RunOut.of(row) for row in rows[:limit]], next_cursor=more)


@router.get("/runs/{run_id}", summary="Get a run", responses=problems(404))
async def get_run(run_id: UUID, work: Annotated[Work, reads()]) -> RunOut:
    """Return a run: state, counts, why items were left out, how long it took, how many nobody could be told of."""
    return RunOut.of(await runs.run_of(work.session, tenant_id=work.tenant_id, run_id=RunId(run_id)))


@router.get("/runs/{run_id}/customers", summary="What a run decided", responses=problems(404))
async def list_run_customers(
    run_id: UUID,
    work: Annotated[Work, reads()],
    outcome: Annotated[Outcome | None, Query(description="Only customers with this outcome; `failed` is the list of errors.")] = None,
    with_actions: Annotated[bool | None, Query(description="Only customers that got an action, or only those that did not.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[RunCustomerOut]:
    """List the customers that were looked at, with their actions, passed-over steps and the reason and first possible day of every item that is left out."""
    key = paging.unseal(work.keyring, "run_customers", cursor, 1)
    rows = await runs.customers_after(
        work.session,
        tenant_id=work.tenant_id,
        run_id=RunId(run_id),
        after=UUID(key[0]) if key else None,
        limit=limit + 1,
        outcome=outcome,
        with_actions=with_actions,
    )
    more = paging.seal(work.keyring, "run_customers", rows[limit - 1]["customer_id"]) if len(rows) > limit else None
    return Page(data=[RunCustomerOut.of(row) for row in rows[:limit]], next_cursor=more)


@router.patch("/runs/{run_id}/customers/{customer_id}", summary="Take a customer out of a proposal", responses=problems(404, 409))
async def update_run_customer(run_id: UUID, customer_id: UUID, body: RunCustomerUpdate, work: Annotated[Work, writes("collection:write")]) -> RunCustomerOut:
    """Leave a customer out of a proposal, or take it back in. A nightly run that replaces the proposal keeps the exclusion."""
    row = await runs.exclude_customer(
        work.session,
        tenant_id=work.tenant_id,
        actor=work.actor,
        run_id=RunId(run_id),
        customer_id=CustomerId(customer_id),
        excluded=body.excluded,
        reason=body.reason,
    )
    return RunCustomerOut.of(row)


@router.post("/runs/{run_id}/customers/{customer_id}/retry", summary="Carry out a failed customer again", responses=problems(404, 409))
async def retry_run_customer(run_id: UUID, customer_id: UUID, work: Annotated[Work, writes("send", idempotent=True)]) -> RunCustomerOut:
    """Carry out once more what failed for one customer of a committed run."""
    row = await runs.retry_customer(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        run_id=RunId(run_id),
        customer_id=CustomerId(customer_id),
        outbound=Outbound.of(work.settings, work.keyring),
    )
    return RunCustomerOut.of(row)


@router.post("/runs/{run_id}/commit", status_code=202, summary="Let a proposal go out", responses=problems(404, 409))
async def commit_run(run_id: UUID, work: Annotated[Work, writes("send", idempotent=True)]) -> RunOut:
    """Commit a proposal: a worker looks at each customer once more and sends what is still right. Facts that have changed since drop out; nothing is added. The first commit of a ledger lets its nightly runs go out by themselves where its run mode is automatic."""
    run = await runs.commit_run(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, run_id=RunId(run_id))
    return RunOut.of(run)


@router.post("/runs/{run_id}/cancel", summary="Give up a run", responses=problems(404, 409))
async def cancel_run(run_id: UUID, work: Annotated[Work, writes("collection:write")]) -> RunOut:
    """Cancel a run that has not begun to go out."""
    return RunOut.of(await runs.cancel_run(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, run_id=RunId(run_id)))


@router.post("/runs/{run_id}/verify", summary="Verify a run", responses=problems(404))
async def verify_run(run_id: UUID, work: Annotated[Work, reads()]) -> VerificationOut:
    """Decide again from the stored inputs what the run decided for every customer that got an action. Must agree; else each difference is shown. Changes nothing."""
    return VerificationOut.of(await verify(work.session, tenant_id=work.tenant_id, run_id=RunId(run_id)))
