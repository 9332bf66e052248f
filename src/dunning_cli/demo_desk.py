"""What the people of the demo's company do beside the nightly runs: who looks after whom, a dispute, two promises, the insurer, what waits on the last morning."""

from __future__ import annotations

import datetime as dt
from typing import Any

from dunning.kit.money import format_minor
from dunning_cli.api_client import ApiClient
from dunning_cli.demo_ledger import DemoCustomer, DemoInvoice

COMPANY_DOMAIN = "aurora.example"
ANNA, PIERRE, BRUNO = (f"{name}@{COMPANY_DOMAIN}" for name in ("anna.ferri", "pierre.roche", "bruno.neri"))
PEOPLE = [
    {"name": "Anna Ferri", "email": ANNA, "role": "collector", "language": "it"},
    {"name": "Pierre Roche", "email": PIERRE, "role": "collector", "language": "fr"},
    {"name": "Bruno Neri", "email": BRUNO, "role": "account_manager", "language": "en"},
]
COUNTRIES = {ANNA: ["IT", "ES"], PIERRE: ["FR", "IE"]}
DISPUTE_DAY, CALL_DAY = 12, 20
CALLED_AT_LAST = 3


def open_desk(api: ApiClient, ledger_id: str) -> None:
    """Make the people, say which addresses are the company's own, and share the customers out by country."""
    api.call("PATCH", "/tenant", body={"internal_domains": [COMPANY_DOMAIN]})
    ids = {person["email"]: api.call("POST", "/people", body=person)["person_id"] for person in PEOPLE}
    for rank, (email, countries) in enumerate(COUNTRIES.items(), 1):
        rule = {"rank": rank * 10, "name": f"Customers in {', '.join(countries)}", "person_ids": [ids[email]], "conditions": {"countries": countries}}
        api.call("POST", f"/ledgers/{ledger_id}/assignment-rules", body=rule)
    api.call("POST", "/templates/shipped/specific_action")


class Collector:
    """One collector at work, through the API and in the collector's own name."""

    def __init__(self, api: ApiClient, ledger_id: str) -> None:
        self._api = api
        self._ledger_id = ledger_id

    def open_dispute(self, customer: DemoCustomer) -> None:
        """Open a dispute on the oldest open item of a customer."""
        item = self._open_items(customer)[0]
        body = {"item_ids": [item["item_id"]], "reason": "goods_damaged", "text": "Two pallets arrived damaged.", "source": "customer"}
        self._api.call("POST", "/disputes", body=body)

    def note_promise(self, customer: DemoCustomer, invoice: DemoInvoice, promised_on: dt.date) -> None:
        """Call a customer, who promises to pay one invoice by a day."""
        customer_id = self._customer_id(customer)
        self._api.call("POST", "/call-tasks", body={"customer_ids": [customer_id]})
        task = self._api.get("/actions", customer=customer_id, state="waiting")["data"][0]
        item = next(item for item in self._open_items(customer) if item["number"] == invoice.external_id)
        promise = {"amount": item["open_amount"], "promised_on": promised_on.isoformat(), "grace_days": 2, "item_ids": [item["item_id"]]}
        said = f"{customer.contact} promises {format_minor(invoice.amount_minor, invoice.currency)} {invoice.currency} by {promised_on}."
        self._api.call("POST", f"/actions/{task['action_id']}/call-outcome", body={"outcome": "promised", "text": said, "promise": promise})

    def tell_insurer(self, on: str) -> None:
        """Warn the credit insurer of what is late and declare to it what is overdue for long, as today's tasks ask; the notices that wait for it then leave."""
        for kind in ("notify_insurer", "declare_to_insurer"):
            for task in self._api.all("/agenda", task_kind=kind):
                done = {"done_on": on, "reference": f"{kind[0].upper()}-{task['customer_external_id']}-{on}"}
                self._api.call("POST", f"/actions/{task['operation_action_id']}/operations/{task['operation_no']}/done", body=done)

    def ask_colleague(self, customer: DemoCustomer) -> None:
        """Ask a colleague by mail about the open items of a customer."""
        items = [item["item_id"] for item in self._open_items(customer)]
        message = {"to_emails": [BRUNO], "subject": f"{customer.name}: was this delivered in full?"}
        body = {"item_ids": items, "comment": "The customer says that a pallet is missing. Do we have the carrier's receipt?", "notify": "internal"}
        self._api.call("POST", f"/customers/{self._customer_id(customer)}/item-updates", body=body | {"message": message})

    def propose_letter(self, customer: DemoCustomer) -> None:
        """Take the open items of a customer out of the scenario, for one mail of its own that somebody has to approve."""
        text = "As agreed on the phone, these documents are open: #items_list_selected"
        body = {
            "item_ids": [item["item_id"] for item in self._open_items(customer)],
            "title": "What is open, as agreed on the phone",
            "mode": "approve",
            "content": {"kind": "notice", "subject": "Your open documents", "text": text},
        }
        self._api.call("POST", f"/customers/{self._customer_id(customer)}/actions", body=body)

    def list_calls(self) -> None:
        """Put the customers with the most overdue on today's call list."""
        found = self._api.get("/customers", ledger=self._ledger_id, currency="EUR", sort="overdue_amount", limit=CALLED_AT_LAST)["data"]
        self._api.call("POST", "/call-tasks", body={"customer_ids": [row["customer_id"] for row in found]})

    def _customer_id(self, customer: DemoCustomer) -> str:
        found = self._api.get(f"/ledgers/{self._ledger_id}/customers", external_id=customer.external_id)["data"]
        return str(found[0]["customer_id"])

    def _open_items(self, customer: DemoCustomer) -> list[Any]:
        """Return what a customer has to pay, the oldest first."""
        items = self._api.all(f"/ledgers/{self._ledger_id}/items", customer=self._customer_id(customer), state="open")
        return sorted((item for item in items if item["direction"] == "debit"), key=lambda item: (item["due_on"], item["number"]))


def promisable(customers: list[DemoCustomer], countries: list[str], *, kept: bool) -> tuple[DemoCustomer, DemoInvoice]:
    """Return the first invoice of some countries that is overdue on the day of the calls and is paid soon after, or never: a promise kept, or broken."""
    return next(
        (customer, invoice)
        for customer in customers
        if customer.country in countries
        for invoice in customer.invoices
        if invoice.due_day < CALL_DAY
        and ((invoice.paid_minor == invoice.amount_minor and CALL_DAY < (invoice.paid_day or 0) < CALL_DAY + 10) if kept else invoice.paid_day is None)
    )
