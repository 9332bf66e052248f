"""Statements that tell what is usual for a ledger: what the breakers of a run compare with."""

from __future__ import annotations

from collections import defaultdict

from dunning.collection.breakers import USUAL_AFTER_IMPORTS, USUAL_AFTER_RUNS, ImportVolume
from dunning.kit.database import ReadSession
from dunning.kit.ids import LedgerId, TenantId

IMPORTS_LOOKED_AT = 200


async def finished_runs(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId) -> int:
    """Return how many runs over the whole ledger have ended, counted up to the number from which something is usual."""
    count: int = await session.value(
        """select count(*) from (
             select from run where tenant_id = $1 and ledger_id = $2 and not dry_run and filter = '{}'::jsonb and state in ('committed', 'superseded')
              limit $3) as ended""",
        tenant_id,
        ledger_id,
        USUAL_AFTER_RUNS,
    )
    return count


async def owing_customers(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId) -> int:
    """Return how many customers of a ledger have anything open to pay."""
    count: int = await session.value(
        """select count(distinct customer_id) from item
            where tenant_id = $1 and ledger_id = $2 and direction = 'debit' and allocated_minor < amount_minor and state = 'posted'""",
        tenant_id,
        ledger_id,
    )
    return count


async def import_volumes(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId) -> list[ImportVolume]:
    """Return the rows of the newest import of each kind and mode since the last run that was committed, and those of the imports before it.

    Rows are those of the file, whatever became of them; what a snapshot closed was not in its file.
    """
    rows = await session.rows(
        """with latest as (
             select max(finished_at) as at from run where tenant_id = $1 and ledger_id = $2 and not dry_run and filter = '{}'::jsonb and state = 'committed'
           ), known as (
             select import_id, kind, mode, finished_at,
                    (select coalesce(sum((counts->>outcome)::bigint), 0)::bigint
                       from unnest(array['created', 'changed', 'unchanged', 'parked', 'rejected', 'duplicate']) as outcome) as rows
               from import where tenant_id = $1 and ledger_id = $2 and state = 'done' and not dry_run
              order by import_id desc limit $3
           )
           select k.kind, k.mode, k.rows, coalesce(k.finished_at > l.at, true) as is_new from known k cross join latest l order by k.import_id desc""",
        tenant_id,
        ledger_id,
        IMPORTS_LOOKED_AT,
    )
    by_kind = defaultdict(list)
    for row in rows:
        by_kind[row["kind"], row["mode"]].append(row)
    return [
        ImportVolume(kind, found[0]["rows"], [row["rows"] for row in found[1 : USUAL_AFTER_IMPORTS + 1]])
        for (kind, _), found in sorted(by_kind.items())
        if found[0]["is_new"]
    ]
