from __future__ import annotations

import pytest

from dunning.kit.database import statement_log
from tests.ledger.books import make_ledger

AP = {"external_id": "ap", "email": "ap@rossi.example", "language": "it", "roles": ["accounts_payable"]}
AM = {"external_id": "am", "email": "luca@acme.example", "roles": ["account_manager"], "internal": True}


async def test_a_customer_is_created_then_known_and_unchanged_content_touches_nothing(books, tenant):
    content = {"name": "Rossi S.p.A.", "contacts": [AP, AM], "custom": {"region": "north", "vip": True}}
    first = await books.api.put(f"{books.path}/customers/C-7", json=content)
    assert first.status_code == 201
    before = await tenant.rows("select xmin::text, version from customer where external_id = 'C-7'")
    again = await books.api.put(f"{books.path}/customers/C-7", json=content)
    assert again.status_code == 200
    assert again.json() == first.json()
    assert await tenant.rows("select xmin::text, version from customer where external_id = 'C-7'") == before
    assert [(c["external_id"], c["internal"]) for c in first.json()["contacts"]] == [("am", True), ("ap", False)]


async def test_a_change_keeps_a_version_and_has_the_customer_planned_again(books, tenant):
    made = await books.customer("C-7", contacts=[AP])
    before = await tenant.value("select facts_version from customer_state where customer_id = $1", made["customer_id"])
    changed = await books.customer("C-7", language="en")
    assert changed["version"] == made["version"] + 1
    assert [c["external_id"] for c in changed["contacts"]] == ["ap"], "contacts that are not stated stay"
    versions = await tenant.rows("select content from customer_version where customer_id = $1", made["customer_id"])
    assert [v["content"]["language"] for v in versions] == [None]
    assert await tenant.value("select facts_version from customer_state where customer_id = $1", made["customer_id"]) == before + 1


async def test_stated_contacts_are_the_whole_list(books):
    await books.customer("C-7", contacts=[AP, AM])
    changed = await books.customer("C-7", contacts=[{**AP, "email": "new@rossi.example"}])
    assert [(c["external_id"], c["email"]) for c in changed["contacts"]] == [("ap", "new@rossi.example")]


async def test_another_tenants_customer_is_as_unknown_as_none(books, other_api):
    made = await books.customer("C-7")
    theirs = await other_api.get(f"/v1/customers/{made['customer_id']}")
    nobodys = await other_api.get("/v1/customers/0198c0de-0000-7000-8000-000000000001")
    assert (theirs.status_code, theirs.json()) == (404, nobodys.json())
    assert (await other_api.put(f"{books.path}/customers/C-9", json={"name": "X"})).status_code == 404


async def test_names_are_found_by_their_beginning_without_case_and_accents(books):
    for external_id, name in (("A", "Ängström AB"), ("B", "ANGULAR Ltd"), ("C", "Lang GmbH"), ("D", "100% Owned"), ("E", "an_x")):
        await books.customer(external_id, name=name)
    found = await books.api.get(f"{books.path}/customers", params={"name": "ang", "limit": 1})
    rest = await books.api.get(f"{books.path}/customers", params={"name": "ang", "limit": 1, "cursor": found.json()["next_cursor"]})
    assert [c["external_id"] for c in found.json()["data"] + rest.json()["data"]] == ["A", "B"]
    assert rest.json()["next_cursor"] is None
    assert [c["external_id"] for c in (await books.api.get(f"{books.path}/customers", params={"name": "100%"})).json()["data"]] == ["D"]
    assert [c["external_id"] for c in (await books.api.get(f"{books.path}/customers", params={"name": "an_"})).json()["data"]] == ["E"]


async def test_an_unknown_group_is_404_and_a_known_one_is_shown(books):
    unknown = await books.api.put(f"{books.path}/customers/C-7", json={"name": "X", "group_code": "public"})
    assert unknown.status_code == 404
    group = await books.api.put(f"{books.path}/customer-groups/public", json={"name": "Public administration", "policy": "never"})
    assert group.status_code == 201
    assert (await books.customer("C-7", group_code="public"))["group_code"] == "public"
    assert (await books.api.put(f"{books.path}/customer-groups/public", json={"name": "Public administration", "policy": "never"})).status_code == 200


async def test_a_block_from_the_system_before_becomes_a_hold_and_follows_what_is_stated(books):
    """Go-live: architecture 6."""
    made = await books.customer("C-7", dunning_block={"reason": "management", "until_on": "2026-03-31"})
    query = {"customer": made["customer_id"], "in_force_on": "2026-03-02"}
    held = (await books.api.get("/v1/holds", params=query)).json()["data"]
    assert [(h["reason"], h["until_on"], h["origin"]) for h in held] == [("management", "2026-03-31", "stated")]
    await books.customer("C-7", language="it", dunning_block={"reason": "management", "until_on": "2026-03-31"})
    assert [h["hold_id"] for h in (await books.api.get("/v1/holds", params=query)).json()["data"]] == [held[0]["hold_id"]]
    await books.customer("C-7", language="it")
    assert (await books.api.get("/v1/holds", params=query)).json()["data"] == []


async def test_text_with_control_characters_is_refused(books):
    for name in ("Ros\x00si", "Rossi\r\nBcc: x@y.example", "Ros\u2028si"):
        answer = await books.api.put(f"{books.path}/customers/C-7", json={"name": name})
        assert answer.status_code == 422, name
    assert (await books.api.put(f"{books.path}/customers/C-7", json={"name": "X", "contacts": [{**AP, "email": "a@b.example\nBcc: c"}]})).status_code == 422


@pytest.mark.parametrize("address", ["ap@ros_si.example", "ap@-rossi.example", "a..p@rossi.example", ".ap@rossi.example", "ap@rossi..example"])
async def test_an_address_that_no_mail_can_be_sent_to_is_refused_when_it_is_stated(books, address):
    """Not weeks later, when the first reminder is written."""
    answer = await books.api.put(f"{books.path}/customers/C-7", json={"name": "X", "contacts": [{**AP, "email": address}]})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body.contacts.0.email"), answer.text


async def test_external_ids_may_hold_slashes_and_spaces(books):
    made = await books.api.put(f"{books.path}/customers/2026%2F00 1", json={"name": "Slash"})
    assert (made.status_code, made.json()["external_id"]) == (201, "2026/00 1")


async def test_a_list_of_customers_takes_the_same_statements_for_one_as_for_many(api):
    books = await make_ledger(api, "many")

    async def statements() -> int:
        log: list[str] = []
        token = statement_log.set(log)
        await api.get(f"{books.path}/customers")
        statement_log.reset(token)
        return len(log)

    await books.customer("C-1")
    one = await statements()
    for n in range(2, 8):
        await books.customer(f"C-{n}")
    assert await statements() == one <= 8
