"""The kinds of rows that files of a ledger may hold: customers, documents, holds; with the columns of their CSV files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import TenantId
from dunning.ledger import customers, documents, holds
from dunning.ledger.connected import Name
from dunning.ledger.import_files import KindOfRow
from dunning.ledger.ledger_store import Ledger
from dunning.ledger.outcomes import RowOutcome
from dunning.ledger.rows import CustomerRow, DocumentRow, HoldRow

_PROGRESS = {"step_reached": ("step_reached",), "last_reminded_on": ("last_reminded_on",)}
_BLOCK = {"block_reason": ("dunning_block.reason",), "block_until_on": ("dunning_block.until_on",)}
_POLICY = {"policy": ("policy",), "scenario_id": ("scenario_id",)}


def _same(*names: str) -> dict[str, tuple[str, ...]]:
    return {name: (name,) for name in names}


async def _apply_customers(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger: Ledger, rows: Sequence[Any]) -> list[RowOutcome]:
    return await customers.put_customers(session, clock, tenant_id=tenant_id, actor=actor, ledger=ledger, rows=rows)


async def _apply_documents(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger: Ledger, rows: Sequence[Any]) -> list[RowOutcome]:
    return await documents.put_documents(session, clock, tenant_id=tenant_id, actor=actor, ledger=ledger, rows=rows, customers_locked=True)


async def _apply_holds(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger: Ledger, rows: Sequence[Any]) -> list[RowOutcome]:
    return await holds.put_hold_rows(session, clock, tenant_id=tenant_id, actor=actor, ledger=ledger, rows=rows)


def _name_contact(stated: dict[str, Any]) -> None:
    for contact in stated.get("contacts", []):
        contact.setdefault("external_id", "main")


def _one_currency(stated: dict[str, Any]) -> None:
    if "open_amount" in stated:
        stated["open_amount"]["currency"] = stated.get("total", {}).get("currency")


def signed_open(row: DocumentRow) -> tuple[str, int]:
    """Return currency and what a document states as open, in minor units; negative for a credit, nothing for a void one."""
    if row.state == "void":
        return row.total.currency, 0
    stated = [part.open_amount or part.amount for part in row.instalments] or [row.open_amount or row.total]
    minor = sum(amount.minor for amount in stated)
    return row.total.currency, -minor if row.type == "credit_note" else minor


def _names_of_document(row: DocumentRow) -> list[Name]:
    names = [Name("customer", row.customer_external_id), Name("document", row.external_id)]
    if row.corrects_external_id is not None:
        names.append(Name("document", row.corrects_external_id))
    return names + [Name("item", part.external_id) for part in row.parts(row.external_id)]


def _names_of_hold(row: HoldRow) -> list[Name]:
    if row.customer_external_id is not None:
        return [Name("customer", row.customer_external_id)]
    return [Name("ledger", "") if row.item_external_id is None else Name("item", row.item_external_id)]


CUSTOMERS = KindOfRow(
    "customer",
    "customers",
    CustomerRow,
    _same("external_id", "name", "language", "country", "subdivision", "time_zone", "tax_number", "group_code", "collection_method", "crm_url", "territory")
    | {
        "tags": ("tags[]",),
        "contact_id": ("contacts.0.external_id",),
        "contact_name": ("contacts.0.name",),
        "contact_email": ("contacts.0.email",),
        "contact_phone": ("contacts.0.phone",),
        "contact_pec": ("contacts.0.pec",),
        "contact_language": ("contacts.0.language",),
        "contact_roles": ("contacts.0.roles[]",),
        "insurance_cover": ("insurance_cover.state",),
        "insurance_cover_until": ("insurance_cover.until_on",),
        "insurance_cover_reference": ("insurance_cover.reference",),
    }
    | _POLICY
    | _PROGRESS
    | _BLOCK,
    frozenset({"external_id", "name"}),
    _apply_customers,
    lambda _row: None,
    lambda row: [Name("customer", row.external_id)],
    _name_contact,
)

DOCUMENTS = KindOfRow(
    "document",
    "documents",
    DocumentRow,
    _same("external_id", "customer_external_id", "type", "number", "document_on", "due_on", "state", "delivered_on", "value_on")
    | _same("corrects_external_id", "payment_reference", "file_url", "collection_method")
    | {"amount": ("total.amount",), "currency": ("total.currency",), "open_amount": ("open_amount.amount",)}
    | _POLICY
    | _PROGRESS
    | _BLOCK,
    frozenset({"external_id", "customer_external_id", "number", "document_on", "amount", "currency"}),
    _apply_documents,
    signed_open,
    _names_of_document,
    _one_currency,
)

HOLDS = KindOfRow(
    "hold",
    "holds",
    HoldRow,
    _same("external_id", "scope", "customer_external_id", "item_external_id", "reason", "from_on", "until_on", "comment"),
    frozenset({"scope", "reason"}),
    _apply_holds,
    lambda _row: None,
    _names_of_hold,
)
