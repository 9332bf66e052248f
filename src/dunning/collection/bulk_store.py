"""Statements on many actions at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from uuid import UUID

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActionId, LedgerId, TenantId


async def let_go(session: Session, tenant_id: TenantId, action_ids: Sequence[ActionId], actor: str, at: dt.datetime, *, on: dt.date | None) -> None:
    """Approve some actions: they are scheduled, on a given day or on their own, and carried out once that has come."""
    await session.execute(
        """update action set state = 'scheduled', reason = null, task_kind = null, task_text = null, approved_at = $3, approved_by = $4,
                  scheduled_on = case when $5::date is null then scheduled_on else least(scheduled_on, $5) end,
                  revision = revision + 1, updated_at = clock_timestamp()
            where tenant_id = $1 and action_id = any ($2::uuid[])""",
        tenant_id,
        list(action_ids),
        at,
        actor,
        on,
    )


async def put_off(session: Session, tenant_id: TenantId, action_ids: Sequence[ActionId], scheduled_on: dt.date) -> None:
    """Move some actions to one day."""
    await session.execute(
        """update action set scheduled_on = $3, revision = revision + 1, updated_at = clock_timestamp()
            where tenant_id = $1 and action_id = any ($2::uuid[])""",
        tenant_id,
        list(action_ids),
        scheduled_on,
    )


async def give_to(session: Session, tenant_id: TenantId, action_ids: Sequence[ActionId], person_id: UUID | None) -> None:
    """Give some actions to one person, or to nobody."""
    await session.execute(
        """update action set person_id = $3, revision = revision + 1, updated_at = clock_timestamp()
            where tenant_id = $1 and action_id = any ($2::uuid[])""",
        tenant_id,
        list(action_ids),
        person_id,
    )


async def under_way(session: ReadSession, tenant_id: TenantId, action_ids: Collection[ActionId]) -> set[ActionId]:
    """Return those of some actions of which a message has left, or may have left."""
    rows = await session.rows(
        """select distinct action_id from message where tenant_id = $1 and action_id = any ($2::uuid[]) and not is_copy
              and state in ('committing', 'uncertain', 'held', 'accepted')""",
        tenant_id,
        list(action_ids),
    )
    return {ActionId(row["action_id"]) for row in rows}


async def due_scheduled(
    session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId | None, now: dt.datetime, after: ActionId | None, limit: int
) -> list[ActionId]:
    """Return scheduled actions past one, in id order, whose day has come in their ledger's zone, while the tenant may send; `now` is the tenant's time."""
    rows = await session.rows(
        """select a.action_id from action a
             join ledger l on l.tenant_id = $1 and l.ledger_id = a.ledger_id
             join tenant t on t.tenant_id = $1 and t.sending_enabled and t.stopped_at is null
            where a.tenant_id = $1 and a.state = 'scheduled' and a.scheduled_on <= ($2::timestamptz at time zone l.time_zone)::date
              and ($3::uuid is null or a.action_id > $3) and ($5::uuid is null or a.ledger_id = $5)
            order by a.action_id limit $4""",
        tenant_id,
        now,
        after,
        limit,
        ledger_id,
    )
    return [ActionId(row["action_id"]) for row in rows]
