"""The control reports (rows S3-11, S3-12, S3-21, S3-23): each row links to its objects, each report is also a file."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from decimal import Decimal
from typing import Any

import pytest

from dunning.kit.database import statement_log
from dunning.kit.ids import new_id
from dunning.reports import control_store
from dunning_api.acting import HEADER
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_agenda import call_task, leads, person

PUBLIC = "http://testserver"
"""Where addresses in files begin."""


@pytest.fixture
async def month(stage: Stage) -> dict[str, Any]:
    """Two debtors, an approval that waits, and a collector who called one of them."""
    await stage.open(scenario(step(10, "first", 1, mode="approve")))
    ids: dict[str, Any] = {"anna": await person(stage, "anna")}
    for code, days in (("C1", 10), ("C2", 40)):
        ids[code] = await stage.customer(code, name=f"={code}")
        await stage.invoice(customer=code, days_overdue=days)
    await leads(stage, ids["C1"], ids["anna"])
    await stage.remind()
    await stage.advance(days=3)
    for outcome in ("no_answer", "reached"):
        answer = await stage.api.post(
            f"/v1/customers/{ids['C1']}/activities", json={"kind": "call", "outcome": outcome, "text": "Hello"}, headers={HEADER: ids["anna"]}
        )
        assert answer.status_code == 201, answer.text
    today = await stage.today()
    ids["period"] = {"from": str(today - dt.timedelta(days=7)), "to": str(today)}
    return ids


async def test_action_control_lists_customers_by_oldest_due_day_with_what_was_done(stage: Stage, month: dict[str, Any]) -> None:
    """S3-11."""
    rows = (await stage.get("/reports/action-control"))["data"]
    assert [row["external_id"] for row in rows] == ["C2", "C1"]
    assert [(done["what"], done["outcome"]) for done in rows[1]["done"]] == [("call", "reached"), ("call", "no_answer")]
    assert rows[0]["done"] == []
    assert rows[0]["next_action"]["state"] == "awaiting_approval"


async def test_customers_without_action_are_those_about_whom_nothing_was_done(stage: Stage, month: dict[str, Any]) -> None:
    """S3-12; a day before the calls is the control."""
    rows = (await stage.get("/reports/customers-without-action"))["data"]
    assert [row["external_id"] for row in rows] == ["C2"]
    tomorrow = (await stage.today()) + dt.timedelta(days=1)
    assert len((await stage.get("/reports/customers-without-action", without_action_since=str(tomorrow)))["data"]) == 2


async def test_the_register_holds_the_activities_of_a_period_by_customer(stage: Stage, month: dict[str, Any]) -> None:
    """S3-23."""
    rows = (await stage.get("/reports/activity-register", **month["period"]))["data"]
    assert [(row["customer_external_id"], row["kind"], row["author"]) for row in rows] == [("C1", "call", "anna")] * 2
    yesterday = {"from": "2026-01-01", "to": "2026-01-02"}
    assert (await stage.get("/reports/activity-register", **yesterday))["data"] == []


async def test_collector_activity_counts_what_each_did_and_has_to_do(stage: Stage, month: dict[str, Any]) -> None:
    (row,) = (await stage.get("/reports/collector-activity", **month["period"]))["data"]
    assert (row["name"], row["calls"], row["reached"], row["kinds"], row["customers"]) == ("anna", 2, 1, {"call": 2}, 1)
    assert (row["open_actions"], row["overdue_actions"]) == (1, 1)


@pytest.mark.parametrize("report", ["activity-register", "collector-activity", "paid-before-escalation"])
async def test_a_period_that_ends_before_it_begins_is_refused_naming_both_days(stage: Stage, month: dict[str, Any], report: str) -> None:
    """Below, at and above: one day is a period, the day before it is none; ten years are the longest. The file says the same."""
    for begins, ends, status in (
        ("2026-03-02", "2026-03-01", 422),
        ("2026-03-02", "2026-03-02", 200),
        ("2026-03-02", "2026-03-03", 200),
        ("2016-03-02", "2026-03-12", 422),
    ):
        for form in ("", ".csv"):
            answer = await stage.api.get(f"/v1/reports/{report}{form}", params={"from": begins, "to": ends})
            assert answer.status_code == status, (begins, ends, answer.text)
            if status == 422:
                assert [error["field"] for error in answer.json()["errors"]] == ["from", "to"]
                assert begins in answer.json()["detail"]
                assert ends in answer.json()["detail"]


async def test_the_register_is_filtered_by_kind_and_a_kind_that_nothing_is_of_is_refused_with_those_that_there_are(stage: Stage, month: dict[str, Any]) -> None:
    """The filter has the field's name; a kind of one's own is known from its first activity on, and what the product knows from the beginning."""
    periods: dict[str, dict[str, str]] = {"/reports/activity-register": month["period"], "/activities": {}}
    for path, period in periods.items():
        for kind, count in (("call", 2), ("visit", 0), ("promise_broken", 0)):
            assert len((await stage.get(path, kind=kind, **period))["data"]) == count, kind
        refused = await stage.api.get(f"/v1{path}", params={**period, "kind": "site_check"})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "kind")
        assert "call, " in refused.json()["detail"]
        assert (await stage.api.get(f"/v1{path}", params={**period, "type": "call"})).status_code == 422, "there is one name"
    await stage.post(f"/customers/{month['C2']}/activities", {"kind": "site_check", "text": "Nobody there."}, status=201)
    assert len((await stage.get("/reports/activity-register", kind="site_check", **month["period"]))["data"]) == 1


async def test_a_kind_that_a_step_records_is_known_before_it_happens(stage: Stage) -> None:
    """The scenario names it; without that step it is unknown, which is the control."""
    own = {"kind": "record_activity", "when": "executed", "params": {"type": "second_warning"}}
    await stage.open(scenario(step(10, "first", 1), {**step(20, "second", 20), "operations": [own]}))
    assert (await stage.get("/activities", kind="second_warning"))["data"] == []
    assert (await stage.api.get("/v1/activities", params={"kind": "third_warning"})).status_code == 422


@pytest.mark.parametrize("path", ["/customers", "/reports/action-control", "/reports/customers-without-action"])
async def test_a_status_a_step_or_a_type_that_there_is_not_is_refused_with_those_that_there_are(stage: Stage, month: dict[str, Any], path: str) -> None:
    since = str(await stage.today())
    for query, right, named in (
        ({"status": "disputd"}, {"status": "disputed"}, "disputed"), ({"step": "firts"}, {"step": "first"}, "first"),
        ({"action_type": "calls", "without_action_since": since}, {"action_type": "call", "without_action_since": since}, "call"),
    ):  # fmt: skip
        refused = await stage.api.get(f"/v1{path}", params=query)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, next(iter(query)))
        assert named in refused.json()["detail"].split("Known are ")[1].rstrip(".").split(", ")
        assert (await stage.api.get(f"/v1{path}", params=right)).status_code == 200
    for code in ("first", "email", "letter", "note"):
        assert (await stage.api.get(f"/v1{path}", params={"action_type": code, "without_action_since": since})).status_code == 200, code


async def test_every_report_counts_in_the_days_of_the_ledger(stage: Stage, month: dict[str, Any]) -> None:
    """Half past eleven in the evening of 4 March by UTC is 5 March in Rome: for calls, approvals, the register and what was done. The day before is the control."""
    await stage.api.post(
        f"/v1/customers/{month['C2']}/activities", json={"kind": "visit", "text": "Late.", "at": "2026-03-04T23:30:00Z"}, headers={HEADER: month["anna"]}
    )
    await stage.advance(to="2026-03-06T23:30:00Z")
    (waiting,) = [row for row in (await stage.get("/reports/approval-queue"))["data"] if row["customer_external_id"] == "C2"]
    answer = await stage.api.post(f"/v1/actions/{waiting['action_id']}/approve", headers={HEADER: month["anna"], "Idempotency-Key": str(new_id())})
    assert answer.status_code == 200, answer.text
    for visited, approved in (("2026-03-04", "2026-03-06"), ("2026-03-05", "2026-03-07")):
        here = visited == "2026-03-05"
        (row,) = (await stage.get("/reports/collector-activity", **{"from": visited, "to": visited}))["data"]
        assert row["kinds"].get("visit", 0) == here
        (row,) = (await stage.get("/reports/collector-activity", **{"from": approved, "to": approved}))["data"]
        assert row["approved"] == here
        register = (await stage.get("/reports/activity-register", **{"from": visited, "to": visited}))["data"]
        assert [one["kind"] for one in register if one["kind"] == "visit"] == ["visit"] * here
    timeline = (await stage.get(f"/customers/{month['C2']}/timeline", kind="activity"))["data"]
    assert [entry["on"] for entry in timeline if entry["data"]["kind"] == "visit"] == ["2026-03-05"]
    done = {row["external_id"]: row["done"] for row in (await stage.get("/reports/action-control"))["data"]}
    assert [(one["what"], one["on"]) for one in done["C2"] if one["what"] == "visit"] == [("visit", "2026-03-05")]
    assert "visit" not in {one["what"] for row in (await stage.get("/reports/action-control", since="2026-03-06"))["data"] for one in row["done"]}


async def test_the_approval_queue_tells_how_long_each_has_waited(stage: Stage, month: dict[str, Any]) -> None:
    rows = (await stage.get("/reports/approval-queue"))["data"]
    assert [(row["customer_external_id"], row["days_waiting"]) for row in rows] == [("C1", 3), ("C2", 3)]
    await stage.post(f"/actions/{rows[0]['action_id']}/approve")
    assert [row["customer_external_id"] for row in (await stage.get("/reports/approval-queue"))["data"]] == ["C2"]


def queries(month: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return every report with what it asks for."""
    period = month["period"]
    return {
        "action-control": {}, "customers-without-action": {"without_action_since": "2026-12-31"}, "activity-register": period, "collector-activity": period,
        "approval-queue": {},
    }  # fmt: skip


def addresses(value: Any, name: str = "") -> list[str]:
    """Return every address that stands in a row, however deep."""
    if isinstance(value, dict):
        return [url for part, one in value.items() for url in addresses(one, part)]
    if isinstance(value, list):
        return [url for one in value for url in addresses(one, name)]
    return [str(value)] if name.endswith("url") and value is not None else []


async def rich(stage: Stage, month: dict[str, Any]) -> None:
    """Add what rows can name beside customers: a call of a task, a mail that left, and a debtor in two currencies."""
    await stage.customer("C3")
    for currency in ("EUR", "USD"):
        await stage.invoice("70.00", customer="C3", days_overdue=20, currency=currency)
    await stage.remind()
    waiting = [row for row in (await stage.get("/reports/approval-queue"))["data"] if row["customer_external_id"] == "C2"]
    await stage.post(f"/actions/{waiting[0]['action_id']}/approve")
    await stage.settle()
    item = await stage.tenant.value("select item_id from item where tenant_id = $1 and customer_id = $2", stage.tenant_id, month["C1"])
    task = await call_task(stage, month["C1"], item)
    await stage.post(f"/actions/{task}/call-outcome", {"outcome": "reached", "text": "=1+1"}, status=201)


async def test_every_row_of_every_report_and_file_links_to_objects_that_answer(stage: Stage, month: dict[str, Any]) -> None:
    """S3-21: customers, open items, actions, activities, people; in a file the addresses are whole. One that leads nowhere is the control."""
    await rich(stage, month)
    for report, query in [*queries(month).items(), ("/customers", {})]:
        path = report if report.startswith("/") else f"/reports/{report}"
        rows = (await stage.get(path, **query))["data"]
        lines = list(csv.DictReader(io.StringIO((await stage.api.get(f"/v1{path}.csv", params=query)).text)))
        assert rows, report
        assert all(addresses(row) for row in rows), report
        inside = {url for row in rows for url in addresses(row)}
        whole = {
            url
            for line in lines
            for name, cell in line.items()
            for url in ([cell] if name.endswith("url") and cell else re.findall(r"url: ([^,;]+)", cell or ""))
        }
        assert whole == {f"{PUBLIC}{url}" for url in inside}, report
        for url in sorted(whole):
            assert (await stage.api.get(url)).status_code == 200, (report, url)
    kinds = {
        url.split("/")[2]
        for report, query in queries(month).items()
        for row in (await stage.get(f"/reports/{report}", **query))["data"]
        for url in addresses(row)
    }
    assert kinds == {"customers", "ledgers", "actions", "activities", "people"}
    assert (await stage.api.get(f"{PUBLIC}/v1/actions/{new_id()}")).status_code == 404


async def test_every_report_is_a_file_with_the_same_rows_that_is_safe_to_open(stage: Stage, month: dict[str, Any]) -> None:
    for report, query in queries(month).items():
        answer = await stage.api.get(f"/v1/reports/{report}.csv", params=query)
        assert answer.status_code == 200, (report, answer.text)
        rows = (await stage.get(f"/reports/{report}", **query))["data"]
        assert len(answer.text.splitlines()) == 1 + len(rows), report
        assert not any(cell.startswith("=") for line in csv.reader(io.StringIO(answer.text)) for cell in line), report


@pytest.mark.parametrize("path", ["/reports/action-control", "/reports/customers-without-action", "/customers"])
async def test_a_file_has_a_line_a_currency_with_plain_amounts_beside_it(stage: Stage, month: dict[str, Any], path: str) -> None:
    """Who owes in two currencies has two lines, whose amounts a program adds up as they are; flags are true and false, days ISO 8601."""
    await rich(stage, month)
    query = {"without_action_since": "2026-12-31"}
    lines = list(csv.DictReader(io.StringIO((await stage.api.get(f"/v1{path}.csv", params=query)).text)))
    rows = (await stage.get(path, **query))["data"]
    assert [(line["external_id"], line["currency"]) for line in lines] == [(row["external_id"], owed["currency"]) for row in rows for owed in row["owed"]]
    assert [line["currency"] for line in lines if line["external_id"] == "C3"] == ["EUR", "USD"]
    for column in ("overdue", "not_due", "disputed"):
        assert [Decimal(line[column]) for line in lines] == [Decimal(owed[column]["amount"]) for row in rows for owed in row["owed"]], column
    assert [dt.date.fromisoformat(line["oldest_due_on"]).isoformat() for line in lines] == [row["oldest_due_on"] for row in rows for _ in row["owed"]]
    assert [line["name"] for line in lines if line["external_id"] == "C1"] == ["'=C1"]


async def test_flags_and_totals_of_files_are_read_by_programs(stage: Stage, month: dict[str, Any]) -> None:
    await rich(stage, month)
    people = list(csv.DictReader(io.StringIO((await stage.api.get("/v1/reports/collector-activity.csv", params=month["period"])).text)))
    assert {line["active"] for line in people} == {"true"}
    waiting = list(csv.DictReader(io.StringIO((await stage.api.get("/v1/reports/approval-queue.csv")).text)))
    assert [(line["customer_external_id"], line["currency"], line["amount"]) for line in waiting] == [
        ("C1", "EUR", "100.00"),
        ("C3", "EUR", "70.00"),
        ("C3", "USD", "70.00"),
    ]


async def test_a_row_without_amounts_has_one_line(stage: Stage, month: dict[str, Any]) -> None:
    await stage.customer("C9")
    lines = list(csv.DictReader(io.StringIO((await stage.api.get("/v1/customers.csv", params={"name": "customer c9"})).text)))
    assert [(line["external_id"], line["currency"], line["overdue"], line["open_items"]) for line in lines] == [("C9", "", "", "0")]


async def test_what_was_done_is_what_the_explorer_calls_an_action_and_none_of_it_is_without_action(stage: Stage, month: dict[str, Any]) -> None:
    """S3-11, S3-12: over a small world, for each day, whoever has nothing done is whom the search without action finds."""
    await rich(stage, month)
    today = await stage.today()
    silent = await stage.customer("C4")
    await stage.invoice(customer="C4", days_overdue=5)
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute(
            """insert into activity (tenant_id, activity_id, ledger_id, customer_id, kind, actor, business_at)
               select $1, gen_random_uuid(), $2, $3, k, 'schedule', now() from unnest('{promise_broken,dispute_resolved,promise_kept}'::text[]) k""",
            stage.tenant_id, stage.ledger_id, silent,
        )  # fmt: skip
    await stage.launch(commit_at_once=True)
    seen: set[tuple[bool, ...]] = set()
    for days in (-1, 0, 1, 2, 3, 5):
        since = str(today - dt.timedelta(days=days))
        controlled = {row["external_id"]: row["done"] for row in (await stage.get("/reports/action-control", since=since))["data"]}
        without = {row["external_id"] for row in (await stage.get("/reports/customers-without-action", without_action_since=since))["data"]}
        assert {code for code, done in controlled.items() if not done} == without, since
        assert all(one["on"] >= since for done in controlled.values() for one in done)
        seen.add(tuple(code in without for code in sorted(controlled)))
    assert len(seen) > 1, "the days tell customers apart"
    done = {row["external_id"]: row["done"] for row in (await stage.get("/reports/action-control"))["data"]}
    assert done["C4"] == []
    assert [(one["kind"], one["what"], one["contact"]) for one in done["C2"]] == [("action", "first", True)]
    assert {(one["kind"], one["what"], one["outcome"]) for one in done["C1"]} == {
        ("activity", "call", "no_answer"), ("activity", "call", "reached"),
    }, "the call by which the task was completed is the task, counted once"  # fmt: skip
    assert [one["contact"] for one in done["C1"] if one["outcome"] == "no_answer"] == [False]
    last = {row["external_id"]: row["last_action"] for row in (await stage.get("/customers"))["data"]}
    assert {code: one and one["id"] for code, one in last.items()} == {code: of[0]["id"] if of else None for code, of in done.items()}


async def test_control_a_report_that_counts_what_the_software_notes_disagrees(stage: Stage, month: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The definition of this report alone widened: whom nobody spoke to seems looked after, and the comparison finds it."""
    monkeypatch.setattr(control_store, "_DONE", control_store._DONE.replace("n.action_id is null and n.kind not in", "n.action_id is null or n.kind in"))
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute(
            """insert into activity (tenant_id, activity_id, ledger_id, customer_id, kind, actor, business_at)
               values ($1, gen_random_uuid(), $2, $3, 'promise_broken', 'schedule', now())""",
            stage.tenant_id, stage.ledger_id, month["C2"],
        )  # fmt: skip
    controlled = {row["external_id"]: row["done"] for row in (await stage.get("/reports/action-control", since="2020-01-01"))["data"]}
    without = {row["external_id"] for row in (await stage.get("/reports/customers-without-action", without_action_since="2020-01-01"))["data"]}
    assert {code for code, done in controlled.items() if not done} != without


async def test_a_call_reached_somebody_where_its_outcome_says_so(stage: Stage, month: dict[str, Any]) -> None:
    """No outcome says nothing; each outcome that names what was said counts."""
    before = (await stage.get("/reports/collector-activity", **month["period"]))["data"][0]
    for outcome, counts in ((None, 0), ("no_answer", 0), ("wrong_number", 0), ("reached", 1), ("other", 1)):
        body = {"kind": "call", "text": "Hello"} | ({"outcome": outcome} if outcome else {})
        await stage.api.post(f"/v1/customers/{month['C1']}/activities", json=body, headers={HEADER: month["anna"]})
        after = (await stage.get("/reports/collector-activity", **month["period"]))["data"][0]
        assert (after["calls"] - before["calls"], after["reached"] - before["reached"]) == (1, counts), outcome
        before = after


async def test_who_only_looks_on_is_no_collector(stage: Stage, month: dict[str, Any]) -> None:
    """Viewers, counsel and operators are not listed; admins, managers and account managers are."""
    for role in ("admin", "manager", "account_manager", "viewer", "counsel", "operator"):
        await stage.post("/people", {"name": role, "email": f"{role}@acme.example", "role": role}, status=201)
    names = {row["name"] for row in (await stage.get("/reports/collector-activity", **month["period"]))["data"]}
    assert names == {"anna", "admin", "manager", "account_manager"}


async def test_reports_take_the_same_statements_for_one_row_as_for_many_and_pages_follow_one_another(stage: Stage, month: dict[str, Any]) -> None:
    await person(stage, "bruno")
    for report, query in queries(month).items():
        whole = (await stage.get(f"/reports/{report}", **query))["data"]
        seen: list[Any] = []
        counts = set()
        cursor = None
        while True:
            log: list[str] = []
            token = statement_log.set(log)
            page = await stage.get(f"/reports/{report}", limit=1, **query, **({"cursor": cursor} if cursor else {}))
            statement_log.reset(token)
            counts.add(len(log))
            seen += page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == whole, report
        assert len(whole) == 2, report
        assert len(counts) == 1, (report, counts)


async def test_a_row_lists_the_items_that_its_sums_are_made_of_and_no_credit(stage: Stage, month: dict[str, Any]) -> None:
    """S3-21, S3-06."""
    await stage.credit("30.00", customer="C1")
    today = await stage.today()
    rows = [
        *(await stage.get("/customers", name="=c1"))["data"],
        *(await stage.get("/reports/action-control"))["data"],
        *(await stage.get("/reports/customers-without-action", without_action_since=str(today + dt.timedelta(days=1))))["data"],
    ]
    assert [row["external_id"] for row in rows].count("C1") == 3
    for row in rows:
        items = (await stage.api.get(row["items_url"])).json()["data"]
        assert len(items) == row["open_items"]
        (owed,) = row["owed"]
        assert sum(Decimal(item["open_amount"]["amount"]) for item in items) == Decimal(owed["overdue"]["amount"]) + Decimal(owed["not_due"]["amount"])


async def test_a_task_counts_for_whoever_completed_it(stage: Stage, month: dict[str, Any]) -> None:
    """S3-23: Bruno did Anna's task and one of nobody's, Anna one of Bruno's; what software completed is nobody's work."""
    bruno = await person(stage, "bruno")
    item = await stage.invoice(customer="C1", days_overdue=1)
    for owner, who in ((month["anna"], bruno), (None, bruno), (bruno, month["anna"]), (month["anna"], None)):
        task = await call_task(stage, month["C1"], item, **({"person_id": owner} if owner else {}))
        assert (await stage.action(task))["completed_by"] is None
        answer = await stage.api.post(f"/v1/actions/{task}/complete", json={}, headers={HEADER: who} if who else {})
        assert answer.status_code == 200, answer.text
        done = await stage.action(task)
        expected = (f"person:{who}", "bruno" if who == bruno else "anna") if who else ("key:all", "key:all")
        assert (done["completed_by"], done["completed_by_name"]) == expected
        await call_task(stage, month["C1"], item)
    rows = (await stage.get("/reports/collector-activity", **month["period"]))["data"]
    assert {row["name"]: row["completed"] for row in rows} == {"anna": 1, "bruno": 2}
    before = {"from": "2026-01-01", "to": "2026-01-31"}
    assert {row["completed"] for row in (await stage.get("/reports/collector-activity", **before))["data"]} == {0}
