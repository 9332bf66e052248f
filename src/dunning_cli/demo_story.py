"""The demo's six weeks: the ledger is pushed as an ERP would, the claim phases are installed, and each day is booked before its night.

The days, the ledger and the people are always the same, and a day goes on only when all that it brings is done: each demo tells the same story.
"""

from __future__ import annotations

import datetime as dt
import json
from contextlib import ExitStack
from typing import Any

from rich.progress import Progress

from dunning.kit.money import format_minor
from dunning_cli.api_client import ApiClient, ApiRefused
from dunning_cli.demo_desk import ANNA, CALL_DAY, COUNTRIES, DISPUTE_DAY, PIERRE, Collector, open_desk, promisable
from dunning_cli.demo_ledger import DAYS, FIRST, DemoCustomer, DemoInvoice, day_of, demo_customers

POLICY = "AC-7731"
"""The company's credit insurance, which covers every second customer."""
MORNING = dt.time(8)
"""When each day of the story begins, in UTC: after the night's run, with the send window open."""
LEDGER = {
    "external_id": "AURORA",
    "name": "Officine Aurora S.r.l.",
    "currency": "EUR",
    "time_zone": "Europe/Rome",
    "country": "IT",
    "subdivision": "MI",
    "language": "it",
    "sender_name": "Officine Aurora, Receivables",
    "sender_email": "receivables@aurora.example",
    "bank_accounts": [
        {
            "beneficiary": "Officine Aurora S.r.l.",
            "iban": "IT60X0542811101000000123456",
            "bic": "UNCRITMMXXX",
            "bank_name": "Banca di Prova",
            "currency": "EUR",
        },
        {"beneficiary": "Officine Aurora S.r.l.", "iban": "GB29NWBK60161331926819", "bic": "NWBKGB2LXXX", "bank_name": "Sterling Account", "currency": "GBP"},
    ],
    "policy": "scenario",
    "run_mode": "automatic",
}


def morning_of(day: int) -> dt.datetime:
    """Return the instant at which a day of the story begins."""
    return dt.datetime.combine(FIRST + dt.timedelta(days=day), MORNING, dt.UTC)


def tell(api_url: str, key: str, progress: Progress) -> str:
    """Tell the whole story to a new tenant whose clock stands at the first morning; return the id of its ledger."""
    customers = demo_customers()
    with ExitStack() as open_clients:
        api, anna, pierre = (open_clients.enter_context(ApiClient(api_url, key, person=person)) for person in (None, ANNA, PIERRE))
        step = progress.add_task("Pushing the ledger", total=4)
        ledger_id = str(api.call("POST", "/ledgers", body=LEDGER | {"scenario_id": _publish_scenario(api)})["ledger_id"])
        open_desk(api, ledger_id)
        progress.advance(step)
        _import(api, ledger_id, [_customer_row(c) for c in customers])
        progress.advance(step)
        _import(api, ledger_id, [row for c in customers for row in _document_rows(c, until=0)])
        progress.advance(step)
        api.call("PUT", "/tenant/sending", body={"enabled": True})
        run = api.call("POST", f"/ledgers/{ledger_id}/runs", body={})
        api.wait(f"/runs/{run['run_id']}", "proposed")
        _commit(api, run["run_id"])
        progress.advance(step)
        desk = {ANNA: Collector(anna, ledger_id), PIERRE: Collector(pierre, ledger_id)}
        _walk(api, ledger_id, customers, desk, progress)
        _last_morning(api, customers, desk)
    return ledger_id


def _publish_scenario(api: ApiClient) -> str:
    """Publish a scenario of the company's own: the shipped claim phases, but what falls on a closed day waits for the next open one.

    The company sends on business days alone. Without that shift, the steps of Saturday and Sunday would leave beside Monday's, in mails of their own.
    """
    shipped = api.call("POST", "/scenarios/shipped/claims")
    content = api.get(f"/scenarios/{shipped['scenario_id']}/content")
    made = api.call("POST", "/scenarios", body=content | {"code": "aurora", "name": "Claim phases on business days", "shift": "forward"})
    api.call("POST", f"/scenarios/{made['scenario_id']}/publish")
    api.call("POST", "/templates/shipped/claim-link")
    return str(made["scenario_id"])


def _walk(api: ApiClient, ledger_id: str, customers: list[DemoCustomer], desk: dict[str, Collector], progress: Progress) -> None:
    step = progress.add_task("Six weeks of reminders", total=DAYS)
    for day in range(DAYS):
        rows = [row for c in customers for row in _document_rows(c, since=day - 1, until=day)] if day else []
        rows += [_receipt_row(c, i) for c in customers for i in c.invoices if i.paid_day == day]
        _import(api, ledger_id, rows)
        if day == DISPUTE_DAY:
            desk[ANNA].open_dispute(customers[0])
        if day == CALL_DAY:
            _call(customers, desk)
        for collector in desk.values():
            collector.tell_insurer(day_of(day))
        _advance(api, morning_of(day + 1))
        _commit_what_is_held(api, ledger_id)
        progress.update(step, advance=1, description=f"Six weeks of reminders: {day_of(day + 1)}")


def _call(customers: list[DemoCustomer], desk: dict[str, Collector]) -> None:
    """Have two customers promise to pay: one will keep its word, one will not."""
    for person, kept in ((ANNA, True), (PIERRE, False)):
        customer, invoice = promisable(customers, COUNTRIES[person], kept=kept)
        promised_day = invoice.paid_day if kept and invoice.paid_day else CALL_DAY + 4
        desk[person].note_promise(customer, invoice, FIRST + dt.timedelta(days=promised_day))


def _last_morning(api: ApiClient, customers: list[DemoCustomer], desk: dict[str, Collector]) -> None:
    """Leave something to do: calls, a mail to approve, and a question to a colleague."""
    by_country = {country: [c for c in customers if c.country == country] for country in ("ES", "FR")}
    desk[ANNA].list_calls()
    desk[ANNA].ask_colleague(by_country["ES"][1])
    desk[PIERRE].propose_letter(by_country["FR"][1])
    _let_pass(api)


def _advance(api: ApiClient, to: dt.datetime) -> None:
    """Move the tenant's clock to an instant; everything that is due on the way, and there, is done when this returns."""
    walk = api.call("POST", "/test-clock/advance", body={"to": to.isoformat()})
    api.wait(f"/test-clock/walks/{walk['walk_id']}", "done")


def _let_pass(api: ApiClient) -> None:
    _advance(api, dt.datetime.fromisoformat(api.get("/tenant")["now"]) + dt.timedelta(minutes=1))


def _commit_what_is_held(api: ApiClient, ledger_id: str) -> None:
    """Let a run go that a breaker holds, as whoever reads the proposal would: to two dozen customers a busy Monday is far above the usual."""
    for run in api.all("/runs", ledger=ledger_id, state="proposed"):
        _commit(api, run["run_id"])


def _commit(api: ApiClient, run_id: str) -> None:
    """Let a proposal go out and wait until its mails have left: what is booked next would else race with them."""
    api.call("POST", f"/runs/{run_id}/commit")
    api.wait(f"/runs/{run_id}", "committed")
    _let_pass(api)


def _import(api: ApiClient, ledger_id: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    content = "\n".join(json.dumps(row) for row in rows).encode()
    made = api.call("POST", f"/ledgers/{ledger_id}/imports", content=content, kind="mixed", format="ndjson")
    done = api.wait(f"/imports/{made['import_id']}", "done")
    if done["counts"].get("rejected") or done["counts"].get("parked"):
        msg = f"the import did not take every row: {done['counts']}"
        raise ApiRefused(msg)


def _customer_row(customer: DemoCustomer) -> dict[str, Any]:
    return {
        "kind": "customer",
        "external_id": customer.external_id,
        "name": customer.name,
        "language": customer.language,
        "country": customer.country,
        "subdivision": customer.subdivision,
        "tax_number": customer.tax_number,
        "insurance_cover": {"state": "active", "reference": f"{POLICY}/{customer.external_id}"} if customer.insured else {"state": "none"},
        "contacts": [
            {"external_id": "accounts", "name": customer.contact, "email": customer.email, "phone": customer.phone, "roles": ["dunning", "billing"]},
            {
                "external_id": "sales",
                "name": "Sara Conti",
                "email": "sara.conti@aurora.example",
                "roles": ["account_manager"],
                "internal": True,
                "language": "it",
            },
        ],
    }


def _document_rows(customer: DemoCustomer, *, until: int, since: int = -10_000) -> list[dict[str, Any]]:
    """Return the documents of a customer that were issued after one day of the story and up to another."""
    return [
        {
            "kind": "document",
            "external_id": invoice.external_id,
            "customer_external_id": customer.external_id,
            "number": invoice.external_id,
            "document_on": day_of(invoice.issued_day),
            "due_on": day_of(invoice.due_day),
            "total": {"amount": format_minor(invoice.amount_minor, invoice.currency), "currency": invoice.currency},
            "payment_reference": f"INV {invoice.external_id}",
        }
        for invoice in customer.invoices
        if since < invoice.issued_day <= until
    ]


def _receipt_row(customer: DemoCustomer, invoice: DemoInvoice) -> dict[str, Any]:
    amount = {"amount": format_minor(invoice.paid_minor, invoice.currency), "currency": invoice.currency}
    return {
        "kind": "receipt",
        "external_id": f"R-{invoice.external_id}",
        "customer_external_id": customer.external_id,
        "amount": amount,
        "received_on": day_of(invoice.paid_day or 0),
        "allocation": [{"document_external_id": invoice.external_id, "amount": amount}],
        "reference": f"INV {invoice.external_id}",
    }
