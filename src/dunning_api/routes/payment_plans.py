"""Payment plans: debts paid in instalments."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query

from dunning.collection import payment_plans
from dunning.collection.despatch import Outbound
from dunning.kit.ids import PlanId
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Page
from dunning_api.schemas.promises import Cancellation, PlanCreate, PlanOut, PlanRecord

router = Router(tags=["payment plans"])


@router.post("/payment-plans", status_code=201, summary="Agree on a payment plan", responses=problems(404, 409))
async def agree_payment_plan(body: PlanCreate, work: Annotated[Work, writes("collection:write", repeatable=True)]) -> PlanOut:
    """Agree on instalments, each a promise. They add up to the total to the cent; one that is missing breaks the plan and ends the rest."""
    row = await payment_plans.agree_plan(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, agreed=body.agreed(), outbound=Outbound.of(work.settings, work.keyring)
    )
    return await _whole(work, PlanId(row["plan_id"]))


@router.get("/payment-plans", summary="List payment plans", responses=problems(404))
async def list_payment_plans(
    work: Annotated[Work, reads()],
    ledger: Annotated[UUID | None, Query(description="Only plans of this ledger.")] = None,
    customer: Annotated[UUID | None, Query(description="Only plans of this customer.")] = None,
    state: Annotated[Literal["active", "kept", "broken", "cancelled"] | None, Query(description="Only plans in this state.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[PlanOut]:
    """List plans with their instalments, oldest first."""
    key = paging.unseal(work.keyring, "payment_plans", cursor, 1)
    found = await payment_plans.plans_after(
        work.session, tenant_id=work.tenant_id, after=UUID(key[0]) if key else None, limit=limit + 1, ledger_id=ledger, customer_id=customer, state=state
    )
    more = paging.seal(work.keyring, "payment_plans", found[limit - 1]["plan_id"]) if len(found) > limit else None
    parts = await payment_plans.instalments_of(work.session, tenant_id=work.tenant_id, plan_ids=[row["plan_id"] for row in found[:limit]])
    return Page(data=[PlanOut.of(row, parts[row["plan_id"]]) for row in found[:limit]], next_cursor=more)


@router.get("/payment-plans/{plan_id}", summary="Get a payment plan", responses=problems(404))
async def get_payment_plan(plan_id: UUID, work: Annotated[Work, reads()]) -> PlanRecord:
    """Return a plan with its instalments and its history."""
    row = await payment_plans.plan_of(work.session, tenant_id=work.tenant_id, plan_id=PlanId(plan_id))
    parts = await payment_plans.instalments_of(work.session, tenant_id=work.tenant_id, plan_ids=[plan_id])
    return PlanRecord.whole(row, parts[plan_id], await payment_plans.history_of(work.session, tenant_id=work.tenant_id, plan=row))


@router.post("/payment-plans/{plan_id}/cancel", summary="Take a payment plan back", responses=problems(404, 409))
async def cancel_payment_plan(plan_id: UUID, body: Cancellation, work: Annotated[Work, writes("collection:write")]) -> PlanOut:
    """Cancel what is left of an active plan. Instalments that were kept stay kept."""
    await payment_plans.cancel_plan(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, plan_id=PlanId(plan_id), reason=body.reason,
        outbound=Outbound.of(work.settings, work.keyring),
    )  # fmt: skip
    return await _whole(work, PlanId(plan_id))


async def _whole(work: Work, plan_id: PlanId) -> PlanOut:
    row = await payment_plans.plan_of(work.session, tenant_id=work.tenant_id, plan_id=plan_id)
    parts = await payment_plans.instalments_of(work.session, tenant_id=work.tenant_id, plan_ids=[plan_id])
    return PlanOut.of(row, parts[plan_id])
