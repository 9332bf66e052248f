"""What the outcome of a message means for its action: completed, told again on changed amounts, a task for a person, or nothing."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence

import asyncpg

from dunning.collection import acceptance_store, action_store, carrying, endings, last_look, operations, resending, scenes
from dunning.collection.acceptance_store import Completion
from dunning.collection.despatch import Outbound, Scene
from dunning.collection.rules import one_a_customer
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.evidence.links import revoke_links_of_messages
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActionId, CustomerId, LedgerId, MessageId, TenantId
from dunning.ledger.customer_state import facts_changed, lock_customers
from dunning.messages.ports import Outcome, OutgoingMessage
from dunning.scenarios.steps import Channel, Notice, OperationWhen, StepKind

ACTOR = "dispatch"
UNKNOWN_ADDRESS = "unknown_address"
FAILED: frozenset[Outcome] = frozenset({"rejected", "suppressed", "expired", "parked"})

_TASKS = {
    "rejected": "The relay refused the message ({reason}). Find another address and retry, or {instead}.",
    "suppressed": "The address takes no mail ({reason}). Find another address and retry, or {instead}.",
    "expired": "The message could not be sent in time ({reason}). Retry, or {instead}.",
    "parked": "The message needs a person before it can be sent ({reason}). Put right what is wrong and release it, or {instead}.",
}


async def on_outcome(session: Session, clock: Clock, messages: Sequence[OutgoingMessage], outcome: Outcome, *, outbound: Outbound) -> None:
    """React to what became of messages of one tenant, in the transaction that changed them.

    Only the primary notice counts: copies and further notices end by themselves. Repeating an outcome changes nothing, because the action
    has left the state in which it would. What is accepted comes with the customers' state rows locked.
    """
    await _revoke_links(session, clock, messages, outcome)
    primary = [message for message in messages if message.is_primary and not message.is_copy]
    if not primary or outcome == "held":
        return
    if outcome != "accepted":
        await lock_customers(session, primary[0].tenant_id, {message.customer_id for message in primary})
    if outcome in {"accepted", "closed_as_sent"}:
        await _complete(session, clock, primary, outcome, outbound)
        return
    for message in primary:
        await _react(session, clock, message, outcome, outbound)


async def _revoke_links(session: Session, clock: Clock, messages: Sequence[OutgoingMessage], outcome: Outcome) -> None:
    """Revoke the links of messages whose address does not exist or takes no mail: whoever gets hold of one is not the person it was made for."""
    nowhere = [m for m in messages if outcome == "suppressed" or (outcome == "rejected" and m.reason == UNKNOWN_ADDRESS)]
    if nowhere:
        await revoke_links_of_messages(
            session, clock, tenant_id=nowhere[0].tenant_id, actor=ACTOR, message_ids=[m.message_id for m in nowhere], reason=nowhere[0].reason or outcome
        )


async def _react(session: Session, clock: Clock, message: OutgoingMessage, outcome: Outcome, outbound: Outbound) -> None:
    tenant_id = message.tenant_id
    action = await action_store.action_for_change(session, tenant_id, message.action_id)
    if action is not None and message.resend_of is not None and action["state"] == "completed":
        await resending.not_told_again(session, clock, message)
    if action is None or action["state"] not in {"executed", "waiting"}:
        return
    scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=message.ledger_id, outbound=outbound, actor=ACTOR)
    if await _another_lives(session, tenant_id, message.action_id, message.message_id):
        return
    if outcome in FAILED:
        await _failed(session, clock, scene, action, message, outcome)
    elif message.reason == "amounts_changed":
        await carrying.carry_out_again(session, clock, scene, action)
    else:
        await carrying.cancel(session, clock, scene, [action], message.reason or "cancelled")


async def _complete(session: Session, clock: Clock, messages: Sequence[OutgoingMessage], outcome: Outcome, outbound: Outbound) -> None:
    """Complete the actions of messages that have reached the customer, or count as if."""
    tenant_id = messages[0].tenant_id
    by_action = {message.action_id: message for message in reversed(messages)}
    actions = await acceptance_store.actions_to_complete(session, tenant_id, by_action.keys())
    again = [message for message in messages if message.resend_of is not None]
    if again:
        await resending.told_again(session, clock, again, told=outcome == "accepted")
    for turn in one_a_customer(actions):
        completions = [_completion(action, clock) for action in turn]
        told = await acceptance_store.complete(session, tenant_id, completions, told_at=clock.now() if outcome == "accepted" else None)
        made = []
        waiting: defaultdict[tuple[LedgerId, dt.date], dict[ActionId, CustomerId]] = defaultdict(dict)
        for action, completion in zip(turn, completions, strict=True):
            action_id, customer_id = completion.action_id, CustomerId(action["customer_id"])
            note = {"completed_on": completion.completed_on, "message_id": by_action[action_id].message_id, "outcome": outcome}
            made.append(NewEvent("action.completed", "action", action_id, customer_id, note))
            made += [NewEvent("claim.told", "claim", claim_id, customer_id, {"action_id": action_id}) for of, claim_id in told if of == action_id]
            if action["operations_wait"]:
                waiting[completion.ledger_id, completion.completed_on][action_id] = customer_id
        for (ledger_id, today), customers in waiting.items():
            made += await operations.reach(
                session, clock, tenant_id=tenant_id, ledger_id=ledger_id, customers=customers, moments={OperationWhen.COMPLETED}, today=today, actor=ACTOR
            )
        await events.record_many(session, clock, tenant_id=tenant_id, actor=ACTOR, events=made)
        await _close(session, clock, tenant_id, [ActionId(action["action_id"]) for action in turn if action["origin"] != "scenario"], outbound)
        for today in sorted({completion.completed_on for completion in completions}):
            moved = [CustomerId(a["customer_id"]) for a, c in zip(turn, completions, strict=True) if c.completed_on == today]
            await facts_changed(session, tenant_id, moved, today)


async def _close(session: Session, clock: Clock, tenant_id: TenantId, own: Sequence[ActionId], outbound: Outbound) -> None:
    """Free the items of completed actions outside the scenario: few among many, so that the others cost nothing."""
    if not own:
        return
    ended = await action_store.action_rows(session, tenant_id, own)
    for ledger_id in sorted({LedgerId(action["ledger_id"]) for action in ended}, key=lambda ledger: ledger.bytes):
        scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=ledger_id, outbound=outbound, actor=ACTOR)
        await endings.close(session, clock, scene, [action for action in ended if action["ledger_id"] == ledger_id], "completed")


def _completion(action: asyncpg.Record, clock: Clock) -> Completion:
    today = local_date(clock.now(), action["time_zone"])
    counted_from_on, keeps = carrying.counted(action["scheduled_on"], today, action["country"], action["subdivision"])
    return Completion(ActionId(action["action_id"]), LedgerId(action["ledger_id"]), today, counted_from_on, keeps, reminds=action["kind"] == StepKind.NOTICE)


async def _another_lives(session: ReadSession, tenant_id: TenantId, action_id: ActionId, message_id: MessageId) -> bool:
    """Tell whether another recipient of the primary notice may still be reached, or was."""
    return bool(
        await session.value(
            """select exists (select 1 from message where tenant_id = $1 and action_id = $2 and message_id <> $3 and is_primary and not is_copy
                 and state not in ('rejected', 'suppressed', 'expired', 'cancelled', 'closed_unknown', 'parked'))""",
            tenant_id,
            action_id,
            message_id,
        )
    )


async def _failed(session: Session, clock: Clock, scene: Scene, action: asyncpg.Record, message: OutgoingMessage, outcome: Outcome) -> None:
    published = await last_look.published_of(session, scene, action)
    # Outside the scenario an action is its own only step.
    step = published.steps[action["step_code"] if action["origin"] == "scenario" else action["origin"]]
    notice = next((n for n in step.notices if n.code == message.notice), None)
    instead = _fallback(notice)
    text = _TASKS[outcome].format(reason=message.reason or outcome, instead=f"tell the customer by {instead.value.replace('_', ' ')}")
    await carrying.wait_for_somebody(session, clock, scene, action, f"message_{outcome}", task_kind=instead.value, task_text=text)


def _fallback(notice: Notice | None) -> Channel:
    return notice.fallback[0] if notice is not None and notice.fallback else Channel.LETTER
