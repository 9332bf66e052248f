"""A claim that never was: what a template is shown with before there are customers. Standard library only."""

from __future__ import annotations

import datetime as dt
from typing import Any

CONTACT_NAME = "Anna Rossi"
CRM_URL = "https://crm.example/customers/C1042"


def sample_claim(issued_on: dt.date, *, consequence: str = "Deliveries on account will be suspended.", content_mode: str = "full") -> dict[str, Any]:
    """Return a claim as execution freezes it, with overdue, part-paid and not-due documents, a credit, and two currencies."""
    return {
        "claim_no": "C-000123",
        "issued_on": issued_on.isoformat(),
        "reminder_no": 2,
        "deadline_on": (issued_on + dt.timedelta(days=7)).isoformat(),
        "consequence": consequence,
        "content_mode": content_mode,
        "language": "en",
        "step": {"code": "02", "name": "Second request", "rank": 20},
        "ledger": {
            "name": "Acme S.p.A.",
            "country": "IT",
            "sender_name": "Acme S.p.A. Accounts Receivable",
            "sender_email": "ar@acme.example",
            "reply_to": None,
            "bank_accounts": [
                {"beneficiary": "Acme S.p.A.", "iban": "IT60X0542811101000000123456", "bic": "BPMOIT22XXX", "bank_name": "Banca Esempio", "currency": currency}
                for currency in ("EUR", "USD")
            ],
        },
        "customer": {"external_id": "C1042", "name": "Rossi Forniture S.r.l."},
        "blocks": [
            _block(
                "EUR",
                _row(issued_on, "1001", 40, 125_000, 125_000),
                _row(issued_on, "1007", 9, 80_000, 30_050),
                _row(issued_on, "1012", -12, 45_000, 45_000, section="not_due"),
                _row(issued_on, "9003", 0, 5_000, 5_000, section="credit", kind="credit_note"),
            ),
            _block("USD", _row(issued_on, "1009", 15, 70_000, 70_000)),
        ],
        "payment_reference": "1001 1007 1009",
    }


def _row(issued_on: dt.date, number: str, days: int, original: int, still_open: int, *, section: str = "candidate", kind: str = "invoice") -> dict[str, Any]:
    due_on = issued_on - dt.timedelta(days=days)
    asked_for = "part_paid" if still_open < original else "overdue"
    return {
        "item_id": f"sample-item-{number}",
        "document_id": f"sample-document-{number}",
        "number": number,
        "kind": kind,
        "section": section,
        "document_on": (due_on - dt.timedelta(days=30)).isoformat(),
        "due_on": due_on.isoformat(),
        "days_overdue": days,
        "original_minor": original,
        "open_minor": still_open,
        "status": section if section in {"credit", "not_due"} else asked_for,
        "step_code": "02" if section == "candidate" else None,
    }


def _block(currency: str, *rows: dict[str, Any]) -> dict[str, Any]:
    sums = {
        section: sum(row["open_minor"] for row in rows if (row["section"] if row["section"] in {"credit", "not_due"} else "overdue") == section)
        for section in ("overdue", "not_due", "credit")
    }
    return {
        "currency": currency,
        "rows": list(rows),
        "overdue_minor": sums["overdue"],
        "not_due_minor": sums["not_due"],
        "credit_minor": sums["credit"],
        "total_minor": sums["overdue"] - sums["credit"],
    }
