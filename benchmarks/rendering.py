"""Writing a mail: product rendering and MIME on one core, beside compiled Jinja templates and parts joined by hand."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any
from uuid import UUID

from jinja2 import Environment

from benchmarks.ground import MORNING, Ground
from benchmarks.planning import microseconds
from benchmarks.results import Line, Result
from dunning.messages.compose import Facts, Mail, compose
from dunning.messages.ports import ClaimRow
from dunning.messages.shipped import shipped_templates

RENDERING = Line("rendering", "mails/s", 0.3, None, "values at hand, two Jinja templates compiled once, bodies in base64, headers and parts joined by hand")
ROWS = 10
TEMPLATE_ID = UUID("00000000-0000-7000-8000-0000000000aa")
LINK = "https://pay.acme.example/c/qzkwhtbvnmqzkwhtbvnmqzkwhtbvnmqzkwhtbvnm"

_HEAD = (
    'From: "Acme Accounts Receivable" <ar@acme.example>\r\nTo: "Accounts payable" <ap@k1.example>\r\nSubject: {subject}\r\n'
    "Date: Mon, 02 Mar 2026 09:00:00 +0000\r\nMessage-ID: <m.{n}@acme.example>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/alternative; boundary="b"\r\n\r\n'
)
_PART = '--b\r\nContent-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: base64\r\n\r\n'


def claim_of(rows: int = ROWS) -> dict[str, Any]:
    """Return a frozen claim of some overdue invoices, as JSON holds it."""
    shown = [
        {
            "item_id": f"i{n}", "document_id": f"d{n}", "number": f"K1-{n}", "kind": "invoice", "section": "candidate", "document_on": "2026-01-02",
            "due_on": "2026-02-01", "days_overdue": 29, "original_minor": 123_450 + n, "open_minor": 123_450 + n, "status": "overdue", "step_code": "reminder",
        }
        for n in range(rows)
    ]  # fmt: skip
    total = sum(row["open_minor"] for row in shown)
    block = {"currency": "EUR", "rows": shown, "overdue_minor": total, "not_due_minor": 0, "credit_minor": 0, "total_minor": total}
    account = {"beneficiary": "Acme S.p.A.", "iban": "IT60X0542811101000000123456", "bic": "BPMOIT22XXX", "bank_name": "Banca Esempio", "currency": "EUR"}
    claim = {
        "claim_no": "C-000123", "issued_on": "2026-03-02", "reminder_no": 1, "deadline_on": "2026-03-09", "consequence": "Deliveries end with that day.",
        "content_mode": "full", "language": "en", "step": {"code": "reminder", "name": "Reminder", "rank": 0},
        "ledger": {
            "name": "Acme S.p.A.", "country": "IT", "sender_name": "Acme Accounts Receivable", "sender_email": "ar@acme.example", "reply_to": None,
            "bank_accounts": [account],
        },
        "customer": {"external_id": "K1", "name": "Customer 1 S.r.l."}, "blocks": [block], "payment_reference": "K1-0 K1-1 K1-2",
    }  # fmt: skip
    whole: dict[str, Any] = json.loads(json.dumps(claim))
    return whole


def row_of() -> dict[str, Any]:
    """Return a leased message as composing reads it."""
    return {
        "message_id": UUID(int=1), "claim_id": UUID(int=2), "template_id": TEMPLATE_ID, "template_version": 1, "language": "en", "to_name": "Accounts payable",
        "to_email": "ap@k1.example", "audience": "customer", "crm_url": None, "content_mode": "full",
        "header_message_id": "<m.01a20004-f1e9-72d7-91d7-4fc65adcfbf8@acme.example>",
    }  # fmt: skip


def lines_of(text: str) -> str:
    """Return text as base64 in lines of 76."""
    encoded = base64.b64encode(text.encode()).decode("ascii")
    return "\r\n".join([encoded[place : place + 76] for place in range(0, len(encoded), 76)]) + "\r\n"


class BareWriter:
    """Writes mails as long as the product's with the least work: no cleaning, no formatting, no checks."""

    def __init__(self, like: Mail) -> None:
        environment = Environment(autoescape=True)
        text = "Dear {{ name }},\n\n{% for r in rows %}{{ r.number }}  {{ r.due }}  {{ r.days }}  {{ r.original }}  {{ r.amount }}\n{% endfor %}\n{{ link }}\n"
        html = (
            "<p>Dear {{ name }}</p><table>{% for r in rows %}<tr><td>{{ r.number }}</td><td>{{ r.due }}</td><td>{{ r.days }}</td><td>{{ r.original }}</td>"
            '<td>{{ r.amount }}</td></tr>{% endfor %}</table><p><a href="{{ link }}">Read</a></p>'
        )
        self.rows = [{"number": f"K1-{n}", "due": "1 February 2026", "days": "29 days", "original": "€1,234.50", "amount": "€1,234.50"} for n in range(ROWS)]
        self._text, self._html = environment.from_string(text), environment.from_string(html)
        # The product's layout makes its mails longer; the same number of bytes is encoded here.
        missing = max(0, (len(like.mime) - len(self.write(1))) * 57 // 78)
        self._html = environment.from_string(html + "<!--" + "x" * max(0, missing - 7) + "-->")

    def bodies(self) -> tuple[str, str]:
        """Return text and HTML."""
        values = {"name": "Accounts payable", "rows": self.rows, "link": LINK}
        return self._text.render(values), self._html.render(values)

    def write(self, n: int) -> bytes:
        """Return one mail."""
        parts = [_HEAD.format(subject=f"Reminder C-{n:06d}", n=n)]
        for kind, body in zip(("plain", "html"), self.bodies(), strict=True):
            parts += [_PART.format(kind=kind), lines_of(body)]
        return "".join([*parts, "--b--\r\n"]).encode("ascii")


async def measure(ground: Ground) -> list[Result]:
    """Write the same mail again and again, each time anew."""
    row, dated_at = row_of(), MORNING.replace(tzinfo=dt.UTC)
    facts = Facts(
        claims={row["claim_id"]: ClaimRow(claim_of(), 1, "issued")},
        links={row["message_id"]: LINK},
        contents={(TEMPLATE_ID, 1): shipped_templates()["reminder"]},
    )
    mail = compose(row, facts, dated_at)  # type: ignore[arg-type]  # a dictionary in the place of a database row
    writer = BareWriter(mail)
    if abs(len(writer.write(1)) - len(mail.mime)) > len(mail.mime) // 50:
        msg = f"The bare mail has {len(writer.write(1))} bytes, the product's {len(mail.mime)}: they must be alike."
        raise RuntimeError(msg)
    ground.notes.append(f"rendering: mails of {len(mail.mime)} bytes with {ROWS} rows")
    seconds = ground.sizes.request_seconds / 2
    pairs = [
        (1e6 / microseconds(lambda: compose(row, facts, dated_at), seconds), 1e6 / microseconds(lambda: writer.write(7), seconds))  # type: ignore[arg-type]
        for _ in range(ground.sizes.repeats)
    ]
    return [Result(RENDERING, pairs)]
