"""What people say of items: a status, a comment, or both; append-only, with author and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal
from uuid import UUID

from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, NotFound
from dunning.kit.ids import CustomerId, ItemId, LedgerId, TenantId, new_id
from dunning.ledger import comment_store, item_statuses, items, ledgers, status_store
from dunning.ledger.comment_store import ItemComment, Mark, Marked
from dunning.ledger.customer_state import facts_changed, lock_customers
from dunning.ledger.item_statuses import DISPUTED, ONGOING

Source = Literal["person", "dispute", "promise", "plan", "action", "rule"]


class DisputeNeeded(Conflict):
    """A status of the category `disputed` stands for a dispute, which has a reason and is followed up."""

    code = "dispute_needed"
    title = "This status is set by a dispute"


class DisputeOpen(Conflict):
    """The item is disputed; its status changes when the dispute is resolved."""

    code = "dispute_open"
    title = "The item is disputed"


async def qualify(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    ledger_id: LedgerId,
    customer_id: CustomerId,
    item_ids: Sequence[ItemId],
    status_code: str | None,
    text: str | None,
    source: Source,
    source_id: UUID | None,
) -> list[UUID]:
    """Set a status on items of one customer, or write a comment on them, or both; return the ids of the comments that were written.

    No status code leaves statuses alone, `ongoing` takes them away; setting what an item has already, without a text, writes nothing. The caller
    holds the customer's lock. Raises `NotFound` for an unknown status or an item that is not the customer's, `DisputeNeeded` and `DisputeOpen`
    where a status would contradict the disputes, unless a dispute is the source.
    """
    if not item_ids or (status_code is None and text is None):
        return []
    if status_code is not None:
        status = await item_statuses.status_of(session, tenant_id=tenant_id, code=status_code)
        await agrees_with_disputes(session, tenant_id, item_ids, status.category, status_code, source)
    stored = None if status_code == ONGOING else status_code
    marks = [Mark(new_id(), item_id, status_code is not None, stored, text, source_id) for item_id in dict.fromkeys(item_ids)]
    marked, ids = await say(session, clock, tenant_id=tenant_id, actor=actor, marks=marks, source=source)
    if len(marked) != len(marks) or any(found.customer_id != customer_id for found in marked):
        noun = "item"
        raise NotFound(noun)
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    await facts_changed(session, tenant_id, [customer_id], local_date(clock.now(), ledger.time_zone))
    return ids


async def say(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, marks: Sequence[Mark], source: Source) -> tuple[list[Marked], list[UUID]]:
    """Write marks of items, of one or more customers, with their events; return what they found and the ids of the comments that were written.

    The caller holds the customers' locks, knows that the statuses exist, and says that facts changed.
    """
    if not marks:
        return [], []
    marked = await comment_store.mark_items(session, tenant_id, marks, ongoing=ONGOING, source=source, actor=actor, business_at=clock.now())
    before = {found.item_id: found for found in marked}
    made, ids = [], []
    for mark in marks:
        found = before.get(mark.item_id)
        if found is None:
            continue
        moves = mark.sets and mark.status_code != found.previous_status_code
        if moves:
            data = {"from": found.previous_status_code or ONGOING, "to": mark.status_code or ONGOING, "source": source, "source_id": mark.source_id}
            made.append(NewEvent("item.status_changed", "item", mark.item_id, found.customer_id, data))
        if mark.text is not None:
            made.append(NewEvent("item.commented", "item", mark.item_id, found.customer_id, {"item_comment_id": mark.item_comment_id, "source": source}))
        if moves or mark.text is not None:
            ids.append(mark.item_comment_id)
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=made)
    return marked, ids


async def take_back_status(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, source: Source, sources: Mapping[UUID, Sequence[ItemId]], category: str
) -> None:
    """Give items whose status of a category was set by given sources the status they had before; what has changed since stays.

    `sources` holds the items by the id of their source. A status that meanwhile belongs to a dispute or promise that is over is not brought back.
    The caller holds the customers' locks and says that facts changed.
    """
    item_ids = [item_id for ids in sources.values() for item_id in ids]
    before = await comment_store.statuses_before(session, tenant_id, item_ids, list(sources), category)
    known = {status.code: status for status in await status_store.statuses_after(session, tenant_id, None, 10_000)}
    by_item = {item_id: source_id for source_id, ids in sources.items() for item_id in ids}
    marks = []
    for item_id, code in before.items():
        status = known.get(code)
        kept = status is not None and status.category not in {DISPUTED, category} and code != ONGOING
        marks.append(Mark(new_id(), item_id, sets=True, status_code=code if kept else None, text=None, source_id=by_item[ItemId(item_id)]))
    await say(session, clock, tenant_id=tenant_id, actor=actor, marks=marks, source=source)


async def bring_back_status(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, source: Source, sources: Mapping[UUID, Sequence[ItemId]], category: str
) -> None:
    """Give items the status of a category again that given sources had set; one that has another status by now keeps it.

    `sources` holds the items by the id of their source. The caller holds the customers' locks and says that facts changed.
    """
    by_item = {item_id: source_id for source_id, ids in sources.items() for item_id in ids}
    lost = await comment_store.statuses_lost(session, tenant_id, list(by_item), list(sources), category)
    marks = [Mark(new_id(), item_id, sets=True, status_code=code, text=None, source_id=by_item[ItemId(item_id)]) for item_id, code in lost.items()]
    await say(session, clock, tenant_id=tenant_id, actor=actor, marks=marks, source=source)


async def add_comment(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, item_id: ItemId, text: str) -> ItemComment:
    """Write a comment on one item and return it. Each call writes another; comments are never changed or removed."""
    item = await items.item_of(session, tenant_id=tenant_id, item_id=item_id)
    await lock_customers(session, tenant_id, [item.customer_id])
    marks = [Mark(new_id(), item_id, sets=False, status_code=None, text=text, source_id=None)]
    _, ids = await say(session, clock, tenant_id=tenant_id, actor=actor, marks=marks, source="person")
    return (await comment_store.comments_of(session, tenant_id, ids))[0]


async def comments_before(session: ReadSession, *, tenant_id: TenantId, item_id: ItemId, before: UUID | None, limit: int) -> list[ItemComment]:
    """Return comments of an item below an id, the newest first, status changes among them; raise `NotFound`."""
    await items.item_of(session, tenant_id=tenant_id, item_id=item_id)
    return await comment_store.comments_before(session, tenant_id, before, limit, item_id=item_id, customer_id=None)


async def agrees_with_disputes(session: ReadSession, tenant_id: TenantId, item_ids: Sequence[ItemId], category: str, status_code: str, source: Source) -> None:
    """Raise `DisputeNeeded` or `DisputeOpen` where setting a status on items would contradict the disputes; a dispute itself may."""
    if source == "dispute":
        return
    if category == DISPUTED:
        msg = f"The status {status_code} stands for a dispute. Open one with POST /v1/disputes; it sets the status and is followed up."
        raise DisputeNeeded(msg, status_code=status_code)
    disputed = [item_id for item_id, found in (await status_store.categories_of_items(session, tenant_id, item_ids)).items() if found == DISPUTED]
    if disputed:
        msg = f"{len(disputed)} of the items are disputed. Resolve the dispute first; GET /v1/disputes?item= finds it."
        raise DisputeOpen(msg, item_ids=[str(item_id) for item_id in disputed])
