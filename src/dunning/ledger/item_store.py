"""Statements about open items."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple
from uuid import UUID

from dunning.kit.columns import columns_of
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, DocumentId, ItemId, LedgerId, ScenarioId, TenantId
from dunning.ledger.rules import OpenItem


@dataclass(frozen=True, slots=True)
class Item:
    """One open item with what reminding has done to it, for the ERP to write back."""

    item_id: ItemId
    ledger_id: LedgerId
    customer_id: CustomerId
    document_id: DocumentId
    instalment: int
    external_id: str
    kind: str
    direction: str
    number: str
    document_on: dt.date
    due_on: dt.date
    delivered_on: dt.date | None
    currency: str
    amount_minor: int
    allocated_minor: int
    episode: int
    state: str
    over_settled: bool
    collection_method: str | None
    policy: str
    scenario_id: ScenarioId | None
    status_code: str | None
    value_on: dt.date
    recorded_on: dt.date
    step_code: str | None
    last_reminded_on: dt.date | None
    reminders: int
    changed_at: dt.datetime

    @property
    def open_minor(self) -> int:
        """What is still unpaid, in minor units."""
        return self.amount_minor - self.allocated_minor


class NewItem(NamedTuple):
    """What is written of a new item; `allocated_minor` is what its opening entries sum to."""

    item_id: UUID
    customer_id: UUID
    document_id: UUID
    instalment: int
    external_id: str
    kind: str
    direction: str
    number: str
    document_on: dt.date
    due_on: dt.date
    delivered_on: dt.date | None
    currency: str
    amount_minor: int
    allocated_minor: int
    collection_method: str | None
    step_reached: str | None
    last_reminded_on: dt.date | None
    policy: str
    scenario_id: UUID | None
    value_on: dt.date


class ItemChange(NamedTuple):
    """What is written of an item whose document was stated anew."""

    item_id: UUID
    instalment: int
    number: str
    document_on: dt.date
    due_on: dt.date
    delivered_on: dt.date | None
    amount_minor: int
    collection_method: str | None
    step_reached: str | None
    last_reminded_on: dt.date | None
    policy: str
    scenario_id: UUID | None
    value_on: dt.date
    state: str
    over_settled: bool
    reopened: bool


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item as a restatement of its document finds it."""

    item_id: UUID
    document_id: UUID
    customer_id: UUID
    external_id: str
    currency: str
    amount_minor: int
    allocated_minor: int
    state: str
    direction: str
    due_on: dt.date
    document_on: dt.date
    number: str
    episode: int
    step_reached: str | None
    last_reminded_on: dt.date | None
    policy: str
    scenario_id: UUID | None

    @property
    def open_minor(self) -> int:
        """What is still unpaid, in minor units."""
        return self.amount_minor - self.allocated_minor


_SELECT = """select i.item_id, i.ledger_id, i.customer_id, i.document_id, i.instalment, i.external_id, i.kind, i.direction, i.number, i.document_on,
       i.due_on, i.delivered_on, i.currency, i.amount_minor, i.allocated_minor, i.episode, i.state, i.over_settled, i.collection_method, i.policy,
       i.scenario_id, i.status_code, i.value_on, i.recorded_on,
       coalesce(d.step_code, i.step_reached) as step_code, coalesce(d.last_reminded_on, i.last_reminded_on) as last_reminded_on,
       coalesce(d.reminders, 0) as reminders, greatest(i.updated_at, d.updated_at) as changed_at
  from item i left join item_dunning d on d.tenant_id = i.tenant_id and d.item_id = i.item_id"""
_STORED = ", ".join(f.name for f in fields(StoredItem))
_SQL_TYPES = {
    "item_id": "uuid",
    "customer_id": "uuid",
    "document_id": "uuid",
    "instalment": "int",
    "document_on": "date",
    "due_on": "date",
    "delivered_on": "date",
    "amount_minor": "bigint",
    "allocated_minor": "bigint",
    "last_reminded_on": "date",
    "scenario_id": "uuid",
    "value_on": "date",
    "over_settled": "boolean",
    "reopened": "boolean",
}
_NEW = {name: _SQL_TYPES.get(name, "text") for name in NewItem._fields}
_CHANGED = {name: _SQL_TYPES.get(name, "text") for name in ItemChange._fields}


def _item(row: Any) -> Item:
    return Item(**dict(row))


async def insert_items(session: Session, tenant_id: TenantId, ledger_id: LedgerId, items: Sequence[NewItem], recorded_on: dt.date) -> None:
    """Insert items in one statement."""
    columns = columns_of(_NEW, items, first=4)
    await session.execute(
        f"""insert into item (tenant_id, ledger_id, recorded_on, {", ".join(_NEW)})
            select $1, $2, $3, {columns.selected} from {columns.source}""",  # fixed words
        tenant_id,
        ledger_id,
        recorded_on,
        *columns.values,
    )


async def change_items(session: Session, tenant_id: TenantId, changes: Sequence[ItemChange]) -> None:
    """Write items stated anew; a reopened one begins its next episode."""
    if not changes:
        return
    names = ItemChange._fields[1:-1]
    columns = columns_of(_CHANGED, changes, first=2)
    await session.execute(
        f"""update item i set ({", ".join(names)}) = row({", ".join("v." + n for n in names)}),
                   episode = i.episode + v.reopened::int, updated_at = clock_timestamp()
              from (select {columns.selected} from {columns.source}) as v({", ".join(_CHANGED)})
             where i.tenant_id = $1 and i.item_id = v.item_id""",  # fixed words
        tenant_id,
        *columns.values,
    )


async def set_void(session: Session, tenant_id: TenantId, item_ids: Sequence[UUID]) -> None:
    """Take items back; their entries have closed them."""
    if item_ids:
        await session.execute(
            """update item set state = 'void', over_settled = false, updated_at = clock_timestamp()
                where tenant_id = $1 and item_id = any ($2::uuid[])""",
            tenant_id,
            item_ids,
        )


async def raise_episodes(session: Session, tenant_id: TenantId, item_ids: Sequence[UUID]) -> None:
    """Begin the next episode of some items."""
    await session.execute(
        """update item set episode = episode + 1, updated_at = clock_timestamp() where tenant_id = $1 and item_id = any ($2::uuid[])""",
        tenant_id,
        item_ids,
    )


async def set_policy(session: Session, tenant_id: TenantId, item_id: ItemId, policy: str, scenario_id: UUID | None) -> None:
    """Write the policy of one item."""
    await session.execute(
        "update item set policy = $3, scenario_id = $4, updated_at = clock_timestamp() where tenant_id = $1 and item_id = $2",
        tenant_id,
        item_id,
        policy,
        scenario_id,
    )


async def clear_over_settled(session: Session, tenant_id: TenantId, item_id: ItemId) -> None:
    """Take an item off the list of those that were settled by more than their document came to say."""
    await session.execute("update item set over_settled = false, updated_at = clock_timestamp() where tenant_id = $1 and item_id = $2", tenant_id, item_id)


async def stored_items_of(session: ReadSession, tenant_id: TenantId, document_ids: Sequence[UUID]) -> dict[UUID, list[StoredItem]]:
    """Return the items of some documents by document, in the order of their instalments."""
    rows = await session.rows(
        f"""select {_STORED} from item where tenant_id = $1 and document_id = any ($2::uuid[]) order by document_id, instalment, item_id""",
        tenant_id,
        document_ids,
    )
    found: dict[UUID, list[StoredItem]] = {document_id: [] for document_id in document_ids}
    for row in rows:
        found[row["document_id"]].append(StoredItem(**dict(row)))
    return found


async def ids_of(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, external_ids: Sequence[str]) -> dict[str, tuple[ItemId, CustomerId]]:
    """Return the ids of items and their customers by the items' external ids."""
    if not external_ids:
        return {}
    rows = await session.rows(
        "select external_id, item_id, customer_id from item where tenant_id = $1 and ledger_id = $2 and external_id = any ($3::text[])",
        tenant_id,
        ledger_id,
        external_ids,
    )
    return {row["external_id"]: (row["item_id"], row["customer_id"]) for row in rows}


_OPEN = """select item_id, customer_id, document_id, external_id, currency, due_on, document_on, number,
       amount_minor - allocated_minor as open_minor, episode, direction from item"""


async def open_items_of(session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[UUID]) -> list[OpenItem]:
    """Return the open items of some customers, debits and credits."""
    rows = await session.rows(
        f"""{_OPEN} where tenant_id = $1 and customer_id = any ($2::uuid[]) and allocated_minor < amount_minor and state = 'posted'
             order by item_id""",
        tenant_id,
        customer_ids,
    )
    return [OpenItem(**dict(row)) for row in rows]


async def items_named(
    session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, item_ids: Sequence[UUID], item_names: Sequence[str], document_names: Sequence[str]
) -> dict[tuple[str, str], list[OpenItem]]:
    """Return posted items, open or not, by what named them: `("id", …)`, `("item", external id)` or `("document", external id)`."""
    rows = await session.rows(
        f"""select 'id' as by, item_id::text as named, i.* from ({_OPEN} where tenant_id = $1 and ledger_id = $2 and item_id = any ($3::uuid[])) i
            union all
            select 'item', external_id, i.* from ({_OPEN} where tenant_id = $1 and ledger_id = $2 and external_id = any ($4::text[])) i
            union all
            select 'document', d.external_id, i.* from document d
              join lateral ({_OPEN} where tenant_id = $1 and document_id = d.document_id and state = 'posted') i on true
             where d.tenant_id = $1 and d.ledger_id = $2 and d.external_id = any ($5::text[])""",  # fixed words
        tenant_id,
        ledger_id,
        item_ids,
        item_names,
        document_names,
    )
    found: dict[tuple[str, str], list[OpenItem]] = {}
    for row in rows:
        values = dict(row)
        key = (values.pop("by"), values.pop("named"))
        found.setdefault(key, []).append(OpenItem(**values))
    return found


async def item_of(session: ReadSession, tenant_id: TenantId, item_id: ItemId) -> Item | None:
    """Return one item."""
    row = await session.row(f"{_SELECT} where i.tenant_id = $1 and i.item_id = $2", tenant_id, item_id)
    return None if row is None else _item(row)


async def items_of_document(session: ReadSession, tenant_id: TenantId, document_id: DocumentId) -> list[Item]:
    """Return the items of a document in the order of their instalments."""
    rows = await session.rows(f"{_SELECT} where i.tenant_id = $1 and i.document_id = $2 order by i.instalment, i.item_id", tenant_id, document_id)
    return [_item(row) for row in rows]


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """Which items of a list are wanted; None does not narrow."""

    ledger_id: UUID | None = None
    customer_id: UUID | None = None
    external_id: str | None = None
    state: str | None = None
    currency: str | None = None
    direction: str | None = None
    due_from: dt.date | None = None
    due_to: dt.date | None = None
    over_settled: bool | None = None
    status_codes: Sequence[str] | None = None
    status_codes_or_none: Sequence[str] | None = None


_STATES = {
    "open": "i.state = 'posted' and i.allocated_minor < i.amount_minor",
    "settled": "i.state = 'posted' and i.allocated_minor = i.amount_minor",
    "void": "i.state = 'void'",
}
_CONDITIONS = {
    "ledger_id": "i.ledger_id = {}",
    # All documents of a customer are indexed; of its items only the open ones are.
    "customer_id": "i.customer_id = {0} and i.document_id in (select document_id from document where tenant_id = $1 and customer_id = {0})",
    "external_id": "i.external_id = {}",
    "currency": "i.currency = {}",
    "direction": "i.direction = {}",
    "due_from": "i.due_on >= {}",
    "due_to": "i.due_on <= {}",
    "over_settled": "i.over_settled = {}",
    "status_codes": "i.status_code = any ({}::text[])",
    "status_codes_or_none": "(i.status_code is null or i.status_code = any ({}::text[]))",
}


async def items_after(session: ReadSession, tenant_id: TenantId, wanted: ItemFilter, after: UUID | None, limit: int) -> list[Item]:
    """Return items past an id, by id."""
    conditions = ["i.tenant_id = $1"]
    values: list[Any] = [tenant_id]
    for name, condition in _CONDITIONS.items():
        value = getattr(wanted, name)
        if value is not None:
            values.append(value)
            conditions.append(condition.format(f"${len(values)}"))
    if wanted.state is not None:
        conditions.append(_STATES[wanted.state])
    if after is not None:
        values.append(after)
        conditions.append(f"i.item_id > ${len(values)}")
    rows = await session.rows(f"{_SELECT} where {' and '.join(conditions)} order by i.item_id limit {int(limit)}", *values)
    return [_item(row) for row in rows]


async def items_changed_after(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, since: dt.datetime, after: UUID, limit: int) -> list[Item]:
    """Return items of a ledger changed by themselves or by a reminder after (instant, id), in that order.

    Changes of transactions that may still commit are left for the next call, so that a reader who goes on from the last row misses none.
    """
    rows = await session.rows(
        f"""with settled_until as (
              select least(clock_timestamp(), min(xact_start)) as at from pg_stat_activity where backend_xid is not null and datname = current_database()
            ), changed as (
              (select i.item_id, i.updated_at as at from item i
                where i.tenant_id = $1 and i.ledger_id = $2 and (i.updated_at, i.item_id) > ($3, $4)
                  and not exists (select 1 from item_dunning d where d.tenant_id = $1 and d.item_id = i.item_id and d.updated_at > i.updated_at)
                order by i.updated_at, i.item_id limit $5)
              union all
              (select d.item_id, d.updated_at from item_dunning d join item i on i.tenant_id = $1 and i.item_id = d.item_id
                where d.tenant_id = $1 and d.ledger_id = $2 and (d.updated_at, d.item_id) > ($3, $4) and d.updated_at > i.updated_at
                order by d.updated_at, d.item_id limit $5)
              order by at, item_id limit $5
            )
            select q.* from changed c join lateral ({_SELECT} where i.tenant_id = $1 and i.item_id = c.item_id) q on true
             where c.at < (select at from settled_until) order by c.at, c.item_id""",  # fixed words
        tenant_id,
        ledger_id,
        since,
        after,
        limit,
    )
    return [_item(row) for row in rows]
