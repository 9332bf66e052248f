"""One customer's own changes to future steps, and steps set by hand."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from dunning.collection import actions, overrides, rerouting, steps_by_hand
from dunning.collection.despatch import Outbound
from dunning.collection.override_store import StoredOverride
from dunning.kit.ids import ActionId, CustomerId, ItemId, OverrideId, ScenarioId
from dunning.messages.template_service import PublishedTemplates
from dunning.scenarios.overrides import OverrideKind
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.actions import ActionWithParts
from dunning_api.schemas.base import Page
from dunning_api.schemas.step_overrides import StepOverrideCreate, StepOverrideEnd, StepOverrideOut, StepSetIn, StepSetOut

router = Router(tags=["steps of a customer"])


async def _shown(work: Work, stored: StoredOverride) -> StepOverrideOut:
    return StepOverrideOut.of(stored, await overrides.without_place(work.session, tenant_id=work.tenant_id, stored=[stored]))


@router.post("/customers/{customer_id}/step-overrides", status_code=201, summary="Change a future step for one customer", responses=problems(404, 409))
async def set_override(customer_id: UUID, body: StepOverrideCreate, work: Annotated[Work, writes("collection:write", repeatable=True)]) -> StepOverrideOut:
    """Insert, change or remove a step for this customer; the shared scenario stays as it is. One in force for the same step is replaced. What had been planned is kept in the event `step_override.set`."""
    made = await overrides.set_override(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        customer_id=CustomerId(customer_id),
        scenario_id=ScenarioId(body.scenario_id),
        kind=OverrideKind(body.kind),
        step_code=body.step_code,
        content=body.content,
        reason=body.reason,
        templates=PublishedTemplates(),
    )
    return await _shown(work, made)


@router.get("/customers/{customer_id}/step-overrides", summary="List a customer's own steps", responses=problems(404))
async def list_overrides(customer_id: UUID, work: Annotated[Work, reads()], limit: paging.Limit = 100, cursor: paging.Cursor = None) -> Page[StepOverrideOut]:
    """List a customer's changes to future steps, oldest first, those that were removed too, and those that the scenario's present version has no place for: `standing` says which."""
    key = paging.unseal(work.keyring, "step_overrides", cursor, 1)
    found = await overrides.overrides_after(
        work.session, tenant_id=work.tenant_id, customer_id=CustomerId(customer_id), after=UUID(key[0]) if key else None, limit=limit + 1
    )
    more = paging.seal(work.keyring, "step_overrides", found[limit - 1].override_id) if len(found) > limit else None
    lost = await overrides.without_place(work.session, tenant_id=work.tenant_id, stored=found)
    return Page(data=[StepOverrideOut.of(one, lost) for one in found[:limit]], next_cursor=more)


@router.post("/step-overrides/{override_id}/remove", summary="Take a customer's own step back", responses=problems(404, 409))
async def remove_override(override_id: UUID, body: StepOverrideEnd, work: Annotated[Work, writes("collection:write")]) -> StepOverrideOut:
    """Let the customer follow the scenario's own step again. The override stays in the list, with who removed it."""
    ended = await overrides.remove_override(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, override_id=OverrideId(override_id), reason=body.reason
    )
    return await _shown(work, ended)


@router.put("/items/{item_id}/step", summary="Set the step of an item by hand", responses=problems(404, 409))
async def set_step_of_item(item_id: UUID, body: StepSetIn, work: Annotated[Work, writes("collection:write")]) -> list[StepSetOut]:
    """Let an item go on from a step: those below are skipped by hand, what was done at and above it no longer counts. The next run goes on from there; 409 while an action has the item."""
    done = await steps_by_hand.set_step_of_item(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, item_id=ItemId(item_id), step_code=body.step_code, reason=body.reason
    )
    return [StepSetOut.of(one) for one in done]


@router.put("/customers/{customer_id}/step", summary="Set the step of all items of a customer by hand", responses=problems(404, 409))
async def set_step_of_customer(customer_id: UUID, body: StepSetIn, work: Annotated[Work, writes("collection:write")]) -> list[StepSetOut]:
    """Let all open debts of a customer that follow a scenario go on from a step, all or none."""
    done = await steps_by_hand.set_step(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        customer_id=CustomerId(customer_id),
        item_ids=None,
        step_code=body.step_code,
        reason=body.reason,
    )
    return [StepSetOut.of(one) for one in done]


@router.post("/actions/{action_id}/route", summary="Lead the items of a waiting action on to another step", responses=problems(404, 409))
async def route_action(action_id: UUID, body: StepSetIn, work: Annotated[Work, writes("collection:write")]) -> ActionWithParts:
    """End a checkpoint or another waiting action and let its open items go on from the step that is named instead. To go on as planned, complete it; to pass its step over, skip it."""
    target = ActionId(action_id)
    await rerouting.route_action(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        action_id=target,
        step_code=body.step_code,
        reason=body.reason,
        outbound=Outbound.of(work.settings, work.keyring),
    )
    row = await actions.action_of(work.session, tenant_id=work.tenant_id, action_id=target)
    return ActionWithParts.whole(row, await actions.parts_of(work.session, tenant_id=work.tenant_id, action_id=target))
