"""A company's desk: whatever it does goes through the API, a worker works when it is told to, and its mails arrive in a mailbox.

The story begins on Monday 2 March 2026 at nine in the morning in Rome.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from dunning.kit.ids import new_id
from dunning_worker.jobs import nightly, walk
from dunning_worker.jobs.runs import work_on_runs
from dunning_worker.jobs.sequence import number_events
from dunning_worker.world import World
from tests.conftest import TenantWorld
from tests.stories.mailbox import Mailbox

TEXT = """Dear {{addressee}},

{{items_list}}

{% if deadline %}
Please pay {{items_amount}} by {{deadline}}.
{% endif %}
{% if consequence %}
{{consequence}}
{% endif %}

{% if payment_details %}
{{payment_details}}
{% endif %}

{% if link_url %}
{{link_url}}
{% endif %}

{{sender_name}}
"""
SUBJECT = "{{step_name}}: {{document_numbers}}"
BANK = [{"beneficiary": "Acme S.p.A.", "iban": "IT60X0542811101000000123456", "bic": None, "bank_name": None, "currency": "EUR"}]
LEDGER: dict[str, Any] = {
    "external_id": "acme", "name": "Acme S.p.A.", "currency": "EUR", "time_zone": "Europe/Rome", "country": "IT", "language": "en",
    "sender_name": "Acme receivables", "sender_email": "ar@acme.example", "bank_accounts": BANK, "run_mode": "automatic", "nightly_at": "06:00",
    "send_from": "08:00", "send_until": "19:00", "send_on_closed_days": True, "policy": "scenario",
}  # fmt: skip


def notice(**settings: Any) -> dict[str, Any]:
    """Return the notice by which a step writes to the customer; settings win."""
    return {"code": "main", "channel": "email", "to_roles": ["dunning", "billing"], "template": "letter", "fallback": ["letter"]} | settings


def step(code: str, offset: int | None, name: str | None = None, **settings: Any) -> dict[str, Any]:
    """Return a step that writes to the customer some days after the due date; settings win, `trigger` and `notices` among them."""
    trigger = {"kind": "due_date", "offset_days": offset or 0, "until_days": settings.pop("until", None)}
    return {"code": code, "name": name or f"Step {code}", "trigger": trigger, "notices": [notice(**settings.pop("notice", {}))]} | settings


def task(code: str, trigger: Mapping[str, Any], kind: str = "call", **settings: Any) -> dict[str, Any]:
    """Return a step that a person does."""
    return {"code": code, "name": f"Step {code}", "mode": "manual", "trigger": dict(trigger), "task": {"kind": kind, "text": f"Do {code}."}} | settings


def scenario(*steps: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
    """Return a scenario of some steps, ranked in the order given."""
    ranked = [{"rank": 10 * n} | dict(one) for n, one in enumerate(steps)]
    return {"code": f"s-{new_id().hex[-8:]}", "name": "Our way", "steps": ranked} | settings


@dataclass
class Desk:
    """One tenant's company with a ledger, a worker and a mailbox."""

    tenant: TenantWorld
    api: httpx.AsyncClient
    world: World
    mail: Mailbox
    ledger_id: str = ""
    scenario_id: str = ""
    customers: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, path: str, body: Any = None, *, status: int | None = None, **params: Any) -> Any:
        """Call the API, insist on success or on the status given, and return the answer."""
        headers = {"Idempotency-Key": str(new_id()), "If-Match": "*"}
        answer = await self.api.request(method, f"/v1{path}", json=body, params=params, headers=headers)
        good = answer.is_success if status is None else answer.status_code == status
        assert good, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def get(self, path: str, **params: Any) -> Any:
        """Read."""
        return await self.ask("GET", path, **params)

    async def post(self, path: str, body: Any = None, *, status: int | None = None) -> Any:
        """Do something."""
        return await self.ask("POST", path, body, status=status)

    async def open(self, content: Mapping[str, Any] | str = "claims", *, languages: Sequence[str] = ("en",), approved: bool = True, **ledger: Any) -> Desk:
        """Open a ledger with a scenario, shipped or of one's own; `approved` commits its empty first run, so that its nights go out."""
        await self.ask("PATCH", "/tenant", {"languages": list(languages)})
        self.scenario_id = await self.install(content, languages)
        made = await self.post("/ledgers", LEDGER | {"scenario_id": self.scenario_id} | ledger)
        self.ledger_id = made["ledger_id"]
        if approved:
            first = await self.run()
            await self.post(f"/runs/{first['run_id']}/commit")
            await self.work()
        return self

    async def install(self, content: Mapping[str, Any] | str, languages: Sequence[str] = ("en",)) -> str:
        """Publish a scenario, and the template that its steps write with, unless they are there."""
        if isinstance(content, str):
            return (await self.post(f"/scenarios/shipped/{content}"))["scenario_id"]
        if not (await self.get("/templates", code="letter"))["data"]:
            await self.template("letter", **dict.fromkeys(languages, (SUBJECT, TEXT)))
        made = await self.post("/scenarios", dict(content), status=201)
        await self.post(f"/scenarios/{made['scenario_id']}/publish")
        return made["scenario_id"]

    async def template(self, code: str, **texts: tuple[str, str]) -> str:
        """Publish a template from subject and text a language."""
        contents = {language: {"subject": subject, "text": text} for language, (subject, text) in texts.items()}
        made = await self.post("/templates", {"code": code, "name": code, "contents": contents})
        await self.post(f"/templates/{made['template_id']}/publish")
        return made["template_id"]

    async def change_ledger(self, **settings: Any) -> None:
        """Change settings of the ledger."""
        version = (await self.get(f"/ledgers/{self.ledger_id}"))["version"]
        answer = await self.api.patch(f"/v1/ledgers/{self.ledger_id}", json=settings, headers={"If-Match": f'"{version}"'})
        assert answer.status_code == 200, answer.text

    async def push_customer(self, code: str = "C1", *, emails: Sequence[str] | None = None, contacts: Sequence[Any] | None = None, **content: Any) -> str:
        """State a customer with a person in the role dunning a mail address."""
        addresses = [f"ap@{code.lower()}.example"] if emails is None else emails
        people = [{"external_id": f"p{n}", "name": f"Person {n}", "email": mail, "roles": ["dunning"]} for n, mail in enumerate(addresses)]
        body = {"name": f"Customer {code}", "contacts": people if contacts is None else list(contacts)} | content
        made = await self.ask("PUT", f"/ledgers/{self.ledger_id}/customers/{code}", body)
        self.customers[code] = made["customer_id"]
        return made["customer_id"]

    async def document(self, number: str, amount: str = "100.00", *, customer: str = "C1", currency: str = "EUR", **content: Any) -> dict[str, Any]:
        """State a document."""
        if customer not in self.customers:
            await self.push_customer(customer)
        today = await self.today()
        body = {
            "customer_external_id": customer, "number": number, "document_on": (today - dt.timedelta(days=60)).isoformat(),
            "total": {"amount": amount, "currency": currency}, "payment_reference": f"INV {number}",
        } | content  # fmt: skip
        return await self.ask("PUT", f"/ledgers/{self.ledger_id}/documents/{number}", body)

    async def invoice(self, number: str = "1001", amount: str = "100.00", *, due: int = -1, **content: Any) -> str:
        """State an invoice that falls due in some days, or fell due (negative), and return its item."""
        due_on = (await self.today()) + dt.timedelta(days=due)
        return (await self.document(number, amount, due_on=due_on.isoformat(), **content))["items"][0]["item_id"]

    async def credit_note(self, number: str, amount: str, **content: Any) -> str:
        """State a credit note and return its item."""
        today = (await self.today()).isoformat()
        made = await self.document(number, amount, type="credit_note", document_on=today, payment_reference=None, **content)
        return made["items"][0]["item_id"]

    async def pay(self, amount: str, *numbers: str, customer: str = "C1", currency: str = "EUR", **content: Any) -> dict[str, Any]:
        """Book money that came in, against one document or the oldest debt; return the receipt."""
        money = {"amount": amount, "currency": currency}
        allocation: Any = [{"document_external_id": number, "amount": money} for number in numbers] or "oldest_first"
        body = {"customer_external_id": customer, "amount": money, "received_on": (await self.today()).isoformat(), "allocation": allocation}
        return await self.ask("PUT", f"/ledgers/{self.ledger_id}/receipts/R{new_id().hex[-12:]}", body | content, status=201)

    async def hold(self, scope: str, object_id: str, reason: str = "talks", *, days: int | None = None) -> dict[str, Any]:
        """Hold a ledger, customer or item, for some days or until it is released."""
        until = None if days is None else ((await self.today()) + dt.timedelta(days=days)).isoformat()
        return await self.post("/holds", {"scope": scope, "object_id": object_id, "reason": reason, "until_on": until}, status=201)

    async def import_rows(self, *rows: Mapping[str, Any], **params: Any) -> dict[str, Any]:
        """Send rows as a file and let the worker apply it."""
        return await self.import_file("\n".join(json.dumps(row) for row in rows), **params)

    async def import_file(self, text: str, *, status: int = 202, **params: Any) -> dict[str, Any]:
        """Send a file and let the worker apply it; return what became of it."""
        answer = await self.api.post(f"/v1/ledgers/{self.ledger_id}/imports", content=text.encode(), params=params)
        assert answer.status_code == status, answer.text
        if status != 202:
            return answer.json()
        await walk.work_on_imports(self.world, self.tenant.tenant_id)
        return await self.get(f"/imports/{answer.json()['import_id']}")

    async def run(self, **body: Any) -> dict[str, Any]:
        """Launch a run and let the worker plan it, and carry it out where it may; nothing is sent yet."""
        launched = await self.post(f"/ledgers/{self.ledger_id}/runs", body, status=202)
        await self.plan()
        return await self.get(f"/runs/{launched['run_id']}")

    async def remind(self, **body: Any) -> dict[str, Any]:
        """Launch a run that goes out by itself, and send."""
        run = await self.run(commit_at_once=True, **body)
        await self.work()
        return await self.get(f"/runs/{run['run_id']}")

    async def plan(self) -> None:
        """Let the worker plan and carry out runs, but send nothing."""
        await work_on_runs(self.world, self.tenant.tenant_id)

    async def work(self) -> None:
        """Let the worker do everything that is due now."""
        await walk.settle(self.world, self.tenant.tenant_id)

    async def days(self, number: int) -> list[str]:
        """Let days pass, the worker working through every night; return the nights."""
        return await self._walk({"days": number})

    async def until(self, instant: str) -> list[str]:
        """Let time pass up to an instant."""
        return await self._walk({"to": instant})

    async def _walk(self, body: Mapping[str, Any]) -> list[str]:
        begun = await self.post("/test-clock/advance", dict(body), status=202)
        await walk.work_on_walks(self.world, self.tenant.tenant_id)
        done = await self.get(f"/test-clock/walks/{begun['walk_id']}")
        assert done["state"] == "done", done
        return [night["local_date"] for night in done["nights"]]

    async def machine_off(self, number: int) -> None:
        """Let days pass while nothing runs; then the worker comes back and finds the time that it is."""
        await nightly.run_due_nights(self.world, self.tenant.tenant_id)
        await self.tenant.set_clock((await self.now()) + dt.timedelta(days=number))
        await nightly.run_due_nights(self.world, self.tenant.tenant_id)
        await self.work()

    async def now(self) -> dt.datetime:
        """Return the present of the tenant's clock."""
        return dt.datetime.fromisoformat((await self.get("/tenant"))["now"])

    async def today(self) -> dt.date:
        """Return the date in Rome while its clock shows day in both Rome and Greenwich."""
        return (await self.now()).date()

    async def actions(self, **params: Any) -> list[dict[str, Any]]:
        """Return actions, the oldest first."""
        return list(reversed((await self.get("/actions", **params))["data"]))

    async def action(self, **params: Any) -> dict[str, Any]:
        """Return the only action that matches, with all its parts."""
        (found,) = await self.actions(**params)
        return await self.get(f"/actions/{found['action_id']}")

    async def steps_of(self, item_id: str) -> list[str]:
        """Return the steps that an item has completed, in order."""
        found = []
        for action in await self.actions(item=item_id):
            rows = (await self.get(f"/actions/{action['action_id']}"))["items"]
            found += [row["step_code"] for row in rows if row["item_id"] == item_id and row["state"] == "completed"]
        return found

    async def explain(self, item_id: str, at: dt.date | None = None) -> dict[str, Any]:
        """Return why an item is or is not reminded."""
        return await self.get(f"/items/{item_id}/explain", **({"at": at.isoformat()} if at else {}))

    async def net(self, customer: str = "C1", **days: str) -> str:
        """Return what a customer owes in the first of its currencies, now or on other days."""
        found = (await self.get(f"/customers/{self.customers[customer]}/position", **days))["currencies"]
        return found[0]["net"]["amount"] if found else "0.00"

    async def messages(self, **params: Any) -> list[dict[str, Any]]:
        """Return messages, the oldest first."""
        return list(reversed((await self.get("/messages", **params))["data"]))

    async def events(self) -> list[str]:
        """Return the kinds of everything that happened, in order."""
        await number_events(self.world, self.tenant.tenant_id)
        return [event["kind"] for event in (await self.get("/events", after=0, limit=1000))["data"]]
