"""Statements on actions outside the scenario and the items that they are tied to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActionId, CustomerId, LedgerId, PersonId, TenantId, new_id


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


async def tied_items(session: ReadSession, tenant_id: TenantId, action_ids: Collection[ActionId]) -> Mapping[ActionId, list[UUID]]:
    """Return the items that some actions are still about, by action; without any, an empty list."""
    rows = await session.rows(
        """select action_id, item_id from action_item where tenant_id = $1 and action_id = any ($2::uuid[]) and state in ('attached', 'listed')
            order by item_id""",
        tenant_id,
        list(action_ids),
    )
    found: defaultdict[ActionId, list[UUID]] = defaultdict(list)
    for row in rows:
        found[ActionId(row["action_id"])].append(row["item_id"])
    return found


async def drop_items(session: Session, tenant_id: TenantId, dropped: Sequence[tuple[ActionId, UUID, str]]) -> None:
    """Note that items have dropped out of actions, each with its action, its id and why."""
    if dropped:
        await session.execute(
            """update action_item t set state = 'dropped', reason = g.reason from unnest($2::uuid[], $3::uuid[], $4::text[]) as g (action_id, item_id, reason)
                where t.tenant_id = $1 and t.action_id = g.action_id and t.item_id = g.item_id and t.state in ('attached', 'listed')""",
            tenant_id,
            *map(list, zip(*dropped, strict=True)),
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
    """Let the steps that an action was to complete for some items be completed by another one, and return how many rows that were.

    What the first one was about stays with it, as void rows.
    """
    rows = await session.rows(
        """update item_progress set action_id = $3 where tenant_id = $1 and action_id = $2 and state = 'pending' and item_id = any ($4::uuid[])
           returning item_progress_id, open_minor is not null as is_told""",
        tenant_id,
        from_action,
        to_action,
        list(item_ids),
    )
    told = [row["item_progress_id"] for row in rows if row["is_told"]]
    await session.execute(
        """insert into item_progress (tenant_id, item_progress_id, customer_id, item_id, episode, scenario_id, scenario_version, step_code, repeat_no, state, reason,
                                      action_id, open_minor)
           select $1, g.void_id, p.customer_id, p.item_id, p.episode, p.scenario_id, p.scenario_version, p.step_code, p.repeat_no, 'void', 'superseded', $2, p.open_minor
             from unnest($3::uuid[], $4::uuid[]) as g (moved_id, void_id)
             join item_progress p on p.tenant_id = $1 and p.item_progress_id = g.moved_id""",
        tenant_id,
        from_action,
        told,
        [new_id() for _ in told],
    )
    return len(rows)


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
    """Note which action took the place of one that is over, with whoever waits for it: what followed a dispute or a promise up is followed up by this one."""
    await session.execute(
        """with replaced as (update action set superseded_by = $3 where tenant_id = $1 and action_id = $2 returning customer_id),
                of_disputes as (
                  update dispute d set follow_up_action_id = $3 from replaced r
                   where d.tenant_id = $1 and d.customer_id = r.customer_id and d.follow_up_action_id = $2)
           update promise p set follow_up_action_id = $3 from replaced r
            where p.tenant_id = $1 and p.customer_id = r.customer_id and p.follow_up_action_id = $2""",
        tenant_id,
        action_id,
        by,
    )


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


_FREE_DEBT = """i.tenant_id = $1 and i.direction = 'debit' and i.state = 'posted' and i.allocated_minor < i.amount_minor
   and not exists (select 1 from action_item t where t.tenant_id = $1 and t.item_id = i.item_id and t.state = 'attached')"""


class Owing(NamedTuple):
    """What a customer owes: whether an open debit item is in no open specific action, whether all of them are disputed, and whether it is never dunned."""

    free: bool
    disputed: bool
    never: bool


async def owing(session: ReadSession, tenant_id: TenantId, customer_ids: Collection[CustomerId]) -> dict[CustomerId, Owing]:
    """Return those of some customers that have an open debit item, with what may be made of it."""
    rows = await session.rows(
        """select i.customer_id, bool_or(t.item_id is null) as free,
                  bool_and(exists (select 1 from dispute_item d where d.tenant_id = $1 and d.item_id = i.item_id and d.open)) as disputed,
                  bool_or(k.policy = 'never' or k.policy = 'inherit' and g.policy is not distinct from 'never') as never
             from unnest($2::uuid[]) as c (customer_id)
             join customer k on k.tenant_id = $1 and k.customer_id = c.customer_id
             left join customer_group g on g.tenant_id = $1 and g.customer_group_id = k.customer_group_id
             join item i on i.tenant_id = $1 and i.customer_id = c.customer_id and i.direction = 'debit' and i.state = 'posted'
              and i.allocated_minor < i.amount_minor
             left join action_item t on t.tenant_id = $1 and t.item_id = i.item_id and t.state = 'attached'
            group by i.customer_id""",
        tenant_id,
        list(customer_ids),
    )
    return {CustomerId(row["customer_id"]): Owing(row["free"], row["disputed"], row["never"]) for row in rows}


async def disputed_items(session: ReadSession, tenant_id: TenantId, customer_ids: Collection[CustomerId]) -> set[str]:
    """Return the items of some customers that are in an open dispute, as text."""
    rows = await session.rows(
        "select item_id from dispute_item where tenant_id = $1 and customer_id = any ($2::uuid[]) and open", tenant_id, list(customer_ids)
    )
    return {str(row["item_id"]) for row in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewForMany:
    """The same action for several customers of a ledger. `tied_state` says whether it takes their items out of the scenario."""

    action_ids: Sequence[ActionId]
    customer_ids: Sequence[CustomerId]
    ledger_id: LedgerId
    values: Mapping[str, Any]
    """Further columns by name, the same for all."""
    person_id: UUID | None
    tied_state: str


async def insert_for_many(session: Session, tenant_id: TenantId, new: NewForMany) -> dict[ActionId, int]:
    """Insert an action of each customer over all open debit items that no open specific action has, in one statement; return how many items each has.

    Without a person it is for the customer's lead collector.
    """
    names = list(new.values)
    columns = "".join(f", {name}" for name in names)
    places = "".join(f", ${place}" for place, _ in enumerate(names, 7))
    rows = await session.rows(
        f"""with chosen as (select * from unnest($2::uuid[], $3::uuid[]) as g (action_id, customer_id)
            ), owed as (
              select k.action_id, k.customer_id, i.item_id, i.episode, i.currency, i.amount_minor - i.allocated_minor as open_minor
                from chosen k join item i on i.customer_id = k.customer_id and {_FREE_DEBT}
            ), totals as (
              select action_id, jsonb_agg(jsonb_build_array(currency, minor) order by currency) as totals, sum(items)::int as items
                from (select action_id, currency, sum(open_minor)::int8 as minor, count(*) as items from owed group by 1, 2) x group by action_id
            ), made as (
              insert into action (tenant_id, action_id, ledger_id, customer_id, totals, person_id{columns})
              select $1, k.action_id, $4, k.customer_id, t.totals,
                     coalesce($5, (select s.person_id from assignment s where s.tenant_id = $1 and s.customer_id = k.customer_id
                                      and s.role = 'collector' and s.lead and s.ended_on is null)){places}
                from chosen k join totals t on t.action_id = k.action_id
            ), tied as (
              insert into action_item (tenant_id, action_id, customer_id, state, item_id, episode, open_minor)
              select $1, action_id, customer_id, $6, item_id, episode, open_minor from owed
            )
            select action_id, items from totals""",
        tenant_id, list(new.action_ids), list(new.customer_ids), new.ledger_id, new.person_id, new.tied_state, *new.values.values(),
    )  # fmt: skip
    return {ActionId(row["action_id"]): row["items"] for row in rows}
