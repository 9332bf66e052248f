"""Statements on rows of progress that people set by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

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


async def show_step(session: Session, tenant_id: TenantId, steps: Sequence[tuple[UUID, str]]) -> None:
    """Show the items that were reminded before as having reached a step: what an ERP reads back."""
    await session.execute(
        """update item_dunning d set step_code = given.code, updated_at = clock_timestamp()
             from unnest($2::uuid[], $3::text[]) as given (item_id, code) where d.tenant_id = $1 and d.item_id = given.item_id""",
        tenant_id,
        [item_id for item_id, _ in steps],
        [code for _, code in steps],
    )
