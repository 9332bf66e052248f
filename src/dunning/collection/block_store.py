"""Statements about account blocks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActionId, BlockId, CustomerId, ItemId, LedgerId, TenantId
from dunning.tenancy.people_store import author_of


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBlock:
    """A block to be inserted, with the items that cause it. `release_when` says which of them must be settled, and whether that lifts it.

    `renewable` is whether it comes back when a payment by which it was lifted is returned; `renews_id` names the block that one has come back for.
    """

    block_id: BlockId
    customer_id: CustomerId
    degree: str
    reason: str
    origin: str
    action_id: ActionId | None
    operation_no: int | None
    placed_on: dt.date
    release_when: str
    item_ids: Sequence[ItemId]
    renewable: bool = True
    renews_id: BlockId | None = None

    @property
    def lifts_when_settled(self) -> bool:
        """Whether it ends by itself."""
        return self.release_when != "by_hand"


_SELECT = f"""select b.*, i.items, {author_of("b.placed_by")} as placed_by_name, {author_of("b.lifted_by")} as lifted_by_name
  from account_block b
  cross join lateral (
    select coalesce(jsonb_agg(jsonb_build_object('item_id', x.item_id, 'number', i.number, 'currency', i.currency,
                                                 'open_minor', i.amount_minor - i.allocated_minor) order by i.due_on, i.item_id), '[]') as items
      from account_block_item x join item i on i.tenant_id = $1 and i.item_id = x.item_id
     where x.tenant_id = $1 and x.block_id = b.block_id
  ) i"""


async def owed_items(session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[UUID], item_ids: Sequence[UUID] | None) -> list[asyncpg.Record]:
    """Return what is owed of some items, or of everything of some customers: item, customer, due day."""
    return await session.rows(
        """select item_id, customer_id, due_on from item
            where tenant_id = $1 and customer_id = any ($2::uuid[]) and ($3::uuid[] is null or item_id = any ($3)) and direction = 'debit'
              and state = 'posted' and allocated_minor < amount_minor order by due_on, item_id""",
        tenant_id,
        list(customer_ids),
        None if item_ids is None else list(item_ids),
    )


async def insert_blocks(session: Session, tenant_id: TenantId, ledger_id: LedgerId, blocks: Sequence[NewBlock], *, actor: str) -> set[BlockId]:
    """Insert blocks with their items and return which are new; an operation that has placed its block places no second, and none comes back twice."""
    rows = await session.rows(
        """insert into account_block (tenant_id, ledger_id, placed_by, block_id, customer_id, degree, reason, origin, action_id, operation_no, placed_on,
                                      lifts_when_settled, renewable, renews_id)
           select $1, $2, $3, g.* from unnest($4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::uuid[], $10::int[], $11::date[], $12::boolean[],
                                              $13::boolean[], $14::uuid[]) as g on conflict do nothing returning block_id""",
        tenant_id, ledger_id, actor,
        [b.block_id for b in blocks], [b.customer_id for b in blocks], [b.degree for b in blocks], [b.reason for b in blocks], [b.origin for b in blocks],
        [b.action_id for b in blocks], [b.operation_no for b in blocks], [b.placed_on for b in blocks], [b.lifts_when_settled for b in blocks],
        [b.renewable for b in blocks], [b.renews_id for b in blocks],
    )  # fmt: skip
    made = {BlockId(row["block_id"]) for row in rows}
    tied = [(block.block_id, item_id, block.customer_id) for block in blocks if block.block_id in made for item_id in block.item_ids]
    if tied:
        await session.execute(
            """insert into account_block_item (tenant_id, block_id, item_id, customer_id)
               select $1, g.* from unnest($2::uuid[], $3::uuid[], $4::uuid[]) as g""",
            tenant_id,
            *map(list, zip(*tied, strict=True)),
        )
    return made


async def block_of(session: ReadSession, tenant_id: TenantId, block_id: BlockId) -> asyncpg.Record | None:
    """Return one block with its items."""
    return await session.row(f"{_SELECT} where b.tenant_id = $1 and b.block_id = $2", tenant_id, block_id)


async def blocks_after(
    session: ReadSession, tenant_id: TenantId, after: UUID | None, limit: int, *, ledger_id: UUID | None, customer_id: UUID | None, state: str | None
) -> list[asyncpg.Record]:
    """Return blocks past an id, by id, with their items."""
    return await session.rows(
        f"""{_SELECT} where b.tenant_id = $1 and ($2::uuid is null or b.block_id > $2) and ($4::uuid is null or b.ledger_id = $4)
              and ($5::uuid is null or b.customer_id = $5) and ($6::text is null or b.state = $6) order by b.block_id limit $3""",  # fixed words
        tenant_id, after, limit, ledger_id, customer_id, state,
    )  # fmt: skip


async def settled_blocks(session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[CustomerId]) -> list[BlockId]:
    """Return the active blocks of some customers that end by themselves and none of whose items is owed any more."""
    rows = await session.rows(
        """select b.block_id from account_block b
            where b.tenant_id = $1 and b.customer_id = any ($2::uuid[]) and b.state = 'active' and b.lifts_when_settled
              and not exists (select from account_block_item x join item i on i.tenant_id = $1 and i.item_id = x.item_id
                               where x.tenant_id = $1 and x.block_id = b.block_id and i.state = 'posted' and i.allocated_minor < i.amount_minor)
            order by b.block_id""",
        tenant_id,
        list(customer_ids),
    )
    return [BlockId(row["block_id"]) for row in rows]


async def active_alike(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId, degree: str, item_ids: Sequence[ItemId]) -> BlockId | None:
    """Return the active block of a customer that has a degree and is caused by just these items."""
    found: BlockId | None = await session.value(
        """select b.block_id from account_block b
            where b.tenant_id = $1 and b.customer_id = $2 and b.state = 'active' and b.degree = $3
              and (select coalesce(array_agg(x.item_id order by x.item_id), '{}') from account_block_item x where x.tenant_id = $1 and x.block_id = b.block_id)
                = (select coalesce(array_agg(g order by g), '{}') from unnest($4::uuid[]) g)
            order by b.block_id limit 1""",
        tenant_id,
        customer_id,
        degree,
        list(item_ids),
    )
    return found


async def owed_again(session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[CustomerId], since: dt.date, lifted_by: str) -> list[asyncpg.Record]:
    """Return the renewable blocks of some customers that somebody lifted from a day on for settlement and whose causes are owed again, with these causes.

    One that has come back already is left out, and one whose causes another active block of its degree has. `returned` tells whether a payment was
    returned since it was placed.
    """
    return await session.rows(
        """select b.block_id, b.ledger_id, b.customer_id, b.degree, b.origin, b.action_id, o.item_ids,
                  exists (select from allocation a join payment_return r on r.tenant_id = $1 and r.receipt_id = a.receipt_id
                           where a.tenant_id = $1 and a.item_id = any (o.item_ids) and a.reason = 'returned' and r.returned_on >= b.placed_on) as returned
             from account_block b
            cross join lateral (
              select array_agg(x.item_id order by x.item_id) as item_ids from account_block_item x join item i on i.tenant_id = $1 and i.item_id = x.item_id
               where x.tenant_id = $1 and x.block_id = b.block_id and i.state = 'posted' and i.allocated_minor < i.amount_minor) o
            where b.tenant_id = $1 and b.customer_id = any ($2::uuid[]) and b.state = 'lifted' and b.lifted_because = 'settled' and b.renewable
              and b.lifted_on >= $3 and b.lifted_by = $4 and o.item_ids is not null
              and not exists (select from account_block n where n.tenant_id = $1 and n.customer_id = b.customer_id and n.renews_id = b.block_id)
              and not exists (
                select from account_block n where n.tenant_id = $1 and n.customer_id = b.customer_id and n.state = 'active' and n.degree = b.degree
                   and o.item_ids <@ array(select x.item_id from account_block_item x where x.tenant_id = $1 and x.block_id = n.block_id))
            order by b.block_id""",
        tenant_id,
        list(customer_ids),
        since,
        lifted_by,
    )


async def lift(session: Session, tenant_id: TenantId, block_ids: Sequence[BlockId], on: dt.date, *, by: str, because: str) -> list[asyncpg.Record]:
    """Lift those of some blocks that are active, and return them with their items."""
    rows = await session.rows(
        """update account_block set state = 'lifted', lifted_on = $3, lifted_by = $4, lifted_because = $5, updated_at = clock_timestamp()
            where tenant_id = $1 and block_id = any ($2::uuid[]) and state = 'active' returning block_id""",
        tenant_id, list(block_ids), on, by, because,
    )  # fmt: skip
    lifted = [row["block_id"] for row in rows]
    return await session.rows(f"{_SELECT} where b.tenant_id = $1 and b.block_id = any ($2::uuid[]) order by b.block_id", tenant_id, lifted)


async def degrees_of(session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[UUID]) -> dict[CustomerId, list[str]]:
    """Return the degrees of the active blocks of some customers; one without any is left out."""
    rows = await session.rows(
        """select customer_id, array_agg(degree) as degrees from account_block
            where tenant_id = $1 and customer_id = any ($2::uuid[]) and state = 'active' group by customer_id""",
        tenant_id,
        list(customer_ids),
    )
    return {CustomerId(row["customer_id"]): row["degrees"] for row in rows}


async def confirm(session: Session, tenant_id: TenantId, block_id: BlockId, confirmed: Mapping[str, Any]) -> None:
    """Note what another system has confirmed about a block, beside what it confirmed before."""
    await session.execute(
        """update account_block set confirmed = coalesce(confirmed, '{}') || $3, updated_at = clock_timestamp() where tenant_id = $1 and block_id = $2""",
        tenant_id,
        block_id,
        dict(confirmed),
    )
