"""Actions: what was and is done, and what people decide about it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Response

from dunning.collection import actions, bulk, changing, claims, operation_tasks, patterns, replacing, resending
from dunning.collection.action_queries import ActionFilter
from dunning.collection.despatch import Outbound
from dunning.kit.ids import ActionId, ClaimId
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.etags import IfMatch, expected_revision, tag
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.action_content import ActionReplace, ActionUpdate
from dunning_api.schemas.actions import (
    ActionItem,
    ActionKind,
    ActionOrigin,
    ActionOut,
    ActionState,
    ActionWithParts,
    Because,
    ClaimOut,
    Completion,
    NoteCreate,
    OperationDone,
    OperationOut,
    Reschedule,
)
from dunning_api.schemas.base import Day, Page
from dunning_api.schemas.bulk import BulkCreate, BulkOut, Resend

router = Router(tags=["actions"])


def _outbound(work: Work) -> Outbound:
    return Outbound.of(work.settings, work.keyring)


def _tagged(action: ActionWithParts, response: Response) -> ActionWithParts:
    tag(response, action.revision)
    return action


async def _whole(work: Work, action_id: UUID) -> ActionWithParts:
    row = await actions.action_of(work.session, tenant_id=work.tenant_id, action_id=ActionId(action_id))
    return ActionWithParts.whole(row, await actions.parts_of(work.session, tenant_id=work.tenant_id, action_id=ActionId(action_id)))


@router.get("/actions", summary="List actions", responses=problems(404))
async def list_actions(  # one query parameter a filter
    work: Annotated[Work, reads()],
    customer: Annotated[UUID | None, Query(description="Only actions about this customer.")] = None,
    ledger: Annotated[UUID | None, Query(description="Only actions of this ledger.")] = None,
    run: Annotated[UUID | None, Query(description="Only actions of this run.")] = None,
    item: Annotated[UUID | None, Query(description="Only actions that this item was in.")] = None,
    step: Annotated[str | None, Query(max_length=100, description="Only actions of this step.")] = None,
    state: Annotated[ActionState | None, Query(description="Only actions in this state; `waiting` and `awaiting_approval` need a person.")] = None,
    kind: Annotated[ActionKind | None, Query(description="Only actions of this kind.")] = None,
    origin: Annotated[ActionOrigin | None, Query(description="Only actions of the scenario, or outside it.")] = None,
    person: Annotated[UUID | None, Query(description="Only actions that this person has.")] = None,
    bulk: Annotated[UUID | None, Query(description="Only actions of this act on many customers, by its `bulk_id`.")] = None,
    task_kind: Annotated[str | None, Query(max_length=40, description="Only tasks of this kind, such as `call` or `declare_to_insurer`.")] = None,
    channel: Annotated[str | None, Query(max_length=40, description="Only actions told, or to be told, through this channel.")] = None,
    from_on: Annotated[Day | None, Query(alias="from", description="First local day.")] = None,
    to_on: Annotated[Day | None, Query(alias="to", description="Last local day.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[ActionOut]:
    """List actions, newest first: the history of everything that was done and is to be done. Nothing in it is ever changed or removed."""
    where = ActionFilter(
        customer_id=customer, ledger_id=ledger, run_id=run, item_id=item, step_code=step, state=state, kind=kind, channel=channel, from_on=from_on,
        to_on=to_on, person_id=person, origin=origin, bulk_id=bulk, task_kind=task_kind,
    )  # fmt: skip
    key = paging.unseal(work.keyring, "actions", cursor, 1)
    rows = await actions.actions_before(work.session, tenant_id=work.tenant_id, where=where, before=UUID(key[0]) if key else None, limit=limit + 1)
    more = paging.seal(work.keyring, "actions", rows[limit - 1]["action_id"]) if len(rows) > limit else None
    return Page(data=[ActionOut.of(row) for row in rows[:limit]], next_cursor=more)


@router.get("/actions/{action_id}", summary="Get an action", responses=problems(404))
async def get_action(action_id: UUID, work: Annotated[Work, reads()], response: Response) -> ActionWithParts:
    """Return an action with its items and their amounts as they were, its claims, operations, notes and messages. Its `ETag` is for changing it."""
    return _tagged(await _whole(work, action_id), response)


@router.get("/actions/{action_id}/items", summary="List the items of an action", responses=problems(404))
async def list_action_items(action_id: UUID, work: Annotated[Work, reads()]) -> list[ActionItem]:
    """Return the items that an action is or was about, each once, with what was open of it then and what is open now."""
    return [ActionItem.of(row) for row in await actions.items_of(work.session, tenant_id=work.tenant_id, action_id=ActionId(action_id))]


@router.patch("/actions/{action_id}", summary="Change an action", responses=problems(404, 409, 412, 428))
async def update_action(
    action_id: UUID, body: ActionUpdate, work: Annotated[Work, writes("collection:write")], response: Response, if_match: IfMatch = None
) -> ActionWithParts:
    """Change an action that was not carried out yet in time and manner: day, title, person, channel, template, your own words. What was planned stays in its events."""
    changes = body.changes()
    if set(changes) - {"title", "person_id"}:
        # An approved action whose day is moved to today leaves at once.
        work.require("send")
    await changing.change_action(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, action_id=ActionId(action_id), expected_revision=expected_revision(if_match),
        changes=changes, outbound=_outbound(work),
    )  # fmt: skip
    return _tagged(await _whole(work, action_id), response)


@router.post("/actions/{action_id}/replace", status_code=201, summary="Replace an action by another", responses=problems(404, 409))
async def replace_action(action_id: UUID, body: ActionReplace, work: Annotated[Work, writes("collection:write", idempotent=True)]) -> ActionWithParts:
    """Put a new action in the place of one that has told nobody, such as an interactive mail instead of a call. The old one is `superseded` and names the new one."""
    new = await patterns.new_action(work.session, tenant_id=work.tenant_id, source=body.source(), given=body.terms(), content=body.stated_content())
    if new.sends:
        work.require("send")
    if new.beyond_budget:
        work.require("budget:override")
    made = await replacing.replace_action(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, action_id=ActionId(action_id), new=new,
        succession=body.succession(), reason=body.reason, outbound=_outbound(work),
    )  # fmt: skip
    return await _whole(work, made["action_id"])


@router.post("/actions/{action_id}/run-now", summary="Carry an action out now", responses=problems(404, 409))
async def run_action_now(action_id: UUID, work: Annotated[Work, writes("send", idempotent=True)]) -> ActionWithParts:
    """Carry an action out now that waits for its day, for approval, or to be sent by hand. Facts are looked at again, as at its day."""
    await changing.run_now(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, action_id=ActionId(action_id), outbound=_outbound(work))
    return await _whole(work, action_id)


@router.post("/actions/{action_id}/resend", summary="Send an action's message again", responses=problems(404, 409))
async def resend_action(action_id: UUID, body: Resend, work: Annotated[Work, writes("send", idempotent=True)]) -> ActionWithParts:
    """Tell again what an action has told: its new messages name the first in `resend_of`. What is settled drops out; where amounts have changed, a new claim replaces the old one."""
    await resending.resend_action(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, action_id=ActionId(action_id), repeat=body.repeat(), outbound=_outbound(work)
    )  # fmt: skip
    return await _whole(work, action_id)


@router.post("/actions/bulk", summary="Do the same to many actions", responses=problems(404, 409))
async def act_on_many(body: BulkCreate, work: Annotated[Work, writes("collection:write", idempotent=True)]) -> BulkOut:
    """Approve, reject, cancel, put off, reassign, skip, run now or send again up to 1,000 actions by id, or the newest that a filter finds. Each has its own result; one that cannot be done never stops the others."""
    if body.act in bulk.SENDS and not body.dry_run:
        work.require("send")
    done = await bulk.act_on_many(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, bulk=body.bulk(), outbound=_outbound(work))
    return BulkOut.of(body, done)


@router.post("/actions/{action_id}/approve", summary="Approve an action", responses=problems(404, 409))
async def approve_action(action_id: UUID, work: Annotated[Work, writes("send", idempotent=True)]) -> ActionWithParts:
    """Let an action go that waits for approval, or send a notice that is in manual mode. Facts are looked at again: settled and held items drop out, and with none left the action is cancelled. One that was put off goes on its day."""
    await actions.approve_action(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, action_id=ActionId(action_id), outbound=_outbound(work))
    return await _whole(work, action_id)


@router.post("/actions/{action_id}/reject", summary="Reject an action", responses=problems(404, 409))
async def reject_action(action_id: UUID, body: Because, work: Annotated[Work, writes("collection:write")]) -> ActionWithParts:
    """Refuse an action that waits for approval. Its items are free and will be planned anew; skip it instead to pass its step over."""
    await actions.reject_action(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, action_id=ActionId(action_id), reason=body.reason, outbound=_outbound(work)
    )
    return await _whole(work, action_id)


@router.post("/actions/{action_id}/cancel", summary="Take an action back", responses=problems(404, 409))
async def cancel_action(action_id: UUID, body: Because, work: Annotated[Work, writes("collection:write")]) -> ActionWithParts:
    """Take an action back that has told nobody yet: its messages are withdrawn, its claim is void, its items are free. 409 once a message has left or may have left."""
    await actions.cancel_action(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, action_id=ActionId(action_id), reason=body.reason, outbound=_outbound(work)
    )
    return await _whole(work, action_id)


@router.post("/actions/{action_id}/reschedule", summary="Put an action off", responses=problems(404, 409))
async def reschedule_action(action_id: UUID, body: Reschedule, work: Annotated[Work, writes("collection:write")]) -> ActionWithParts:
    """Move an action to another day, today or later."""
    await actions.reschedule_action(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        action_id=ActionId(action_id),
        scheduled_on=body.scheduled_on,
        outbound=_outbound(work),
    )
    return await _whole(work, action_id)


@router.post("/actions/{action_id}/complete", summary="Say that a task is done", responses=problems(404, 409))
async def complete_action(action_id: UUID, body: Completion, work: Annotated[Work, writes("collection:write")]) -> ActionWithParts:
    """State that a waiting task is done, on the day given: its items reach their steps on that day. A notice that could not be mailed is completed so once the customer was told by other means. The task of an operation takes the facts of that, as `operations/{operation_no}/done` does."""
    await actions.complete_action(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        action_id=ActionId(action_id),
        completed_on=body.completed_on,
        note=body.note,
        outbound=_outbound(work),
        facts=None if body.facts is None else body.facts.recorded(),
    )
    return await _whole(work, action_id)


@router.post("/actions/{action_id}/retry", summary="Try a failed action again", responses=problems(404, 409))
async def retry_action(action_id: UUID, work: Annotated[Work, writes("collection:write")]) -> ActionWithParts:
    """Close the task of an action whose message did not arrive and free its items, so that the next run plans and sends anew."""
    await actions.retry_action(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, action_id=ActionId(action_id), outbound=_outbound(work))
    return await _whole(work, action_id)


@router.post("/actions/{action_id}/skip", summary="Pass a step over", responses=problems(404, 409))
async def skip_action(action_id: UUID, body: Because, work: Annotated[Work, writes("collection:write")]) -> ActionWithParts:
    """Let the items of an action pass over its step without telling anybody; the step above comes next."""
    await actions.skip_action(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, action_id=ActionId(action_id), reason=body.reason, outbound=_outbound(work)
    )
    return await _whole(work, action_id)


@router.post("/actions/{action_id}/notes", status_code=201, summary="Write a note on an action", responses=problems(404))
async def add_note(action_id: UUID, body: NoteCreate, work: Annotated[Work, writes("collection:write", repeatable=True)]) -> ActionWithParts:
    """Add a note. Notes stand in the timeline and are never changed or removed."""
    await actions.add_note(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, action_id=ActionId(action_id), text=body.text, outbound=_outbound(work)
    )
    return await _whole(work, action_id)


@router.post("/actions/{action_id}/operations/{operation_no}/done", summary="Say that an operation is carried out", responses=problems(404, 409))
async def finish_operation(
    action_id: UUID,
    operation_no: Annotated[int, Path(ge=1, le=10_000, description="Number within the action.")],
    body: OperationDone,
    work: Annotated[Work, writes("collection:write")],
) -> list[OperationOut]:
    """Record that an operation which was left to people, such as a declaration to an insurer, is carried out, and what was done. Its task is done with it, and a notice that waited for it goes by itself. Returns all operations of the action."""
    rows = await operation_tasks.record(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, action_id=ActionId(action_id), operation_no=operation_no,
        recorded=body.recorded(), outbound=_outbound(work),
    )  # fmt: skip
    return [OperationOut.of(row) for row in rows]


@router.get("/claims/{claim_id}", summary="Get a claim", responses=problems(404))
async def get_claim(claim_id: UUID, work: Annotated[Work, reads()]) -> ClaimOut:
    """Return a claim as it was frozen: rows, sums, deadline and payment details as the customer was told them."""
    return ClaimOut.of(await claims.claim_of(work.session, tenant_id=work.tenant_id, claim_id=ClaimId(claim_id)))
