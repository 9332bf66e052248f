"""What a collector says about selected items in one go."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from dunning.collection import item_updates, patterns
from dunning.collection.despatch import Outbound
from dunning.collection.item_updates import ItemUpdate
from dunning.kit.ids import CustomerId
from dunning_api.deps import Work, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.action_content import ActionTerms, ItemUpdateCreate
from dunning_api.schemas.actions import ItemUpdateOut

router = Router(tags=["items"])


@router.post("/customers/{customer_id}/item-updates", status_code=201, summary="Qualify items and say what comes next", responses=problems(404, 409))
async def update_items(customer_id: UUID, body: ItemUpdateCreate, work: Annotated[Work, writes("collection:write", idempotent=True)]) -> ItemUpdateOut:
    """Do three steps about selected items, all or none: set a status and write a comment; send a mail now to the customer or to colleagues; go back to the scenario, or make a specific action. Mails need the scope `send`."""
    action = None
    if isinstance(body.next, ActionTerms):
        action = await patterns.new_action(
            work.session, tenant_id=work.tenant_id, source=body.next.source(), given=body.next.terms(), content=body.next.stated_content()
        )
    if body.notify != "none" or (action is not None and action.sends):
        work.require("send")
    if action is not None and action.beyond_budget:
        work.require("budget:override")
    update = ItemUpdate(
        item_ids=body.item_ids, status_code=body.status_code, comment=body.comment, notify=body.notify, message=body.mail(),
        follow_scenario=body.next == "follow_scenario", action=action,
    )  # fmt: skip
    return ItemUpdateOut.of(
        await item_updates.update_items(
            work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, customer_id=CustomerId(customer_id), update=update,
            outbound=Outbound.of(work.settings, work.keyring),
        )
    )  # fmt: skip
