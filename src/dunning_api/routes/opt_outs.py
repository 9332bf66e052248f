"""Opt-outs from notices before the due date: listed, recorded for somebody who asked by phone, and taken back."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path

from dunning.kit.ids import CustomerId
from dunning.ledger import opt_outs
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.opt_outs import OptOutCreate, OptOutList, OptOutOut

router = Router(tags=["customers"])


@router.get("/customers/{customer_id}/opt-outs", summary="List opt-outs of a customer", responses=problems(404))
async def list_opt_outs(customer_id: UUID, work: Annotated[Work, reads()]) -> OptOutList:
    """List the addresses of a customer that want no notices before the due date, with the contacts that have them. Reminders of what is overdue still go there."""
    found = await opt_outs.opt_outs_of(work.session, tenant_id=work.tenant_id, customer_id=CustomerId(customer_id))
    return OptOutList(data=[OptOutOut.of(one) for one in found])


@router.post("/customers/{customer_id}/opt-outs", status_code=201, summary="Record an opt-out", responses=problems(404))
async def create_opt_out(customer_id: UUID, body: OptOutCreate, work: Annotated[Work, writes("collection:write", repeatable=True)]) -> OptOutOut:
    """Record that a contact wants no notices before the due date, where it said so otherwise than by the link of a mail. Recording it again keeps the first day."""
    made = await opt_outs.opt_out_contact(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        customer_id=CustomerId(customer_id),
        external_id=body.contact_external_id,
    )
    return OptOutOut.of(made)


@router.delete("/customers/{customer_id}/opt-outs/{opt_out_key}", status_code=204, summary="Take an opt-out back", responses=problems(404))
async def revoke_opt_out(
    customer_id: UUID,
    opt_out_key: Annotated[str, Path(max_length=64, pattern="^[0-9a-f]*$", description="`key` of the list.")],
    work: Annotated[Work, writes("collection:write")],
) -> None:
    """Let notices before the due date go to the address again, because its reader asked for them."""
    await opt_outs.revoke_opt_out(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, customer_id=CustomerId(customer_id), key=opt_out_key)
