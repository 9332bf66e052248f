"""Sample claims, built as the execution of an action freezes them."""

from __future__ import annotations

import datetime as dt
from typing import Any

ISSUED_ON = dt.date(2026, 3, 2)
LINK = "https://pay.acme.example/c/qzkwhtbvnm"


def row(
    number: str, *, kind: str = "invoice", section: str = "candidate", days: int = 9, original: int = 10_000, still_open: int = 4_000, step: str | None = "01"
) -> dict[str, Any]:
    """One row of a claim; its state follows from the section and the amounts."""
    due_on = ISSUED_ON - dt.timedelta(days=days)
    if section == "credit":
        status = "credit"
    elif still_open < original:
        status = "part_paid"
    else:
        status = "overdue" if days > 0 else "not_due"
    return {
        "item_id": f"item-{number}",
        "document_id": f"document-{number}",
        "number": number,
        "kind": kind,
        "section": section,
        "document_on": (due_on - dt.timedelta(days=30)).isoformat(),
        "due_on": due_on.isoformat(),
        "days_overdue": days,
        "original_minor": original,
        "open_minor": still_open,
        "status": status,
        "step_code": step,
    }


def block(currency: str, *rows: dict[str, Any]) -> dict[str, Any]:
    """One currency of a claim, with the sums of its rows."""
    overdue = sum(r["open_minor"] for r in rows if r["section"] != "credit" and r["days_overdue"] > 0)
    not_due = sum(r["open_minor"] for r in rows if r["section"] != "credit" and r["days_overdue"] <= 0)
    credit = sum(r["open_minor"] for r in rows if r["section"] == "credit")
    return {
        "currency": currency,
        "rows": list(rows),
        "overdue_minor": overdue,
        "not_due_minor": not_due,
        "credit_minor": credit,
        "total_minor": overdue + not_due - credit,
    }


def claim(*blocks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A claim of one overdue invoice in euros unless told otherwise; `changes` replace its top entries."""
    made: dict[str, Any] = {
        "claim_no": "C-000123",
        "issued_on": "2026-03-02",
        "reminder_no": 2,
        "deadline_on": "2026-03-09",
        "consequence": "Deliveries end with that day.",
        "content_mode": "full",
        "language": "en",
        "step": {"code": "02", "name": "Second reminder", "rank": 2},
        "ledger": {
            "name": "Acme S.p.A.",
            "country": "IT",
            "sender_name": "Acme S.p.A. – Accounts Receivable",
            "sender_email": "ar@acme.example",
            "reply_to": None,
            "bank_accounts": [
                {"beneficiary": "Acme S.p.A.", "iban": "IT60X0542811101000000123456", "bic": "BPMOIT22XXX", "bank_name": "Banca Esempio", "currency": "EUR"},
                {"beneficiary": "Acme Corp.", "iban": "GB29NWBK60161331926819", "bic": None, "bank_name": None, "currency": "USD"},
            ],
        },
        "customer": {"external_id": "K77", "name": "Rossi & Figli S.r.l."},
        "blocks": list(blocks) or [block("EUR", row("90417"))],
        "payment_reference": "90417",
    }
    return made | changes


def rich_claim(**changes: Any) -> dict[str, Any]:
    """Two currencies; overdue rows of two steps, an information row, a row not yet due, a credit note."""
    return claim(
        block(
            "EUR",
            row("90417", days=40, step="02", original=1_234_550, still_open=1_234_550),
            row("90418"),
            row("ND-517", kind="debit_note", section="info", days=1, step=None, original=2_567, still_open=2_567),
            row("90450", section="not_due", days=-12, step=None, original=30_099, still_open=30_099),
            row("NC-803", kind="credit_note", section="credit", days=0, step=None, original=10_051, still_open=10_051),
        ),
        block("USD", row("US-777", days=21, original=7_123, still_open=7_123)),
        payment_reference="90417 90418 US-777",
        **changes,
    )
