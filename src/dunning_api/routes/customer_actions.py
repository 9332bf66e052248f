"""Actions outside the scenario, and single messages, from a customer's page."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from dunning.collection import actions, customer_messages, patterns, specific
from dunning.collection.despatch import Outbound
from dunning.kit.ids import ActionId, CustomerId
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.action_content import ActionCreate, CustomerMessage, CustomerMessagePreview
from dunning_api.schemas.actions import ActionWithParts, MessagePreviewOut

router = Router(tags=["actions"])


async def _whole(work: Work, action_id: UUID) -> ActionWithParts:
    row = await actions.action_of(work.session, tenant_id=work.tenant_id, action_id=ActionId(action_id))
    return ActionWithParts.whole(row, await actions.parts_of(work.session, tenant_id=work.tenant_id, action_id=ActionId(action_id)))


@router.post("/customers/{customer_id}/actions", status_code=201, summary="Make an action outside the scenario", responses=problems(404, 409))
async def create_action(customer_id: UUID, body: ActionCreate, work: Annotated[Work, writes("collection:write", idempotent=True)]) -> ActionWithParts:
    """Make an action over chosen open items: from scratch, or copied from a step, an action or a model and personalised. `specific` takes the items out of the scenario until it ends. What goes by itself needs the scope `send`."""
    new = await patterns.new_action(
        work.session, tenant_id=work.tenant_id, source=body.source(), given=body.terms() | {"origin": body.origin}, content=body.stated_content()
    )
    if new.sends:
        work.require("send")
    if new.beyond_budget:
        work.require("budget:override")
    made = await specific.create_for_customer(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, customer_id=CustomerId(customer_id), item_ids=body.item_ids, new=new,
        outbound=Outbound.of(work.settings, work.keyring),
    )  # fmt: skip
    return await _whole(work, made["action_id"])


@router.post("/customers/{customer_id}/messages", status_code=201, summary="Send a customer one message", responses=problems(404, 409))
async def send_message(customer_id: UUID, body: CustomerMessage, work: Annotated[Work, writes("send", idempotent=True)]) -> ActionWithParts:
    """Send one message from a template now, about chosen open items or all of them. It stands beside the scenario: no step, no spacing. Look at it first with `…/messages/preview`."""
    made = await customer_messages.send_message(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, customer_id=CustomerId(customer_id), item_ids=body.item_ids,
        title=body.title, content=body.message(), counts_as_step=body.counts_as_step, outbound=Outbound.of(work.settings, work.keyring),
    )  # fmt: skip
    return await _whole(work, made["action_id"])


@router.post("/customers/{customer_id}/messages/preview", summary="Look at a message to a customer", responses=problems(404, 409))
async def preview_message(customer_id: UUID, body: CustomerMessagePreview, work: Annotated[Work, reads()]) -> MessagePreviewOut:
    """Show what the message would say now, to how many people, and which items it would leave out. What sending it would refuse is refused here with the same problem. Nothing is written or sent; the link is hidden."""
    return MessagePreviewOut.of(
        await customer_messages.preview_message(
            work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, customer_id=CustomerId(customer_id), item_ids=body.item_ids,
            content=body.message(), counts_as_step=body.counts_as_step, language=body.language, outbound=Outbound.of(work.settings, work.keyring),
        )
    )  # fmt: skip
