"""The log of messages and what a person may do about one (S0-18, C-27, C-28, C-30, C-44, B-52; T1)."""

from __future__ import annotations

import hashlib
from uuid import UUID, uuid4

import httpx
import pytest

from dunning.kit.database import statement_log
from dunning.messages import relay_store
from dunning.messages.dispatch import own_relay
from dunning_worker.jobs.dispatch import drain_tenant
from tests.conftest import TenantWorld
from tests.fakes.behaviours import by_local_part
from tests.fakes.relay import Relay
from tests.messages.rows import SimplePorts, lay_ground, queue
from tests.messages.workbench import smtp_to, world_with


async def send(tenant: TenantWorld, *addresses: str, drain: bool = True, stops: str | None = None, **kwargs) -> tuple[list[UUID], SimplePorts]:
    """Queue messages of a test tenant and, with `drain`, dispatch them to a scripted relay in the sink's place."""
    doors = SimplePorts()
    async with tenant.database.transaction(tenant.tenant_id) as session:
        ground = await lay_ground(session, tenant.tenant_id)
        ids = await queue(session, ground, addresses, **kwargs)
    if drain:
        async with Relay(by_local_part, stall_seconds=1) as relay:
            await drain_tenant(world_with(tenant.database, doors, smtp_to(relay.port, name="sink", reply_seconds=0.3)), tenant.tenant_id)
    return ids, doors


async def make_held(tenant: TenantWorld) -> UUID:
    (message_id,), _ = await send(tenant, "accept-then-drop.1@acme.example")
    async with tenant.database.transaction(tenant.tenant_id) as session:
        await session.execute("update message set uncertain_at = now() - interval '1 hour', retry_at = now() where message_id = $1", message_id)
    await drain_tenant(world_with(tenant.database, SimplePorts()), tenant.tenant_id)
    return message_id


async def test_the_log_shows_recipients_subject_time_and_state_newest_first(api: httpx.AsyncClient, tenant: TenantWorld):
    """S0-18: to, cc, subject, sent, provider id, delivery."""
    ids, _ = await send(tenant, "ok.1@acme.example", "rcpt-unknown.2@acme.example")
    page = (await api.get("/v1/messages")).json()
    assert [m["message_id"] for m in page["data"]] == [str(i) for i in reversed(ids)]
    refused, accepted = page["data"]
    assert accepted["to"] == {"email": "ok.1@acme.example", "name": "Someone"}
    assert (accepted["state"], accepted["delivery"], accepted["subject"]) == ("accepted", "none", "Reminder C-000123")
    assert accepted["sent_at"] == "2026-03-02T08:00:00Z"
    assert accepted["cc"] == accepted["bcc"] == []
    assert (refused["state"], refused["reason"]) == ("rejected", "unknown_address")
    assert refused["reply"].startswith("550 5.1.1")


async def test_the_log_is_filtered_and_paged(api: httpx.AsyncClient, tenant: TenantWorld):
    ids, _ = await send(tenant, *(f"ok.{n}@acme.example" for n in range(5)), "rcpt-unknown.9@acme.example")
    first = (await api.get("/v1/messages", params={"limit": 2, "state": "accepted"})).json()
    second = (await api.get("/v1/messages", params={"limit": 2, "state": "accepted", "cursor": first["next_cursor"]})).json()
    third = (await api.get("/v1/messages", params={"limit": 2, "state": "accepted", "cursor": second["next_cursor"]})).json()
    seen = [m["message_id"] for page in (first, second, third) for m in page["data"]]
    assert seen == [str(i) for i in reversed(ids[:5])]
    assert third["next_cursor"] is None
    one = (await api.get(f"/v1/messages/{ids[0]}")).json()
    for name, value in (
        ("customer", one["customer_id"]),
        ("action", one["action_id"]),
        ("claim", one["claim_id"]),
        ("to", "OK.0@acme.example"),
    ):
        found = (await api.get("/v1/messages", params={name: value})).json()["data"]
        assert [m["message_id"] for m in found] == [str(ids[0])], name


async def test_a_list_of_messages_costs_one_statement_however_long(tenant: TenantWorld, api: httpx.AsyncClient):
    """Style 28."""
    await send(tenant, *(f"ok.{n}@acme.example" for n in range(30)), drain=False)
    counts = []
    for limit in (1, 30):
        log: list[str] = []
        token = statement_log.set(log)
        try:
            assert (await api.get("/v1/messages", params={"limit": limit})).status_code == 200
        finally:
            statement_log.reset(token)
        counts.append(sum("from message m" in sql for sql in log))
    assert counts == [1, 1]


async def test_one_message_shows_every_change_with_its_actor(api: httpx.AsyncClient, tenant: TenantWorld):
    """B-52: attempts and answers."""
    (message_id,), _ = await send(tenant, "ok.1@acme.example")
    shown = (await api.get(f"/v1/messages/{message_id}")).json()
    assert [(h["from_state"], h["to_state"]) for h in shown["history"]] == [
        (None, "ready"),
        ("ready", "leased"),
        ("leased", "committing"),
        ("committing", "accepted"),
    ]
    assert shown["attempts"] == 1
    assert shown["history"][-1]["details"]["reply"].startswith("250")


async def test_the_body_written_again_is_the_one_that_was_sent_with_its_link_masked(api: httpx.AsyncClient, tenant: TenantWorld, keyring, settings):
    """C-44: proved by digest, and no reader of the log can open the customer's page."""
    from dunning.doors import product_ports

    doors = SimplePorts()
    async with tenant.database.transaction(tenant.tenant_id) as session:
        ground = await lay_ground(session, tenant.tenant_id)
        (message_id,) = await queue(session, ground, ["ok.1@acme.example"])
        row = await session.row("select * from message where message_id = $1", message_id)
        await session.execute(
            """insert into link (tenant_id, link_id, ledger_id, customer_id, claim_id, message_id, key_id, audience, challenge, expires_at)
               values ($1, $2, $3, $4, $5, $6, 't1', 'customer', 'button', now() + interval '90 days')""",
            tenant.tenant_id,
            uuid4(),
            row["ledger_id"],
            row["customer_id"],
            row["claim_id"],
            message_id,
        )
    async with Relay(by_local_part) as relay:
        world = world_with(tenant.database, doors, smtp_to(relay.port, name="sink"))
        from dataclasses import replace

        world.ports = replace(world.ports, link_urls=product_ports(settings, keyring).link_urls)
        await drain_tenant(world, tenant.tenant_id)
        ((content,),) = relay.contents.values()
    body = (await api.get(f"/v1/messages/{message_id}/body")).json()
    assert body["verified"] is True
    assert body["sent_sha256"] == hashlib.sha256(content).hexdigest()
    import email
    from email import policy

    sent_text = email.message_from_bytes(content, policy=policy.default).get_body(("plain",)).get_content()
    token = sent_text.partition("/c/")[2].split()[0]
    assert len(token) > 40
    assert token not in body["text"] and token not in body["html"]


async def test_a_queued_message_can_be_taken_back_and_a_sent_one_cannot(api: httpx.AsyncClient, tenant: TenantWorld):
    (sent,), _ = await send(tenant, "ok.2@acme.example")
    answer = await api.post(f"/v1/messages/{sent}/cancel", json={"reason": "too late"})
    assert (answer.status_code, answer.json()["code"]) == (409, "message_not_cancellable")
    (fresh,), _ = await send(tenant, "ok.3@acme.example", drain=False)
    answer = await api.post(f"/v1/messages/{fresh}/cancel", json={"reason": "The customer called."})
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "cancelled"
    assert answer.json()["history"][-1]["details"] == {"reason": "The customer called."}
    await drain_tenant(world_with(tenant.database, SimplePorts()), tenant.tenant_id)
    assert (await api.get(f"/v1/messages/{fresh}")).json()["state"] == "cancelled"


@pytest.mark.parametrize("decision", ["resend", "treat_as_sent", "not_sent"])
async def test_a_person_closes_the_question_whether_a_message_was_sent(api: httpx.AsyncClient, tenant: TenantWorld, decision: str):
    """Promises 2.4: a resend is a new message under a new id, known to be a possible duplicate; the others send nothing new."""
    held = await make_held(tenant)
    headers = {"Idempotency-Key": f"resolve-{held}"}
    body = {"decision": decision, "reason": "The relay's log was read."}
    answer = await api.post(f"/v1/messages/{held}/resolve", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    again = await api.post(f"/v1/messages/{held}/resolve", json=body, headers=headers)
    assert again.json() == answer.json(), "the same key is the same decision"
    await drain_tenant(world_with(tenant.database, SimplePorts()), tenant.tenant_id)
    first = (await api.get(f"/v1/messages/{held}")).json()
    everything = (await api.get("/v1/messages")).json()["data"]
    if decision == "resend":
        assert first["state"] == "closed_unknown"
        assert answer.json()["resend_of"] == str(held)
        assert answer.json()["header_message_id"] != first["header_message_id"]
        assert sorted(m["state"] for m in everything) == ["accepted", "closed_unknown"]
    elif decision == "treat_as_sent":
        assert [m["state"] for m in everything] == ["closed_unknown"]
    else:
        assert [m["state"] for m in everything] == ["accepted"]
    late = await api.post(f"/v1/messages/{held}/resolve", json=body, headers={"Idempotency-Key": "another-key"})
    assert late.status_code == 409


async def test_a_parked_message_goes_again_when_a_person_says_so(api: httpx.AsyncClient, tenant: TenantWorld):
    (parked,), _ = await send(tenant, "rcpt-policy.1@acme.example")
    assert (await api.get(f"/v1/messages/{parked}")).json()["state"] == "parked"
    answer = await api.post(f"/v1/messages/{parked}/retry", json={"reason": "SPF was mended."})
    assert (answer.status_code, answer.json()["state"]) == (200, "ready")
    await drain_tenant(world_with(tenant.database, SimplePorts()), tenant.tenant_id)
    assert (await api.get(f"/v1/messages/{parked}")).json()["state"] == "accepted"
    assert (await api.post(f"/v1/messages/{parked}/retry", json={"reason": "again"})).status_code == 409


async def test_a_suppressed_address_is_found_by_its_text_and_lifted(api: httpx.AsyncClient, tenant: TenantWorld):
    """C-29: manual clear."""
    await send(tenant, "rcpt-unknown.1@acme.example")
    (found,) = (await api.get("/v1/suppressions", params={"address": " RCPT-unknown.1@acme.example"})).json()["data"]
    assert found["cause"] == "unknown_address"
    assert "acme" not in str(found)
    assert (await api.delete(f"/v1/suppressions/{found['key']}")).status_code == 204
    assert (await api.delete(f"/v1/suppressions/{found['key']}")).status_code == 404
    (again,), _ = await send(tenant, "rcpt-unknown.1@acme.example", drain=False)
    await drain_tenant(world_with(tenant.database, SimplePorts()), tenant.tenant_id)
    assert (await api.get(f"/v1/messages/{again}")).json()["state"] == "accepted"


async def test_a_stopped_queue_is_shown_with_advice_and_resumed(api: httpx.AsyncClient, other_api: httpx.AsyncClient, tenant: TenantWorld):
    async with tenant.database.across_tenants() as session:
        await relay_store.suspend(session, own_relay("sink", tenant.tenant_id), "refused_by_policy")
    state = {r["name"]: r for r in (await api.get("/v1/relays")).json()["data"]}["sink"]
    assert (state["state"], state["own_queue_stopped"]) == ("suspended", True)
    assert "resume" in state["advice"]
    neighbours = {r["name"]: r for r in (await other_api.get("/v1/relays")).json()["data"]}["sink"]
    assert (neighbours["state"], neighbours["own_queue_stopped"]) == ("open", False)
    assert (await api.post("/v1/relays/sink/resume")).json()["state"] == "open"
    assert (await api.post("/v1/relays/nowhere/resume")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("get", "/v1/messages/{id}", None),
        ("get", "/v1/messages/{id}/body", None),
        ("post", "/v1/messages/{id}/cancel", {"reason": "x"}),
        ("post", "/v1/messages/{id}/retry", {"reason": "x"}),
        ("post", "/v1/messages/{id}/resolve", {"decision": "resend", "reason": "x"}),
    ],
)
async def test_another_tenants_message_answers_as_an_unknown_one(
    api: httpx.AsyncClient, other_api: httpx.AsyncClient, tenant: TenantWorld, method: str, path: str, body: dict | None
):
    """T1."""
    (message_id,), _ = await send(tenant, "ok.1@acme.example", drain=False)
    answers = []
    for wanted in (message_id, uuid4()):
        kwargs = {"json": body} if body else {}
        answer = await other_api.request(method, path.format(id=wanted), headers={"Idempotency-Key": f"key-{wanted}"}, **kwargs)
        answers.append((answer.status_code, answer.json()))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
