"""Statements on the agenda: live actions of people, of a ledger, or of all, by their day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import asyncpg

from dunning.collection.ledger_days import LedgerDays
from dunning.collection.operation_rules import WAITING_FOR_OPERATION
from dunning.collection.totals_store import COVERED, LIVE, NET, OPEN_ROWS
from dunning.kit.database import ReadSession
from dunning.kit.ids import TenantId

Bucket = Literal["due", "overdue", "coming", "to_approve", "to_do"]

_TODAY = "($3::date[])[array_position($2::uuid[], a.ledger_id)]"
_IN_BUCKET: dict[Bucket, str] = {
    "due": f"a.scheduled_on = {_TODAY}",
    "overdue": f"a.scheduled_on < {_TODAY}",
    "coming": f"a.scheduled_on > {_TODAY}",
    "to_approve": "a.state = 'awaiting_approval'",
    "to_do": f"a.state = 'waiting' and a.reason is distinct from '{WAITING_FOR_OPERATION}'",
}
_ORDER = "order by a.scheduled_on, a.action_id limit $7"
_OF_KIND = "($8::text is null or a.task_kind = $8)"
_SHOWN = f"""
select a.action_id, a.ledger_id, a.customer_id, a.run_id, a.origin, a.scenario_id, a.scenario_version, a.step_code, a.step_name, a.kind, a.mode, a.title, a.task_kind, a.task_text,
       a.totals, case when a.state <> 'executed' then case when {COVERED} then {NET} else t.gross end end as totals_now, a.state, a.reason, a.scheduled_on,
       a.deadline_on, a.created_at, a.revision, a.operation_action_id, a.operation_no, a.person_id, p.name as person_name,
       c.external_id as customer_external_id, c.name as customer_name, l.name as ledger_name, t.items, t.oldest_due_on, f.today
  from found f
  join action a on a.tenant_id = $1 and a.action_id = f.action_id
  join customer c on c.tenant_id = $1 and c.customer_id = a.customer_id
  join ledger l on l.tenant_id = $1 and l.ledger_id = a.ledger_id
  left join person p on p.tenant_id = $1 and p.person_id = a.person_id
 cross join lateral (
   select coalesce(sum(s.items), 0)::int as items, min(s.oldest_due_on) as oldest_due_on,
          coalesce(jsonb_agg(jsonb_build_array(s.currency, s.minor) order by s.currency), '[]') as gross
     from (select o.currency, count(*) as items, min(o.due_on) as oldest_due_on, sum(o.minor)::int8 as minor
             from ({OPEN_ROWS}) o group by o.currency) s) t
 order by a.scheduled_on, a.action_id
"""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose work: that of some people, None for everybody's, in the given ledgers."""

    days: LedgerDays
    person_ids: Sequence[UUID] | None = None


async def agenda_after(
    session: ReadSession, tenant_id: TenantId, scope: Scope, bucket: Bucket | None, after: tuple[dt.date, UUID] | None, limit: int,
    task_kind: str | None = None,
) -> list[asyncpg.Record]:  # fmt: skip
    """Return live actions past a day and id, by both, of a bucket or all, of a kind of task or whatever; in `totals_now` with what each asks for now."""
    where = f"a.tenant_id = $1 and {LIVE} and a.ledger_id = any ($2::uuid[]) and (a.scheduled_on, a.action_id) > ($5::date, $6::uuid) and {_OF_KIND}"
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
        None if scope.person_ids is None else list(scope.person_ids), begins_on, begins_id, limit, task_kind,
    )  # fmt: skip


async def live_of(session: ReadSession, tenant_id: TenantId, customer_id: UUID, today: dt.date, until: dt.date) -> list[asyncpg.Record]:
    """Return the live actions of one customer up to a day, by their day, as the agenda shows them, and those whose message is on its way; each with its items."""
    found = f"""select a.action_id, $3::date as today from action a
                 where a.tenant_id = $1 and a.customer_id = $2 and ({LIVE} or a.state = 'executed') and a.scheduled_on <= $4"""
    items = f"(select coalesce(array_agg(o.item_id order by o.due_on, o.item_id), '{{}}') from ({OPEN_ROWS}) o)"
    shown = f"with found as ({found}) select a.*, {items} as item_ids from ({_SHOWN}) a order by a.scheduled_on, a.action_id"
    return await session.rows(shown, tenant_id, customer_id, today, until)


async def counts_of(session: ReadSession, tenant_id: TenantId, scope: Scope, task_kind: str | None = None) -> dict[str, int]:
    """Return how many live actions are in each bucket, of a kind of task or whatever; one that waits for approval is also due, overdue or coming."""
    columns = ", ".join(f"count(*) filter (where {condition})::int as {name}" for name, condition in _IN_BUCKET.items())
    row = await session.row(
        f"""select {columns} from action a where a.tenant_id = $1 and {LIVE} and a.ledger_id = any ($2::uuid[])
               and ($5::text is null or a.task_kind = $5) and ($4::uuid[] is null or a.person_id = any ($4))""",
        tenant_id, list(scope.days.ledger_ids), list(scope.days.todays), None if scope.person_ids is None else list(scope.person_ids), task_kind,
    )  # fmt: skip
    return {} if row is None else dict(row)
