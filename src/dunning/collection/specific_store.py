"""Statements on actions outside the scenario and the items that they are tied to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActionId, CustomerId, LedgerId, PersonId, TenantId


class NewItem(NamedTuple):
    """One item that an action is tied to, with what is open of it when it is tied."""

    item_id: UUID
    episode: int
    open_minor: int


async def insert_action(
    session: Session,
    tenant_id: TenantId,
    *,
    action_id: ActionId,
    ledger_id: LedgerId,
    customer_id: CustomerId,
    values: Mapping[str, Any],
) -> None:
    """Insert an action of no scenario, in a state that nothing has been done in yet. `values` are further columns by name."""
    names = list(values)
    columns = "".join(f", {name}" for name in names)
    places = "".join(f", ${place}" for place, _ in enumerate(names, 5))
    await session.execute(
        f"insert into action (tenant_id, action_id, ledger_id, customer_id{columns}) values ($1, $2, $3, $4{places})",
        tenant_id, action_id, ledger_id, customer_id, *values.values(),
    )  # fmt: skip


async def items_to_tie(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId, item_ids: Collection[UUID]) -> list[asyncpg.Record]:
    """Return those of some items that belong to a customer, with what is open of them and the open specific action that has them, where one has."""
    return await session.rows(
        """select i.item_id, i.number, i.direction, i.state, i.episode, i.currency, i.amount_minor - i.allocated_minor as open_minor, t.action_id as attached_to
             from item i left join action_item t on t.tenant_id = $1 and t.item_id = i.item_id and t.state = 'attached'
            where i.tenant_id = $1 and i.customer_id = $2 and i.item_id = any ($3::uuid[]) order by i.item_id""",
        tenant_id,
        customer_id,
        list(item_ids),
    )


async def open_item_ids(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId) -> list[UUID]:
    """Return all open debit items of a customer that no open specific action has."""
    rows = await session.rows(
        """select i.item_id from item i
            where i.tenant_id = $1 and i.customer_id = $2 and i.direction = 'debit' and i.state = 'posted' and i.allocated_minor < i.amount_minor
              and not exists (select 1 from action_item t where t.tenant_id = $1 and t.item_id = i.item_id and t.state = 'attached')
            order by i.item_id""",
        tenant_id,
        customer_id,
    )
    return [row["item_id"] for row in rows]


async def tie(session: Session, tenant_id: TenantId, action_id: ActionId, customer_id: CustomerId, state: str, items: Sequence[NewItem]) -> None:
    """Tie items to an action; an item that another open specific action has raises the unique violation."""
    await session.execute(
        """insert into action_item (tenant_id, action_id, customer_id, state, item_id, episode, open_minor)
           select $1, $2, $3, $4, g.* from unnest($5::uuid[], $6::int[], $7::int8[]) as g""",
        tenant_id, action_id, customer_id, state,
        [item.item_id for item in items], [item.episode for item in items], [item.open_minor for item in items],
    )  # fmt: skip


async def tied_items(session: ReadSession, tenant_id: TenantId, action_id: ActionId) -> list[UUID]:
    """Return the items that an action is still about."""
    rows = await session.rows(
        "select item_id from action_item where tenant_id = $1 and action_id = $2 and state in ('attached', 'listed') order by item_id", tenant_id, action_id
    )
    return [row["item_id"] for row in rows]


async def drop_items(session: Session, tenant_id: TenantId, action_id: ActionId, item_ids: Sequence[UUID], reasons: Sequence[str]) -> None:
    """Note that items have dropped out of an action, and why."""
    await session.execute(
        """update action_item t set state = 'dropped', reason = g.reason from unnest($3::uuid[], $4::text[]) as g (item_id, reason)
            where t.tenant_id = $1 and t.action_id = $2 and t.item_id = g.item_id and t.state in ('attached', 'listed')""",
        tenant_id,
        action_id,
        list(item_ids),
        list(reasons),
    )


async def release_items(session: Session, tenant_id: TenantId, action_ids: Sequence[ActionId], reason: str) -> None:
    """Give the items of some actions back to their scenario."""
    await session.execute(
        "update action_item set state = 'released', reason = $3 where tenant_id = $1 and action_id = any ($2::uuid[]) and state = 'attached'",
        tenant_id,
        list(action_ids),
        reason,
    )


async def move_progress(session: Session, tenant_id: TenantId, from_action: ActionId, to_action: ActionId, item_ids: Collection[UUID]) -> int:
    """Let the steps that an action was to complete for some items be completed by another one, and return how many rows that were."""
    return await session.execute(
        "update item_progress set action_id = $3 where tenant_id = $1 and action_id = $2 and state = 'pending' and item_id = any ($4::uuid[])",
        tenant_id,
        from_action,
        to_action,
        list(item_ids),
    )


async def open_items_of_action(session: ReadSession, tenant_id: TenantId, action_id: ActionId) -> list[UUID]:
    """Return the items that an action is to tell or ask about and that are still open."""
    rows = await session.rows(
        """select i.item_id from item i
            where i.tenant_id = $1 and i.state = 'posted' and i.direction = 'debit' and i.allocated_minor < i.amount_minor and i.item_id in (
              select p.item_id from item_progress p where p.tenant_id = $1 and p.action_id = $2 and p.state = 'pending' and p.reason is null
               union select t.item_id from action_item t where t.tenant_id = $1 and t.action_id = $2 and t.state in ('attached', 'listed'))
            order by i.item_id""",
        tenant_id,
        action_id,
    )
    return [row["item_id"] for row in rows]


async def supersede(session: Session, tenant_id: TenantId, action_id: ActionId, by: ActionId) -> None:
    """Note which action took the place of one that is over."""
    await session.execute("update action set superseded_by = $3 where tenant_id = $1 and action_id = $2", tenant_id, action_id, by)


async def live_progress(session: ReadSession, tenant_id: TenantId, item_ids: Collection[UUID]) -> list[asyncpg.Record]:
    """Return the steps that items have in their present episode completed, passed over, or waiting in an action."""
    return await session.rows(
        """select p.item_id, p.step_code, p.repeat_no, p.state from item_progress p
             join item i on i.tenant_id = $1 and i.item_id = p.item_id and i.episode = p.episode
            where p.tenant_id = $1 and p.item_id = any ($2::uuid[]) and p.state <> 'void' order by p.item_progress_id""",
        tenant_id,
        list(item_ids),
    )


async def is_active_person(session: ReadSession, tenant_id: TenantId, person_id: PersonId | UUID) -> bool:
    """Tell whether a person exists and is active."""
    return bool(await session.value("select exists (select 1 from person where tenant_id = $1 and person_id = $2 and active)", tenant_id, person_id))


async def lead_of(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId) -> PersonId | None:
    """Return the lead collector of a customer, None where it has none."""
    found: PersonId | None = await session.value(
        """select person_id from assignment where tenant_id = $1 and customer_id = $2 and role = 'collector' and lead and ended_on is null""",
        tenant_id,
        customer_id,
    )
    return found


async def contacts_named(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId, contact_ids: Collection[UUID]) -> list[asyncpg.Record]:
    """Return those of some contacts that are the customer's."""
    return await session.rows(
        "select contact_id, name, email, internal from contact where tenant_id = $1 and customer_id = $2 and contact_id = any ($3::uuid[])",
        tenant_id,
        customer_id,
        list(contact_ids),
    )


async def plan_of_action(session: Session, tenant_id: TenantId, action_id: ActionId, values: Mapping[str, Any]) -> None:
    """Change columns of an action that say what is planned, by name, and raise its revision."""
    changes = "".join(f"{name} = ${place}, " for place, name in enumerate(values, 3))
    await session.execute(
        f"update action set {changes}revision = revision + 1, updated_at = clock_timestamp() where tenant_id = $1 and action_id = $2",
        tenant_id,
        action_id,
        *values.values(),
    )


async def detach(session: Session, tenant_id: TenantId, item_ids: Collection[UUID], reason: str) -> list[ActionId]:
    """Take items out of the open specific actions that have them, and return those actions."""
    rows = await session.rows(
        """with gone as (
             update action_item set state = 'dropped', reason = $3 where tenant_id = $1 and item_id = any ($2::uuid[]) and state = 'attached'
             returning action_id
           )
           select distinct action_id from gone order by action_id""",
        tenant_id,
        list(item_ids),
        reason,
    )
    return [ActionId(row["action_id"]) for row in rows]


async def with_items(session: ReadSession, tenant_id: TenantId, action_ids: Collection[ActionId]) -> set[ActionId]:
    """Return those of some actions that still have an item attached."""
    rows = await session.rows(
        "select distinct action_id from action_item where tenant_id = $1 and action_id = any ($2::uuid[]) and state = 'attached'", tenant_id, list(action_ids)
    )
    return {ActionId(row["action_id"]) for row in rows}


async def latest_contacts(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId, limit: int) -> list[dt.date]:
    """Return the days of a customer's last contacts, the latest first: those that were made, and those that are planned or wait."""
    rows = await session.rows(
        """select case when state = 'completed' then completed_on else scheduled_on end as on_day from action
            where tenant_id = $1 and customer_id = $2 and origin in ('scenario', 'specific') and kind <> 'operations'
              and state in ('completed', 'awaiting_approval', 'scheduled', 'executed', 'waiting')
            order by on_day desc limit $3""",
        tenant_id,
        customer_id,
        limit,
    )
    return [row["on_day"] for row in rows]
