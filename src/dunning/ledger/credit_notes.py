"""Credit notes: each is set against the invoice it corrects as far as that is open; the rest stays an open credit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from dunning.kit.database import Session
from dunning.kit.ids import TenantId
from dunning.ledger import entries, item_store
from dunning.ledger.entries import NewEntry
from dunning.ledger.item_store import StoredItem


async def set_against_corrected(
    session: Session,
    tenant_id: TenantId,
    pairs: Sequence[tuple[UUID, UUID]],
    *,
    balances_from_erp: bool,
    recorded_on: dt.date,
    actor: str,
) -> None:
    """Set credit documents against the documents they correct, oldest instalment first; a second call finds nothing left to set.

    Where balances come from the ERP nothing is set: its open amounts say it already.
    """
    if balances_from_erp or not pairs:
        return
    items = await item_store.stored_items_of(session, tenant_id, sorted({d for pair in pairs for d in pair}))
    left = {item.item_id: item.open_minor for found in items.values() for item in found if item.state == "posted"}
    added: list[NewEntry] = []
    for credit_document, corrected in pairs:
        for credit in items[credit_document]:
            for item in sorted(items[corrected], key=_oldest_first):
                take = min(left.get(credit.item_id, 0), left.get(item.item_id, 0))
                if take > 0:
                    left[credit.item_id] -= take
                    left[item.item_id] -= take
                    added.append(NewEntry("credit", item.item_id, item.episode, item.currency, take, credit.document_on, credit_item_id=credit.item_id))
    await entries.add_entries(session, tenant_id, added, recorded_on=recorded_on, actor=actor)


def _oldest_first(item: StoredItem) -> tuple[dt.date, UUID]:
    return item.due_on, item.item_id
