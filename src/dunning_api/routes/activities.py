"""Activities: what people did about customers, and what came of it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query

from dunning.collection import actions, activities, calls
from dunning.collection.activity_store import ActivityFilter
from dunning.collection.despatch import Outbound
from dunning.kit.ids import ActionId, ActivityId, CustomerId
from dunning.tenancy import people
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.activities import ActivityCreate, ActivityRecord, ActivityWithResults, CallOutcome
from dunning_api.schemas.base import Day, Instant, Page

router = Router(tags=["activities"])


@router.get("/activities", summary="List activities", responses=problems(404))
async def list_activities(
    work: Annotated[Work, reads()],
    customer: Annotated[UUID | None, Query(description="Only activities about this customer.")] = None,
    ledger: Annotated[UUID | None, Query(description="Only activities of this ledger.")] = None,
    kind: Annotated[str | None, Query(max_length=80, description="Only activities of this kind, such as claim_for_non_payment.")] = None,
    outcome: Annotated[str | None, Query(max_length=60, description="Only activities with this outcome, such as no_answer.")] = None,
    person: Annotated[UUID | None, Query(description="Only what this person did.")] = None,
    since: Annotated[
        Instant | Day | None,
        Query(
            union_mode="left_to_right", description="Only activities from this instant on, or from the beginning of this day in the time zone of their ledger."
        ),
    ] = None,
    until: Annotated[Day | None, Query(description="Only activities up to the end of this day in the time zone of their ledger.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[ActivityRecord]:
    """List activities, newest first. `POST /call-tasks` puts the customers of chosen ones on the phone list."""
    key = paging.unseal(work.keyring, "activities", cursor, 1)
    where = ActivityFilter(customer_id=customer, ledger_id=ledger, kind=kind, outcome=outcome, person_id=person, since=since, until=until)
    rows = await activities.activities_before(work.session, tenant_id=work.tenant_id, where=where, before=UUID(key[0]) if key else None, limit=limit + 1)
    more = paging.seal(work.keyring, "activities", rows[limit - 1]["activity_id"]) if len(rows) > limit else None
    names = await people.names_of(work.session, tenant_id=work.tenant_id, actors=[row["actor"] for row in rows[:limit]])
    return Page(data=[ActivityRecord.of(row, names) for row in rows[:limit]], next_cursor=more)


@router.get("/activities/{activity_id}", summary="Get an activity", responses=problems(404))
async def get_activity(activity_id: UUID, work: Annotated[Work, reads()]) -> ActivityRecord:
    """Return an activity with the name of whoever recorded it."""
    row = await activities.activity_of(work.session, tenant_id=work.tenant_id, activity_id=ActivityId(activity_id))
    return ActivityRecord.of(row, await people.names_of(work.session, tenant_id=work.tenant_id, actors=[row["actor"]]))


@router.post("/customers/{customer_id}/activities", status_code=201, summary="Record an activity", responses=problems(404, 409))
async def add_activity(customer_id: UUID, body: ActivityCreate, work: Annotated[Work, writes("notes:write", repeatable=True)]) -> ActivityWithResults:
    """Record a call, a visit, a note or anything else that was done, with the promise, the dispute and the next call that came of it. These need `collection:write`."""
    if body.agrees:
        work.require("collection:write")
    owner = CustomerId(customer_id)
    made = await calls.record_contact(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, customer_id=owner, done=body.done(body.kind, work.person_id),
        agreed=body.agreed(owner, work.person_id), outbound=Outbound.of(work.settings, work.keyring),
    )  # fmt: skip
    return ActivityWithResults.recorded(made, await people.names_of(work.session, tenant_id=work.tenant_id, actors=[work.actor]))


@router.post("/actions/{action_id}/call-outcome", status_code=201, summary="Log the outcome of a call", responses=problems(404, 409))
async def log_call_outcome(action_id: UUID, body: CallOutcome, work: Annotated[Work, writes("collection:write", repeatable=True)]) -> ActivityWithResults:
    """Log what came of a call that waited, in one request: the activity, the end of the task or its new day, and what was promised or contested."""
    action = await actions.action_of(work.session, tenant_id=work.tenant_id, action_id=ActionId(action_id))
    made = await calls.record_call_outcome(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, action_id=ActionId(action_id),
        done=body.done("call", work.person_id, action_id), agreed=body.agreed(CustomerId(action["customer_id"]), work.person_id), completes=body.completes,
        outbound=Outbound.of(work.settings, work.keyring),
    )  # fmt: skip
    return ActivityWithResults.recorded(made, await people.names_of(work.session, tenant_id=work.tenant_id, actors=[work.actor]))
