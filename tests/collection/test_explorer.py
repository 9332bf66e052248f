"""The customer explorer and bulk acts (rows S3-06, S3-07, S3-10, S3-17, S2-06)."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

import pytest

from dunning.kit.database import statement_log
from dunning.kit.ids import new_id
from tests.collection.agreements import dispute, eur
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_agenda import call_task, leads, person


async def found(stage: Stage, **query: Any) -> list[str]:
    """Return the external ids of the customers that a search finds, in order."""
    return [row["external_id"] for row in (await stage.get("/customers", **query))["data"]]


@pytest.fixture
async def town(stage: Stage) -> dict[str, Any]:
    """Five customers: C1 young debt, C2 old and large, C3 not due, C4 owes nothing, C5 in dollars."""
    await stage.open(scenario(step(10, "first", 40)))
    ids: dict[str, Any] = {"anna": await person(stage, "anna")}
    answer = await stage.api.put(f"/v1/ledgers/{stage.ledger_id}/customer-groups/vip", json={"name": "Important"})
    assert answer.status_code in {200, 201}, answer.text
    for code, content in (("C1", {"group_code": "vip"}), ("C2", {"tags": ["north"]}), ("C3", {}), ("C4", {}), ("C5", {})):
        ids[code] = await stage.customer(code, **content)
    ids["item C1"] = await stage.invoice("100.00", customer="C1", days_overdue=10)
    ids["item C2"] = await stage.invoice("900.00", customer="C2", days_overdue=60)
    await stage.invoice("50.00", customer="C2", days_overdue=-5)
    await stage.invoice("500.00", customer="C3", days_overdue=-5)
    await stage.invoice("300.00", customer="C5", days_overdue=30, currency="USD")
    await leads(stage, ids["C1"], ids["anna"])
    return ids


async def test_customers_are_found_by_the_age_of_their_debt_below_at_and_above(stage: Stage, town: dict[str, Any]) -> None:
    """S3-06."""
    assert await found(stage, overdue_days_gte=9) == ["C1", "C2", "C5"]
    assert await found(stage, overdue_days_gte=10) == ["C1", "C2", "C5"]
    assert await found(stage, overdue_days_gte=11) == ["C2", "C5"]


async def test_not_called_are_those_without_a_call_since_a_day_and_who_was_called_leaves_in_the_next_request(stage: Stage, town: dict[str, Any]) -> None:
    """S3-07, S3-10; an e-mail or a call before the day does not count."""
    today = await stage.today()
    query = {"without_action_since": str(today), "action_type": "call", "overdue_days_gte": 1}
    assert await found(stage, **query) == ["C1", "C2", "C5"]
    await stage.post(f"/customers/{town['C1']}/activities", {"kind": "call", "outcome": "no_answer"}, status=201)
    await stage.post(f"/customers/{town['C2']}/activities", {"kind": "note", "text": "x"}, status=201)
    before = f"{today - dt.timedelta(days=1)}T10:00:00Z"
    await stage.post(f"/customers/{town['C5']}/activities", {"kind": "call", "at": before}, status=201)
    assert await found(stage, **query) == ["C2", "C5"]
    assert await found(stage, without_action_since=str(today), overdue_days_gte=1) == ["C5"]


async def test_what_reached_nobody_and_what_the_software_notes_is_no_action_with_the_customer(stage: Stage, town: dict[str, Any]) -> None:
    """S3-07, S3-12: a claim whose message never left and a promise found broken hide nobody; a note, and the message once it is accepted, are the control."""
    today = await stage.today()
    query = {"without_action_since": str(today), "overdue_days_gte": 1}
    await stage.launch(commit_at_once=True)
    assert await stage.tenant.value("select count(*) from activity where tenant_id = $1 and kind = 'claim_issued'", stage.tenant_id) == 1
    await stage.api.post(f"/v1/customers/{town['C5']}/activities", json={"kind": "note", "text": "Read the file."})
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute(
            """insert into activity (tenant_id, activity_id, ledger_id, customer_id, kind, actor, business_at)
               values ($1, $2, $3, $4, 'promise_broken', 'schedule', now()), ($1, $5, $3, $4, 'dispute_resolved', 'schedule', now())""",
            stage.tenant_id, new_id(), stage.ledger_id, town["C1"], new_id(),
        )  # fmt: skip
    assert await found(stage, **query) == ["C1", "C2"]
    rows = {row["external_id"]: row["last_action"] for row in (await stage.get("/customers"))["data"]}
    assert (rows["C1"], rows["C2"]) == (None, None)
    assert rows["C5"]["what"] == "note"
    assert [row["external_id"] for row in (await stage.get("/reports/customers-without-action", without_action_since=str(today)))["data"]] == ["C2", "C1", "C3"]
    await stage.settle()
    assert await found(stage, **query) == ["C1"]


async def test_the_day_of_an_action_is_counted_below_at_and_above(stage: Stage, town: dict[str, Any]) -> None:
    """S3-07: a mail accepted, a note written and a task done on a day count for that day and for those before it, not for the next."""
    day = await stage.today()
    await stage.remind()
    await stage.post(f"/customers/{town['C5']}/activities", {"kind": "note", "text": "x"}, status=201)
    task = await call_task(stage, town["C1"], town["item C1"])
    await stage.post(f"/actions/{task}/complete", {})
    await stage.advance(days=2)
    for off, expected in ((-1, []), (0, []), (1, ["C1", "C2", "C5"])):
        since = str(day + dt.timedelta(days=off))
        assert await found(stage, without_action_since=since, overdue_days_gte=3) == expected, off
        by_kind = [await found(stage, without_action_since=since, overdue_days_gte=3, action_type=kind) for kind in ("call", "email", "note")]
        assert by_kind == ([["C1", "C2", "C5"]] * 3 if expected else [["C2", "C5"], ["C1", "C5"], ["C1", "C2"]]), off


async def test_a_completed_call_task_and_a_mail_that_left_are_actions_of_their_type(stage: Stage, town: dict[str, Any]) -> None:
    today = await stage.today()
    task = await call_task(stage, town["C1"], town["item C1"])
    query = {"without_action_since": str(today), "overdue_days_gte": 1}
    assert "C1" in await found(stage, **query, action_type="call")
    await stage.post(f"/actions/{task}/complete", {})
    assert "C1" not in await found(stage, **query, action_type="call")
    assert "C2" in await found(stage, **query, action_type="email")
    await stage.remind()
    assert "C2" not in await found(stage, **query, action_type="email")
    assert "C1" in await found(stage, **query, action_type="email")
    assert await found(stage, step="first") == ["C2"]


async def test_further_conditions_find_exactly_whom_they_name(stage: Stage, town: dict[str, Any]) -> None:
    await dispute(stage, town["item C2"])
    await stage.post("/account-blocks", {"customer_id": str(town["C1"]), "item_ids": [str(town["item C1"])], "degree": "full", "reason": "late"}, status=201)
    tomorrow = str((await stage.today()) + dt.timedelta(days=1))
    await call_task(stage, town["C1"], town["item C1"])
    for query, expected in (
        ({"status": "disputed"}, ["C2"]), ({"collector": town["anna"]}, ["C1"]), ({"unassigned": True}, ["C2", "C3", "C4", "C5"]), ({"group": "vip"}, ["C1"]),
        ({"tag": "north"}, ["C2"]), ({"blocked": True}, ["C1"]), ({"blocked": False}, ["C2", "C3", "C4", "C5"]), ({"next_action_before": tomorrow}, ["C1"]),
        ({"name": "customer c3"}, ["C3"]), ({"overdue_amount_gte": "900.00", "currency": "EUR"}, ["C2"]), ({"overdue_amount_gte": "900.01", "currency": "EUR"}, []),
        ({"overdue_amount_gte": "300.00", "currency": "USD"}, ["C5"]), ({"ledger": str(stage.ledger_id)}, ["C1", "C2", "C3", "C4", "C5"]),
    ):  # fmt: skip
        assert await found(stage, **query) == expected, query


async def test_each_order_has_its_own_and_pages_follow_one_another(stage: Stage, town: dict[str, Any]) -> None:
    await stage.post(f"/customers/{town['C1']}/activities", {"kind": "note", "text": "x"}, status=201)
    orders = {
        "name": ["C1", "C2", "C3", "C4", "C5"], "oldest_due": ["C2", "C5", "C1", "C3"], "overdue_amount": ["C2", "C1"],
        "last_action": ["C2", "C3", "C4", "C5", "C1"],
    }  # fmt: skip
    for sort, expected in orders.items():
        assert await found(stage, sort=sort) == expected, sort
        seen: list[str] = []
        cursor = None
        while True:
            page = await stage.get("/customers", sort=sort, limit=1, **({"cursor": cursor} if cursor else {}))
            seen += [row["external_id"] for row in page["data"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == expected, sort


async def test_a_row_shows_sums_a_currency_oldest_due_step_people_and_actions(stage: Stage, town: dict[str, Any]) -> None:
    await stage.remind()
    task = await call_task(stage, town["C2"], town["item C2"])
    (row,) = (await stage.get("/customers", name="customer c2"))["data"]
    assert row["owed"] == [{"currency": "EUR", "overdue": eur("900.00"), "not_due": eur("50.00"), "disputed": eur("0.00")}]
    assert (row["open_items"], row["days_overdue"], row["step_code"], row["collector_name"]) == (2, 60, "first", None)
    assert row["last_action"]["what"] == "first"
    assert row["next_action"]["action_id"] == task
    assert (await stage.api.get(row["last_action"]["url"])).status_code == 200
    assert (await stage.api.get(row["url"])).status_code == 200


async def test_conditions_that_need_another_are_refused_in_words(stage: Stage, town: dict[str, Any]) -> None:
    for query in ({"overdue_amount_gte": "1.00"}, {"action_type": "call"}, {"overdue_amount_gte": "1.001", "currency": "EUR"}, {"sort": "colour"}):
        answer = await stage.api.get("/v1/customers", params=query)
        assert answer.status_code == 422, query
    for name in ("ledger", "collector", "team"):
        assert (await stage.api.get("/v1/customers", params={name: str(new_id())})).status_code == 404, name


async def test_a_search_takes_the_same_statements_for_one_row_as_for_many(stage: Stage, town: dict[str, Any]) -> None:
    await stage.get("/customers")  # The first request of a process reads the scenario versions that it keeps from then on.
    for sort in ("name", "oldest_due", "overdue_amount", "last_action"):
        counts = set()
        for limit in (1, 100):
            log: list[str] = []
            token = statement_log.set(log)
            await stage.get("/customers", sort=sort, limit=limit)
            statement_log.reset(token)
            counts.add(len(log))
        assert len(counts) == 1, sort
        assert max(counts) <= 6


async def test_the_export_holds_every_customer_and_is_safe_to_open(stage: Stage, town: dict[str, Any]) -> None:
    await stage.customer("C4", name="@SUM(1)")
    answer = await stage.api.get("/v1/customers.csv", params={"sort": "oldest_due"})
    assert answer.status_code == 200, answer.text
    assert [line["external_id"] for line in csv.DictReader(io.StringIO(answer.text))] == ["C2", "C5", "C1", "C3"]
    whole = (await stage.api.get("/v1/customers.csv")).text
    assert "'@SUM(1)" in whole
    assert len(whole.splitlines()) == 6


async def test_a_dry_run_shows_whom_it_concerns_and_writes_nothing(stage: Stage, town: dict[str, Any]) -> None:
    """S3-17."""
    body = {"act": "hold", "filter": {"overdue_days_gte": 1}, "reason": "talks", "dry_run": True}
    dry = await stage.post("/customers/bulk", body)
    assert dry["counts"] == {"ready": 3}
    assert [row["external_id"] for row in dry["first"]] == ["C1", "C2", "C5"]
    assert (await stage.get("/holds"))["data"] == []
    done = await stage.post("/customers/bulk", body | {"dry_run": False})
    assert done["counts"] == {"done": 3}
    assert {hold["customer_id"] for hold in (await stage.get("/holds"))["data"]} == {str(town[code]) for code in ("C1", "C2", "C5")}


async def test_bulk_acts_answer_a_result_a_row_and_one_refusal_does_not_stop_the_others(stage: Stage, town: dict[str, Any]) -> None:
    unknown = str(new_id())
    ids = [str(town["C1"]), str(town["C4"]), unknown]
    sent = await stage.post("/customers/bulk", {"act": "send_template", "customer_ids": ids, "message": {"template": "claim-01"}})
    assert sent["counts"] == {"done": 1, "refused": 1, "unknown": 1}
    by_customer = {row["customer_id"]: row for row in sent["data"]}
    assert by_customer[str(town["C4"])]["code"] == "item_not_open"
    await stage.settle()
    assert (await stage.action(by_customer[str(town["C1"])]["action_id"]))["state"] == "completed"
    made = await stage.post(
        "/customers/bulk",
        {"act": "create_action", "customer_ids": ids, "action": {"title": "Visit", "content": {"kind": "task", "task_kind": "other", "task_text": "Go there"}}},
    )
    assert made["counts"] == {"done": 1, "refused": 1, "unknown": 1}
    given = await stage.post("/customers/bulk", {"act": "assign", "customer_ids": ids, "person_id": town["anna"]})
    assert given["counts"] == {"done": 2, "unknown": 1}
    assert await found(stage, collector=town["anna"]) == ["C1", "C4"]
    called = await stage.post("/customers/bulk", {"act": "call_task", "filter": {"ledger_id": str(stage.ledger_id)}})
    assert called["counts"] == {"done": 3, "refused": 2}
    why = {row["customer_id"]: row["code"] for row in called["data"] if row["outcome"] == "refused"}
    assert why == {str(town["C1"]): "item_in_specific_action", str(town["C4"]): "item_not_open"}
    assert (await stage.post("/customers/bulk", {"act": "call_task", "filter": {"overdue_days_gte": 1}}))["counts"] == {"exists": 2, "refused": 1}


async def test_a_bulk_act_that_is_not_whole_is_refused_before_anything_is_done(stage: Stage, town: dict[str, Any]) -> None:
    ids = [str(town["C1"])]
    for body in (
        {"act": "hold", "customer_ids": ids}, {"act": "send_template", "customer_ids": ids}, {"act": "assign", "customer_ids": ids}, {"act": "hold", "reason": "x"},
        {"act": "hold", "reason": "x", "filter": {}}, {"act": "hold", "reason": "x", "customer_ids": ids, "filter": {"unassigned": True}},
    ):  # fmt: skip
        await stage.post("/customers/bulk", body, status=422)
    assert (await stage.get("/holds"))["data"] == []
