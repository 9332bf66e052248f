"""Activities, the timeline and attachments (rows S1-09, S1-10, S2-08, S2-19)."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

import pytest

from dunning.collection import timeline_store
from dunning.collection.done_store import WRITTEN_BY_SOFTWARE
from dunning.kit.database import statement_log
from dunning.kit.ids import new_id
from dunning_api.acting import HEADER
from tests.collection.agreements import dispute, plan, promise
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_agenda import person


async def timeline(stage: Stage, customer: object, **params: Any) -> list[dict[str, Any]]:
    """Return the timeline of a customer."""
    return list((await stage.get(f"/customers/{customer}/timeline", **params))["data"])


@pytest.fixture
async def story(stage: Stage) -> dict[str, Any]:
    """A customer about whom everything happens: reminder, note, dispute, promise, block, payment, its return, a file, a collector."""
    await stage.open(scenario(step(10, "first", 1)))
    customer = await stage.customer()
    items = [await stage.invoice("100.00", days_overdue=5) for _ in range(3)]
    anna = await person(stage, "anna")
    await stage.remind()
    answer = await stage.api.post(f"/v1/customers/{customer}/activities", json={"kind": "call", "outcome": "reached", "text": "Hello"}, headers={HEADER: anna})
    assert answer.status_code == 201, answer.text
    await stage.api.put(f"/v1/customers/{customer}/collectors", json={"lead_id": anna})
    await dispute(stage, items[0], text="Wet boxes")
    await promise(stage, customer, "100.00", items[1])
    await stage.post("/account-blocks", {"customer_id": str(customer), "item_ids": [str(items[2])], "degree": "full", "reason": "too late"}, status=201)
    receipt = await stage.pay("40.00", items[2])
    await stage.payment_returns(receipt)
    file = {"subject_kind": "item", "subject_id": str(items[0]), "url": "https://files.acme.example/1.pdf", "name": "Photo"}
    await stage.post("/attachments", file, status=201)
    return {"customer": customer, "items": items, "anna": anna, "receipt": receipt}


async def test_the_timeline_merges_all_kinds_in_one_order_with_who_did_it(stage: Stage, story: dict[str, Any]) -> None:
    """S2-08."""
    entries = await timeline(stage, story["customer"], limit=500)
    kinds = {entry["kind"] for entry in entries}
    expected = {
        "action", "activity", "message", "comment", "receipt", "payment_return", "dispute", "promise", "block", "assignment", "attachment",
    }  # fmt: skip
    assert kinds == expected
    assert [entry["id"] for entry in entries] == sorted((entry["id"] for entry in entries), reverse=True)
    by_kind = {entry["kind"]: entry for entry in entries}
    assert by_kind["dispute"]["data"]["text"] == "Wet boxes"
    assert by_kind["promise"]["data"]["amount"] == {"amount": "100.00", "currency": "EUR"}
    assert by_kind["receipt"]["data"]["state"] == "returned"
    call = next(entry for entry in entries if entry["kind"] == "activity" and entry["data"]["kind"] == "call")
    assert (call["author"], call["actor"], call["data"]["outcome"]) == ("anna", f"person:{story['anna']}", "reached")


async def test_what_an_entry_links_to_can_be_read(stage: Stage, story: dict[str, Any]) -> None:
    linked = [entry for entry in await timeline(stage, story["customer"], limit=500) if entry["url"] is not None]
    assert {entry["kind"] for entry in linked} >= {"action", "activity", "message", "receipt", "dispute", "promise", "block"}
    for entry in linked:
        answer = await stage.api.get(entry["url"])
        assert answer.status_code == 200, (entry["kind"], answer.text)


async def test_holds_steps_set_by_hand_and_lifted_blocks_stand_in_it_too(stage: Stage, story: dict[str, Any]) -> None:
    """What is no row of its own is told by its event, linked to what it is about."""
    customer, items = story["customer"], [str(item) for item in story["items"]]
    hold = await stage.post("/holds", {"scope": "item", "object_id": items[1], "reason": "talks"}, status=201)
    await stage.api.delete(f"/v1/holds/{hold['hold_id']}")
    await stage.put(f"/items/{items[1]}/step", {"step_code": "first", "reason": "Once more"})
    (block,) = (await stage.get("/account-blocks", customer=str(customer)))["data"]
    await stage.post(f"/account-blocks/{block['block_id']}/lift", {"reason": "Paid in cash"})
    found = await timeline(stage, customer, kind=["hold_set", "hold_released", "step_set", "block_lifted"], limit=500)
    shown = [(entry["kind"], entry["url"]) for entry in found]
    assert shown == [
        ("block_lifted", f"/v1/account-blocks/{block['block_id']}"), ("step_set", f"/v1/items/{items[1]}"), ("hold_released", f"/v1/holds/{hold['hold_id']}"),
        ("hold_set", f"/v1/holds/{hold['hold_id']}"),
    ]  # fmt: skip
    by_kind = {entry["kind"]: entry["data"] for entry in found}
    assert (by_kind["step_set"]["to"], by_kind["step_set"]["reason"]) == ("first", "Once more")
    assert (by_kind["hold_released"]["reason"], by_kind["block_lifted"]["reason"]) == ("talks", "Paid in cash")
    for entry in found:
        assert (await stage.api.get(entry["url"])).status_code == 200


async def test_agreements_that_are_moved_taken_back_or_agreed_stand_in_it_with_the_reason(stage: Stage, story: dict[str, Any]) -> None:
    """B-36, B-38: and in the history of the promise and of the plan. The instalments of a plan that is taken back are told by the plan."""
    customer = story["customer"]
    (made,) = (await stage.get("/promises", customer=str(customer)))["data"]
    path = f"/promises/{made['promise_id']}"
    day = str(await stage.today() + dt.timedelta(days=9))
    moved = await stage.api.patch(f"/v1{path}", json={"promised_on": day, "reason": "Their bank is slow."}, headers={"If-Match": "*"})
    assert moved.status_code == 200, moved.text
    await stage.post(f"{path}/cancel", {"reason": "Wrong customer."})
    item = await stage.invoice("90.00")
    agreed = await plan(stage, customer, item_ids=[str(item)], rhythm={"count": 3, "first_on": day})
    await stage.post(f"/payment-plans/{agreed['plan_id']}/cancel", {"reason": "They pay at once."})
    kinds = ["payment_plan", "promise_moved", "promise_cancelled", "payment_plan_cancelled"]
    found = await timeline(stage, customer, kind=kinds, limit=500)
    plan_path = f"/payment-plans/{agreed['plan_id']}"
    assert [(entry["kind"], entry["url"], entry["data"].get("reason")) for entry in found] == [
        ("payment_plan_cancelled", f"/v1{plan_path}", "They pay at once."), ("payment_plan", f"/v1{plan_path}", None),
        ("promise_cancelled", f"/v1{path}", "Wrong customer."), ("promise_moved", f"/v1{path}", "Their bank is slow."),
    ]  # fmt: skip
    assert (found[1]["data"]["amount"], found[1]["data"]["state"]) == ({"amount": "90.00", "currency": "EUR"}, "cancelled")
    assert found[3]["data"]["to"] == {"promised_on": day}
    for entry in found:
        assert (await stage.api.get(entry["url"])).status_code == 200
    history = (await stage.get(path))["history"]
    assert [(one["kind"], one["data"].get("reason")) for one in history[-2:]] == [
        ("promise.moved", "Their bank is slow."), ("promise.cancelled", "Wrong customer."),
    ]  # fmt: skip
    history = (await stage.get(plan_path))["history"]
    assert [(one["kind"], one["data"].get("reason")) for one in history] == [
        ("payment_plan.agreed", None), ("payment_plan.cancelled", "They pay at once."),
    ]  # fmt: skip
    assert all(entry["author"] for entry in found)
    assert {entry["kind"] for entry in await timeline(stage, customer, limit=500)} >= set(kinds)


async def test_a_message_says_to_whom_it_went_and_with_what_subject(stage: Stage, story: dict[str, Any]) -> None:
    (entry,) = await timeline(stage, story["customer"], kind=["message"])
    message = await stage.get(entry["url"].removeprefix("/v1"))
    assert entry["data"]["subject"] and entry["data"]["to_email"]
    assert (entry["data"]["subject"], entry["data"]["to_email"]) == (message["subject"], message["to"]["email"])


async def test_turns_are_found_by_their_index_however_many_other_events_there_are(stage: Stage, story: dict[str, Any], database: Any) -> None:
    """A busy customer has events by the thousand, few of which stand in the timeline by themselves."""
    async with database.transaction(stage.tenant_id) as session:
        await session.execute("set local enable_seqscan = off")
        found = await session.rows(
            f"explain {timeline_store.statement(('hold_set', 'block_lifted', 'promise_moved', 'promise_cancelled', 'payment_plan_cancelled'))}",
            stage.tenant_id,
            story["customer"],
            new_id(),
            100,
        )
    assert "event_turn_idx" in "\n".join(row[0] for row in found)


async def test_a_note_stands_in_the_next_requests_timeline(stage: Stage, story: dict[str, Any]) -> None:
    """S2-19: read your own write."""
    made = await stage.post(f"/customers/{story['customer']}/activities", {"kind": "note", "text": "Ask for Ms Rossi"}, status=201)
    assert (await timeline(stage, story["customer"], limit=1))[0]["id"] == made["activity_id"]


async def test_only_the_kinds_asked_for_are_shown(stage: Stage, story: dict[str, Any]) -> None:
    found = await timeline(stage, story["customer"], kind=["dispute", "promise"])
    assert [entry["kind"] for entry in found] == ["promise", "dispute"]


async def test_pages_follow_one_another_and_take_the_same_statements_for_one_row_as_for_many(stage: Stage, story: dict[str, Any]) -> None:
    path = f"/customers/{story['customer']}/timeline"
    await stage.post(f"/customers/{story['customer']}/activities", {"kind": "note", "text": "x"}, status=201)
    whole = [entry["id"] for entry in (await stage.get(path, limit=500))["data"]]
    seen, counts, cursor = [], set(), None
    while True:
        log: list[str] = []
        token = statement_log.set(log)
        page = await stage.get(path, limit=3, **({"cursor": cursor} if cursor else {}))
        statement_log.reset(token)
        counts.add(sum("union all" in statement for statement in log))
        assert len(log) <= 6
        seen += [entry["id"] for entry in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == whole
    assert counts == {1}


async def test_the_author_of_the_past_keeps_the_name_though_the_person_leaves(stage: Stage, story: dict[str, Any]) -> None:
    bruno = await person(stage, "bruno")
    await stage.post(f"/people/{story['anna']}/hand-over", {"to": [bruno], "reason": "leaves"})
    entries = await timeline(stage, story["customer"], kind=["activity"], limit=500)
    assert "anna" in {entry["author"] for entry in entries}


async def test_an_attachment_is_found_with_its_subject_and_with_its_customer(stage: Stage, story: dict[str, Any]) -> None:
    item = str(story["items"][0])
    for query in ({"subject_kind": "item", "subject_id": item}, {"customer": str(story["customer"])}):
        (found,) = (await stage.get("/attachments", **query))["data"]
        assert (found["name"], found["subject_id"], found["customer_id"]) == ("Photo", item, str(story["customer"]))
    assert (await stage.get("/attachments", subject_kind="item", subject_id=str(story["items"][1])))["data"] == []


async def test_only_https_addresses_of_known_subjects_are_registered(stage: Stage, story: dict[str, Any]) -> None:
    good = {"subject_kind": "customer", "subject_id": str(story["customer"]), "url": "https://files.acme.example/1.pdf", "name": "Contract"}
    """An address is read by whoever reads the timeline, so that it holds no password; an at sign behind the host is none."""
    with_password = ("https://anna:secret@files.acme.example/1.pdf", "https://anna@files.acme.example", "https://:@files.acme.example/1.pdf")
    for wrong in ("http://files.acme.example/1.pdf", "javascript:alert(1)", "file:///etc/passwd", "https://a b", *with_password):
        await stage.post("/attachments", good | {"url": wrong}, status=422)
    await stage.post("/attachments", good | {"subject_id": str(new_id())}, status=404)
    await stage.post("/attachments", good | {"subject_kind": "item"}, status=404)
    await stage.post("/attachments", good, status=201)
    await stage.post("/attachments", good | {"url": "https://files.acme.example/anna@acme.example/1.pdf?to=b@c#d@e"}, status=201)


async def test_activities_are_filtered_by_kind_outcome_person_and_days(stage: Stage, story: dict[str, Any]) -> None:
    """S1-10."""
    today = await stage.today()
    for query, number in (
        ({"kind": "call"}, 1), ({"kind": "visit"}, 0), ({"outcome": "reached"}, 1), ({"person": story["anna"]}, 1), ({"kind": "call", "since": str(today)}, 1),
        ({"kind": "call", "since": str(today + dt.timedelta(days=1))}, 0), ({"kind": "call", "until": str(today - dt.timedelta(days=1))}, 0),
    ):  # fmt: skip
        assert len((await stage.get("/activities", customer=str(story["customer"]), **query))["data"]) == number, query


async def test_an_activity_that_is_still_to_come_or_with_somebody_elses_contact_is_refused(stage: Stage, story: dict[str, Any]) -> None:
    other = await stage.customer("C2")
    contact = (await stage.get(f"/customers/{other}"))["contacts"][0]["contact_id"]
    path = f"/customers/{story['customer']}/activities"
    await stage.post(path, {"kind": "call", "at": "2030-01-01T00:00:00Z"}, status=422)
    await stage.post(path, {"kind": "call", "contact_id": contact}, status=404)
    await stage.post(f"/customers/{other}/activities", {"kind": "call", "contact_id": contact}, status=201)


@pytest.mark.parametrize("path", ["/activities", "/attachments"])
async def test_a_list_takes_no_more_statements_for_many_rows_than_for_one(stage: Stage, story: dict[str, Any], path: str) -> None:
    """House style 28."""
    for n in range(3):
        await stage.post(f"/customers/{story['customer']}/activities", {"kind": "note", "text": f"Note {n}"}, status=201)
        content = {"subject_kind": "customer", "subject_id": str(story["customer"]), "url": f"https://files.acme.example/{n}.pdf", "name": f"File {n}"}
        await stage.post("/attachments", content, status=201)
    counts = []
    for limit in (1, 100):
        log: list[str] = []
        token = statement_log.set(log)
        page = await stage.get(path, customer=str(story["customer"]), limit=limit)
        statement_log.reset(token)
        assert len(page["data"]) >= min(limit, 3)
        counts.append(len(log))
    # The names of authors are read in one statement, where a person is among them.
    assert counts[0] <= counts[1] <= counts[0] + 1


@pytest.mark.parametrize("kind", WRITTEN_BY_SOFTWARE)
async def test_what_the_software_tells_by_itself_is_recorded_by_nobody(stage: Stage, story: dict[str, Any], kind: str) -> None:
    """S3-09: a promise that was broken by hand would stand in the history of one that was not."""
    refused = await stage.post(f"/customers/{story['customer']}/activities", {"kind": kind, "text": "Hello"}, status=422)
    assert all(word in refused["detail"] for word in WRITTEN_BY_SOFTWARE)
    assert refused["errors"][0]["field"] == "kind"
    assert "Hello" not in [one["text"] for one in (await stage.get("/activities", customer=str(story["customer"]), kind=kind))["data"]]


async def test_a_word_of_ones_own_is_recorded(stage: Stage, story: dict[str, Any]) -> None:
    """The control of the refusal above, with a word that a step of the tenant's may write too."""
    for kind in ("promise_mentioned", "claim_for_non_payment"):
        assert (await stage.post(f"/customers/{story['customer']}/activities", {"kind": kind}, status=201))["kind"] == kind


async def test_beside_whoever_is_named_in_an_entry_stands_the_name(stage: Stage, story: dict[str, Any]) -> None:
    """S2-08: whose an action, a dispute or a customer is, who approved, who ended it."""
    anna, customer, item = story["anna"], story["customer"], story["items"][1]
    boss = await person(stage, "maria", role="manager")
    people = {anna: "anna", f"person:{anna}": "anna", f"person:{boss}": "maria"}
    content = {"kind": "task", "task_kind": "call", "task_text": "Ask."}
    body = {"title": "Call", "content": content, "item_ids": [str(item)], "origin": "ad_hoc", "mode": "approve", "person_id": anna}
    made = await stage.post(f"/customers/{customer}/actions", body, status=201)
    approved = await stage.api.post(f"/v1/actions/{made['action_id']}/approve", json={}, headers={HEADER: boss, "Idempotency-Key": str(new_id())})
    assert approved.status_code == 200, approved.text
    entries = await timeline(stage, customer, limit=500)
    ended = await stage.api.put(f"/v1/customers/{customer}/collectors", json={"lead_id": None, "reason": "Nobody yet."}, headers={HEADER: boss})
    assert ended.status_code == 200, ended.text
    override = {"kind": "remove", "scenario_id": str(stage.scenario_id), "step_code": "first", "reason": "Agreed."}
    placed = await stage.post(f"/customers/{customer}/step-overrides", override, status=201)
    removed = await stage.api.post(f"/v1/step-overrides/{placed['override_id']}/remove", json={"reason": "Over."}, headers={HEADER: boss})
    assert removed.status_code == 200, removed.text
    names = {
        "person_id": "person_name",
        "owner_id": "owner_name",
        "approved_by": "approved_by_name",
        "ended_by": "ended_by_name",
        "removed_by": "removed_by_name",
    }
    told = set()
    for entry in [*entries, *await timeline(stage, customer, limit=500)]:
        for field, name in names.items():
            if field in entry["data"]:
                who = entry["data"][field]
                shown = people.get(who, who)
                assert entry["data"][name] == shown, (entry["kind"], field)
                told |= {(entry["kind"], field)} if who in people else set()
    assert told >= {
        ("action", "person_id"), ("action", "approved_by"), ("activity", "person_id"), ("assignment", "person_id"), ("assignment", "ended_by"),
        ("step_override", "removed_by"), ("dispute", "owner_id"),
    }  # fmt: skip


async def test_a_message_that_never_left_has_the_day_on_which_it_was_to(stage: Stage, story: dict[str, Any]) -> None:
    """S2-08; one that left, on the day of that, is the control."""
    sent_on = await stage.today()
    await stage.advance(days=1)
    made = await stage.post(f"/customers/{story['customer']}/messages", {"template": "claim-01", "item_ids": [str(story["items"][2])]}, status=201)
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute("update message set state = 'cancelled' where tenant_id = $1 and action_id = $2", stage.tenant_id, made["action_id"])
    entries = await timeline(stage, story["customer"], kind=["message"])
    assert [(entry["data"]["state"], entry["on"]) for entry in entries] == [
        ("cancelled", str(sent_on + dt.timedelta(days=1))), ("accepted", str(sent_on)),
    ]  # fmt: skip


async def test_an_activity_names_who_did_it_beside_who_recorded_it(stage: Stage, story: dict[str, Any]) -> None:
    """S3-23: in the answer, by itself, in the list, in the register and in its file."""
    bruno = await person(stage, "bruno")
    body = {"kind": "visit", "text": "At the works.", "person_id": bruno}
    answer = await stage.api.post(f"/v1/customers/{story['customer']}/activities", json=body, headers={HEADER: story["anna"]})
    made = answer.json()
    today = str(await stage.today())
    period = {"from": today, "to": today, "kind": "visit"}
    (listed,) = (await stage.get("/activities", kind="visit"))["data"]
    (registered,) = (await stage.get("/reports/activity-register", **period))["data"]
    (line,) = csv.DictReader(io.StringIO((await stage.api.get("/v1/reports/activity-register.csv", params=period)).text))
    shown = [made, await stage.get(f"/activities/{made['activity_id']}"), listed, registered, line]
    assert {(one["person_id"], one["person_name"], one["author"]) for one in shown} == {(bruno, "bruno", "anna")}
    nobody = await stage.post(f"/customers/{story['customer']}/activities", {"kind": "meeting"}, status=201)
    assert (nobody["person_id"], nobody["person_name"]) == (None, None)
