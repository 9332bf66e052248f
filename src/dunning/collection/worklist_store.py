"""Statements on the agenda: live actions of people, of a ledger, or of all, by their day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import asyncpg

from dunning.collection.ledger_days import LedgerDays
from dunning.kit.database import ReadSession
from dunning.kit.ids import TenantId

Bucket = Literal["due", "overdue", "coming", "to_approve", "to_do"]

_OPEN = "a.state in ('awaiting_approval', 'scheduled', 'waiting')"
_TODAY = "($3::date[])[array_position($2::uuid[], a.ledger_id)]"
_IN_BUCKET: dict[Bucket, str] = {
    "due": f"a.scheduled_on = {_TODAY}",
    "overdue": f"a.scheduled_on < {_TODAY}",
    "coming": f"a.scheduled_on > {_TODAY}",
    "to_approve": "a.state = 'awaiting_approval'",
    "to_do": "a.state = 'waiting'",
}
_ORDER = "order by a.scheduled_on, a.action_id limit $7"
_SHOWN = """
select a.action_id, a.ledger_id, a.customer_id, a.run_id, a.origin, a.scenario_id, a.step_code, a.step_name, a.kind, a.mode, a.title, a.task_kind, a.task_text,
       a.totals, a.state, a.reason, a.scheduled_on, a.deadline_on, a.created_at, a.revision, a.person_id, p.name as person_name,
       c.external_id as customer_external_id, c.name as customer_name, l.name as ledger_name, t.items, t.oldest_due_on, f.today
  from found f
  join action a on a.tenant_id = $1 and a.action_id = f.action_id
  join customer c on c.tenant_id = $1 and c.customer_id = a.customer_id
  join ledger l on l.tenant_id = $1 and l.ledger_id = a.ledger_id
  left join person p on p.tenant_id = $1 and p.person_id = a.person_id
 cross join lateral (
   select count(*)::int as items, min(i.due_on) as oldest_due_on
     from item i where i.tenant_id = $1 and i.item_id in (
       select r.item_id from item_progress r where r.tenant_id = $1 and r.action_id = a.action_id and r.state = 'pending' and r.reason is null
        union select t.item_id from action_item t where t.tenant_id = $1 and t.action_id = a.action_id and t.state in ('attached', 'listed'))) t
 order by a.scheduled_on, a.action_id
"""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose work: that of some people, None for everybody's, in the given ledgers."""

    days: LedgerDays
    person_ids: Sequence[UUID] | None = None


async def agenda_after(
    session: ReadSession, tenant_id: TenantId, scope: Scope, bucket: Bucket | None, after: tuple[dt.date, UUID] | None, limit: int
) -> list[asyncpg.Record]:
    """Return live actions past a day and id, by both: of a bucket, or all."""
    where = f"a.tenant_id = $1 and {_OPEN} and a.ledger_id = any ($2::uuid[]) and (a.scheduled_on, a.action_id) > ($5::date, $6::uuid)"
    if bucket is not None:
        where += f" and {_IN_BUCKET[bucket]}"
    columns = f"select a.action_id, a.scheduled_on, {_TODAY} as today"
    if scope.person_ids is None:
        # The fourth value is asked for by name, so that both statements take the same ones.
        found = f"{columns} from action a where {where} and $4::uuid[] is null {_ORDER}"
    else:
        # Each person's rows come in order out of the index, and only the first ones of each.
        found = f"""select a.* from unnest($4::uuid[]) as w (person_id) cross join lateral (
          {columns} from action a where a.person_id = w.person_id and {where} {_ORDER}) a {_ORDER}"""
    begins_on, begins_id = after or (dt.date.min, UUID(int=0))
    return await session.rows(
        f"with found as ({found}) {_SHOWN}", tenant_id, list(scope.days.ledger_ids), list(scope.days.todays),
        None if scope.person_ids is None else list(scope.person_ids), begins_on, begins_id, limit,
    )  # fmt: skip


async def counts_of(session: ReadSession, tenant_id: TenantId, scope: Scope) -> dict[str, int]:
    """Return how many live actions are in each bucket; an action that waits for approval is also due, overdue or coming."""
    columns = ", ".join(f"count(*) filter (where {condition})::int as {name}" for name, condition in _IN_BUCKET.items())
    row = await session.row(
        f"""select {columns} from action a where a.tenant_id = $1 and {_OPEN} and a.ledger_id = any ($2::uuid[])
               and ($4::uuid[] is null or a.person_id = any ($4))""",
        tenant_id, list(scope.days.ledger_ids), list(scope.days.todays), None if scope.person_ids is None else list(scope.person_ids),
    )  # fmt: skip
    return {} if row is None else dict(row)
