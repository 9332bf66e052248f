"""The demo: a company's ledger is pushed, dunned for six weeks in four languages, and one claim is opened as its customer would."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dunning.kit.clock import SystemClock
from dunning.kit.money import format_minor
from dunning.kit.settings import Settings
from dunning_cli import tenants
from dunning_cli.api_client import ApiClient, ApiRefused
from dunning_cli.demo_ledger import DemoCustomer, DemoInvoice, day_of, demo_customers
from dunning_cli.stack import Stack, log_folder, running_stack

DAYS = 42
SENDER = "receivables@aurora.example"
BANK = [
    {"beneficiary": "Officine Aurora S.r.l.", "iban": "IT60X0542811101000000123456", "bic": "UNCRITMMXXX", "bank_name": "Banca di Prova", "currency": "EUR"},
    {"beneficiary": "Officine Aurora S.r.l.", "iban": "GB29NWBK60161331926819", "bic": "NWBKGB2LXXX", "bank_name": "Sterling Account", "currency": "GBP"},
]


@dataclass(slots=True)
class Story:
    """What is kept between two starts of the demo on one data folder."""

    api_key: str
    ledger_id: str
    first: dt.date

    @classmethod
    def read(cls, path: Path) -> Story | None:
        """Return the story of an earlier demo, if there is one."""
        if not path.exists():
            return None
        kept = json.loads(path.read_text())
        return cls(kept["api_key"], kept["ledger_id"], dt.date.fromisoformat(kept["first"]))

    def write(self, path: Path) -> None:
        """Keep the story, readable by its owner only: it holds an API key."""
        path.touch(mode=0o600)
        path.write_text(json.dumps({"api_key": self.api_key, "ledger_id": self.ledger_id, "first": self.first.isoformat()}))


def show(settings: Settings, *, once: bool, as_json: bool, fresh: bool) -> None:
    """Run the demo and print where to look; stay up until Ctrl-C unless `once`."""
    out = Console(stderr=as_json)
    if "data_dir" not in settings.model_fields_set:
        settings = settings.model_copy(update={"data_dir": Path(".dunning/demo")})
    if fresh:
        (settings.data_dir / "demo.json").unlink(missing_ok=True)
    with Progress(TextColumn("{task.description}", table_column=None), BarColumn(), TimeElapsedColumn(), console=out, transient=False) as progress:
        step = progress.add_task("Starting PostgreSQL, Valkey, mail catcher, API and worker", total=None)
        with running_stack(settings, catcher=True) as stack:
            progress.update(step, total=1, completed=1, description="Servers are up")
            path = settings.data_dir / "demo.json"
            story = Story.read(path)
            if story is None:
                story = _tell(stack, progress)
                story.write(path)
            _write_environment(settings.data_dir / "demo.env", stack, story)
            claim_link = _open_a_claim(stack, progress)
            figures = _figures(stack, story)
            progress.stop()
            _say_where_to_look(out, stack, story, figures, claim_link)
            if as_json:
                print(json.dumps(figures), flush=True)
            if not once:
                stack.keep_running()


def _write_environment(path: Path, stack: Stack, story: Story) -> None:
    """Write what a shell needs to follow the guides, readable by its owner only: `. .dunning/demo/demo.env`."""
    path.touch(mode=0o600)
    lines = {"API": f"{stack.api_url}/v1", "KEY": story.api_key, "LEDGER": story.ledger_id, "MAILS": stack.catcher_url}
    path.write_text("".join(f"export {name}='{value}'\n" for name, value in lines.items()))


def _tell(stack: Stack, progress: Progress) -> Story:
    """Push the ledger as an ERP would, install the claim phases, and walk six weeks."""
    first = SystemClock().now().date() - dt.timedelta(days=DAYS)
    at = dt.datetime.combine(first, dt.time(4), dt.UTC)
    _, key = asyncio.run(
        tenants.create_tenant(stack.installation.database_url, name="Officine Aurora", mode="test", languages=["en", "es", "it", "fr"], clock_at=at)
    )
    customers = demo_customers(DAYS)
    with ApiClient(stack.api_url, key) as api:
        step = progress.add_task("Pushing the ledger", total=4)
        scenario = api.call("POST", "/scenarios/shipped/claims")
        api.call("POST", "/templates/shipped/claim-link")
        ledger = api.call("POST", "/ledgers", body=_ledger() | {"policy": "scenario", "scenario_id": scenario["scenario_id"], "run_mode": "automatic"})
        ledger_id = ledger["ledger_id"]
        progress.advance(step)
        _import(api, ledger_id, [_customer_row(c) for c in customers])
        progress.advance(step)
        _import(api, ledger_id, [row for c in customers for row in _document_rows(c, first, until=0)])
        progress.advance(step)
        api.call("PUT", "/tenant/sending", body={"enabled": True})
        run = api.call("POST", f"/ledgers/{ledger_id}/runs", body={})
        api.wait(f"/runs/{run['run_id']}", "proposed")
        api.call("POST", f"/runs/{run['run_id']}/commit")
        api.wait(f"/runs/{run['run_id']}", "committed")
        progress.advance(step)
        _walk(api, ledger_id, customers, first, progress)
    return Story(key, ledger_id, first)


def _ledger() -> dict[str, Any]:
    return {
        "external_id": "AURORA",
        "name": "Officine Aurora S.r.l.",
        "currency": "EUR",
        "time_zone": "Europe/Rome",
        "country": "IT",
        "subdivision": "MI",
        "language": "it",
        "sender_name": "Officine Aurora, Receivables",
        "sender_email": SENDER,
        "bank_accounts": BANK,
    }


def _customer_row(customer: DemoCustomer) -> dict[str, Any]:
    return {
        "kind": "customer",
        "external_id": customer.external_id,
        "name": customer.name,
        "language": customer.language,
        "country": customer.country,
        "subdivision": customer.subdivision,
        "tax_number": customer.tax_number,
        "contacts": [
            {"external_id": "accounts", "name": customer.contact, "email": customer.email, "roles": ["dunning", "billing"]},
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


def _document_rows(customer: DemoCustomer, first: dt.date, *, until: int, since: int = -10_000) -> list[dict[str, Any]]:
    """Return the documents of a customer that were issued after one day of the story and up to another."""
    return [
        {
            "kind": "document",
            "external_id": invoice.external_id,
            "customer_external_id": customer.external_id,
            "number": invoice.external_id,
            "document_on": day_of(first, invoice.issued_day),
            "due_on": day_of(first, invoice.due_day),
            "total": {"amount": format_minor(invoice.amount_minor, invoice.currency), "currency": invoice.currency},
            "payment_reference": f"INV {invoice.external_id}",
        }
        for invoice in customer.invoices
        if since < invoice.issued_day <= until
    ]


def _import(api: ApiClient, ledger_id: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    content = "\n".join(json.dumps(row) for row in rows).encode()
    made = api.call("POST", f"/ledgers/{ledger_id}/imports", content=content, kind="mixed", format="ndjson")
    done = api.wait(f"/imports/{made['import_id']}", "done")
    if done["counts"].get("rejected") or done["counts"].get("parked"):
        msg = f"the import did not take every row: {done['counts']}"
        raise ApiRefused(msg)


def _walk(api: ApiClient, ledger_id: str, customers: list[DemoCustomer], first: dt.date, progress: Progress) -> None:
    """Let six weeks pass, booking what each day brings before its night."""
    step = progress.add_task("Six weeks of reminders", total=DAYS)
    for day in range(DAYS):
        rows = [row for c in customers for row in _document_rows(c, first, since=day - 1, until=day)] if day else []
        rows += [_receipt_row(c, i, first) for c in customers for i in c.invoices if i.paid_day == day]
        _import(api, ledger_id, rows)
        if day == 12:
            _dispute(api, ledger_id, customers[0])
        walk = api.call("POST", "/test-clock/advance", body={"days": 1})
        api.wait(f"/test-clock/walks/{walk['walk_id']}", "done")
        _commit_what_is_held(api, ledger_id)
        progress.update(step, advance=1, description=f"Six weeks of reminders: {day_of(first, day)}")


def _commit_what_is_held(api: ApiClient, ledger_id: str) -> None:
    """Let a run go that a breaker holds, as whoever reads the proposal would: to two dozen customers a busy Monday is far above the usual."""
    for run in api.all("/runs", ledger=ledger_id, state="proposed"):
        api.call("POST", f"/runs/{run['run_id']}/commit")
        api.wait(f"/runs/{run['run_id']}", "committed")


def _receipt_row(customer: DemoCustomer, invoice: DemoInvoice, first: dt.date) -> dict[str, Any]:
    return {
        "kind": "receipt",
        "external_id": f"R-{invoice.external_id}",
        "customer_external_id": customer.external_id,
        "amount": {"amount": format_minor(invoice.paid_minor, invoice.currency), "currency": invoice.currency},
        "received_on": day_of(first, invoice.paid_day or 0),
        "allocation": "oldest_first",
        "reference": f"INV {invoice.external_id}",
    }


def _dispute(api: ApiClient, ledger_id: str, customer: DemoCustomer) -> None:
    """Hold one open invoice of a customer: the story's disagreement."""
    debtor = api.get(f"/ledgers/{ledger_id}/customers", external_id=customer.external_id)["data"][0]
    items = api.all(f"/ledgers/{ledger_id}/items", customer_id=debtor["customer_id"], state="open")
    if items:
        api.call("POST", "/holds", body={"scope": "item", "object_id": items[0]["item_id"], "reason": "dispute", "comment": "Two pallets arrived damaged."})


def _open_a_claim(stack: Stack, progress: Progress) -> str | None:
    """Open one claim as its customer would: from the mail's link, with the answer that the mail does not hold."""
    step = progress.add_task("Opening a claim as its customer", total=1)
    by_mail = {c.email: c for c in demo_customers(DAYS)}
    page = httpx.get(f"{stack.catcher_url}/api/mails", params={"limit": 200}).json()["data"]
    for mail in page:
        customer = by_mail.get(mail["recipients"][0])
        if customer is None:
            continue
        links = httpx.get(f"{stack.catcher_url}/api/mails/{mail['id']}").json()["links"]
        link = next((found for found in links if "/c/" in found), None)
        if link is None:
            continue
        with httpx.Client(timeout=30) as browser:
            nonce = _hidden(browser.get(link).text, "nonce")
            if nonce is None:
                continue
            answer = customer.tax_number[-4:]
            claim = browser.post(link, data={"form": "answer", "nonce": nonce, "answer": answer, "lang": customer.language})
            if claim.status_code != 200:
                continue
            receipt = _hidden(claim.text, "nonce")
            if receipt is not None:
                browser.post(
                    link, data={"form": "acknowledge", "nonce": receipt, "name": customer.contact, "role": "Accounts payable", "lang": customer.language}
                )
        progress.update(step, completed=1, description=f"{customer.name} opened its claim (answer: {answer})")
        return str(link)
    return None


def _hidden(html: str, name: str) -> str | None:
    found = re.search(rf'name="{name}" value="([^"]+)"', html)
    return str(found.group(1)) if found else None


def _figures(stack: Stack, story: Story) -> dict[str, int]:
    with ApiClient(stack.api_url, story.api_key) as api:
        messages = api.all("/messages", ledger=story.ledger_id)
        sent = [m for m in messages if m["state"] == "accepted"]
        readings = sum(len(api.all(f"/claims/{claim}/readings")) for claim in {m["claim_id"] for m in sent if m["audience"] == "customer"}) if sent else 0
        caught = httpx.get(f"{stack.catcher_url}/api/count").json()
        return {
            "customers": len(api.all(f"/ledgers/{story.ledger_id}/customers")),
            "items": len(api.all(f"/ledgers/{story.ledger_id}/items")),
            "actions": len(api.all("/actions", ledger=story.ledger_id)),
            "messages_sent": len(sent),
            "mails_received": caught["count"],
            "readings": readings,
            "duplicates": caught["count"] - caught["distinct_message_ids"],
        }


def _say_where_to_look(out: Console, stack: Stack, story: Story, figures: dict[str, int], link: str | None) -> None:
    out.print()
    out.print(
        f"[bold]{figures['customers']} customers, {figures['items']} items, {figures['actions']} actions, "
        f"{figures['messages_sent']} messages sent, {figures['mails_received']} mails received, {figures['duplicates']} duplicates.[/]"
    )
    places = [
        ("Mails", f"{stack.catcher_url}", "every reminder as it arrived, in four languages"),
        ("A claim", link or "", "the answer that it asks for is printed above"),
        ("API docs", f"{stack.api_url}/docs", "Authorize with the key below; every example runs"),
        ("API key", story.api_key, "of the demo's tenant"),
        ("History", f"{stack.api_url}/v1/messages", "every message; /v1/messages/{id}/evidence shows what is known of its reading"),
        ("Logs", str(log_folder(stack)), ""),
    ]
    for name, place, meaning in places:
        if place:
            out.print(f"\n[bold]{name:9}[/] {meaning}\n  {place}", soft_wrap=True, highlight=False)
    out.print(f"\ncurl -H 'Authorization: Bearer {story.api_key}' {stack.api_url}/v1/events", soft_wrap=True, highlight=False)
    out.print(
        f"\nThe guides in docs/guides/ run against this demo as they stand, once a shell knows it: . {stack.installation.data_dir}/demo.env", soft_wrap=True
    )
    out.print("\nCtrl-C stops everything; the data stay in the folder for the next start.")
