"""Statements of dispatch: claiming, changing state, and finding what time has moved on. Each change writes its line of history in the same statement."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from dunning.kit.columns import UNSEEN_TENANT
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import MessageId, TenantId, new_id
from dunning.messages.rules import Event, state_after, states_before


@dataclass(frozen=True, slots=True)
class Pace:
    """How many mails to one recipient domain may be claimed within a window that slides over buckets; `mails` 0 is no limit.

    A mail whose turn comes later than `fresh_seconds` after its claim is counted anew when it comes.
    """

    mails: int
    window_seconds: float
    bucket_seconds: float
    fresh_seconds: float


_CLAIM = f"""
with used as materialized (
  select recipient_domain, sum(sent)::bigint as sent from relay_rate
   where relay = $2 and bucket_at > clock_timestamp() - make_interval(secs => $7) and $6 > 0
   group by recipient_domain
), due as (
  select m.message_id, m.state, m.recipient_domain from message m
   where m.tenant_id = {UNSEEN_TENANT} and m.relay = $2 and m.state in ('ready', 'retry_wait') and m.not_before <= $3 and m.valid_until > $3
     and (m.retry_at is null or m.retry_at <= now()) and (m.kind = 'test' or not $11)
     and m.recipient_domain not in (select u.recipient_domain from used u where u.sent >= $6)
   order by m.not_before, m.message_id
   limit $4
   for update skip locked
), allowed as (
  select d.message_id, d.state, d.recipient_domain, d.place
    from (select due.*, row_number() over (partition by due.recipient_domain order by due.message_id) as place from due) d
    left join used u on u.recipient_domain = d.recipient_domain
   where $6 = 0 or d.place + coalesce(u.sent, 0) <= $6
), counted as (
  insert into relay_rate (relay, recipient_domain, bucket_at, sent)
  select $2, recipient_domain, date_bin(make_interval(secs => $8), clock_timestamp(), timestamptz 'epoch'), count(*)
    from allowed where $6 > 0 group by recipient_domain order by recipient_domain
  on conflict (relay, recipient_domain, bucket_at) do update set sent = relay_rate.sent + excluded.sent
  returning recipient_domain, bucket_at
), leased as (
  update message m
     set state = 'leased', reason = null, lease_token = m.lease_token + 1, attempt = m.attempt + 1, retry_at = null,
         lease_until = now() + make_interval(secs => $5), updated_at = clock_timestamp()
    from allowed a where m.tenant_id = {UNSEEN_TENANT} and m.message_id = a.message_id
  returning m.*, a.state as from_state
), noted as (
  insert into message_event (tenant_id, message_event_id, message_id, from_state, to_state, reason, actor, data)
  select $1, ($10::uuid[])[row_number() over ()], l.message_id, l.from_state, 'leased', 'claimed', $9, jsonb_build_object('attempt', l.attempt)
    from leased l
)
select l.*, a.to_email, a.to_name, s.cause as suppressed_because, g.time_zone as ledger_time_zone, g.country as ledger_country,
       g.subdivision as ledger_subdivision, g.send_from, g.send_until, g.send_on_closed_days, coalesce(c.crm_url, g.crm_url) as crm_url,
       c.time_zone, c.country, c.subdivision, p.bucket_at as counted_at
  from leased l
  left join counted p on p.recipient_domain = l.recipient_domain
  join ledger g on g.tenant_id = {UNSEEN_TENANT} and g.ledger_id = l.ledger_id
  left join customer c on c.tenant_id = {UNSEEN_TENANT} and c.customer_id = l.customer_id
  left join message_address a on a.tenant_id = {UNSEEN_TENANT} and a.message_id = l.message_id
  left join suppression s on s.tenant_id = {UNSEEN_TENANT} and s.channel = l.channel and s.address_sha256 = l.address_sha256
       and (s.expires_at is null or s.expires_at > now())
 order by l.not_before, l.message_id
"""


async def claim_due(
    session: Session, tenant_id: TenantId, relay: str, *, now: dt.datetime, limit: int, lease_seconds: float, pace: Pace, actor: str, tests_only: bool = False
) -> list[asyncpg.Record]:
    """Lease up to `limit` due messages for a relay, first come first served, and return them with what rendering needs.

    `now` is business time; with `tests_only` nothing but tests to the tenant's own people is leased. Rows that another worker is claiming are passed over. Where a pace is set, claims on the relay follow one
    another, because two that looked at the same counters would together exceed them.
    """
    # A plan kept from when the queue was short would scan a long one; planning anew costs a fraction of one mail.
    await session.execute("set local plan_cache_mode = force_custom_plan")
    if pace.mails:
        await session.execute("select pg_advisory_xact_lock(hashtextextended('dunning.pace.' || $1::text, 0))", relay)
    return await session.rows(
        _CLAIM,
        tenant_id,
        relay,
        now,
        limit,
        lease_seconds,
        pace.mails,
        pace.window_seconds,
        pace.bucket_seconds,
        actor,
        [new_id() for _ in range(limit)],
        tests_only,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is written beside the new state. Seconds count from the database's now; `None` leaves or clears as the column's nature asks."""

    reason: str | None = None
    reply: str | None = None
    provider_id: str | None = None
    retry_in_seconds: float | None = None
    counts_failure: bool = False
    counts_mailbox_full: bool = False
    lease_seconds: float | None = None
    sent_at: dt.datetime | None = None
    mime_sha256: bytes | None = None
    accepted_at: dt.datetime | None = None
    accepted_on: dt.date | None = None
    not_before: dt.datetime | None = None
    valid_until: dt.datetime | None = None
    subject: str | None = None
    data: dict[str, Any] | None = None


_BEFORE_MANY = """
with given as (
  select * from unnest($2::uuid[], $3::int[], $4::uuid[]) as g (message_id, token, event_id)
), before as (
  select m.message_id, m.state, g.event_id from message m join given g on g.message_id = m.message_id
   where m.tenant_id = $1 and m.state = any ($5::text[]) and (g.token is null or m.lease_token = g.token)
   order by m.message_id
   for update of m
)"""

_BEFORE_ONE = """
with before as (
  select m.message_id, m.state, ($4::uuid[])[1] as event_id from message m
   where m.tenant_id = $1 and m.message_id = ($2::uuid[])[1] and m.state = any ($5::text[])
     and (($3::int[])[1] is null or m.lease_token = ($3::int[])[1])
     and ($6::text <> 'committing' or not exists (select from suppression s where s.tenant_id = $1 and s.channel = m.channel
          and s.address_sha256 = m.address_sha256 and (s.expires_at is null or s.expires_at > now())))
   for update of m
)"""
"""The same for one message, which passes its fence only while its address is not suppressed.

A plan that was made while the table was small stays good for it, because its key names one row.
"""

_CHANGE = """, changed as (
  update message m
     set state = $6::text, reason = $7::text, reply = coalesce($8, m.reply), provider_id = coalesce($9, m.provider_id),
         retry_at = now() + make_interval(secs => $10), failures = m.failures + $11, mailbox_full = m.mailbox_full + $12,
         lease_until = now() + make_interval(secs => $13),
         sent_at = case when $6::text in ('ready', 'retry_wait', 'parked') then null else coalesce($14, m.sent_at) end,
         mime_sha256 = case when $6::text in ('ready', 'retry_wait', 'parked') then null else coalesce($15, m.mime_sha256) end,
         accepted_at = coalesce($16, m.accepted_at), accepted_on = coalesce($17, m.accepted_on), not_before = coalesce($18, m.not_before),
         valid_until = coalesce($22, m.valid_until),
         uncertain_at = case when $6::text = 'uncertain' then now() else m.uncertain_at end,
         updated_at = clock_timestamp()
    from before b where m.tenant_id = $1 and m.message_id = b.message_id
  returning m.*, b.state as from_state, b.event_id
), noted as (
  insert into message_event (tenant_id, message_event_id, message_id, from_state, to_state, reason, actor, data)
  select $1, c.event_id, c.message_id, c.from_state, $6::text, $7::text, $19, $20 from changed c
), titled as (
  update message_address a set subject = $21::text from changed c where $21::text is not null and a.tenant_id = $1 and a.message_id = c.message_id
)
select * from changed order by message_id
"""


async def change_states(
    session: Session,
    tenant_id: TenantId,
    event: Event,
    ids: Sequence[MessageId],
    *,
    actor: str,
    change: Change = Change(),  # frozen, and the usual case
    tokens: Sequence[int] | None = None,
) -> list[asyncpg.Record]:
    """Apply one event to messages that stand where it may meet them, and return those that changed.

    With `tokens` a row counts only while its lease is still the caller's; a message missing from the answer has gone on without the caller.
    """
    return await session.rows(
        (_BEFORE_ONE if len(ids) == 1 else _BEFORE_MANY) + _CHANGE,
        tenant_id,
        list(ids),
        list(tokens) if tokens is not None else [None] * len(ids),
        [new_id() for _ in ids],
        states_before(event),
        state_after(event).value,
        change.reason,
        change.reply,
        change.provider_id,
        change.retry_in_seconds,
        int(change.counts_failure),
        int(change.counts_mailbox_full),
        change.lease_seconds,
        change.sent_at,
        change.mime_sha256,
        change.accepted_at,
        change.accepted_on,
        change.not_before,
        actor,
        change.data or {},
        change.subject,
        change.valid_until,
    )


async def extend_leases(session: Session, tenant_id: TenantId, ids: Sequence[MessageId], tokens: Sequence[int], lease_seconds: float) -> None:
    """Show a sign of life for messages in hand whose lease is still the caller's."""
    await session.execute(
        """update message m set lease_until = now() + make_interval(secs => $4)
             from unnest($2::uuid[], $3::int[]) as g (message_id, token)
            where m.tenant_id = $1 and m.message_id = g.message_id and m.lease_token = g.token and m.state in ('leased', 'committing')""",
        tenant_id,
        list(ids),
        list(tokens),
        lease_seconds,
    )


async def state_of_lease(session: Session, tenant_id: TenantId, message_id: MessageId, token: int) -> str | None:
    """Wait for whoever is changing a message, and return its state then; None when the lease is no longer the caller's."""
    state: str | None = await session.value(
        """select state from message where tenant_id = $1 and message_id = $2 and lease_token = $3 for update""", tenant_id, message_id, token
    )
    return state


async def is_suppressed(session: ReadSession, tenant_id: TenantId, channel: str, address_sha256: bytes) -> bool:
    """Tell whether an address is on the suppression list now."""
    return bool(
        await session.value(
            """select exists (select from suppression where tenant_id = $1 and channel = $2 and address_sha256 = $3
                               and (expires_at is null or expires_at > now()))""",
            tenant_id,
            channel,
            address_sha256,
        )
    )


async def expired_leases(session: Session, tenant_id: TenantId, limit: int) -> list[asyncpg.Record]:
    """Lock and return messages whose worker has shown no sign of life for a lease."""
    return await session.rows(
        """select * from message where tenant_id = $1 and state in ('leased', 'committing') and lease_until < now()
            order by message_id limit $2 for update skip locked""",
        tenant_id,
        limit,
    )


async def past_validity(session: ReadSession, tenant_id: TenantId, now: dt.datetime, limit: int) -> list[asyncpg.Record]:
    """Return unsent messages whose time has passed; `now` is business time."""
    return await session.rows(
        """select * from message where tenant_id = $1 and state in ('ready', 'retry_wait') and valid_until <= $2
            order by message_id limit $3""",
        tenant_id,
        now,
        limit,
    )


async def queued_before_switch(session: ReadSession, tenant_id: TenantId, limit: int) -> list[asyncpg.Record]:
    """Return unsent messages of a tenant that may not send, or that were queued before its switch was last turned; tests mind a stop alone."""
    return await session.rows(
        """select m.* from message m join tenant t on t.tenant_id = m.tenant_id
            where m.tenant_id = $1 and m.state in ('ready', 'retry_wait')
              and (t.stopped_at is not null or (m.kind <> 'test' and (not t.sending_enabled or m.created_at < t.sending_changed_at)))
            order by m.message_id limit $2""",
        tenant_id,
        limit,
    )


async def replies_lost(session: ReadSession, tenant_id: TenantId, limit: int) -> list[asyncpg.Record]:
    """Return messages whose reply was lost and where evidence is due to be looked for, or the time to look is over."""
    return await session.rows(
        """select m.*, extract(epoch from now() - m.uncertain_at)::float8 as age_seconds from message m
            where m.tenant_id = $1 and m.state in ('uncertain', 'held') and m.uncertain_at is not null and m.retry_at <= now()
            order by m.message_id limit $2""",
        tenant_id,
        limit,
    )


async def look_again(session: Session, tenant_id: TenantId, ids: Sequence[MessageId], seconds: Sequence[float | None]) -> None:
    """Store when evidence is looked for next; None is never."""
    await session.execute(
        """update message m set retry_at = now() + make_interval(secs => g.seconds)
             from unnest($2::uuid[], $3::float8[]) as g (message_id, seconds)
            where m.tenant_id = $1 and m.message_id = g.message_id and m.state in ('uncertain', 'held')""",
        tenant_id,
        list(ids),
        list(seconds),
    )


async def next_due_at(session: ReadSession, tenant_id: TenantId, business_now: dt.datetime, *, clock_runs: bool) -> dt.datetime | None:
    """Return the database's instant at which something of the tenant is due next, None when only a new fact can make work.

    Where the tenant's clock stands still, what waits for it is not counted: moving the clock dispatches by itself.
    """
    at: dt.datetime | None = await session.value(
        """select min(at) from (
             select min(greatest(case when $3 then not_before else '-infinity'::timestamptz end, coalesce(retry_at, '-infinity'::timestamptz))) as at
               from message where tenant_id = $1 and state in ('ready', 'retry_wait') and ($3 or not_before <= $2)
             union all
             select min(valid_until) from message where tenant_id = $1 and state in ('ready', 'retry_wait') and $3
             union all
             select min(lease_until) from message where tenant_id = $1 and state in ('leased', 'committing')
             union all
             select min(retry_at) from message where tenant_id = $1 and state in ('uncertain', 'held')
           ) as dues""",
        tenant_id,
        business_now,
        clock_runs,
    )
    return at


async def policy_refusals(session: ReadSession, tenant_id: TenantId, relay: str, within_seconds: float) -> int:
    """Count the messages of a tenant that a relay has refused by policy within the last seconds."""
    count: int = await session.value(
        """select count(*) from message where tenant_id = $1 and relay = $2 and state = 'parked' and reason = 'refused_by_policy'
              and updated_at > now() - make_interval(secs => $3)""",
        tenant_id,
        relay,
        within_seconds,
    )
    return count


async def has_open(session: ReadSession, tenant_id: TenantId) -> bool:
    """Tell whether a message of the tenant may still move by itself; one that waits for a person does not."""
    return bool(
        await session.value(
            """select exists (select 1 from message where tenant_id = $1 and state in ('ready', 'retry_wait'))
                   or exists (select 1 from message where tenant_id = $1 and state in ('leased', 'committing', 'uncertain'))""",
            tenant_id,
        )
    )
