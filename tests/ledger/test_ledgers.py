from __future__ import annotations

import pytest

from dunning_api.schemas.ledgers import EXAMPLE
from tests.ledger.books import make_ledger


async def test_a_ledger_is_created_read_and_found_by_its_external_id(api, other_api):
    made = await api.post("/v1/ledgers", json=EXAMPLE)
    assert made.status_code == 201
    assert made.headers["etag"] == '"1"'
    assert made.json()["bank_accounts"][0]["iban"] == "IT60X0542811101000000123456"
    ledger_id = made.json()["ledger_id"]
    assert (await api.get(f"/v1/ledgers/{ledger_id}")).json() == made.json()
    assert [r["ledger_id"] for r in (await api.get("/v1/ledgers", params={"external_id": "it-01"})).json()["data"]] == [ledger_id]
    assert (await other_api.get(f"/v1/ledgers/{ledger_id}")).status_code == 404
    assert (await other_api.get("/v1/ledgers")).json()["data"] == []


async def test_a_second_ledger_of_the_same_external_id_is_refused_and_says_what_to_do(api):
    await make_ledger(api)
    answer = await api.post("/v1/ledgers", json=EXAMPLE)
    assert answer.status_code == 409
    assert answer.json()["code"] == "external_id_taken"


@pytest.mark.parametrize(
    ("setting", "value", "field"),
    [
        ("currency", "XYZ", "currency"),
        ("time_zone", "Europe/Atlantis", "time_zone"),
        ("country", "QQ", "country"),
        ("subdivision", "ZZZ", "subdivision"),
        ("link_target", "https://extranet.example/claims", "link_target"),
        ("link_target", "http://extranet.example/claims/{token}", "link_target"),
        ("link_target", "https://{token}.example/", "link_target"),
        ("send_until", "07:00", "send_until"),
        ("policy", "scenario", "scenario_id"),
    ],
)
async def test_a_wrong_setting_is_named(api, setting, value, field):
    answer = await api.post("/v1/ledgers", json={**EXAMPLE, setting: value})
    assert answer.status_code == 422
    assert [e["field"] for e in answer.json()["errors"]] == [field]


async def test_an_iban_with_a_typing_mistake_is_named(api):
    wrong = [{**EXAMPLE["bank_accounts"][0], "iban": "IT61X0542811101000000123456"}]
    answer = await api.post("/v1/ledgers", json={**EXAMPLE, "bank_accounts": wrong})
    assert answer.status_code == 422
    assert "bank_accounts.0.iban" in answer.json()["detail"]


async def test_a_change_needs_the_version_that_was_read(api):
    books = await make_ledger(api)
    assert (await api.patch(books.path, json={"nightly_at": "05:00"})).status_code == 428
    changed = await api.patch(books.path, json={"nightly_at": "05:00"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["etag"], changed.json()["nightly_at"]) == (200, '"2"', "05:00")
    late = await api.patch(books.path, json={"nightly_at": "04:00"}, headers={"If-Match": '"1"'})
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")


async def test_changed_settings_have_all_customers_planned_again_and_unchanged_ones_do_not(api, tenant):
    books = await make_ledger(api)
    revision = await tenant.value("select revision from ledger")
    await api.patch(books.path, json={"nightly_at": "06:00"}, headers={"If-Match": '"1"'})
    assert await tenant.value("select revision from ledger") == revision
    await api.patch(books.path, json={"nightly_at": "06:30"}, headers={"If-Match": '"1"'})
    assert await tenant.value("select revision from ledger") == revision + 1


async def test_an_unknown_scenario_is_404_and_so_is_another_tenants(api, other_tenant):
    unknown = {**EXAMPLE, "policy": "scenario", "scenario_id": "0198c0de-0000-7000-8000-000000000001"}
    answer = await api.post("/v1/ledgers", json=unknown)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_freshness_is_stated_and_never_goes_back_and_the_future_is_refused(api):
    books = await make_ledger(api)
    stated = await api.put(f"{books.path}/freshness", json={"complete_as_of": "2026-03-01T22:00:00Z"})
    assert stated.json()["complete_as_of"] == "2026-03-01T22:00:00Z"
    earlier = await api.put(f"{books.path}/freshness", json={"complete_as_of": "2026-02-01T22:00:00Z"})
    assert earlier.json()["complete_as_of"] == "2026-03-01T22:00:00Z"
    future = await api.put(f"{books.path}/freshness", json={"complete_as_of": "2026-03-02T08:00:01Z"})
    assert future.status_code == 422


async def test_the_balance_source_is_fixed_once_documents_exist(books):
    ledger = (await books.api.get(books.path)).json()
    free = await books.api.patch(books.path, json={"balance_source": "erp_open_items"}, headers={"If-Match": f'"{ledger["version"]}"'})
    assert free.status_code == 200
    back = await books.api.patch(books.path, json={"balance_source": "receipts"}, headers={"If-Match": f'"{ledger["version"] + 1}"'})
    assert back.status_code == 200
    await books.invoice("INV-1")
    fixed = await books.api.patch(books.path, json={"balance_source": "erp_open_items"}, headers={"If-Match": f'"{ledger["version"] + 2}"'})
    assert (fixed.status_code, fixed.json()["code"]) == (409, "balance_source_fixed")
