"""A tenant with one of everything, made through the API from the examples of its own documentation; two of them are twins."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx

from dunning.evidence.tokens import token_of
from dunning.kit.database import Database
from dunning.kit.ids import new_id
from dunning.kit.settings import Settings
from dunning_api import openapi_file
from dunning_worker.jobs import imports, runs, sequence, walk
from dunning_worker.jobs.dispatch import drain_tenant
from dunning_worker.world import world_of
from tests.api.contract import example_of, operations
from tests.conftest import KEYRING, TenantWorld, client_of, make_tenant

CUSTOMER, DOCUMENT, RECEIPT, GROUP = "C-1001", "INV-118", "R-9", "public"


@dataclass
class Twin:
    """A tenant, its client, and the id of one object of each noun."""

    tenant: TenantWorld
    api: httpx.AsyncClient
    ids: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, path: str, body: Any = None, *, status: tuple[int, ...] = (200, 201, 202), **options: Any) -> dict[str, Any]:
        """Call the API and insist on success."""
        headers = {"Idempotency-Key": str(new_id()), "If-Match": "*", **options.pop("headers", {})}
        answer = await self.api.request(method, f"/v1{path}", json=body, headers=headers, **options)
        assert answer.status_code in status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else {}

    async def first(self, path: str, name: str, **params: str) -> str:
        """Return an id of the first object of a list."""
        found = (await self.ask("GET", path, params=params))["data"]
        assert found, f"{path} {params} is empty"
        return str(found[0][name])


def examples() -> dict[str, Any]:
    """Return the documented example body of each operation, by its name."""
    document = json.loads(openapi_file.openapi_text())
    return {operation.name: example_of(document, operation) for operation in operations(document)}


async def make_twin(app: object, database: Database, settings: Settings) -> Twin:
    """Build a tenant with one of everything: master data, money, a run that was sent, and what came of it."""
    tenant = await make_tenant(database)
    twin = Twin(tenant, client_of(app, tenant.api_key))
    example = examples()
    await _texts(twin, example)
    await _facts(twin, example)
    await _people(twin, example)
    await _agreements(twin, example)
    await _models(twin, example)
    await _reminder(twin, database, settings)
    await _rest(twin, example, database, settings)
    return twin


async def _texts(twin: Twin, example: dict[str, Any]) -> None:
    await twin.ask("PATCH", "/tenant", {**example["PATCH /v1/tenant"], "languages": ["en"]})
    template = await twin.ask("POST", "/templates", example["POST /v1/templates"])
    await twin.ask("POST", f"/templates/{template['template_id']}/publish")
    scenario = await twin.ask("POST", "/scenarios", example["POST /v1/scenarios"])
    await twin.ask("POST", f"/scenarios/{scenario['scenario_id']}/publish")
    twin.ids |= {"template": template["template_id"], "scenario": scenario["scenario_id"]}


async def _facts(twin: Twin, example: dict[str, Any]) -> None:
    stated = {**example["POST /v1/ledgers"], "language": "en", "policy": "scenario", "scenario_id": twin.ids["scenario"]}
    ledger = (await twin.ask("POST", "/ledgers", stated))["ledger_id"]
    await twin.ask("PUT", f"/ledgers/{ledger}/customer-groups/{GROUP}", example["PUT /v1/ledgers/{ledger_id}/customer-groups/{code}"])
    person = {"external_id": "p", "name": "Paolo Verdi", "email": "paolo@rossi.example", "roles": ["dunning"]}
    stated = example["PUT /v1/ledgers/{ledger_id}/customers/{external_id}"]
    # An opt-out is known by its address, so that twins with the same address would share its key.
    contacts = [{**contact, "email": f"{twin.tenant.tenant_id.hex[-8:]}.{contact['email']}"} for contact in stated["contacts"]]
    customer = await twin.ask("PUT", f"/ledgers/{ledger}/customers/{CUSTOMER}", {**stated, "language": "en", "contacts": [*contacts, person]})
    stated = example["PUT /v1/ledgers/{ledger_id}/documents/{external_id}"]
    document = await twin.ask("PUT", f"/ledgers/{ledger}/documents/{DOCUMENT}", {**stated, "customer_external_id": CUSTOMER})
    receipt = {
        **example["PUT /v1/ledgers/{ledger_id}/receipts/{external_id}"],
        "amount": {"amount": "50.00", "currency": "EUR"},
        "allocation": [{"document_external_id": DOCUMENT, "amount": {"amount": "10.00", "currency": "EUR"}}],
    }
    paid = await twin.ask("PUT", f"/ledgers/{ledger}/receipts/{RECEIPT}", receipt)
    other = {**receipt, "amount": {"amount": "60.00", "currency": "EUR"}}
    await twin.ask("PUT", f"/ledgers/{ledger}/receipts/{RECEIPT}", other, status=(409,))
    twin.ids |= {
        "ledger": ledger,
        "customer": customer["customer_id"],
        "document": document["document_id"],
        "receipt": paid["receipt_id"],
        "item": await twin.first(f"/ledgers/{ledger}/items", "item_id"),
        "receipt_inbox": await twin.first(f"/ledgers/{ledger}/receipt-inbox", "receipt_inbox_id"),
    }
    twin.ids["allocation"] = await twin.first(f"/items/{twin.ids['item']}/allocations", "allocation_id")


async def _agreements(twin: Twin, example: dict[str, Any]) -> None:
    """A promise, a plan and a dispute that are over, so that the item is free for what comes after, and an account block."""
    named = {"customer_id": twin.ids["customer"], "item_ids": [twin.ids["item"]]}
    why = example["POST /v1/promises/{promise_id}/cancel"]
    promise = (await twin.ask("POST", "/promises", {**example["POST /v1/promises"], **named}))["promise_id"]
    await twin.ask("POST", f"/promises/{promise}/cancel", why)
    plan = (await twin.ask("POST", "/payment-plans", {**example["POST /v1/payment-plans"], **named}))["plan_id"]
    await twin.ask("POST", f"/payment-plans/{plan}/cancel", why)
    dispute = (await twin.ask("POST", "/disputes", {**example["POST /v1/disputes"], "item_ids": named["item_ids"]}))["dispute_id"]
    await twin.ask("POST", f"/disputes/{dispute}/resolve", {"resolution": "rejected"})
    note = (await twin.ask("POST", f"/customers/{named['customer_id']}/activities", example["POST /v1/customers/{customer_id}/activities"]))["activity_id"]
    block = (await twin.ask("POST", "/account-blocks", {**example["POST /v1/account-blocks"], **named}))["block_id"]
    await twin.ask("POST", f"/items/{twin.ids['item']}/comments", example["POST /v1/items/{item_id}/comments"])
    own = {**example["POST /v1/customers/{customer_id}/step-overrides"], "scenario_id": twin.ids["scenario"]}
    override = (await twin.ask("POST", f"/customers/{named['customer_id']}/step-overrides", own))["override_id"]
    await twin.ask("POST", f"/step-overrides/{override}/remove", example["POST /v1/step-overrides/{override_id}/remove"])
    twin.ids |= {"promise": promise, "plan": plan, "dispute": dispute, "block": block, "activity": note, "override": override}


async def _models(twin: Twin, example: dict[str, Any]) -> None:
    """A saved model of an action, an act on the customer among others, and a person of the customer who can be written to."""
    model = await twin.ask("POST", "/action-models", example["POST /v1/action-models"])
    contacts = (await twin.ask("GET", f"/customers/{twin.ids['customer']}"))["contacts"]
    task = {"title": "Look at it", "origin": "ad_hoc", "content": {"kind": "task"}}
    bulk = await twin.ask("POST", "/customers/bulk", {"act": "create_action", "customer_ids": [twin.ids["customer"]], "action": task})
    contact = next(c["contact_id"] for c in contacts if not c["internal"])
    twin.ids |= {"model": model["model_id"], "bulk": bulk["bulk_id"], "contact": contact}


async def _people(twin: Twin, example: dict[str, Any]) -> None:
    """A team, two of its people, a rule, an absence, and a collector for the customer."""
    team = await twin.ask("POST", "/teams", example["POST /v1/teams"])
    stated = {**example["POST /v1/people"], "team_id": team["team_id"]}
    person = (await twin.ask("POST", "/people", stated))["person_id"]
    heir = (await twin.ask("POST", "/people", {**stated, "external_id": "P-18", "email": "dario@acme.example", "name": "Dario Neri"}))["person_id"]
    rule = {**example["POST /v1/ledgers/{ledger_id}/assignment-rules"], "person_ids": [person]}
    absence = {**example["POST /v1/people/{person_id}/absences"], "substitute_id": heir}
    await twin.ask("PUT", f"/customers/{twin.ids['customer']}/collectors", {"lead_id": person})
    twin.ids |= {
        "team": team["team_id"],
        "person": person,
        "heir": heir,
        "rule": (await twin.ask("POST", f"/ledgers/{twin.ids['ledger']}/assignment-rules", rule))["rule_id"],
        "absence": (await twin.ask("POST", f"/people/{person}/absences", absence))["absence_id"],
    }


async def _reminder(twin: Twin, database: Database, settings: Settings) -> None:
    world = world_of(database, settings, KEYRING)
    tenant_id = twin.tenant.tenant_id
    run = (await twin.ask("POST", f"/ledgers/{twin.ids['ledger']}/runs", {}))["run_id"]
    await runs.work_on_runs(world, tenant_id)
    await twin.ask("POST", f"/runs/{run}/commit")
    await runs.work_on_runs(world, tenant_id)
    await drain_tenant(world, tenant_id)
    action = await twin.first("/actions", "action_id", run=run)
    message = await twin.first("/messages", "message_id", action=action)
    link = await twin.tenant.rows("select link_id, key_id from link where message_id = $1", message)
    twin.ids |= {
        "run": run,
        "action": action,
        "message": message,
        "claim": (await twin.ask("GET", f"/messages/{message}"))["claim_id"],
        "link": str(link[0]["link_id"]),
        "token": token_of(KEYRING, tenant_id, link[0]["link_id"], str(link[0]["key_id"])),  # type: ignore[arg-type]
    }


async def _rest(twin: Twin, example: dict[str, Any], database: Database, settings: Settings) -> None:
    world = world_of(database, settings, KEYRING)
    tenant_id = twin.tenant.tenant_id
    hold = await twin.ask("POST", "/holds", {**example["POST /v1/holds"], "scope": "item", "object_id": twin.ids["item"]})
    row = {"kind": "customer", "external_id": "C-2002", "name": "Imported"}
    answer = await twin.api.post(
        f"/v1/ledgers/{twin.ids['ledger']}/imports",
        params={"kind": "customers", "format": "ndjson"},
        content=json.dumps(row).encode() + b"\n",
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code == 202, answer.text
    await imports.work_on_imports(world, tenant_id)
    await twin.ask("POST", f"/customers/{twin.ids['customer']}/opt-outs", example["POST /v1/customers/{customer_id}/opt-outs"])
    test = {**example["POST /v1/templates/{template_id}/test-send"], "ledger_id": twin.ids["ledger"]}
    await twin.ask("POST", f"/templates/{twin.ids['template']}/test-send", test)
    key = await twin.ask("POST", "/api-keys", example["POST /v1/api-keys"])
    walked = await twin.ask("POST", "/test-clock/advance", {"days": 1})
    await walk.work_on_walks(world, tenant_id)
    async with twin.tenant.database.transaction(tenant_id) as session:
        await session.execute(
            "insert into suppression (tenant_id, channel, address_sha256, cause) values ($1, 'email', $2, 'hard_bounce')", tenant_id, tenant_id.bytes * 2
        )
    await sequence.number_events(world, tenant_id)
    twin.ids |= {
        "hold": hold["hold_id"],
        "import": answer.json()["import_id"],
        "key": key["key_id"],
        "walk": walked["walk_id"],
        "suppression": await twin.first("/suppressions", "key"),
        "opt_out": await twin.first(f"/customers/{twin.ids['customer']}/opt-outs", "key"),
    }
