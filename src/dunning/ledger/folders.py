"""Folders: where items are filed by their status, to be listed, exported and moved."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from dunning.events import service as events
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, NotFound
from dunning.kit.ids import CustomerId, ItemId, TenantId, new_id
from dunning.kit.money import format_minor
from dunning.kit.spreadsheet import safe_cell
from dunning.ledger import customers, item_comments, item_statuses, item_store, ledgers, status_store
from dunning.ledger.comment_store import Mark
from dunning.ledger.customer_state import facts_changed, lock_customers
from dunning.ledger.item_statuses import ONGOING
from dunning.ledger.item_store import Item, ItemFilter
from dunning.ledger.status_store import Folder

EXPORT_PAGE = 1000
_HEADER = "item_id,ledger_id,customer_id,external_id,number,status,due_on,currency,amount,open_amount,step,last_reminded_on\r\n"


class FolderInUse(Conflict):
    """Statuses lie in the folder."""

    code = "folder_in_use"
    title = "The folder is in use"


class FolderWithoutStatus(Conflict):
    """Nothing can be filed in a folder in which no status lies."""

    code = "folder_without_status"
    title = "The folder has no status"


async def put_folder(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, code: str, name: str, position: int) -> tuple[Folder, bool]:
    """Create a folder or name and place it anew; return it and whether it is new. The same again changes nothing."""
    present = await status_store.folder_of(session, tenant_id, code)
    if present is not None and (present.name, present.position) == (name, position):
        return present, False
    made = bool(await status_store.insert_folders(session, tenant_id, [code], [name], [position]))
    if not made:
        await status_store.update_folder(session, tenant_id, code, name, position)
    await _tell(session, clock, tenant_id, actor, "folder.created" if made else "folder.changed", code)
    return await folder_of(session, tenant_id=tenant_id, code=code), made


async def delete_folder(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, code: str) -> None:
    """Delete a folder in which no status lies. Raises `NotFound`, also on a second call, and `FolderInUse`."""
    folder = await folder_of(session, tenant_id=tenant_id, code=code)
    if folder.status_codes:
        msg = f"The statuses {', '.join(folder.status_codes)} lie in this folder. Give them another folder first."
        raise FolderInUse(msg, status_codes=folder.status_codes)
    await status_store.delete_folder(session, tenant_id, code)
    await _tell(session, clock, tenant_id, actor, "folder.deleted", code)


async def folder_of(session: ReadSession, *, tenant_id: TenantId, code: str) -> Folder:
    """Return a folder; raise `NotFound`."""
    folder = await status_store.folder_of(session, tenant_id, code)
    if folder is None:
        noun = "folder"
        raise NotFound(noun)
    return folder


async def folders_after(session: ReadSession, *, tenant_id: TenantId, after: str | None, limit: int) -> list[Folder]:
    """Return folders past a code, by code."""
    return await status_store.folders_after(session, tenant_id, after, limit)


async def items_in(
    session: ReadSession,
    *,
    tenant_id: TenantId,
    code: str,
    after: UUID | None,
    limit: int,
    state: str | None = "open",
    ledger_id: UUID | None = None,
    customer_id: UUID | None = None,
) -> list[Item]:
    """Return the items filed in a folder past an id, by id. The folder of the status `ongoing` holds what has no status.

    Raises `NotFound` for an unknown folder or customer.
    """
    folder = await folder_to_list(session, tenant_id=tenant_id, code=code, customer_id=customer_id)
    return await item_store.items_after(session, tenant_id, _filed(folder, state, ledger_id, customer_id), after, limit)


async def folder_to_list(session: ReadSession, *, tenant_id: TenantId, code: str, customer_id: UUID | None) -> Folder:
    """Return a folder whose items are to be listed, all or those of a customer; raise `NotFound` for either."""
    if customer_id is not None:
        await customers.customer_of(session, tenant_id=tenant_id, customer_id=CustomerId(customer_id))
    return await folder_of(session, tenant_id=tenant_id, code=code)


async def items_as_csv(
    session: ReadSession,
    *,
    tenant_id: TenantId,
    code: str,
    state: str | None,
    ledger_id: UUID | None = None,
    customer_id: UUID | None = None,
    page: int = EXPORT_PAGE,
) -> AsyncIterator[bytes]:
    """Yield the items filed in a folder, narrowed as `items_in` does, as a CSV file that is safe to open in a spreadsheet program."""
    folder = await folder_of(session, tenant_id=tenant_id, code=code)
    yield _HEADER.encode()
    where, after = _filed(folder, state, ledger_id, customer_id), None
    while found := await item_store.items_after(session, tenant_id, where, after, page):
        text = io.StringIO()
        csv.writer(text).writerows(map(_cells, found))
        yield text.getvalue().encode()
        after = found[-1].item_id


async def move_items(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, code: str, item_ids: Sequence[ItemId], reason: str
) -> tuple[str, list[UUID]]:
    """File items in a folder: they get the first of its statuses, and the reason as a comment. Return that status and the ids of the comments.

    Items of several customers may move together. Raises `NotFound` for an unknown folder or item, `FolderWithoutStatus`, and `DisputeNeeded` or
    `DisputeOpen` where the disputes say otherwise. Moving again writes another comment.
    """
    folder = await folder_of(session, tenant_id=tenant_id, code=code)
    if not folder.status_codes:
        msg = f"No status lies in the folder {code}. Give a status this folder_code first; an item moved here gets that status."
        raise FolderWithoutStatus(msg)
    status = await item_statuses.status_of(session, tenant_id=tenant_id, code=folder.status_codes[0])
    wanted = list(dict.fromkeys(item_ids))
    owners = await status_store.owners_of_items(session, tenant_id, wanted)
    if len(owners) != len(wanted):
        noun = "item"
        raise NotFound(noun)
    await lock_customers(session, tenant_id, {customer_id for _, customer_id in owners.values()})
    await item_comments.agrees_with_disputes(session, tenant_id, wanted, status.category, status.code, "person")
    stored = None if status.code == ONGOING else status.code
    marks = [Mark(new_id(), item_id, sets=True, status_code=stored, text=reason, source_id=None) for item_id in wanted]
    _, ids = await item_comments.say(session, clock, tenant_id=tenant_id, actor=actor, marks=marks, source="person")
    for ledger_id in {ledger_id for ledger_id, _ in owners.values()}:  # each ledger has its own day
        ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
        moved = {customer_id for of, customer_id in owners.values() if of == ledger_id}
        await facts_changed(session, tenant_id, moved, local_date(clock.now(), ledger.time_zone))
    return status.code, ids


def _filed(folder: Folder, state: str | None, ledger_id: UUID | None, customer_id: UUID | None) -> ItemFilter:
    codes: Sequence[str] = folder.status_codes
    unqualified = ONGOING in codes
    return ItemFilter(
        ledger_id, customer_id, state=state, status_codes=None if unqualified else codes, status_codes_or_none=codes if unqualified else None
    )  # fmt: skip


def _cells(item: Item) -> list[str]:
    words = [item.item_id, item.ledger_id, item.customer_id, item.external_id, item.number, item.status_code or ONGOING, item.due_on, item.currency]
    money = [format_minor(item.amount_minor, item.currency), format_minor(item.open_minor, item.currency)]
    return [safe_cell(str(cell)) for cell in (*words, *money, item.step_code or "", item.last_reminded_on or "")]


async def _tell(session: Session, clock: Clock, tenant_id: TenantId, actor: str, kind: str, code: str) -> None:
    await events.record(session, clock, tenant_id=tenant_id, kind=kind, subject_kind="folder", subject_id=tenant_id, actor=actor, data={"code": code})
