"""Messages: the log of what was sent to whom, what it said, and what a person may still do about one."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query

from dunning.doors import product_ports
from dunning.evidence.tokens import mask
from dunning.kit.ids import ActionId, ClaimId, CustomerId, LedgerId, MessageId
from dunning.messages import service as messages
from dunning.messages.message_store import MessageFilter
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Page
from dunning_api.schemas.messages import Delivery, MessageBody, MessageKind, MessageOut, MessageReason, MessageResolve, MessageState, MessageWithHistory

router = Router(tags=["messages"])


@router.get("/messages", summary="List messages", responses=problems(404))
async def list_messages(  # one query parameter a filter
    work: Annotated[Work, reads()],
    kind: Annotated[MessageKind | None, Query(description="Only `notice` (to customers and colleagues about one) or only `test` (test sends).")] = None,
    state: Annotated[MessageState | None, Query(description="Only messages in this state; `held` waits for a person.")] = None,
    delivery: Annotated[Delivery | None, Query(description="Only messages with this delivery.")] = None,
    ledger: Annotated[UUID | None, Query(description="Only messages of this ledger.")] = None,
    customer: Annotated[UUID | None, Query(description="Only messages about this customer.")] = None,
    action: Annotated[UUID | None, Query(description="Only messages of this action.")] = None,
    claim: Annotated[UUID | None, Query(description="Only messages that tell this claim.")] = None,
    to: Annotated[str | None, Query(max_length=320, description="Only messages to this address, whole.", examples=["ap@customer.example"])] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[MessageOut]:
    """List messages, newest first: recipients, subject, when it was accepted, the provider's id, state and delivery."""
    wanted = MessageFilter(
        kind=kind,
        state=state,
        delivery=delivery,
        ledger_id=None if ledger is None else LedgerId(ledger),
        customer_id=None if customer is None else CustomerId(customer),
        action_id=None if action is None else ActionId(action),
        claim_id=None if claim is None else ClaimId(claim),
        to=to,
    )
    key = paging.unseal(work.keyring, "messages", cursor, 1)
    rows = await messages.messages_before(
        work.session, tenant_id=work.tenant_id, wanted=wanted, before=MessageId(UUID(key[0])) if key else None, limit=limit + 1
    )
    more = paging.seal(work.keyring, "messages", rows[limit - 1]["message_id"]) if len(rows) > limit else None
    return Page(data=[MessageOut.of(row) for row in rows[:limit]], next_cursor=more)


@router.get("/messages/{message_id}", summary="Get a message", responses=problems(404))
async def get_message(message_id: UUID, work: Annotated[Work, reads()]) -> MessageWithHistory:
    """Return one message with every change of its state: attempts, the relay's answers, and who decided what."""
    row, history = await messages.history_of(work.session, tenant_id=work.tenant_id, message_id=MessageId(message_id))
    return MessageWithHistory.told(row, history)


@router.get("/messages/{message_id}/body", summary="Read what a message says", responses=problems(404, 409))
async def get_message_body(message_id: UUID, work: Annotated[Work, reads()]) -> MessageBody:
    """Write the message again and compare it with the digest of what was sent. The link to the customer's page is masked."""
    body = await messages.body_of(
        work.session,
        product_ports(work.settings, work.keyring),
        tenant_id=work.tenant_id,
        message_id=MessageId(message_id),
        now=work.clock.now(),
        mask=mask,
    )
    return MessageBody.of(body)


@router.post("/messages/{message_id}/cancel", summary="Take a message back", responses=problems(404, 409))
async def cancel_message(message_id: UUID, body: MessageReason, work: Annotated[Work, writes("send")]) -> MessageWithHistory:
    """Cancel a message that has not begun to leave: within its undo time, while it waits for a retry, or parked. Its action is told."""
    await messages.cancel_message(
        work.session,
        work.clock,
        product_ports(work.settings, work.keyring),
        tenant_id=work.tenant_id,
        actor=work.actor,
        message_id=MessageId(message_id),
        reason=body.reason,
    )
    row, history = await messages.history_of(work.session, tenant_id=work.tenant_id, message_id=MessageId(message_id))
    return MessageWithHistory.told(row, history)


@router.post("/messages/{message_id}/retry", summary="Try a parked message again", responses=problems(404, 409))
async def retry_message(message_id: UUID, body: MessageReason, work: Annotated[Work, writes("send")]) -> MessageWithHistory:
    """Put a parked message back into the queue once its cause is mended. It is checked against the facts again before it leaves."""
    await messages.retry_message(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        message_id=MessageId(message_id),
        reason=body.reason,
        valid_hours=work.settings.message_valid_hours,
    )
    row, history = await messages.history_of(work.session, tenant_id=work.tenant_id, message_id=MessageId(message_id))
    return MessageWithHistory.told(row, history)


@router.post("/messages/{message_id}/resolve", summary="Decide about a held message", responses=problems(404, 409))
async def resolve_message(message_id: UUID, body: MessageResolve, work: Annotated[Work, writes("send", idempotent=True)]) -> MessageWithHistory:
    """Close the question whether a message was sent. Answers the message that goes on: with `resend` a new one that names this in `resend_of`."""
    goes_on = await messages.resolve_message(
        work.session,
        work.clock,
        product_ports(work.settings, work.keyring),
        tenant_id=work.tenant_id,
        actor=work.actor,
        message_id=MessageId(message_id),
        decision=body.decision,
        reason=body.reason,
        valid_hours=work.settings.message_valid_hours,
    )
    row, history = await messages.history_of(work.session, tenant_id=work.tenant_id, message_id=goes_on)
    return MessageWithHistory.told(row, history)
