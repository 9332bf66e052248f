"""What the outcome of a message means for its action: completed, told again on changed amounts, a task for a person, or nothing."""

from __future__ import annotations

import asyncpg

from dunning.collection import action_store, carrying, scenes, sheet_store
from dunning.collection.despatch import Outbound, Scene
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActionId, CustomerId, MessageId, TenantId
from dunning.ledger.customer_state import lock_customers
from dunning.messages.ports import Outcome, OutgoingMessage
from dunning.scenarios.steps import Channel, Notice

ACTOR = "dispatch"
FAILED: frozenset[Outcome] = frozenset({"rejected", "suppressed", "expired", "parked"})

_TASKS = {
    "rejected": "The relay refused the message ({reason}). Find another address and retry, or {instead}.",
    "suppressed": "The address takes no mail ({reason}). Find another address and retry, or {instead}.",
    "expired": "The message could not be sent in time ({reason}). Retry, or {instead}.",
    "parked": "The message needs a person before it can be sent ({reason}). Put right what is wrong and release it, or {instead}.",
}


async def on_outcome(session: Session, clock: Clock, message: OutgoingMessage, outcome: Outcome, *, outbound: Outbound) -> None:
    """React to what became of a message, in the transaction that changed it.

    Only the primary notice counts: copies and further notices end by themselves. Repeating an outcome changes nothing, because the action
    has left the state in which it would.
    """
    if message.is_copy or not message.is_primary or outcome == "held":
        return
    tenant_id = message.tenant_id
    await lock_customers(session, tenant_id, [message.customer_id])
    action = await action_store.action_for_change(session, tenant_id, message.action_id)
    if action is None or action["state"] not in {"executed", "waiting"}:
        return
    scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=message.ledger_id, outbound=outbound, actor=ACTOR)
    if outcome in {"accepted", "closed_as_sent"}:
        await _completed(session, clock, scene, action, message, outcome)
    elif await _another_lives(session, tenant_id, message.action_id, message.message_id):
        return
    elif outcome in FAILED:
        await _failed(session, clock, scene, action, message, outcome)
    elif message.reason == "amounts_changed":
        await carrying.carry_out_again(session, clock, scene, action)
    else:
        await carrying.cancel(session, clock, scene, [action], message.reason or "cancelled")


async def _completed(session: Session, clock: Clock, scene: Scene, action: asyncpg.Record, message: OutgoingMessage, outcome: Outcome) -> None:
    country, subdivision = scene.ledger.country, scene.ledger.subdivision
    if scene.today > action["scheduled_on"]:
        # Only a late completion asks which days between were closed, and by the customer's own calendar.
        sheet = (await sheet_store.customers_of(session, scene.tenant_id, [message.customer_id]))[CustomerId(message.customer_id)]
        country, subdivision = sheet.country, sheet.subdivision
    await carrying.complete(
        session, clock, scene, action, scene.today, country=country, subdivision=subdivision, told=outcome == "accepted",
        note={"message_id": message.message_id, "outcome": outcome},
    )  # fmt: skip


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
    published = await carrying.published_of(session, scene, action)
    notice = next((n for n in published.steps[action["step_code"]].notices if n.code == message.notice), None)
    instead = _fallback(notice)
    text = _TASKS[outcome].format(reason=message.reason or outcome, instead=f"tell the customer by {instead.value.replace('_', ' ')}")
    await carrying.wait_for_somebody(session, clock, scene, action, f"message_{outcome}", task_kind=instead.value, task_text=text)


def _fallback(notice: Notice | None) -> Channel:
    return notice.fallback[0] if notice is not None and notice.fallback else Channel.LETTER
