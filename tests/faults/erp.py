"""An ERP that pushes its ledger and pays its way through faults: it repeats each request, with the same ids and keys, until it is acknowledged."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpx

from dunning.kit.clock import SystemClock

PATIENCE_SECONDS = 180.0
PAUSE_SECONDS = 0.1
AGAIN_CODES = {"busy", "twin_running"}


@dataclass(frozen=True, slots=True)
class Debtor:
    """A customer with one overdue invoice."""

    customer: dict[str, Any]
    document: dict[str, Any]
    address: str


def debtor(number: int, prefix: str = "C", *, due_on: str = "2026-02-20") -> Debtor:
    """Return a customer that owes one invoice."""
    code = f"{prefix}-{number:05d}"
    address = f"{code.lower()}@d{number % 7}.example"
    contact = {"external_id": "ap", "name": f"Accounts {code}", "email": address, "roles": ["dunning"]}
    customer = {"kind": "customer", "external_id": code, "name": f"Customer {code}", "language": "en", "tax_number": f"IT{number:011d}", "contacts": [contact]}
    document = {
        "kind": "document",
        "external_id": f"I-{code}",
        "customer_external_id": code,
        "number": f"I-{code}",
        "document_on": "2026-01-20",
        "due_on": due_on,
        "total": {"amount": f"{100 + number}.50", "currency": "EUR"},
    }
    return Debtor(customer, document, address)


class Refused(RuntimeError):
    """The API refused a request for good; repeating it would not help."""


class Erp:
    """A client of one tenant. `acknowledged` holds what was answered with 2xx, as (kind, id); `troubles` counts the answers that made it repeat."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self._http = httpx.AsyncClient(base_url=f"{base_url}/v1", headers={"Authorization": f"Bearer {api_key}"}, timeout=20)
        self.acknowledged: set[tuple[str, str]] = set()
        self.paid_at: dict[str, dt.datetime] = {}
        self.troubles: Counter[str] = Counter()

    async def close(self) -> None:
        await self._http.aclose()

    async def call(self, method: str, path: str, *, body: Any = None, content: bytes | None = None, key: str | None = None, **query: Any) -> Any:
        """Send a request until it is acknowledged and return its JSON; raise `Refused` where the answer is no."""
        headers = {"Idempotency-Key": key} if key else {}
        if content is not None:
            headers["Content-Type"] = "application/x-ndjson"
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = await self._http.request(method, path, json=body, content=content, params=query, headers=headers)
            except httpx.TransportError as error:
                trouble = type(error).__name__
            else:
                if answer.is_success:
                    return answer.json() if answer.content else None
                problem = answer.json() if "json" in answer.headers.get("content-type", "") else {}
                trouble = f"{answer.status_code} {problem.get('code', '')}".strip()
                if answer.status_code < 500 and problem.get("code") not in AGAIN_CODES:
                    msg = f"{method} {path}: {trouble} {problem.get('detail', answer.text)}"
                    raise Refused(msg)
            self.troubles[trouble] += 1
            if time.monotonic() > until:
                msg = f"{method} {path} was not acknowledged within {PATIENCE_SECONDS:.0f} s: {trouble}"
                raise TimeoutError(msg)
            await asyncio.sleep(PAUSE_SECONDS)

    async def get(self, path: str, **query: Any) -> Any:
        return await self.call("GET", path, **query)

    async def all(self, path: str, **query: Any) -> list[Any]:
        """Read a whole list, page by page."""
        rows: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.get(path, limit=500, **cursor, **query)
            rows += page["data"]
            if page["next_cursor"] is None:
                return rows
            cursor = {"cursor": page["next_cursor"]}

    async def feed(self) -> list[Any]:
        """Read the whole feed of events."""
        rows: list[Any] = []
        while page := (await self.get("/events", after=rows[-1]["seq"] if rows else 0, limit=1000))["data"]:
            rows += page
        return rows

    async def wait(self, path: str, *states: str, seconds: float = PATIENCE_SECONDS) -> Any:
        """Read a resource until it is in one of the states."""
        until = time.monotonic() + seconds
        while True:
            found = await self.get(path)
            if found["state"] in states:
                return found
            if found["state"] == "failed" or time.monotonic() > until:
                msg = f"{path} is {found['state']}: {found.get('error') or 'it took too long'}"
                raise Refused(msg)
            await asyncio.sleep(0.1)

    async def put_customer(self, ledger_id: str, customer: dict[str, Any], document: dict[str, Any]) -> None:
        """State a customer and its invoice, one request each."""
        for kind, row in (("customers", customer), ("documents", document)):
            body = {name: value for name, value in row.items() if name not in {"kind", "external_id"}}
            await self.call("PUT", f"/ledgers/{ledger_id}/{kind}/{row['external_id']}", body=body)
            self.acknowledged.add((kind, row["external_id"]))

    async def import_rows(self, ledger_id: str, rows: Iterable[dict[str, Any]]) -> None:
        """Send rows as a file and wait until a worker has applied all of them."""
        sent = list(rows)
        content = "\n".join(json.dumps(row) for row in sent).encode()
        made = await self.call("POST", f"/ledgers/{ledger_id}/imports", content=content, kind="mixed", format="ndjson")
        self.acknowledged.add(("imports", made["import_id"]))
        done = await self.wait(f"/imports/{made['import_id']}", "done")
        if done["counts"]["rejected"] or done["counts"]["parked"]:
            msg = f"import {made['import_id']} did not take every row: {done['counts']}"
            raise Refused(msg)
        self.acknowledged |= {("customers" if row["kind"] == "customer" else "documents", row["external_id"]) for row in sent}

    async def pay(self, ledger_id: str, document: dict[str, Any], address: str) -> None:
        """Book the whole amount of an invoice; `paid_at` is when the answer had been read."""
        external_id = f"R-{document['external_id']}"
        body = {
            "external_id": external_id,
            "customer_external_id": document["customer_external_id"],
            "amount": document["total"],
            "received_on": document["due_on"],
            "allocation": [{"document_external_id": document["external_id"], "amount": document["total"]}],
        }
        await self.call("POST", f"/ledgers/{ledger_id}/receipts", body=body, key=f"pay-{external_id}")
        self.paid_at[address] = SystemClock().now()
        self.acknowledged.add(("receipts", external_id))
