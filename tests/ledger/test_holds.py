from __future__ import annotations

import datetime as dt


async def test_a_hold_ends_by_itself_after_its_last_day(books, tenant):
    """B-13, C-15: scope, reason, end; listed."""
    customer = await books.customer("C-1", language="it")
    made = await books.api.post(
        "/v1/holds", json={"scope": "customer", "object_id": customer["customer_id"], "reason": "payment_in_flight", "until_on": "2026-03-04"}
    )
    assert made.status_code == 201
    for day, count in (("2026-03-01", 0), ("2026-03-02", 1), ("2026-03-04", 1), ("2026-03-05", 0)):
        found = (await books.api.get("/v1/holds", params={"in_force_on": day})).json()["data"]
        assert len(found) == count, day


async def test_a_released_hold_stays_in_the_list_and_is_released_once(books, other_api):
    customer = await books.customer("C-1", language="it")
    hold = (await books.api.post("/v1/holds", json={"scope": "customer", "object_id": customer["customer_id"], "reason": "management"})).json()
    assert (await other_api.delete(f"/v1/holds/{hold['hold_id']}")).status_code == 404
    released = await books.api.delete(f"/v1/holds/{hold['hold_id']}")
    assert released.status_code == 200
    assert released.json()["released_by"].startswith("key:")
    assert (await books.api.delete(f"/v1/holds/{hold['hold_id']}")).status_code == 409
    assert [h["hold_id"] for h in (await books.api.get("/v1/holds")).json()["data"]] == [hold["hold_id"]]


async def test_a_hold_has_its_customers_planned_again_and_a_ledgers_hold_all_of_them(books, tenant):
    customer = await books.customer("C-1", language="it")
    facts = await tenant.value("select facts_version from customer_state")
    revision = await tenant.value("select revision from ledger")
    await books.api.post("/v1/holds", json={"scope": "customer", "object_id": customer["customer_id"], "reason": "x"})
    assert await tenant.rows("select facts_version, review_on from customer_state") == [{"facts_version": facts + 1, "review_on": dt.date(2026, 3, 2)}]
    await books.api.post("/v1/holds", json={"scope": "ledger", "object_id": books.ledger_id, "reason": "x"})
    assert await tenant.value("select revision from ledger") == revision + 1


async def test_unknown_and_foreign_objects_are_404_and_an_end_before_the_beginning_is_422(books, other_api):
    customer = await books.customer("C-1", language="it")
    body = {"scope": "customer", "object_id": customer["customer_id"], "reason": "x"}
    assert (await other_api.post("/v1/holds", json=body)).status_code == 404
    assert (await books.api.post("/v1/holds", json={**body, "scope": "item"})).status_code == 404
    assert (await books.api.post("/v1/holds", json={**body, "until_on": "2026-03-01"})).status_code == 422
