"""A crowd beside a twin: another ledger of its tenant, in which there are so many of whatever the API lists."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dunning.evidence.tokens import token_of
from dunning.kit.database import Database
from dunning.kit.settings import Settings
from dunning_api.acting import HEADER
from dunning_worker.jobs import sequence
from dunning_worker.world import world_of
from tests.api.twins import Twin, examples
from tests.collection.agreements import eur
from tests.collection.stage import LEDGER, Stage, scenario, step
from tests.conftest import KEYRING

MOST = 3
"""The largest crowd: there are so many currencies, degrees of a block and operations of a step."""
CURRENCIES = ("EUR", "USD", "CHF")
DEGREES = ("no_changes", "no_new_orders", "no_deliveries")
REASONS = ("price", "goods_damaged", "quantity")
_BY_HAND = {"params": {"manual": True, "text": "Tell the insurer."}}
OPERATIONS = [
    {"kind": "declare_to_insurer", "when": "executed", **_BY_HAND},
    {"kind": "notify_insurer", "when": "executed", **_BY_HAND},
    {"kind": "notify_insurer", "when": "completed", **_BY_HAND},
]


@dataclass
class Crowd:
    """A twin's company with one more ledger, the number of whatever is in it, and the id of one object of each noun: the one about which most is to tell."""

    twin: Twin
    stage: Stage
    size: int
    example: Mapping[str, Any]
    today: dt.date
    ids: dict[str, str] = field(default_factory=dict)
    customers: dict[str, str] = field(default_factory=dict)
    items: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The external ids of the customers; the first is the one with most to tell."""
        return [f"K-{n}" for n in range(self.size + 1)]

    @property
    def late(self) -> list[str]:
        """The documents of the first customer that enter at the second step."""
        return [f"late-{n}" for n in range(self.size)]

    def code(self, n: int) -> str:
        """Return a code that no other crowd of the tenant has."""
        return f"crowd_{self.size}_{n}"

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Call the API and insist on success."""
        return await self.twin.ask(method, path, body, **options)

    async def like(self, operation: str, path: str, *several: Mapping[str, Any]) -> list[Any]:
        """Send the documented example of an operation once for each of several, with values of its own."""
        return [await self.ask(operation.split(" ", maxsplit=1)[0], path, {**self.example[operation], **one}) for one in several]

    async def imported(self, kind: str, rows: list[Any]) -> str:
        """Import rows as a file, let the worker apply it, and return the import."""
        answer = await self.twin.api.post(
            f"/v1/ledgers/{self.stage.ledger_id}/imports",
            params={"kind": kind, "format": "ndjson"},
            content="\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows).encode(),
            headers={"Content-Type": "application/x-ndjson"},
        )
        assert answer.status_code == 202, answer.text
        await self.stage.settle()
        return str(answer.json()["import_id"])


async def make_crowd(twin: Twin, database: Database, settings: Settings, size: int) -> Crowd:
    """Build a ledger with at least `size` of everything, up to `MOST`; a tenant may have one crowd of each size."""
    stage = Stage(twin.tenant, world_of(database, settings, KEYRING), twin.api)
    accounts = [{**LEDGER["bank_accounts"][0], "currency": currency} for currency in CURRENCIES[:size]]
    await stage.open(scenario(*_rungs(size), late_entry="matching_age"), external_id=f"crowd-{size}", bank_accounts=accounts)
    crowd = Crowd(twin, stage, size, examples(), await stage.today())
    crowd.ids |= {**twin.ids, "ledger": str(stage.ledger_id), "date": str(crowd.today)}
    await _terms(crowd)
    await _people(crowd)
    await _books(crowd)
    await _reminder(crowd)
    await _agreements(crowd)
    await _work(crowd)
    await sequence.number_events(stage.world, twin.tenant.tenant_id)
    return crowd


def _rungs(size: int) -> list[dict[str, Any]]:
    return [step(rank, f"step-{rank}", rank, operations=OPERATIONS[:size]) for rank in (1, 15, 40)]


async def _terms(crowd: Crowd) -> None:
    """What is set up once, and the versions of texts and scenarios."""
    ledger, several = f"/ledgers/{crowd.stage.ledger_id}", range(crowd.size)
    limits = [{"amount": "100000.00", "currency": currency} for currency in CURRENCIES[: crowd.size]]
    await crowd.ask("PATCH", ledger, {"message_limit": limits})
    await crowd.like("POST /v1/ledgers", "/ledgers", {"external_id": f"beside-{crowd.size}", "language": "en"})
    templates = await crowd.like("POST /v1/templates", "/templates", *({"code": crowd.code(n).replace("_", "-")} for n in several))
    scenarios = await crowd.like("POST /v1/scenarios", "/scenarios", *({"code": crowd.code(n).replace("_", "-")} for n in several))
    crowd.ids |= {"template": templates[0]["template_id"], "scenario": scenarios[0]["scenario_id"]}
    contents = crowd.example["POST /v1/templates"]["contents"]["en"]
    for n in several:
        texts = {"contents": {"en": {**contents, "subject": f"{contents['subject']} {n}"}}}
        for path, changes in ((f"/templates/{crowd.ids['template']}", texts), (f"/scenarios/{crowd.ids['scenario']}", {"name": f"Version {n}"})):
            await crowd.ask("PATCH", path, changes)
            await crowd.ask("POST", f"{path}/publish")
    await crowd.like("POST /v1/action-models", "/action-models", *({"code": crowd.code(n).replace("_", "-")} for n in several))
    await crowd.like("POST /v1/api-keys", "/api-keys", *({} for _ in several))
    for n in several:
        await crowd.ask("PUT", f"{ledger}/customer-groups/{crowd.code(n)}", {"name": f"Group {n}"})
    async with crowd.stage.tenant.database.transaction(crowd.stage.tenant_id) as session:
        await session.execute(
            """insert into suppression (tenant_id, channel, address_sha256, cause)
               select $1, 'email', sha256(convert_to($2 || ' ' || n, 'utf8')), 'hard_bounce' from generate_series(1, $3::int) n""",
            crowd.stage.tenant_id, str(crowd.stage.ledger_id), crowd.size,
        )  # fmt: skip


async def _people(crowd: Crowd) -> None:
    """Teams, collectors, rules and absences."""
    await crowd.like("POST /v1/teams", "/teams", *({"code": crowd.code(n)} for n in range(crowd.size)))
    several = ({"external_id": crowd.code(n), "email": f"{crowd.code(n)}@acme.example"} for n in range(crowd.size))
    people = [one["person_id"] for one in await crowd.like("POST /v1/people", "/people", *several)]
    rules = ({"rank": n, "name": f"Rule {n}", "person_ids": people, "conditions": {"tags": ["nobody"]}} for n in range(1, crowd.size + 1))
    await crowd.like("POST /v1/ledgers/{ledger_id}/assignment-rules", f"/ledgers/{crowd.stage.ledger_id}/assignment-rules", *rules)
    for person in people:
        await crowd.like("POST /v1/people/{person_id}/absences", f"/people/{person}/absences", {"substitute_id": crowd.ids["person"]})
    crowd.ids |= {f"collector {n}": person for n, person in enumerate(people)}


async def _books(crowd: Crowd) -> None:
    """Customers who owe this and that, a document that was changed again and again, and payments; each as a file."""
    ledger = f"/ledgers/{crowd.stage.ledger_id}"
    people = [{"external_id": f"p{n}", "name": f"Person {n}", "phone": "+39 06 1234567", "roles": ["dunning"]} for n in range(crowd.size)]
    cover = {"state": "active", "until_on": None, "reference": "POL-1"}
    customers = [
        {
            "kind": "customer", "external_id": name, "name": f"Customer {name}", "insurance_cover": cover,
            "contacts": [{**one, "email": f"p{n}@{name.lower()}.crowd-{crowd.size}.example"} for n, one in enumerate(people)],
        }
        for name in crowd.names
    ]  # fmt: skip
    await crowd.imported("customers", customers)
    owed = [(name, what, 5, "EUR") for name in crowd.names for what in ("paid", "disputed", "planned", "filed")]
    owed += [(name, "coming", -5, "EUR") for name in crowd.names]
    owed += [(name, what, 20, "EUR") for name in crowd.names for what in (crowd.late if name == "K-0" else crowd.late[:1])]
    owed += [(crowd.names[0], currency, 5, currency) for currency in CURRENCIES[1 : crowd.size]]
    documents = [
        {
            "kind": "document", "external_id": f"{name}-{what}", "customer_external_id": name, "number": f"{name}-{what}",
            "document_on": str(crowd.today - dt.timedelta(days=50)), "due_on": str(crowd.today - dt.timedelta(days=days)),
            "total": {"amount": "100.00", "currency": currency},
        }
        for name, what, days, currency in owed
    ]  # fmt: skip
    crowd.ids["import"] = await crowd.imported("documents", [*documents, *("no row" for _ in range(crowd.size))])
    parts = [{"amount": eur("10.00"), "due_on": str(crowd.today + dt.timedelta(days=20 + n))} for n in range(crowd.size)]
    stated = {"customer_external_id": crowd.names[0], "document_on": str(crowd.today), "total": eur(f"{10 * crowd.size}.00"), "instalments": parts}
    for n in range(crowd.size + 1):
        made = await crowd.ask("PUT", f"{ledger}/documents/parts", {**stated, "number": f"parts-{n}"})
    crowd.items = {one["external_id"]: one["item_id"] for one in (await crowd.ask("GET", f"{ledger}/items"))["data"]}
    crowd.customers = {one["external_id"]: one["customer_id"] for one in (await crowd.ask("GET", f"{ledger}/customers"))["data"]}
    crowd.ids |= {"document": made["document_id"], "customer": crowd.customers["K-0"], "item": crowd.items["K-0-late-0/1"]}


async def _reminder(crowd: Crowd) -> None:
    """A run, one of its reminders told again each time that something was paid; its readers; and what is paid well before the next step."""
    ledger = f"/ledgers/{crowd.stage.ledger_id}"
    run = (await crowd.stage.remind())["run_id"]
    action = await crowd.twin.first("/actions", "action_id", run=run, customer=crowd.ids["customer"], kind="notice")
    paid = [{"document_external_id": f"K-0-{what}", "amount": eur("1.00")} for what in crowd.late]
    stated = {"customer_external_id": "K-0", "received_on": str(crowd.today), "allocation": paid}
    for n in range(crowd.size):
        receipt = await crowd.ask("PUT", f"{ledger}/receipts/R-{n}", {**stated, "amount": eur("4.00")})
        await crowd.ask("PUT", f"{ledger}/receipts/R-{n}", {**stated, "amount": eur("5.00")}, status=(409,))
        if n:
            await crowd.ask("POST", f"/actions/{action}/resend", {})
            await crowd.stage.settle()
        await crowd.ask("POST", f"/actions/{action}/notes", {"text": f"Note {n}."})
        await crowd.like(
            "POST /v1/actions/{action_id}/operations/{operation_no}/done", f"/actions/{action}/operations/{n + 1}/done", {"amounts": [eur("1.00")]}
        )
    receipts = [
        {
            "kind": "receipt", "external_id": f"whole-{name}", "customer_external_id": name, "amount": eur("100.00"), "received_on": str(crowd.today),
            "allocation": [{"document_external_id": f"{name}-paid", "amount": eur("100.00")}],
        }
        for name in crowd.names
    ]  # fmt: skip
    await crowd.imported("receipts", receipts)
    message = await crowd.twin.first("/messages", "message_id", action=action)
    (link,) = await crowd.stage.tenant.rows("select link_id, key_id, claim_id from link where message_id = $1", message)
    token = token_of(KEYRING, crowd.stage.tenant_id, link["link_id"], str(link["key_id"]))  # type: ignore[arg-type]
    readers = ({"token": token, "reader": {"name": f"Reader {n}", "role": "accounting", "contact": f"r{n}@k.example"}} for n in range(crowd.size))
    await crowd.like("POST /v1/links/resolve", "/links/resolve", *readers)
    crowd.ids |= {
        "run": run, "action": action, "message": message, "claim": str(link["claim_id"]), "link": str(link["link_id"]), "receipt": receipt["receipt_id"],
    }  # fmt: skip


async def _agreements(crowd: Crowd) -> None:
    """Calls, disputes, promises, plans, blocks, holds and a folder."""
    customer, several = crowd.ids["customer"], crowd.names[: crowd.size]
    # What is agreed makes calls too, for later days, and a customer has one call that waits.
    await crowd.ask("POST", "/call-tasks", {"customer_ids": list(crowd.customers.values())})
    late = [crowd.items[f"K-0-{what}/1"] for what in crowd.late]
    parts = [crowd.items[f"parts/{n + 1}"] for n in range(crowd.size)]
    later = [str(crowd.today + dt.timedelta(days=9 + n)) for n in range(crowd.size + 1)]
    contested = [late, *([crowd.items[f"{name}-disputed/1"]] for name in several[1:])]
    disputes = await crowd.like("POST /v1/disputes", "/disputes", *({"item_ids": some, "reason": why} for some, why in zip(contested, REASONS, strict=False)))
    promised = {"customer_id": customer, "item_ids": parts, "amount": eur(f"{10 * crowd.size}.00"), "promised_on": later[0]}
    (promise,) = await crowd.like("POST /v1/promises", "/promises", promised)
    await crowd.like("PATCH /v1/promises/{promise_id}", f"/promises/{promise['promise_id']}", *({"promised_on": day} for day in later[1:]))
    plans = [
        {"customer_id": crowd.customers[name], "item_ids": [crowd.items[f"{name}-planned/1"]], "rhythm": {"count": crowd.size + 1, "first_on": later[0]}}
        for name in several
    ]
    planned = await crowd.like("POST /v1/payment-plans", "/payment-plans", *plans)
    blocks = ({"customer_id": customer, "degree": degree, "item_ids": late} for degree in DEGREES[: crowd.size])
    blocked = await crowd.like("POST /v1/account-blocks", "/account-blocks", *blocks)
    await crowd.like("POST /v1/holds", "/holds", *({"scope": "item", "object_id": item, "until_on": None} for item in parts))
    filed = {"item_ids": [crowd.items[f"{name}-filed/1"] for name in several]}
    await crowd.like("POST /v1/folders/{code}/items", "/folders/litigation/items", filed)
    crowd.ids |= {
        "dispute": disputes[0]["dispute_id"], "promise": promise["promise_id"], "plan": planned[0]["plan_id"], "block": blocked[0]["block_id"],
    }  # fmt: skip


async def _work(crowd: Crowd) -> None:
    """What people do: approvals, notes and files of each of them, collectors and own steps; and a night that passes."""
    customer, item, several = crowd.ids["customer"], crowd.ids["item"], range(crowd.size)
    letter = {"title": "Write", "mode": "approve", "origin": "ad_hoc", "content": {"kind": "notice", "template": "claim-01"}}
    for name, known in crowd.customers.items():
        await crowd.ask("POST", f"/customers/{known}/actions", {**letter, "item_ids": [crowd.items[f"{name}-disputed/1"]]})
    people = [crowd.ids[f"collector {n}"] for n in several]
    for lead, *others in (people[::-1], people):
        await crowd.ask("PUT", f"/customers/{customer}/collectors", {"lead_id": lead, "other_ids": others})
    for operation, path, about in (
        ("POST /v1/customers/{customer_id}/activities", f"/customers/{customer}/activities", {}),
        ("POST /v1/items/{item_id}/comments", f"/items/{item}/comments", {}),
        ("POST /v1/attachments", "/attachments", {"subject_id": customer}),
    ):
        for person in people:
            await crowd.ask("POST", path, {**crowd.example[operation], **about}, headers={HEADER: person})
    overriding = "POST /v1/customers/{customer_id}/step-overrides"
    content, of_scenario = crowd.example[overriding]["content"], str(crowd.stage.scenario_id)
    own = ({"scenario_id": of_scenario, "step_code": f"own-{n}", "content": {**content, "rank": 20 + n}} for n in several)
    await crowd.like(overriding, f"/customers/{customer}/step-overrides", *own)
    # A version that has steps of these codes has no place for them any more.
    await crowd.ask("PATCH", f"/scenarios/{of_scenario}", {"steps": [*_rungs(crowd.size), *(step(50 + n, f"own-{n}", 50 + n) for n in several)]})
    await crowd.ask("POST", f"/scenarios/{of_scenario}/publish")
    await crowd.like("POST /v1/customers/{customer_id}/opt-outs", f"/customers/{customer}/opt-outs", *({"contact_external_id": f"p{n}"} for n in several))
    crowd.ids["walk"] = (await crowd.stage.advance(days=1))["walk_id"]
