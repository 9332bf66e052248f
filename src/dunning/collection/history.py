"""What was done about a customer, from all sides: actions, activities, messages, receipts, readings, in the order in which they were recorded."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import asyncpg

from dunning.collection import action_store
from dunning.collection.action_store import NewActivity
from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import NotFound
from dunning.kit.ids import CustomerId, LedgerId, TenantId

_TIMELINE = """
select * from (
  (select a.action_id as id, 'action' as kind, a.created_at as recorded_at, a.local_date as "on", a.action_id,
          jsonb_build_object('step_code', a.step_code, 'step_name', a.step_name, 'kind', a.kind, 'mode', a.mode, 'origin', a.origin, 'state', a.state,
                             'reason', a.reason, 'totals', a.totals, 'completed_on', a.completed_on) as data
     from action a where a.tenant_id = $1 and a.customer_id = $2 and ($3::uuid is null or a.action_id < $3) order by a.action_id desc limit $4)
  union all
  (select n.activity_id, 'activity', n.recorded_at, n.business_at::date, n.action_id,
          jsonb_build_object('kind', n.kind, 'text', n.text, 'data', n.data, 'actor', n.actor)
     from activity n where n.tenant_id = $1 and n.customer_id = $2 and ($3::uuid is null or n.activity_id < $3) order by n.activity_id desc limit $4)
  union all
  (select m.message_id, 'message', m.created_at, m.accepted_on, m.action_id,
          jsonb_build_object('channel', m.channel, 'audience', m.audience, 'is_copy', m.is_copy, 'state', m.state, 'reason', m.reason,
                             'delivery', m.delivery, 'claim_id', m.claim_id)
     from message m where m.tenant_id = $1 and m.customer_id = $2 and ($3::uuid is null or m.message_id < $3) order by m.message_id desc limit $4)
  union all
  (select r.receipt_id, 'receipt', r.recorded_at, r.received_on, null,
          jsonb_build_object('external_id', r.external_id, 'state', r.state, 'method', r.method, 'amount_minor', r.amount_minor, 'currency', r.currency)
     from receipt r where r.tenant_id = $1 and r.customer_id = $2 and ($3::uuid is null or r.receipt_id < $3) order by r.receipt_id desc limit $4)
  union all
  (select g.reading_id, 'reading', g.recorded_at, g.business_at::date, null,
          jsonb_build_object('kind', g.kind, 'grade', g.grade, 'link_id', g.link_id, 'audience', k.audience, 'claim_id', k.claim_id)
     from message m
     join link k on k.tenant_id = m.tenant_id and k.message_id = m.message_id
     join reading g on g.tenant_id = k.tenant_id and g.link_id = k.link_id
    where m.tenant_id = $1 and m.customer_id = $2 and ($3::uuid is null or g.reading_id < $3) order by g.reading_id desc limit $4)
) t order by id desc limit $4
"""


async def timeline(session: ReadSession, *, tenant_id: TenantId, customer_id: CustomerId, before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Return what was recorded about a customer, the newest first; raise `NotFound`. Ids carry their time, so that one order holds over all kinds."""
    await _known(session, tenant_id, customer_id)
    return await session.rows(_TIMELINE, tenant_id, customer_id, before, limit)


async def activities_before(
    session: ReadSession,
    *,
    tenant_id: TenantId,
    before: UUID | None,
    limit: int,
    customer_id: UUID | None = None,
    ledger_id: UUID | None = None,
    kind: str | None = None,
    since: dt.datetime | None = None,
) -> list[asyncpg.Record]:
    """Return activities, the newest first; `since` is business time."""
    return await session.rows(
        """select * from activity where tenant_id = $1 and ($2::uuid is null or activity_id < $2) and ($4::uuid is null or customer_id = $4)
             and ($5::uuid is null or ledger_id = $5) and ($6::text is null or kind = $6) and ($7::timestamptz is null or business_at >= $7)
           order by activity_id desc limit $3""",
        tenant_id, before, limit, customer_id, ledger_id, kind, since,
    )  # fmt: skip


async def add_activity(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, customer_id: CustomerId, kind: str, text: str | None
) -> asyncpg.Record:
    """Record something that was done about a customer, such as a call, and return it. Activities are never changed or removed."""
    ledger_id = await _known(session, tenant_id, customer_id)
    made = NewActivity(customer_id=customer_id, action_id=None, kind=kind, text=text, data={})
    ids = await action_store.insert_activities(session, tenant_id, ledger_id, [made], actor=actor, business_at=clock.now())
    await events.record(
        session, clock, tenant_id=tenant_id, kind="activity.recorded", subject_kind="activity", subject_id=ids[0], actor=actor, customer_id=customer_id,
        data={"kind": kind},
    )  # fmt: skip
    row = await session.row("select * from activity where tenant_id = $1 and activity_id = $2", tenant_id, ids[0])
    if row is None:
        noun = "activity"
        raise NotFound(noun)
    return row


async def _known(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId) -> LedgerId:
    found = await session.value("select ledger_id from customer where tenant_id = $1 and customer_id = $2", tenant_id, customer_id)
    if found is None:
        noun = "customer"
        raise NotFound(noun)
    return LedgerId(found)
