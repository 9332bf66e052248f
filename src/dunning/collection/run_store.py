"""Statements on runs and what they decided about each customer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, LedgerId, RunId, TenantId
from dunning.tenancy.people_store import author_of

OPEN_STATES = ("queued", "planning", "proposed", "committing")
_SELECT = f"select r.*, {author_of('r.actor')} as author from run r"


async def insert_run(
    session: Session,
    tenant_id: TenantId,
    run_id: RunId,
    ledger_id: LedgerId,
    *,
    kind: str,
    local_date: dt.date,
    dry_run: bool,
    commit_at_once: bool,
    content_mode: str | None,
    filters: dict[str, Any],
    actor: str,
    business_at: dt.datetime,
) -> bool:
    """Insert a queued run; False when the ledger has another open one."""
    return bool(
        await session.execute(
            """insert into run (tenant_id, run_id, ledger_id, kind, local_date, dry_run, commit_at_once, content_mode, filter, actor, business_at)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
               on conflict (tenant_id, ledger_id) where not dry_run and state in ('queued', 'planning', 'proposed', 'committing') do nothing""",
            tenant_id,
            run_id,
            ledger_id,
            kind,
            local_date,
            dry_run,
            commit_at_once,
            content_mode,
            filters,
            actor,
            business_at,
        )
    )


async def run_of(session: ReadSession, tenant_id: TenantId, run_id: RunId) -> asyncpg.Record | None:
    """Return one run."""
    return await session.row(f"{_SELECT} where tenant_id = $1 and run_id = $2", tenant_id, run_id)


async def run_for_change(session: Session, tenant_id: TenantId, run_id: RunId) -> asyncpg.Record | None:
    """Return one run with its row locked."""
    return await session.row(f"{_SELECT} where tenant_id = $1 and run_id = $2 for update of r", tenant_id, run_id)


async def open_run_of(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId) -> asyncpg.Record | None:
    """Return the ledger's open run."""
    return await session.row(
        f"{_SELECT} where tenant_id = $1 and ledger_id = $2 and not dry_run and state = any ($3::text[])", tenant_id, ledger_id, list(OPEN_STATES)
    )


async def runs_before(
    session: ReadSession, tenant_id: TenantId, before: UUID | None, limit: int, *, ledger_id: UUID | None, state: str | None
) -> list[asyncpg.Record]:
    """Return runs below an id, the newest first."""
    return await session.rows(
        f"""{_SELECT} where tenant_id = $1 and ($2::uuid is null or run_id < $2) and ($4::uuid is null or ledger_id = $4)
             and ($5::text is null or state = $5) order by run_id desc limit $3""",
        tenant_id, before, limit, ledger_id, state,
    )  # fmt: skip


async def lease_run(session: Session, tenant_id: TenantId, lease_seconds: float) -> asyncpg.Record | None:
    """Lease the oldest run that has work and no living worker, and return it; workers never get the same one."""
    return await session.row(
        """update run set lease_token = lease_token + 1, lease_until = clock_timestamp() + make_interval(secs => $2),
                  state = case state when 'queued' then 'planning' else state end, started_at = coalesce(started_at, clock_timestamp())
            where tenant_id = $1 and run_id = (
              select run_id from run where tenant_id = $1 and state in ('queued', 'planning', 'committing')
                 and (lease_until is null or lease_until < clock_timestamp())
               order by run_id limit 1 for update skip locked)
        returning *""",
        tenant_id, lease_seconds,
    )  # fmt: skip


async def keep_lease(session: Session, tenant_id: TenantId, run_id: RunId, token: int, state: str, lease_seconds: float) -> asyncpg.Record | None:
    """Extend the lease and return the run, or None when it was taken over or changed its state: the caller stops."""
    return await session.row(
        """update run set lease_until = clock_timestamp() + make_interval(secs => $5)
            where tenant_id = $1 and run_id = $2 and lease_token = $3 and state = $4 returning *""",
        tenant_id, run_id, token, state, lease_seconds,
    )  # fmt: skip


async def next_lease_end(session: ReadSession, tenant_id: TenantId) -> dt.datetime | None:
    """Return when the first lease on a run of the tenant ends; None: no run is being worked on."""
    at: dt.datetime | None = await session.value(
        "select min(lease_until) from run where tenant_id = $1 and state in ('queued', 'planning', 'committing')", tenant_id
    )
    return at


async def add_page(session: Session, tenant_id: TenantId, run_id: RunId, cursor: UUID | None, counts: dict[str, Any], reasons: dict[str, Any]) -> None:
    """Store how far the run has come and what it has counted so far."""
    await session.execute(
        "update run set cursor_customer_id = $3, counts = $4, reasons = $5 where tenant_id = $1 and run_id = $2",
        tenant_id, run_id, cursor, counts, reasons,
    )  # fmt: skip


async def set_state(
    session: Session,
    tenant_id: TenantId,
    run_id: RunId,
    state: str,
    *,
    held_because: str | None = None,
    held_reasons: Sequence[dict[str, Any]] = (),
    error: str | None = None,
    finished: bool = False,
) -> None:
    """Move a run to a state and give its lease back; a new stage begins at the first customer. Leaving `planning` keeps how long that took."""
    await session.execute(
        """update run set state = $3, held_because = coalesce($4, held_because),
                  held_reasons = case when $7 = '[]'::jsonb then held_reasons else $7 end, error = coalesce($5, error), cursor_customer_id = null,
                  lease_until = null, lease_token = lease_token + 1,
                  counts = case when state = 'planning' and $3 in ('proposed', 'committing')
                    then counts || jsonb_build_object('planning_ms', (extract(epoch from clock_timestamp() - started_at) * 1000)::bigint) else counts end,
                  finished_at = case when $6 then clock_timestamp() else finished_at end
            where tenant_id = $1 and run_id = $2""",
        tenant_id, run_id, state, held_because, error, finished, list(held_reasons),
    )  # fmt: skip


async def fix_revision(session: Session, tenant_id: TenantId, run_id: RunId) -> asyncpg.Record | None:
    """Store the ledger's present revision as the one that a run is planned on, and return the run; a revision that is stored stays."""
    return await session.row(
        """update run r set ledger_revision = case when r.ledger_revision = 0 then l.revision else r.ledger_revision end
             from ledger l
            where r.tenant_id = $1 and r.run_id = $2 and l.tenant_id = r.tenant_id and l.ledger_id = r.ledger_id returning r.*""",
        tenant_id, run_id,
    )  # fmt: skip


async def add_counts(session: Session, tenant_id: TenantId, run_id: RunId, counts: dict[str, Any]) -> None:
    """Add counts to those of a run; one that it has already is replaced."""
    await session.execute("update run set counts = counts || $3 where tenant_id = $1 and run_id = $2", tenant_id, run_id, counts)


async def approve_first_run(session: Session, tenant_id: TenantId, ledger_id: LedgerId) -> None:
    """Note that a person has committed a run of this ledger."""
    await session.execute(
        "update ledger set first_run_approved = true where tenant_id = $1 and ledger_id = $2 and not first_run_approved", tenant_id, ledger_id
    )


async def usual_counts(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, since: dt.datetime) -> list[int]:
    """Return how many actions each finished run of a ledger planned since an instant of business time, runs with a filter left out."""
    rows = await session.rows(
        """select coalesce((counts->>'actions')::int, 0) as planned from run
            where tenant_id = $1 and ledger_id = $2 and not dry_run and filter = '{}'::jsonb and business_at >= $3
              and state in ('committed', 'superseded') order by run_id desc limit 100""",
        tenant_id, ledger_id, since,
    )  # fmt: skip
    return [row["planned"] for row in rows]


_UPSERT_CUSTOMERS = """
insert into run_customer (tenant_id, run_id, customer_id, facts_version, action_count, plan, inputs, inputs_sha256, plan_sha256, outcome, error)
select $1, $2, g.* from unnest($3::uuid[], $4::int8[], $5::int[], $6::text[]::jsonb[], $7::bytea[], $8::bytea[], $9::bytea[], $10::text[], $11::text[])
  as g (customer_id, facts_version, action_count, plan, inputs, inputs_sha256, plan_sha256, outcome, error)
on conflict (tenant_id, run_id, customer_id) do update
   set facts_version = excluded.facts_version, action_count = excluded.action_count, plan = excluded.plan, inputs = excluded.inputs,
       inputs_sha256 = excluded.inputs_sha256, plan_sha256 = excluded.plan_sha256, outcome = excluded.outcome, error = excluded.error
"""


async def upsert_customers(session: Session, tenant_id: TenantId, run_id: RunId, columns: Sequence[list[Any]]) -> None:
    """Store what a page decided, one list a column; an exclusion that is already there stays."""
    await session.execute(_UPSERT_CUSTOMERS, tenant_id, run_id, *columns)


async def put_to_sleep(
    session: Session, tenant_id: TenantId, customer_ids: list[CustomerId], review_on: list[dt.date | None], facts_versions: list[int], revision: int
) -> None:
    """Store when each customer is to be looked at next, where its facts are still those that were planned on.

    A row that somebody holds is passed over: either its facts are changing, or it is looked at once more than needed.
    """
    await session.execute(
        """with given as (
             select * from unnest($2::uuid[], $3::date[], $4::int8[]) as g (customer_id, review_on, facts_version)
           ), free as (
             select s.customer_id, g.review_on from customer_state s join given g on g.customer_id = s.customer_id
              where s.tenant_id = $1 and s.facts_version = g.facts_version
                and (s.review_on is distinct from g.review_on or s.planned_revision is distinct from $5)
              order by s.customer_id for no key update of s skip locked
           )
           update customer_state s set review_on = f.review_on, planned_revision = $5
             from free f where s.tenant_id = $1 and s.customer_id = f.customer_id""",
        tenant_id, customer_ids, review_on, facts_versions, revision,
    )  # fmt: skip


async def keep_exclusions(session: Session, tenant_id: TenantId, from_run: RunId, to_run: RunId) -> None:
    """Carry a person's exclusions from a superseded proposal to the run that takes its place."""
    await session.execute(
        """insert into run_customer (tenant_id, run_id, customer_id, facts_version, action_count, plan, inputs_sha256, plan_sha256,
                                     excluded, excluded_by, excluded_because, outcome)
           select tenant_id, $3, customer_id, 0, 0, '{}'::jsonb, ''::bytea, ''::bytea, true, excluded_by, excluded_because, 'nothing'
             from run_customer where tenant_id = $1 and run_id = $2 and excluded""",
        tenant_id, from_run, to_run,
    )  # fmt: skip


async def exclude(session: Session, tenant_id: TenantId, run_id: RunId, customer_id: CustomerId, *, excluded: bool, actor: str, reason: str | None) -> bool:
    """Take a customer out of a proposal or back in; False when the run has no such customer."""
    return bool(
        await session.execute(
            """update run_customer set excluded = $4, excluded_by = case when $4 then $5 end, excluded_because = case when $4 then $6 end
                where tenant_id = $1 and run_id = $2 and customer_id = $3""",
            tenant_id,
            run_id,
            customer_id,
            excluded,
            actor,
            reason,
        )
    )


async def customers_after(
    session: ReadSession, tenant_id: TenantId, run_id: RunId, after: UUID | None, limit: int, *, outcome: str | None, with_actions: bool | None
) -> list[asyncpg.Record]:
    """Return a run's customers past an id, with their names."""
    return await session.rows(
        """select r.*, c.external_id, c.name from run_customer r
             join customer c on c.tenant_id = r.tenant_id and c.customer_id = r.customer_id
            where r.tenant_id = $1 and r.run_id = $2 and ($3::uuid is null or r.customer_id > $3)
              and ($5::text is null or r.outcome = $5) and ($6::boolean is null or (r.action_count > 0) = $6)
            order by r.customer_id limit $4""",
        tenant_id, run_id, after, limit, outcome, with_actions,
    )  # fmt: skip


async def customer_of_run(session: ReadSession, tenant_id: TenantId, run_id: RunId, customer_id: CustomerId) -> asyncpg.Record | None:
    """Return what a run decided about one customer, with the customer's name."""
    return await session.row(
        """select r.*, c.external_id, c.name from run_customer r
             join customer c on c.tenant_id = r.tenant_id and c.customer_id = r.customer_id
            where r.tenant_id = $1 and r.run_id = $2 and r.customer_id = $3""",
        tenant_id, run_id, customer_id,
    )  # fmt: skip


async def to_execute(session: ReadSession, tenant_id: TenantId, run_id: RunId, after: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Return the next planned customers of a run past one of them that nobody excluded, in id order."""
    return await session.rows(
        """select customer_id, facts_version, plan from run_customer
            where tenant_id = $1 and run_id = $2 and customer_id > $3 and outcome = 'planned' and action_count > 0 and not excluded
            order by customer_id limit $4""",
        tenant_id, run_id, after or UUID(int=0), limit,
    )  # fmt: skip


async def set_outcomes(
    session: Session, tenant_id: TenantId, run_id: RunId, customer_ids: list[CustomerId], outcomes: list[str], errors: list[str | None]
) -> None:
    """Store what became of customers at execution."""
    await session.execute(
        """update run_customer r set outcome = g.outcome, error = g.error
             from unnest($3::uuid[], $4::text[], $5::text[]) as g (customer_id, outcome, error)
            where r.tenant_id = $1 and r.run_id = $2 and r.customer_id = g.customer_id""",
        tenant_id, run_id, customer_ids, outcomes, errors,
    )  # fmt: skip


async def close_excluded(session: Session, tenant_id: TenantId, run_id: RunId) -> int:
    """Mark the customers that were left out of a committed run and return how many there are."""
    return await session.execute(
        "update run_customer set outcome = 'excluded' where tenant_id = $1 and run_id = $2 and excluded and outcome = 'planned' and action_count > 0",
        tenant_id, run_id,
    )  # fmt: skip


async def outcome_counts(session: ReadSession, tenant_id: TenantId, run_id: RunId) -> dict[str, int]:
    """Return how many customers of a run that had actions ended in each outcome."""
    rows = await session.rows(
        "select outcome, count(*) as n from run_customer where tenant_id = $1 and run_id = $2 and action_count > 0 group by outcome", tenant_id, run_id
    )
    return {row["outcome"]: row["n"] for row in rows}


async def decisions_after(session: ReadSession, tenant_id: TenantId, run_id: RunId, after: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Return what a run decided, past a customer: the decision, its hash, and the inputs as far as they are kept."""
    return await session.rows(
        """select customer_id, inputs, inputs_sha256, plan_sha256, plan from run_customer
            where tenant_id = $1 and run_id = $2 and ($3::uuid is null or customer_id > $3)
            order by customer_id limit $4""",
        tenant_id, run_id, after, limit,
    )  # fmt: skip


async def forget_inputs(session: Session, tenant_id: TenantId, older_than: dt.datetime, limit: int) -> int:
    """Drop the inputs of runs older than an instant of business time; hashes and plans stay. Each old run is asked by the index of what it still has."""
    return await session.execute(
        """with old as materialized (
             select c.run_id, c.customer_id from (select run_id from run where tenant_id = $1 and business_at < $2 order by business_at) r
              cross join lateral (
                select run_id, customer_id from run_customer where tenant_id = $1 and run_id = r.run_id and inputs is not null limit $3) c
              limit $3)
           update run_customer c set inputs = null from old where c.tenant_id = $1 and c.run_id = old.run_id and c.customer_id = old.customer_id""",
        tenant_id, older_than, limit,
    )  # fmt: skip
