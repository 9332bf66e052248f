"""A ledger spoken to through the API, in few words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx

from dunning_api.schemas.ledgers import EXAMPLE


def eur(amount: str, currency: str = "EUR") -> dict[str, str]:
    return {"amount": amount, "currency": currency}


async def make_ledger(api: httpx.AsyncClient, external_id: str = "it-01", **settings: Any) -> Books:
    answer = await api.post("/v1/ledgers", json={**EXAMPLE, "external_id": external_id, **settings})
    assert answer.status_code == 201, answer.text
    return Books(api, answer.json()["ledger_id"])


@dataclass
class Books:
    api: httpx.AsyncClient
    ledger_id: str

    @property
    def path(self) -> str:
        return f"/v1/ledgers/{self.ledger_id}"

    async def customer(self, external_id: str = "C-1", **content: Any) -> dict[str, Any]:
        answer = await self.api.put(f"{self.path}/customers/{external_id}", json={"name": f"Customer {external_id}", **content})
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    async def put_document(self, external_id: str, **content: Any) -> httpx.Response:
        return await self.api.put(f"{self.path}/documents/{external_id}", json=content)

    async def invoice(self, external_id: str, amount: str = "100.00", due_on: str = "2026-02-20", customer: str = "C-1", **content: Any) -> dict[str, Any]:
        total = content.pop("total", eur(amount))
        body = {"customer_external_id": customer, "number": external_id, "document_on": "2026-01-20", "total": total, **content}
        if "instalments" not in content:
            body["due_on"] = due_on
        answer = await self.put_document(external_id, **body)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    async def credit_note(self, external_id: str, amount: str, customer: str = "C-1", **content: Any) -> dict[str, Any]:
        body = {"customer_external_id": customer, "type": "credit_note", "number": external_id, "document_on": "2026-01-25", "total": eur(amount)}
        answer = await self.put_document(external_id, **body, **content)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    async def put_receipt(self, external_id: str, amount: str, allocation: Any = "oldest_first", customer: str = "C-1", **content: Any) -> httpx.Response:
        body = {"customer_external_id": customer, "amount": eur(amount), "received_on": "2026-02-25", "allocation": allocation, **content}
        return await self.api.put(f"{self.path}/receipts/{external_id}", json=body)

    async def receipt(self, external_id: str, amount: str, allocation: Any = "oldest_first", customer: str = "C-1", **content: Any) -> dict[str, Any]:
        answer = await self.put_receipt(external_id, amount, allocation, customer, **content)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    async def position(self, customer: str = "C-1", **query: str) -> dict[str, dict[str, str]]:
        found = (await self.api.get(f"{self.path}/customers", params={"external_id": customer})).json()["data"][0]
        answer = await self.api.get(f"/v1/customers/{found['customer_id']}/position", params=query)
        assert answer.status_code == 200, answer.text
        names = ("overdue", "not_due", "disputed", "open_credit", "unapplied_receipts", "net")
        return {c["currency"]: {name: c[name]["amount"] for name in names} for c in answer.json()["currencies"]}

    async def items(self, **query: Any) -> list[dict[str, Any]]:
        answer = await self.api.get(f"{self.path}/items", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def open_amounts(self) -> dict[str, str]:
        return {item["external_id"]: item["open_amount"]["amount"] for item in await self.items(state="open")}

    async def post_import(self, rows: list[dict[str, Any]] | str | bytes, **query: Any) -> httpx.Response:
        content = rows if isinstance(rows, str | bytes) else "\n".join(json.dumps(row) for row in rows)
        return await self.api.post(f"{self.path}/imports", params=query, content=content)

    async def imported(self, import_id: str) -> dict[str, Any]:
        return (await self.api.get(f"/v1/imports/{import_id}")).json()

    async def sound(self) -> None:
        answer = (await self.api.get("/v1/health/invariants")).json()
        assert answer["sound"], answer["violations"]


def document_row(external_id: str, amount: str = "100.00", customer: str = "C-1", due_on: str = "2026-02-20", **content: Any) -> dict[str, Any]:
    return {
        "kind": "document",
        "external_id": external_id,
        "customer_external_id": customer,
        "number": external_id,
        "document_on": "2026-01-20",
        "due_on": due_on,
        "total": eur(amount),
        **content,
    }


def customer_row(external_id: str = "C-1", **content: Any) -> dict[str, Any]:
    return {"kind": "customer", "external_id": external_id, "name": f"Customer {external_id}", **content}


def receipt_row(external_id: str, amount: str, customer: str = "C-1", **content: Any) -> dict[str, Any]:
    body = {"kind": "receipt", "external_id": external_id, "customer_external_id": customer, "amount": eur(amount), "received_on": "2026-02-25"}
    return {**body, **content}
