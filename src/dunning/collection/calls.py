"""What came of a call or visit, in one go: the activity, its task, what was promised or contested, and when to call again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

import asyncpg

from dunning.collection import actions, activities, activity_store, disputes, promises, specific, specific_store
from dunning.collection.activities import Done
from dunning.collection.activity_store import COMPLETED_ON, NOT_REACHED, SPOKEN_KINDS
from dunning.collection.despatch import Outbound
from dunning.collection.disputes import Contested
from dunning.collection.done_store import WRITTEN_BY_SOFTWARE
from dunning.collection.promises import Promised
from dunning.collection.specific_rules import AD_HOC, Content, NewSpecific
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import Session
from dunning.kit.errors import Conflict, Malformed, NotFound
from dunning.kit.ids import ActionId, CustomerId, ItemId, TenantId
from dunning.ledger.customer_state import lock_customers
from dunning.scenarios.steps import TaskKind

CALL = TaskKind.CALL.value
Outcome = Literal["reached", "no_answer", "wrong_number", "call_back", "promised", "disputed", "other"]
CALL_BACK_TEXT = "Call back, as agreed or because nobody was reached."


class NotACall(Conflict):
    """The action is no call that waits for somebody."""

    code = "not_a_call"
    title = "The action is not a call that waits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What came of talking to a customer beside the words: a promise, a dispute, a day to call again."""

    promise: Promised | None = None
    dispute: Contested | None = None
    call_back_on: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was written."""

    activity: asyncpg.Record
    action: asyncpg.Record | None
    promise: asyncpg.Record | None
    dispute: asyncpg.Record | None


async def record_call_outcome(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    action_id: ActionId,
    done: Done,
    agreed: Agreed,
    completes: bool | None,
    outbound: Outbound,
) -> Recorded:
    """Write what came of a call that waited, and return it with the activity, the promise and the dispute that were made.

    The call is done on the day on which it was made, at the earliest on that of its task, unless somebody is to call again: then it waits for that day.
    `completes` says otherwise. Raises `NotFound`, `NotACall`, and
    what recording a promise or opening a dispute raises; nothing is written then. A second call finds that the action is over.
    """
    seen = await actions.action_of(session, tenant_id=tenant_id, action_id=action_id)
    await lock_customers(session, tenant_id, [CustomerId(seen["customer_id"])])
    seen = await actions.action_of(session, tenant_id=tenant_id, action_id=action_id)
    if seen["task_kind"] != CALL or seen["state"] != "waiting":
        msg = f"The action is {seen['state'].replace('_', ' ')}, and no call that waits for somebody. Record what was done with POST /v1/customers/{{id}}/activities."
        raise NotACall(msg, state=seen["state"], task_kind=seen["task_kind"])
    ends = agreed.call_back_on is None if completes is None else completes
    if ends:
        done, on = await _day_of(session, clock, tenant_id, seen, done)
        # First, so that its items are free for the promise or the dispute.
        await actions.complete_action(session, clock, tenant_id=tenant_id, actor=actor, action_id=action_id, completed_on=on, note=None, outbound=outbound)
    elif agreed.call_back_on is not None:
        await actions.reschedule_action(
            session, clock, tenant_id=tenant_id, actor=actor, action_id=action_id, scheduled_on=agreed.call_back_on, outbound=outbound
        )
    customer_id = CustomerId(seen["customer_id"])
    again = agreed if ends else replace(agreed, call_back_on=None)
    made = await _agree(session, clock, tenant_id, actor, customer_id, again, outbound, reached=_reached(done))
    told = replace(done, kind="call", action_id=action_id, data=_data(done, agreed, made))
    activity = await activities.record_activity(session, clock, tenant_id=tenant_id, actor=actor, customer_id=customer_id, done=told)
    return Recorded(activity, await actions.action_of(session, tenant_id=tenant_id, action_id=action_id), made.get("promise"), made.get("dispute"))


async def record_contact(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, customer_id: CustomerId, done: Done, agreed: Agreed, outbound: Outbound
) -> Recorded:
    """Write an activity about a customer with what was agreed in it; a day to call again puts a call on that day's list.

    Raises `Malformed` for a kind that the software alone writes, `NotFound`, and what recording a promise, opening a dispute or making a task raises;
    nothing is written then.
    """
    if done.kind in WRITTEN_BY_SOFTWARE:
        kinds = ", ".join(sorted(WRITTEN_BY_SOFTWARE))
        msg = f"kind: {done.kind} is written by the software itself, as are all of {kinds}. Choose call, visit, meeting, note, email_received, or another word."
        raise Malformed(msg, [{"field": "kind", "message": f"expected none of {kinds}"}])
    if agreed == Agreed():
        return Recorded(
            await activities.record_activity(session, clock, tenant_id=tenant_id, actor=actor, customer_id=customer_id, done=done), None, None, None
        )
    await lock_customers(session, tenant_id, [customer_id])
    made = await _agree(session, clock, tenant_id, actor, customer_id, agreed, outbound, reached=_reached(done))
    told = replace(done, data=_data(done, agreed, made))
    activity = await activities.record_activity(session, clock, tenant_id=tenant_id, actor=actor, customer_id=customer_id, done=told)
    return Recorded(activity, made.get("action"), made.get("promise"), made.get("dispute"))


def _reached(done: Done) -> bool:
    return done.kind in SPOKEN_KINDS and done.outcome not in NOT_REACHED


async def _day_of(session: Session, clock: Clock, tenant_id: TenantId, task: asyncpg.Record, done: Done) -> tuple[Done, dt.date | None]:
    """Return what was done and the day on which it completes a task, None for today; the activity names that day where it is not its own."""
    whose = await activity_store.whose(session, tenant_id, CustomerId(task["customer_id"]))
    if whose is None or done.at is None or done.at > clock.now():
        return done, None
    made_on = local_date(done.at, whose.time_zone)
    if made_on >= task["local_date"]:
        return done, made_on
    return replace(done, data={**done.data, COMPLETED_ON: task["local_date"]}), task["local_date"]


async def _agree(
    session: Session, clock: Clock, tenant_id: TenantId, actor: str, customer_id: CustomerId, agreed: Agreed, outbound: Outbound, *, reached: bool
) -> dict[str, asyncpg.Record]:
    """Make what was agreed: the dispute before the promise, so that none of its items is promised; the next call last."""
    made: dict[str, asyncpg.Record] = {}
    if agreed.dispute is not None:
        await _own_items(session, tenant_id, customer_id, agreed.dispute.item_ids)
        made["dispute"] = await disputes.open_dispute(session, clock, tenant_id=tenant_id, actor=actor, contested=agreed.dispute, outbound=outbound)
    if agreed.promise is not None:
        made["promise"] = await promises.record_promise(session, clock, tenant_id=tenant_id, actor=actor, promised=agreed.promise, outbound=outbound)
    if agreed.call_back_on is not None:
        content = Content(kind="task", task_kind=CALL, task_text=CALL_BACK_TEXT)
        # What was done is written down in any case. A call that the customer agreed to is within any budget, another one waits on its list.
        new = NewSpecific(
            title="Call back", content=content, origin=AD_HOC, scheduled_on=agreed.call_back_on, beyond_budget=reached, refusable=False
        )  # fmt: skip
        made["action"] = await specific.create(
            session, clock, tenant_id=tenant_id, actor=actor, customer_id=customer_id,
            item_ids=await specific_store.open_item_ids(session, tenant_id, customer_id), new=new, outbound=outbound,
        )  # fmt: skip
    return made


async def _own_items(session: Session, tenant_id: TenantId, customer_id: CustomerId, item_ids: Sequence[ItemId]) -> None:
    """Raise `NotFound` where a dispute is about items of another customer than the one that was spoken to."""
    if len(await specific_store.items_to_tie(session, tenant_id, customer_id, item_ids)) < len(set(item_ids)):
        noun = "item of this customer"
        raise NotFound(noun)


def _data(done: Done, agreed: Agreed, made: dict[str, asyncpg.Record]) -> dict[str, UUID | dt.date | str]:
    ids = {f"{noun}_id": row[f"{noun}_id"] for noun, row in made.items() if noun != "action"}
    if "action" in made:
        ids["call_back_action_id"] = made["action"]["action_id"]
    if agreed.call_back_on is not None:
        ids["call_back_on"] = agreed.call_back_on
    return {**done.data, **ids}
