"""Statements on rows of progress that people set by hand, or that leave the actions which wait with them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from dunning.kit.database import Session
from dunning.kit.ids import CustomerId, ItemId, TenantId, new_id


@dataclass(frozen=True, slots=True)
class SkippedStep:
    """A step that an item passes over because a person said so."""

    customer_id: CustomerId
    item_id: UUID
    episode: int
    scenario_id: UUID
    scenario_version: int
    step_code: str


async def void_all_but(session: Session, tenant_id: TenantId, kept: Sequence[tuple[UUID, int, Sequence[str]]], reason: str) -> int:
    """Void the rows of progress of some items in their present episode, except those of the named steps, and return how many that were.

    `kept` holds item, episode and the codes that stay. Earlier episodes count too: an item that resumes reads on from them.
    """
    ids = [item_id for item_id, _, codes in kept for _ in (codes or [""])]
    codes = [code for _, _, of_item in kept for code in (of_item or [""])]
    return await session.execute(
        """update item_progress g set state = 'void', reason = $4
             from unnest($2::uuid[], $3::int[]) as chosen (item_id, episode)
            where g.tenant_id = $1 and g.item_id = chosen.item_id and g.episode <= chosen.episode and g.state in ('completed', 'skipped')
              and not exists (select from unnest($5::uuid[], $6::text[]) as stays (item_id, code)
                               where stays.item_id = g.item_id and stays.code = g.step_code)""",
        tenant_id,
        [item_id for item_id, _, _ in kept],
        [episode for _, episode, _ in kept],
        reason,
        ids,
        codes,
    )


async def forget_imported(session: Session, tenant_id: TenantId, item_ids: Sequence[ItemId]) -> int:
    """Drop the step with which items came from another system: a person has said where they stand."""
    return await session.execute(
        """update item set step_reached = null, last_reminded_on = null, updated_at = clock_timestamp()
            where tenant_id = $1 and item_id = any ($2::uuid[]) and step_reached is not null""",
        tenant_id,
        list(item_ids),
    )


async def insert_skips(session: Session, tenant_id: TenantId, rows: Sequence[SkippedStep], on: dt.date) -> None:
    """Insert steps passed over by hand on a day; one that has a live row already keeps it."""
    if not rows:
        return
    await session.execute(
        """insert into item_progress (tenant_id, state, reason, completed_on, item_progress_id, customer_id, item_id, episode, scenario_id,
                                      scenario_version, step_code)
           select $1, 'skipped', 'by_hand', $2, g.* from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::int[], $7::uuid[], $8::int[], $9::text[]) as g
           on conflict do nothing""",
        tenant_id, on, [new_id() for _ in rows], [r.customer_id for r in rows], [r.item_id for r in rows], [r.episode for r in rows],
        [r.scenario_id for r in rows], [r.scenario_version for r in rows], [r.step_code for r in rows],
    )  # fmt: skip


async def leave_waiting(
    session: Session, tenant_id: TenantId, customer_ids: Collection[CustomerId], item_ids: Collection[UUID], reason: str
) -> list[asyncpg.Record]:
    """Void the rows of some items of some customers in scenario actions that have told nobody, and return the items with those actions."""
    return await session.rows(
        """with gone as (
             update item_progress p set state = 'void', reason = $4
               from action a
              where p.tenant_id = $1 and p.item_id = any ($3::uuid[]) and p.customer_id = any ($2::uuid[]) and p.state = 'pending'
                and a.tenant_id = $1 and a.action_id = p.action_id and a.origin = 'scenario' and a.state in ('awaiting_approval', 'scheduled', 'waiting')
             returning p.action_id, p.item_id, p.customer_id
           ), moved as (
             update action a set revision = revision + 1, updated_at = clock_timestamp()
              where a.tenant_id = $1 and a.action_id in (select action_id from gone)
           )
           select distinct action_id, item_id, customer_id from gone order by action_id, item_id""",
        tenant_id,
        list(customer_ids),
        list(item_ids),
        reason,
    )


async def without_rows(session: Session, tenant_id: TenantId, action_ids: Collection[UUID]) -> list[asyncpg.Record]:
    """Lock and return those of some actions that are to complete no step of any item any more."""
    return await session.rows(
        """select a.* from action a
            where a.tenant_id = $1 and a.action_id = any ($2::uuid[])
              and not exists (select from item_progress p where p.tenant_id = $1 and p.action_id = a.action_id and p.state = 'pending' and p.reason is null)
            order by a.action_id for update""",
        tenant_id,
        list(action_ids),
    )


async def show_step(session: Session, tenant_id: TenantId, steps: Sequence[tuple[UUID, str | None]]) -> None:
    """Show items as having completed a step, or none, whether or not anybody was reminded by it: what an ERP reads back."""
    await session.execute(
        """insert into item_dunning (tenant_id, item_id, ledger_id, step_code, reminders)
           select $1, i.item_id, i.ledger_id, given.code, 0 from unnest($2::uuid[], $3::text[]) as given (item_id, code)
             join item i on i.tenant_id = $1 and i.item_id = given.item_id
               on conflict (tenant_id, item_id) do update set step_code = excluded.step_code, updated_at = clock_timestamp()""",
        tenant_id,
        [item_id for item_id, _ in steps],
        [code for _, code in steps],
    )
