"""Receipts as rows of imported files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import TenantId
from dunning.ledger.connected import Name
from dunning.ledger.import_files import KindOfRow
from dunning.ledger.ledger_store import Ledger
from dunning.ledger.outcomes import RowOutcome
from dunning.receipts import receipts
from dunning.receipts.rows import ReceiptRow


async def _apply_receipts(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger: Ledger, rows: Sequence[Any]) -> list[RowOutcome]:
    return await receipts.put_receipts(session, clock, tenant_id=tenant_id, actor=actor, ledger=ledger, rows=rows, source="import", park_refused=True)


def _amount_of(row: ReceiptRow) -> tuple[str, int]:
    return row.amount.currency, row.amount.minor


def _names_of(row: ReceiptRow) -> list[Name]:
    names = [Name("customer", row.customer_external_id), Name("receipt", row.external_id)]
    for target in row.allocation if isinstance(row.allocation, list) else []:
        by, called = target.key
        names.append(Name("item_id" if by == "id" else "item" if by == "item" else "document", called))
    return names


_SAME = ("external_id", "customer_external_id", "received_on", "method", "reference", "final_on", "allocation")

RECEIPTS = KindOfRow(
    "receipt",
    "receipts",
    ReceiptRow,
    {name: (name,) for name in _SAME}
    | {
        "amount": ("amount.amount",),
        "currency": ("amount.currency",),
        "instrument_number": ("instrument.number",),
        "instrument_bank": ("instrument.bank",),
        "instrument_matures_on": ("instrument.matures_on",),
    },
    frozenset({"external_id", "customer_external_id", "amount", "currency", "received_on"}),
    _apply_receipts,
    _amount_of,
    _names_of,
)
