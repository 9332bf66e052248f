"""Items and documents as callers read them, and the policy of one item."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from dunning.events import service as events
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import NotFound
from dunning.kit.ids import CustomerId, DocumentId, ItemId, LedgerId, TenantId
from dunning.ledger import customers, document_store, item_store, ledger_store, ledgers
from dunning.ledger.customer_state import facts_changed, lock_customers
from dunning.ledger.customers import NotFoundScenario
from dunning.ledger.document_store import Document, DocumentVersion
from dunning.ledger.item_store import Item, ItemFilter


async def item_of(session: ReadSession, *, tenant_id: TenantId, item_id: ItemId) -> Item:
    """Return an item with its step and last reminder; raise `NotFound`."""
    item = await item_store.item_of(session, tenant_id, item_id)
    if item is None:
        noun = "item"
        raise NotFound(noun)
    return item


async def items_after(session: ReadSession, *, tenant_id: TenantId, wanted: ItemFilter, after: UUID | None, limit: int) -> list[Item]:
    """Return the wanted items past an id, by id; raise `NotFound` where the filter names an unknown ledger or customer."""
    if wanted.ledger_id is not None:
        await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=LedgerId(wanted.ledger_id))
    if wanted.customer_id is not None:
        await customers.customer_of(session, tenant_id=tenant_id, customer_id=CustomerId(wanted.customer_id))
    return await item_store.items_after(session, tenant_id, wanted, after, limit)


async def items_changed_after(session: ReadSession, *, tenant_id: TenantId, ledger_id: LedgerId, since: dt.datetime, after: UUID, limit: int) -> list[Item]:
    """Return items of a ledger changed after (instant, id), by themselves or by a reminder, in that order; nothing that commits late is missed."""
    await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    return await item_store.items_changed_after(session, tenant_id, ledger_id, since, after, limit)


async def set_policy(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, item_id: ItemId, policy: str, scenario_id: UUID | None) -> Item:
    """Decide for one item whether it inherits, follows a scenario or is never reminded; the same decision again changes nothing."""
    item = await item_of(session, tenant_id=tenant_id, item_id=item_id)
    if scenario_id is not None and not await ledger_store.known_scenarios(session, tenant_id, [scenario_id]):
        raise NotFoundScenario
    if (item.policy, item.scenario_id) == (policy, scenario_id):
        return item
    await lock_customers(session, tenant_id, [item.customer_id])
    await item_store.set_policy(session, tenant_id, item_id, policy, scenario_id)
    await _changed(session, clock, tenant_id, actor, item, "policy")
    return await item_of(session, tenant_id=tenant_id, item_id=item_id)


async def settle_over_settled(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, item_id: ItemId) -> Item:
    """Take an item off the list of over-settled ones: a person has looked at it. A second call changes nothing."""
    item = await item_of(session, tenant_id=tenant_id, item_id=item_id)
    if not item.over_settled:
        return item
    await lock_customers(session, tenant_id, [item.customer_id])
    await item_store.clear_over_settled(session, tenant_id, item_id)
    await _changed(session, clock, tenant_id, actor, item, "over_settled")
    return await item_of(session, tenant_id=tenant_id, item_id=item_id)


async def _changed(session: Session, clock: Clock, tenant_id: TenantId, actor: str, item: Item, field: str) -> None:
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=item.ledger_id)
    await facts_changed(session, tenant_id, [item.customer_id], local_date(clock.now(), ledger.time_zone))
    await events.record(
        session,
        clock,
        tenant_id=tenant_id,
        kind="item.changed",
        subject_kind="item",
        subject_id=item.item_id,
        actor=actor,
        customer_id=item.customer_id,
        data={"fields": [field]},
    )


async def document_of(session: ReadSession, *, tenant_id: TenantId, document_id: DocumentId) -> tuple[Document, list[Item]]:
    """Return a document with its items; raise `NotFound`."""
    document = await document_store.document_of(session, tenant_id, document_id)
    if document is None:
        noun = "document"
        raise NotFound(noun)
    return document, await item_store.items_of_document(session, tenant_id, document_id)


async def documents_after(
    session: ReadSession,
    *,
    tenant_id: TenantId,
    ledger_id: LedgerId,
    after: UUID | None,
    limit: int,
    customer_id: UUID | None = None,
    external_id: str | None = None,
) -> list[Document]:
    """Return documents of a ledger past an id, by id; raise `NotFound` for an unknown ledger or customer."""
    await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    if customer_id is not None:
        await customers.customer_of(session, tenant_id=tenant_id, customer_id=CustomerId(customer_id))
    return await document_store.documents_after(session, tenant_id, after, limit, ledger_id=ledger_id, customer_id=customer_id, external_id=external_id)


async def versions_of(session: ReadSession, *, tenant_id: TenantId, document_id: DocumentId, before: int | None, limit: int) -> list[DocumentVersion]:
    """Return what a document said before each change, newest first."""
    await document_of(session, tenant_id=tenant_id, document_id=document_id)
    return await document_store.versions_of(session, tenant_id, document_id, before, limit)


async def file_url_of(session: ReadSession, *, tenant_id: TenantId, document_id: DocumentId) -> str:
    """Return the registered address of a document's file; raise `NotFound` when the document or its file is not known."""
    document, _ = await document_of(session, tenant_id=tenant_id, document_id=document_id)
    if document.file_url is None:
        noun = "file of this document"
        raise NotFound(noun)
    return document.file_url
