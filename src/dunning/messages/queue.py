"""Queueing messages: rows written in the transaction that decided them. Nothing is rendered or sent here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from dunning.events import due_work
from dunning.kit.database import Session
from dunning.kit.faults import faultpoint
from dunning.kit.ids import ActionId, ClaimId, ContactId, CustomerId, LedgerId, MessageId, TemplateId, TenantId, new_id
from dunning.messages.addresses import address_digest, domain_key


@dataclass(frozen=True, slots=True)
class NewMessage:
    """One communication to one recipient, decided but not yet written.

    `not_before` and `valid_until` are business time. `header_domain` ends the Message-ID, which stays the same over all attempts. `relay` is
    `smtp` for live tenants and `sink` for test mode. A resend names the message it repeats in `resend_of` and is outside the unique key.
    """

    message_id: MessageId
    ledger_id: LedgerId
    customer_id: CustomerId
    action_id: ActionId
    claim_id: ClaimId
    notice: str
    channel: str
    recipient_key: str
    audience: str
    is_primary: bool
    is_copy: bool
    contact_id: ContactId | None
    language: str
    template_id: TemplateId
    template_version: int
    content_mode: str
    relay: str
    to_email: str
    to_name: str | None
    not_before: dt.datetime
    valid_until: dt.datetime
    resend_of: MessageId | None
    header_domain: str


def header_message_id(message_id: MessageId, domain: str) -> str:
    """Return the Message-ID of all attempts of a message, in its angle brackets."""
    return f"<m.{message_id}@{domain}>"


_INSERT = """
with given as (
  select * from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::text[], $10::text[], $11::boolean[],
                       $12::boolean[], $13::uuid[], $14::text[], $15::uuid[], $16::int[], $17::text[], $18::text[], $19::text[], $20::text[],
                       $21::bytea[], $22::timestamptz[], $23::timestamptz[], $24::uuid[])
    as g (message_id, ledger_id, customer_id, action_id, claim_id, notice, channel, recipient_key, audience, is_primary,
          is_copy, contact_id, language, template_id, template_version, content_mode, header_message_id, relay, recipient_domain,
          address_sha256, not_before, valid_until, resend_of)
)
insert into message (tenant_id, message_id, ledger_id, customer_id, action_id, claim_id, notice, channel, recipient_key, audience, is_primary,
                     is_copy, contact_id, language, template_id, template_version, content_mode, header_message_id, relay, recipient_domain,
                     address_sha256, not_before, valid_until, resend_of)
select $1, g.* from given g
on conflict (tenant_id, action_id, notice, recipient_key, channel)
  where resend_of is null and state not in ('rejected', 'suppressed', 'expired', 'cancelled', 'closed_unknown') do nothing
returning message_id
"""

_INSERT_ADDRESSES = """
insert into message_address (tenant_id, message_id, to_email, to_name)
select $1, * from unnest($2::uuid[], $3::text[], $4::text[])
"""

_INSERT_EVENTS = """
insert into message_event (tenant_id, message_event_id, message_id, to_state, reason, actor)
select $1, g.message_event_id, g.message_id, 'ready', 'queued', $4 from unnest($2::uuid[], $3::uuid[]) as g (message_event_id, message_id)
"""


async def queue_messages(session: Session, tenant_id: TenantId, messages: Sequence[NewMessage], *, actor: str = "system") -> list[MessageId]:
    """Queue messages and return the ids of those that are new, in the order given.

    A live or successful message with the same action, notice, recipient and channel stays the only one: the second call queues nothing. Rows,
    addresses, history and the due-work row are written in the caller's transaction.
    """
    if not messages:
        return []
    m = messages
    rows = await session.rows(
        _INSERT,
        tenant_id,
        [x.message_id for x in m],
        [x.ledger_id for x in m],
        [x.customer_id for x in m],
        [x.action_id for x in m],
        [x.claim_id for x in m],
        [x.notice for x in m],
        [x.channel for x in m],
        [x.recipient_key for x in m],
        [x.audience for x in m],
        [x.is_primary for x in m],
        [x.is_copy for x in m],
        [x.contact_id for x in m],
        [x.language for x in m],
        [x.template_id for x in m],
        [x.template_version for x in m],
        [x.content_mode for x in m],
        [header_message_id(x.message_id, x.header_domain) for x in m],
        [x.relay for x in m],
        [domain_key(x.to_email) for x in m],
        [address_digest(x.to_email) for x in m],
        [x.not_before for x in m],
        [x.valid_until for x in m],
        [x.resend_of for x in m],
    )
    written = {row["message_id"] for row in rows}
    new = [x for x in m if x.message_id in written]
    if new:
        ids = [x.message_id for x in new]
        await session.execute(_INSERT_ADDRESSES, tenant_id, ids, [x.to_email for x in new], [x.to_name for x in new])
        await session.execute(_INSERT_EVENTS, tenant_id, [new_id() for _ in new], ids, actor)
        await due_work.ring(session, tenant_id, "dispatch")
    await faultpoint("messages_queued")
    return [x.message_id for x in new]
