"""Statements about item statuses and the folders they lie in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, LedgerId, TenantId


@dataclass(frozen=True, slots=True)
class ItemStatus:
    """What items can be said to be: a name of the tenant's own, its category, whether it stops reminding, and where its items lie."""

    code: str
    name: str
    category: str
    excludes: bool
    follow_up_days: int | None
    folder_code: str | None
    position: int
    version: int


@dataclass(frozen=True, slots=True)
class Folder:
    """Where the items of some statuses are filed."""

    code: str
    name: str
    position: int
    status_codes: list[str]


_STATUS = ", ".join(f.name for f in fields(ItemStatus))
_FOLDER = """select f.code, f.name, f.position,
       coalesce((select array_agg(s.code order by s.position, s.code) from item_status s where s.tenant_id = f.tenant_id and s.folder_code = f.code),
                '{}') as status_codes
  from folder f"""


async def statuses_after(session: ReadSession, tenant_id: TenantId, after: str | None, limit: int) -> list[ItemStatus]:
    """Return statuses past a code, by code."""
    rows = await session.rows(
        f"select {_STATUS} from item_status where tenant_id = $1 and ($2::text is null or code > $2) order by code limit $3",  # fixed words
        tenant_id,
        after,
        limit,
    )
    return [ItemStatus(**dict(row)) for row in rows]


async def status_of(session: ReadSession, tenant_id: TenantId, code: str) -> ItemStatus | None:
    """Return one status."""
    row = await session.row(f"select {_STATUS} from item_status where tenant_id = $1 and code = $2", tenant_id, code)  # fixed words
    return None if row is None else ItemStatus(**dict(row))


async def status_for_change(session: Session, tenant_id: TenantId, code: str) -> ItemStatus | None:
    """Return one status with its row locked."""
    row = await session.row(f"select {_STATUS} from item_status where tenant_id = $1 and code = $2 for update", tenant_id, code)  # fixed words
    return None if row is None else ItemStatus(**dict(row))


async def categories_of_items(session: ReadSession, tenant_id: TenantId, item_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return the category of the status of some items; one without a status is left out."""
    rows = await session.rows(
        """select i.item_id, s.category from item i join item_status s on s.tenant_id = $1 and s.code = i.status_code
            where i.tenant_id = $1 and i.item_id = any ($2::uuid[])""",
        tenant_id,
        list(item_ids),
    )
    return {row["item_id"]: row["category"] for row in rows}


async def owners_of_items(session: ReadSession, tenant_id: TenantId, item_ids: Sequence[UUID]) -> dict[UUID, tuple[LedgerId, CustomerId]]:
    """Return the ledger and customer of those of some items that exist."""
    rows = await session.rows("select item_id, ledger_id, customer_id from item where tenant_id = $1 and item_id = any ($2::uuid[])", tenant_id, list(item_ids))
    return {row["item_id"]: (LedgerId(row["ledger_id"]), CustomerId(row["customer_id"])) for row in rows}


async def insert_statuses(session: Session, tenant_id: TenantId, statuses: Sequence[ItemStatus]) -> int:
    """Insert statuses whose codes are not taken, and return how many they were."""
    return await session.execute(
        """insert into item_status (tenant_id, code, name, category, excludes, follow_up_days, folder_code, position)
           select $1, s.* from unnest($2::text[], $3::text[], $4::text[], $5::boolean[], $6::int[], $7::text[], $8::int[]) as s
           on conflict do nothing""",
        tenant_id,
        *([getattr(s, name) for s in statuses] for name in ("code", "name", "category", "excludes", "follow_up_days", "folder_code", "position")),
    )


async def update_status(session: Session, tenant_id: TenantId, code: str, values: Mapping[str, Any]) -> None:
    """Set the given columns of a status and raise its version."""
    names = [name for name in ("name", "excludes", "follow_up_days", "folder_code", "position") if name in values]
    sets = "".join(f", {name} = ${n}" for n, name in enumerate(names, 3))
    await session.execute(
        f"update item_status set version = version + 1, updated_at = clock_timestamp(){sets} where tenant_id = $1 and code = $2",  # fixed words
        tenant_id,
        code,
        *(values[name] for name in names),
    )


async def delete_status(session: Session, tenant_id: TenantId, code: str) -> None:
    """Delete a status that no item has."""
    await session.execute("delete from item_status where tenant_id = $1 and code = $2", tenant_id, code)


async def count_items(session: ReadSession, tenant_id: TenantId, code: str) -> int:
    """Count the items that have a status."""
    return int(await session.value("select count(*) from item where tenant_id = $1 and status_code = $2", tenant_id, code))


async def bump_all_ledgers(session: Session, tenant_id: TenantId) -> None:
    """Have the customers of every ledger planned again: what a status does has changed."""
    await session.execute("update ledger set revision = revision + 1 where tenant_id = $1", tenant_id)


async def folders_after(session: ReadSession, tenant_id: TenantId, after: str | None, limit: int) -> list[Folder]:
    """Return folders past a code, by code, each with the codes of its statuses."""
    rows = await session.rows(f"{_FOLDER} where f.tenant_id = $1 and ($2::text is null or f.code > $2) order by f.code limit $3", tenant_id, after, limit)
    return [Folder(**dict(row)) for row in rows]


async def folder_of(session: ReadSession, tenant_id: TenantId, code: str) -> Folder | None:
    """Return one folder with the codes of its statuses, the first in order first."""
    row = await session.row(f"{_FOLDER} where f.tenant_id = $1 and f.code = $2", tenant_id, code)
    return None if row is None else Folder(**dict(row))


async def insert_folders(session: Session, tenant_id: TenantId, codes: Sequence[str], names: Sequence[str], positions: Sequence[int]) -> int:
    """Insert folders whose codes are not taken, and return how many they were."""
    return await session.execute(
        "insert into folder (tenant_id, code, name, position) select $1, f.* from unnest($2::text[], $3::text[], $4::int[]) as f on conflict do nothing",
        tenant_id,
        list(codes),
        list(names),
        list(positions),
    )


async def update_folder(session: Session, tenant_id: TenantId, code: str, name: str, position: int) -> None:
    """Name and place a folder."""
    await session.execute("update folder set name = $3, position = $4 where tenant_id = $1 and code = $2", tenant_id, code, name, position)


async def delete_folder(session: Session, tenant_id: TenantId, code: str) -> None:
    """Delete a folder in which no status lies."""
    await session.execute("delete from folder where tenant_id = $1 and code = $2", tenant_id, code)
