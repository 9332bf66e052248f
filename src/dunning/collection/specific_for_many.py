"""Actions outside the scenario for many customers of a ledger at once: the same one over all that each of them owes, as `specific` makes it for one."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from dunning.collection import first_look, leaving, own_words, owners, specific, specific_store, terms
from dunning.collection.despatch import Scene
from dunning.collection.first_look import Hindrance
from dunning.collection.specific_rules import SPECIFIC, NewSpecific, first_standing
from dunning.collection.specific_store import NewForMany
from dunning.events import due_work
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActionId, CustomerId, new_id
from dunning.ledger.customer_state import facts_changed, watch
from dunning.scenarios.steps import Channel, StepKind

_NEVER = Hindrance("refused", "never_dunned", "The policy of the customer, or of its group, is never. Write to it by itself where that is meant.")


async def hindrances(session: ReadSession, scene: Scene, customer_ids: Sequence[CustomerId], new: NewSpecific) -> dict[CustomerId, Hindrance]:
    """Return the customers for whom an action would not be made, or not reach anybody, with the reason; the same number of statements however many.

    Whether anybody is reached is told of a notice that leaves now; one that waits is looked at when it leaves. Raises what is wrong for all: the mode,
    the day, the person, the template and words, the recipients, or that sending is off.
    """
    terms.refuse_mode(new.content.kind, new.mode)
    scheduled_on = specific.day_of(scene, new.scheduled_on)
    await owners.check(session, tenant_id=scene.tenant_id, person_id=new.person_id)
    leaves_now = new.sends and scheduled_on <= scene.today
    if leaves_now:
        specific.refuse_mail_while_off(scene, kind=new.content.kind, channel=new.content.channel)
    if new.content.kind == StepKind.NOTICE:
        own_words.refuse_recipients(scene, new.content)
    mailed = new.content.kind == StepKind.NOTICE and new.content.channel == Channel.EMAIL
    texts = await own_words.texts_of(session, scene, new.content) if mailed else None
    owing = await specific_store.owing(session, scene.tenant_id, customer_ids)
    found = {
        one: Hindrance("refused", why.facts.get("reason", why.code), why.detail)
        for one in customer_ids
        if (why := specific.nothing_free(owing.get(one))) is not None
    }
    if new.content.kind == StepKind.NOTICE and not new.content.is_internal:
        # Whoever is never to be dunned may still be written to, one by one: by somebody who means just this customer.
        found |= {one: _NEVER for one in customer_ids if one not in found and owing[one].never}
    free = [one for one in customer_ids if one not in found]
    kept = await first_look.kept_back(session, scene, free, new) if leaves_now else {}
    refusals = await specific.budget_refusals(session, scene, free, new, scheduled_on, untold=kept)
    found |= kept | {one: Hindrance("refused", refusal.code, refusal.detail) for one, refusal in refusals.items()}
    if leaves_now and texts is not None:
        found |= await first_look.unreached(session, scene, [one for one in customer_ids if one not in found], new.content, texts)
    return found


async def create(
    session: Session, clock: Clock, scene: Scene, customer_ids: Sequence[CustomerId], new: NewSpecific, bulk_id: UUID
) -> dict[CustomerId, ActionId]:
    """Make the action for customers who owe something, and return it by customer; the same number of statements however many.

    The caller holds the customers' locks and has left out who has a reason against it. What goes by itself today is carried out by the worker, which
    looks at the facts again.
    """
    if not customer_ids:
        return {}
    content = await own_words.frozen(session, clock, scene, new.content)
    scheduled_on = specific.day_of(scene, new.scheduled_on)
    first = first_standing(content, mode=new.mode, title=new.title, scheduled_on=scheduled_on)
    made = {one: ActionId(new_id()) for one in customer_ids}
    items = await specific_store.insert_for_many(
        session, scene.tenant_id,
        NewForMany(
            action_ids=list(made.values()), customer_ids=list(made), ledger_id=scene.ledger.ledger_id, person_id=new.person_id,
            tied_state="attached" if new.origin == SPECIFIC else "listed",
            values={
                "origin": new.origin, "kind": content.kind, "mode": new.mode, "step_name": new.title, "title": new.title, "content": content.stored(),
                "local_date": scene.today, "scheduled_on": scheduled_on, "state": first.state, "reason": first.reason, "task_kind": first.task_kind,
                "task_text": first.task_text, "deadline_on": first.deadline_on, "afterwards": new.afterwards, "bulk_id": bulk_id, "created_by": scene.actor,
            },
        ),
    )  # fmt: skip
    if new.origin == SPECIFIC:
        taken = await specific_store.tied_items(session, scene.tenant_id, list(made.values()))
        await leaving.leave(session, clock, scene, customer_ids, [item_id for ids in taken.values() for item_id in ids], leaving.SPECIFIC_ACTION)
    await watch(session, scene.tenant_id, customer_ids)
    told = {"origin": new.origin, "kind": content.kind, "mode": new.mode, "scheduled_on": scheduled_on, "bulk_id": bulk_id}
    created = [NewEvent("action.created", "action", action_id, one, {**told, "items": items[action_id]}) for one, action_id in made.items()]
    await events.record_many(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, events=created)
    await owners.let_see(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, person_id=new.person_id, customer_ids=customer_ids)
    await facts_changed(session, scene.tenant_id, customer_ids, scene.today)
    if first.state == "scheduled" and scheduled_on <= scene.today:
        await due_work.ring(session, scene.tenant_id, "action")
    return made
