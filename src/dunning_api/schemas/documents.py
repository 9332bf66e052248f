"""Shapes of documents and items."""

from __future__ import annotations

import datetime as dt
from typing import Any, Self
from uuid import UUID

from pydantic import ConfigDict, model_validator

from dunning.ledger.document_store import Document, DocumentVersion
from dunning.ledger.item_store import Item
from dunning.ledger.rows import DocumentContent, DocumentRow, Policy
from dunning_api.schemas.base import Input, MoneyOut, Output

EXAMPLE: dict[str, Any] = {
    "customer_external_id": "C-1001",
    "type": "invoice",
    "number": "2026/118",
    "document_on": "2026-01-15",
    "total": {"amount": "1220.00", "currency": "EUR"},
    "instalments": [
        {"due_on": "2026-02-15", "amount": {"amount": "610.00", "currency": "EUR"}},
        {"due_on": "2026-03-15", "amount": {"amount": "610.00", "currency": "EUR"}},
    ],
    "file_url": "https://files.acme.example/2026-118.pdf",
}


class DocumentPut(DocumentContent):
    """All that is stated about a document. Fields left out take their defaults."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    def row(self, external_id: str) -> DocumentRow:
        """Return it as the service takes it."""
        return DocumentRow.model_construct(self.model_fields_set | {"external_id"}, external_id=external_id, **dict(self))


class ItemUpdate(Input):
    """What a person decides about one item; fields left out stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"policy": "never"}]})

    policy: Policy | None = None
    scenario_id: UUID | None = None
    over_settled: bool | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.policy == "scenario") != (self.scenario_id is not None):
            msg = "scenario_id goes with policy `scenario`, and only with it"
            raise ValueError(msg)
        if self.over_settled:
            msg = "over_settled is set by restated documents; it can only be cleared (false)"
            raise ValueError(msg)
        return self


class ItemOut(Output):
    """One open item, with the step that it completed last, by a reminder or otherwise, and its last reminder, for the ERP to write back."""

    item_id: UUID
    ledger_id: UUID
    customer_id: UUID
    document_id: UUID
    instalment: int
    external_id: str
    type: str
    direction: str
    number: str
    document_on: dt.date
    due_on: dt.date
    delivered_on: dt.date | None
    amount: MoneyOut
    open_amount: MoneyOut
    episode: int
    state: str
    over_settled: bool
    collection_method: str | None
    policy: str
    scenario_id: UUID | None
    status_code: str | None
    value_on: dt.date
    recorded_on: dt.date
    step_code: str | None
    last_reminded_on: dt.date | None
    reminders: int
    changed_at: dt.datetime

    @classmethod
    def of(cls, item: Item) -> ItemOut:
        """Show an item."""
        apart = {"type", "amount", "open_amount"}
        return cls(
            type=item.kind,
            amount=MoneyOut.of(item.amount_minor, item.currency),
            open_amount=MoneyOut.of(item.open_minor, item.currency),
            **{name: getattr(item, name) for name in cls.model_fields if name not in apart},
        )


class DocumentOut(Output):
    """A document."""

    document_id: UUID
    ledger_id: UUID
    customer_id: UUID
    external_id: str
    type: str
    number: str
    document_on: dt.date
    delivered_on: dt.date | None
    total: MoneyOut
    state: str
    corrects_document_id: UUID | None
    payment_reference: str | None
    file_url: str | None
    custom: dict[str, Any]
    value_on: dt.date
    recorded_on: dt.date
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime

    @classmethod
    def of(cls, document: Document) -> DocumentOut:
        """Show a document."""
        shown = {name: getattr(document, name) for name in DocumentOut.model_fields if name not in {"type", "total"}}
        return cls(type=document.kind, total=MoneyOut.of(document.total_minor, document.currency), **shown)


class DocumentRecord(DocumentOut):
    """A document with its items."""

    items: list[ItemOut]

    @classmethod
    def with_items(cls, document: Document, items: list[Item]) -> DocumentRecord:
        """Show a document with its items."""
        return cls(**DocumentOut.of(document).model_dump(), items=[ItemOut.of(item) for item in items])


class VersionItemOut(Output):
    """An item as a former version of its document had it."""

    item_id: UUID
    external_id: str
    amount: MoneyOut
    due_on: dt.date
    state: str


class DocumentVersionOut(Output):
    """What a document said before a change."""

    version: int
    number: str
    document_on: dt.date
    total: MoneyOut
    state: str
    value_on: dt.date
    recorded_on: dt.date
    recorded_at: dt.datetime
    items: list[VersionItemOut]

    @classmethod
    def of(cls, version: DocumentVersion) -> DocumentVersionOut:
        """Show a version."""
        content = version.content
        currency = content["currency"]
        return cls(
            version=version.version,
            number=content["number"],
            document_on=content["document_on"],
            total=MoneyOut.of(content["total_minor"], currency),
            state=content["state"],
            value_on=version.value_on,
            recorded_on=version.recorded_on,
            recorded_at=version.recorded_at,
            items=[
                VersionItemOut(
                    item_id=item["item_id"],
                    external_id=item["external_id"],
                    amount=MoneyOut.of(item["amount_minor"], currency),
                    due_on=item["due_on"],
                    state=item["state"],
                )
                for item in content["items"]
            ],
        )
