"""Answers that say what to do: how much is open, which methods a path takes, from which day, which address, whose relay."""

from __future__ import annotations

import json

import httpx
import pytest

from dunning.kit.database import Database
from dunning.messages import relay_service, relay_store
from dunning.messages.dispatch import own_relay
from tests.conftest import TenantWorld
from tests.stories.desk import Desk, scenario, step

ONE = scenario(step("a", 1, "First"))


async def test_an_over_allocation_says_how_much_each_item_has_open(desk: Desk) -> None:
    """M1: the 409 names every item of the target with what it has, by PUT and by a later allocation."""
    await desk.open(ONE)
    await desk.invoice("1001", "100.00", due=-9)
    await desk.pay("30.00", "1001")
    money = {"amount": "80.00", "currency": "EUR"}
    receipt = {"customer_external_id": "C1", "amount": money, "received_on": (await desk.today()).isoformat()}
    allocation = [{"document_external_id": "1001", "amount": money}]
    refused = await desk.ask("PUT", f"/ledgers/{desk.ledger_id}/receipts/R1", receipt | {"allocation": allocation}, status=409)
    assert refused["code"] == "over_allocated"
    assert [(one["external_id"], one["open"]) for one in refused["items"]] == [("1001/1", {"amount": "70.00", "currency": "EUR"})]
    assert "1001/1: 70.00 EUR" in refused["detail"]
    booked = await desk.ask("PUT", f"/ledgers/{desk.ledger_id}/receipts/R2", receipt | {"allocation": "none"}, status=201)
    refused = await desk.post(f"/receipts/{booked['receipt_id']}/allocations", {"allocation": allocation}, status=409)
    assert refused["items"][0]["open"] == {"amount": "70.00", "currency": "EUR"}
    allocation[0]["amount"] = {"amount": "70.00", "currency": "EUR"}
    assert (await desk.post(f"/receipts/{booked['receipt_id']}/allocations", {"allocation": allocation}, status=201))["unapplied"]["amount"] == "10.00"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("PATCH", "/v1/templates/placeholders", "GET"), ("GET", "/v1/links/resolve", "POST"), ("DELETE", "/v1/links/resolve", "POST")],
)
async def test_a_fixed_path_answers_405_to_other_methods(api: httpx.AsyncClient, method: str, path: str, allow: str) -> None:
    """RFC 9110, 15.5.6: the path is known, the method is not; the word in it is nobody's id."""
    answer = await api.request(method, path, json={} if method == "PATCH" else None, headers={"If-Match": "*"})
    assert (answer.status_code, answer.json()["code"], answer.headers["allow"]) == (405, "method_not_allowed", allow)


async def test_control_a_word_that_is_no_path_is_still_no_id(api: httpx.AsyncClient) -> None:
    assert (await api.get("/v1/links/nonsense")).status_code == 422


async def test_activities_since_a_day_begin_with_the_ledgers_day(desk: Desk) -> None:
    """A date begins at midnight of the ledger's zone, an instant is taken as it is."""
    await desk.open(ONE)
    await desk.push_customer()
    await desk.post(f"/customers/{desk.customers['C1']}/activities", {"kind": "call", "text": "Called."}, status=201)
    for since, found in (("2026-03-02", 1), ("2026-03-03", 0), ("2026-03-02T08:00:00Z", 1), ("2026-03-02T08:00:01Z", 0), ("2026-03-02T09:00:00+01:00", 1)):
        assert len((await desk.get("/activities", since=since, kind="call"))["data"]) == found, since
    assert (await desk.api.get("/v1/activities", params={"since": "1772438400"})).status_code == 422
    assert (await desk.api.get("/v1/activities", params={"since": "yesterday"})).status_code == 422


async def test_a_midnight_in_rome_is_not_one_in_greenwich(desk: Desk) -> None:
    """23:30 in Greenwich is the next day in Rome: the day of the ledger decides."""
    await desk.open(ONE)
    await desk.push_customer()
    await desk.tenant.set_clock((await desk.now()).replace(hour=23, minute=30))
    await desk.post(f"/customers/{desk.customers['C1']}/activities", {"kind": "call", "text": "Late."}, status=201)
    assert len((await desk.get("/activities", since="2026-03-03", kind="call"))["data"]) == 1
    assert (await desk.get("/activities", since="2026-03-04", kind="call"))["data"] == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://crm.example/{external_id}", "https"),
        ("https://crm.example/{customer_id}", "{external_id} alone"),
        ("https://{external_id}.crm.example/", "after it"),
        ("https://crm.example/{external_id", "brace"),
    ],
)
async def test_a_crm_address_is_checked_when_it_is_written(desk: Desk, url: str, says: str) -> None:
    """A wrong template would park every internal mail; it is refused with its field."""
    await desk.open(ONE)
    refused = await desk.ask("PATCH", f"/ledgers/{desk.ledger_id}", {"crm_url": url}, status=422)
    assert refused["errors"][0]["field"] == "crm_url"
    assert says in refused["detail"]


async def test_the_crm_address_of_the_ledger_is_filled_in_internal_mails(desk: Desk) -> None:
    """S0-08: the customer's id stands in the place of the placeholder, escaped."""
    await desk.ask("PATCH", "/tenant", {"languages": ["en"]})
    await desk.template("inside", en=("Look at {{customer_number}}", "{{crm_url}}"))
    content = scenario(step("a", 1, notice={"template": "inside", "audience": "internal", "to_roles": ["collector"]}))
    await desk.open(content, crm_url="https://crm.example/c/{external_id}?tab=dunning")
    await desk.push_customer("C+1", contacts=[{"external_id": "k", "email": "k@acme.example", "roles": ["collector"], "internal": True}])
    await desk.invoice("1001", due=-9, customer="C+1")
    await desk.remind()
    assert desk.mail.last("k@acme.example").link == "https://crm.example/c/C%2B1?tab=dunning"


async def test_a_relay_of_all_tenants_is_its_operators_to_resume(api: httpx.AsyncClient, tenant: TenantWorld, database: Database) -> None:
    """A tenant's key resumes its own queue alone: the suspended relay stays suspended, and the answer says who resumes it."""
    try:
        async with database.across_tenants() as session:
            await relay_store.suspend(session, "sink", "login_refused: 535")
            await relay_store.suspend(session, own_relay("sink", tenant.tenant_id), "refused_by_policy")
        refused = await api.post("/v1/relays/sink/resume")
        assert (refused.status_code, refused.json()["code"]) == (409, "relay_of_operator")
        assert "dunning relays resume sink" in refused.json()["detail"]
        async with database.across_tenants() as session:
            names = {one.name: one.state for one in await relay_service.circuits(session)}
            assert names["sink"] == names[own_relay("sink", tenant.tenant_id)] == "suspended"
            assert await relay_service.resume_circuit(session, name="sink")
            assert not await relay_service.resume_circuit(session, name="smtp")
    finally:
        async with database.across_tenants() as session:
            await relay_store.resume(session, ["sink"])
    assert (await api.post("/v1/relays/sink/resume")).json()["state"] == "open"


async def test_the_example_of_resolving_a_link_says_that_it_needs_a_live_token(app: object, api: httpx.AsyncClient) -> None:
    """No document can hold a live token: the example says so, is well formed as it stands, and is answered as unknown, not as malformed."""
    document = app.openapi()  # type: ignore[attr-defined]
    assert "live token" in json.dumps(document["paths"]["/v1/links/resolve"]["post"])
    (example,) = document["components"]["schemas"]["LinkResolve"]["examples"]
    assert (await api.post("/v1/links/resolve", json=example)).status_code == 404
