"""Statements on deliveries under way, several messages at once: passing the fence, and being accepted. Each writes its lines of history."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from dunning.kit.database import Session
from dunning.kit.ids import MessageId, TenantId, new_id
from dunning.messages.rules import Event, state_after, states_before


@dataclass(frozen=True, slots=True)
class Passing:
    """One message before its fence: the lease it is held by, and the mail that will leave."""

    message_id: MessageId
    lease_token: int
    attempt: int
    dated_at: dt.datetime
    mime_sha256: bytes


_LET_THROUGH = """
with given as (
  select * from unnest($2::uuid[], $3::int[], $4::uuid[], $5::timestamptz[], $6::bytea[], $7::int[])
    as g (message_id, token, event_id, sent_at, mime_sha256, attempt)
), before as (
  select m.message_id, m.state, g.event_id, g.sent_at, g.mime_sha256, g.attempt from message m join given g on g.message_id = m.message_id
   where m.tenant_id = $1 and m.state = any ($8::text[]) and m.lease_token = g.token
     and not exists (select from suppression s where s.tenant_id = $1 and s.channel = m.channel and s.address_sha256 = m.address_sha256
                        and (s.expires_at is null or s.expires_at > now()))
   order by m.message_id
   for update of m
), changed as (
  update message m
     set state = $9, reason = null, retry_at = null, lease_until = now() + make_interval(secs => $10), sent_at = b.sent_at,
         mime_sha256 = b.mime_sha256, updated_at = clock_timestamp()
    from before b where m.tenant_id = $1 and m.message_id = b.message_id
  returning m.message_id, b.state as from_state, b.event_id, b.attempt
), noted as (
  insert into message_event (tenant_id, message_event_id, message_id, from_state, to_state, actor, data)
  select $1, c.event_id, c.message_id, c.from_state, $9, $11, jsonb_build_object('attempt', c.attempt) from changed c
)
select message_id from changed
"""


async def pass_fences(session: Session, tenant_id: TenantId, passing: Sequence[Passing], *, lease_seconds: float, actor: str) -> set[MessageId]:
    """Move messages past their fence and return those that moved: whose lease is still the caller's and whose address is not suppressed."""
    rows = await session.rows(
        _LET_THROUGH,
        tenant_id,
        [p.message_id for p in passing],
        [p.lease_token for p in passing],
        [new_id() for _ in passing],
        [p.dated_at for p in passing],
        [p.mime_sha256 for p in passing],
        [p.attempt for p in passing],
        states_before(Event.FENCE_PASSED),
        state_after(Event.FENCE_PASSED).value,
        lease_seconds,
        actor,
    )
    return {row["message_id"] for row in rows}


@dataclass(frozen=True, slots=True)
class Accepted:
    """One message that a relay has taken."""

    message_id: MessageId
    lease_token: int
    reply: str
    provider_id: str | None
    accepted_at: dt.datetime
    accepted_on: dt.date
    subject: str


_ACCEPT = """
with given as (
  select * from unnest($2::uuid[], $3::int[], $4::uuid[], $5::text[], $6::text[], $7::timestamptz[], $8::date[], $9::text[])
    as g (message_id, token, event_id, reply, provider_id, accepted_at, accepted_on, subject)
), before as (
  select m.message_id, m.state, g.event_id, g.reply, g.provider_id, g.accepted_at, g.accepted_on, g.subject
    from message m join given g on g.message_id = m.message_id
   where m.tenant_id = $1 and m.state = any ($10::text[]) and m.lease_token = g.token
   order by m.message_id
   for update of m
), changed as (
  update message m
     set state = $11, reason = null, reply = b.reply, provider_id = coalesce(b.provider_id, m.provider_id), retry_at = null, lease_until = null,
         accepted_at = b.accepted_at, accepted_on = b.accepted_on, updated_at = clock_timestamp()
    from before b where m.tenant_id = $1 and m.message_id = b.message_id
  returning m.message_id, b.state as from_state, b.event_id, b.reply, b.subject
), noted as (
  insert into message_event (tenant_id, message_event_id, message_id, from_state, to_state, actor, data)
  select $1, c.event_id, c.message_id, c.from_state, $11, $12, jsonb_build_object('reply', c.reply) from changed c
), titled as (
  update message_address a set subject = c.subject from changed c where a.tenant_id = $1 and a.message_id = c.message_id
)
select message_id from changed
"""


async def accept(session: Session, tenant_id: TenantId, accepted: Sequence[Accepted], *, actor: str) -> set[MessageId]:
    """Record that a relay took messages and return those for which this is news and whose lease is still the caller's."""
    rows = await session.rows(
        _ACCEPT,
        tenant_id,
        [a.message_id for a in accepted],
        [a.lease_token for a in accepted],
        [new_id() for _ in accepted],
        [a.reply for a in accepted],
        [a.provider_id for a in accepted],
        [a.accepted_at for a in accepted],
        [a.accepted_on for a in accepted],
        [a.subject for a in accepted],
        states_before(Event.ACCEPTED),
        state_after(Event.ACCEPTED).value,
        actor,
    )
    return {row["message_id"] for row in rows}
