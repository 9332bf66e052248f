"""What people do with messages: look at them, take them back, try them again, and answer for those whose end nobody knows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import asyncpg

from dunning.events import due_work
from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, NotFound
from dunning.kit.ids import CustomerId, MessageId, TenantId, new_id
from dunning.ledger import customers
from dunning.ledger.customer_state import lock_customers
from dunning.messages import message_store, store
from dunning.messages.compose import CannotCompose, Mail, compose, facts_for, mail_of, rendering_of
from dunning.messages.dispatch import change, tell
from dunning.messages.message_store import MessageFilter
from dunning.messages.ports import Ports
from dunning.messages.queue import NewMessage, queue_messages
from dunning.messages.rendering import Rendered
from dunning.messages.rules import Event, states_before
from dunning.messages.store import Change

Decision = Literal["resend", "treat_as_sent", "not_sent"]

_UNDER_WAY = {"leased": "is being sent at this moment", "committing": "is being sent at this moment"}


class MessageUnderWay(Conflict):
    """The message is past the point where it could be taken back."""

    code = "message_not_cancellable"
    title = "The message can no longer be taken back"


class MessageNotHeld(Conflict):
    """Only a message whose end is unknown waits for such an answer."""

    code = "message_not_held"
    title = "The message does not wait for a decision"


class TestNotRepeated(Conflict):
    """A test is sent anew, not repeated."""

    code = "test_not_repeated"
    title = "A test is not repeated"


class MessageNotParked(Conflict):
    """Only a parked message is tried again by hand."""

    code = "message_not_parked"
    title = "The message is not parked"


@dataclass(frozen=True, slots=True)
class Body:
    """What a message says. `verified` tells whether writing it again gave the very bytes that were sent; None before it was sent."""

    subject: str
    text: str
    html: str | None
    language: str
    sha256: str
    sent_sha256: str | None
    verified: bool | None


async def messages_before(session: ReadSession, *, tenant_id: TenantId, wanted: MessageFilter, before: MessageId | None, limit: int) -> list[asyncpg.Record]:
    """Return messages that match, newest first; raise `NotFound` where the filter names an unknown customer."""
    if wanted.customer_id is not None:
        await customers.customer_of(session, tenant_id=tenant_id, customer_id=wanted.customer_id)
    return await message_store.messages_before(session, tenant_id, wanted, before, limit)


async def message_of(session: ReadSession, *, tenant_id: TenantId, message_id: MessageId) -> asyncpg.Record:
    """Return one message; raise `NotFound`."""
    row = await message_store.message_row(session, tenant_id, message_id)
    if row is None:
        noun = "message"
        raise NotFound(noun)
    return row


async def history_of(session: ReadSession, *, tenant_id: TenantId, message_id: MessageId) -> tuple[asyncpg.Record, list[asyncpg.Record]]:
    """Return one message and every change it has seen, oldest first; raise `NotFound`."""
    row = await message_of(session, tenant_id=tenant_id, message_id=message_id)
    return row, await message_store.history_rows(session, tenant_id, message_id)


async def body_of(session: ReadSession, ports: Ports, *, tenant_id: TenantId, message_id: MessageId, now: dt.datetime, mask: Callable[[str], str]) -> Body:
    """Write a message again from its frozen claim and template version, with its link masked.

    The digest of what was sent is compared before masking, so that `verified` speaks of the real bytes. Raises `NotFound`, and `CannotCompose`
    where a part is gone, such as an address that was erased.
    """
    row = await message_of(session, tenant_id=tenant_id, message_id=message_id)
    facts = await facts_for(session, tenant_id, ports, [row])
    test = facts.tests.get(message_id)
    if test is not None and row["to_email"] is not None:
        return _body(row, test.rendered, compose(row, facts, row["sent_at"] or now), mask)
    claim = facts.claims.get(row["claim_id"])
    contents = facts.contents.get((row["template_id"], row["template_version"]))
    if claim is None or contents is None or row["to_email"] is None:
        msg = "The message can no longer be written: its claim, its template version or the recipient's address is gone. Its digest is kept."
        raise CannotCompose(msg)
    crm_url = await message_store.crm_url_of(session, tenant_id, CustomerId(row["customer_id"])) if row["audience"] == "internal" else None
    whole = {**dict(row), "crm_url": crm_url}
    opt_out_url = facts.opt_outs.get(message_id)
    rendered = rendering_of(whole, claim.data, contents, facts.links.get(message_id), opt_out_url)
    return _body(row, rendered, mail_of(whole, claim, rendered, row["sent_at"] or now, opt_out_url), mask)


def _body(row: asyncpg.Record, rendered: Rendered, mail: Mail, mask: Callable[[str], str]) -> Body:
    sent: bytes | None = row["mime_sha256"]
    return Body(
        subject=mask(rendered.subject),
        text=mask(rendered.text),
        html=mask(rendered.html) if rendered.html is not None else None,
        language=rendered.language,
        sha256=mail.sha256.hex(),
        sent_sha256=sent.hex() if sent is not None else None,
        verified=mail.sha256 == sent if sent is not None else None,
    )


async def cancel_message(session: Session, clock: Clock, ports: Ports, *, tenant_id: TenantId, actor: str, message_id: MessageId, reason: str) -> None:
    """Take back a message that no worker has begun: in its undo time, waiting for a retry, or parked. Raises `NotFound` or `MessageUnderWay`."""
    row = await _locked(session, tenant_id, message_id)
    cancellable = {state for state in states_before(Event.CANCELLED) if state != "leased"}
    if row["state"] not in cancellable:
        state = row["state"]
        detail = f"The message {_UNDER_WAY.get(state, f'is {state}')}. Only a message that is ready, waits for a retry or is parked can be cancelled."
        raise MessageUnderWay(detail, state=state)
    await change(session, clock, ports, Event.CANCELLED, [row], what=Change(reason="by_person", data={"reason": reason}), actor=actor)


async def retry_message(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, message_id: MessageId, reason: str, valid_hours: int) -> None:
    """Put a parked message back into the queue after a person has mended what was wrong, valid for as long as a new one."""
    row = await _locked(session, tenant_id, message_id)
    if row["state"] != "parked":
        detail = f"The message is {row['state']}, not parked."
        raise MessageNotParked(detail, state=row["state"])
    await _requeue(session, clock, Event.REPAIRED, row, actor=actor, reason=reason, valid_hours=valid_hours)


async def resolve_message(
    session: Session,
    clock: Clock,
    ports: Ports,
    *,
    tenant_id: TenantId,
    actor: str,
    message_id: MessageId,
    decision: Decision,
    reason: str,
    valid_hours: int,
) -> MessageId:
    """Close a message whose end nobody knows, and return the message that goes on: the same one, or its resend.

    `resend` accepts that the recipient may get it twice, under a new Message-ID. `treat_as_sent` completes its step, but is never shown as
    proof. `not_sent` says that the relay's own log proves it: the same message goes again. Raises `NotFound`, `MessageNotHeld`, and
    `TestNotRepeated` for the resend of a test.
    """
    row = await _locked(session, tenant_id, message_id)
    if row["state"] != "held":
        detail = f"The message is {row['state']}. Only a held message, whose end nobody knows, waits for a decision."
        raise MessageNotHeld(detail, state=row["state"])
    if decision == "resend" and row["kind"] == "test":
        msg = "A test is not repeated: close this one with treat_as_sent, and send another with POST /v1/templates/{template_id}/test-send."
        raise TestNotRepeated(msg)
    data = {"decision": decision, "reason": reason}
    if decision == "not_sent":
        await _requeue(session, clock, Event.PROVED_UNSENT, row, actor=actor, reason=reason, valid_hours=valid_hours)
        return message_id
    changed = await change(session, clock, ports, Event.CLOSED, [row], what=Change(reason=decision, data=data), actor=actor)
    if decision == "treat_as_sent":
        await tell(session, clock, ports, changed, "closed_as_sent", reason=reason, actor=actor)
        return message_id
    if row["to_email"] is None:
        msg = "The message cannot be sent again: the recipient's address was erased."
        raise CannotCompose(msg)
    again = _repetition(row, clock.now(), valid_hours)
    await queue_messages(session, tenant_id, [again], actor=actor)
    await events.record(
        session,
        clock,
        tenant_id=tenant_id,
        kind="message.resent",
        subject_kind="message",
        subject_id=again.message_id,
        customer_id=row["customer_id"],
        actor=actor,
        data={"resend_of": str(message_id), "reason": reason},
    )
    return again.message_id


async def _locked(session: Session, tenant_id: TenantId, message_id: MessageId) -> asyncpg.Record:
    seen = await message_of(session, tenant_id=tenant_id, message_id=message_id)
    if seen["customer_id"] is not None:
        await lock_customers(session, tenant_id, [seen["customer_id"]])
    row = await message_store.lock_message(session, tenant_id, message_id)
    if row is None:
        noun = "message"
        raise NotFound(noun)
    return row


async def _requeue(session: Session, clock: Clock, event: Event, row: asyncpg.Record, *, actor: str, reason: str, valid_hours: int) -> None:
    now = clock.now()
    what = Change(reason=event.value, not_before=now, valid_until=now + dt.timedelta(hours=valid_hours), data={"reason": reason})
    await store.change_states(session, row["tenant_id"], event, [row["message_id"]], actor=actor, change=what)
    await events.record(
        session,
        clock,
        tenant_id=row["tenant_id"],
        kind="message.requeued",
        subject_kind="message",
        subject_id=row["message_id"],
        customer_id=row["customer_id"],
        actor=actor,
        data={"from_state": row["state"], "reason": reason},
    )
    await due_work.ring(session, row["tenant_id"], "dispatch")


def _repetition(row: asyncpg.Record, now: dt.datetime, valid_hours: int) -> NewMessage:
    return NewMessage(
        message_id=MessageId(new_id()),
        ledger_id=row["ledger_id"],
        customer_id=row["customer_id"],
        action_id=row["action_id"],
        claim_id=row["claim_id"],
        notice=row["notice"],
        channel=row["channel"],
        recipient_key=row["recipient_key"],
        audience=row["audience"],
        is_primary=row["is_primary"],
        is_copy=row["is_copy"],
        contact_id=row["contact_id"],
        language=row["language"],
        template_id=row["template_id"],
        template_version=row["template_version"],
        content_mode=row["content_mode"],
        relay=row["relay"],
        to_email=row["to_email"],
        to_name=row["to_name"],
        not_before=now,
        valid_until=now + dt.timedelta(hours=valid_hours),
        resend_of=row["resend_of"] or row["message_id"],
        header_domain=row["header_message_id"].rpartition("@")[2].rstrip(">"),
    )
