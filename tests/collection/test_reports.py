"""The control reports (rows S3-11, S3-12, S3-21, S3-23; issue 3, item 7): each row links to its objects, each report is also a file."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from dunning.kit.database import statement_log
from dunning.kit.ids import new_id
from dunning_api.acting import HEADER
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_agenda import leads, person


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
    answer = await stage.api.get("/v1/reports/collector-activity", params={"from": "2026-03-02", "to": "2026-03-01"})
    assert answer.status_code == 422


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


async def test_every_row_links_to_objects_that_answer(stage: Stage, month: dict[str, Any]) -> None:
    """S3-21."""
    for report, query in queries(month).items():
        rows = (await stage.get(f"/reports/{report}", **query))["data"]
        assert rows, report
        for row in rows:
            urls = [value for name, value in row.items() if name.endswith("url")] + [done["url"] for done in row.get("done", [])]
            assert urls
            for url in urls:
                assert (await stage.api.get(url)).status_code == 200, (report, url)


async def test_every_report_is_a_file_with_the_same_rows_that_is_safe_to_open(stage: Stage, month: dict[str, Any]) -> None:
    for report, query in queries(month).items():
        answer = await stage.api.get(f"/v1/reports/{report}.csv", params=query)
        assert answer.status_code == 200, (report, answer.text)
        rows = (await stage.get(f"/reports/{report}", **query))["data"]
        assert len(answer.text.splitlines()) == 1 + len(rows), report
        assert not any(cell.startswith("=") for line in answer.text.splitlines() for cell in line.split(",")), report


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
