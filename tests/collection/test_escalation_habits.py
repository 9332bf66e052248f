"""Customers who always pay just before the next step (row D-12)."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from typing import Any

import pytest

from dunning.kit.database import statement_log
from dunning.reports import escalations
from dunning_api.acting import HEADER
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_agenda import leads, person

REPORT = "/reports/paid-before-escalation"
LADDER = scenario(step(10, "01", 1), step(20, "02", 8), step(30, "03", 15))


async def pay_after(stage: Stage, days: dict[str, list[int]]) -> dict[str, Any]:
    """Give each customer one invoice of 100.00 a number of days, due today; walk the nights, and let each be paid so many days after its due date."""
    begins = await stage.today()
    due = [(after, customer, await stage.invoice("100.00", customer=customer, days_overdue=0)) for customer, some in days.items() for after in some]
    for after, customer, item in sorted(due, key=lambda one: one[0]):
        passed = (await stage.today() - begins).days
        if after > passed:
            await stage.advance(days=after - passed)
        await stage.pay("100.00", item, customer=customer)
    return {"from": str(begins), "to": str(begins + dt.timedelta(days=60))}


@pytest.fixture
async def payers(stage: Stage) -> dict[str, Any]:
    """C1 pays a day before 03 three times, C2 at any time, C3 before any reminder; steps come 1, 8 and 15 days after the due date."""
    await stage.open(LADDER)
    ids: dict[str, Any] = {code: await stage.customer(code) for code in ("C1", "C2", "C3")}
    ids["anna"] = await person(stage, "anna")
    await leads(stage, ids["C1"], ids["anna"])
    ids["period"] = await pay_after(stage, {"C1": [14, 14, 14], "C2": [3, 5, 10, 14], "C3": [0, 0, 0]})
    return ids


async def found(stage: Stage, payers: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    """Return the rows of the report."""
    return list((await stage.get(REPORT, **payers["period"], **query))["data"])


async def test_who_pays_a_day_before_the_next_step_is_listed_and_who_pays_at_random_or_at_once_is_not(stage: Stage, payers: dict[str, Any]) -> None:
    """D-12."""
    (row,) = await found(stage, payers)
    assert (row["customer_external_id"], row["collector_name"]) == ("C1", "anna")
    assert (row["items_settled"], row["items_just_before"], row["share_percent"]) == (3, 3, 100)
    assert (row["step_reached"], row["step_avoided"], row["average_days_overdue"]) == ("02", "03", 14)
    assert row["totals"] == [{"amount": "300.00", "currency": "EUR"}]
    due_on = dt.date.fromisoformat(payers["period"]["from"])
    for last in row["last"]:
        assert (last["due_on"], last["paid_on"], last["next_on"]) == tuple(str(due_on + dt.timedelta(days=n)) for n in (0, 14, 15))
        assert last["days_before"] == 1
        for url in (last["item_url"], last["action_url"]):
            assert (await stage.api.get(url)).status_code == 200
        assert (await stage.action(last["action_url"].rsplit("/", 1)[-1]))["step_code"] == "02"
    assert (await stage.api.get(row["customer_url"])).status_code == 200


async def test_control_a_next_step_that_always_comes_the_day_after_makes_a_habit_of_everything(
    stage: Stage, payers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(escalations, "next_step", lambda *given: ("03", given[-1] + 1))
    assert [row["customer_external_id"] for row in await found(stage, payers)] == ["C1", "C2"]


async def test_what_is_just_before_and_what_a_habit_is_can_be_said(stage: Stage, payers: dict[str, Any]) -> None:
    """Below, at and above each limit. C2 paid 5 and 3 days before 02, then 5 and 1 before 03."""
    codes = {"days": (0, 1, 2), "at_least": (2, 3, 4), "share_gte": (99, 100)}
    expected = {"days": ([], ["C1"], ["C1"]), "at_least": (["C1"], ["C1"], []), "share_gte": (["C1"], ["C1"])}
    for name, values in codes.items():
        for value, listed in zip(values, expected[name], strict=True):
            assert [row["customer_external_id"] for row in await found(stage, payers, **{name: value})] == listed, (name, value)
    random = [row for row in await found(stage, payers, at_least=1, share_gte=25) if row["customer_external_id"] == "C2"]
    assert [(row["items_settled"], row["items_just_before"], row["share_percent"]) for row in random] == [(4, 1, 25)]
    assert [row["customer_external_id"] for row in await found(stage, payers, at_least=1, share_gte=26)] == ["C1"]
    both = {row["customer_external_id"]: row["items_just_before"] for row in await found(stage, payers, days=3, at_least=2, share_gte=50)}
    assert both == {"C1": 3, "C2": 2}


async def test_the_period_the_ledger_and_the_collector_narrow_it(stage: Stage, payers: dict[str, Any]) -> None:
    paid = dt.date.fromisoformat(payers["period"]["from"]) + dt.timedelta(days=14)
    for begins, ends, number in ((paid, paid, 1), (paid + dt.timedelta(days=1), paid + dt.timedelta(days=9), 0), (paid - dt.timedelta(days=9), paid, 1)):
        assert len((await stage.get(REPORT, **{"from": str(begins), "to": str(ends)}))["data"]) == number
    bruno = await person(stage, "bruno", sees="own")
    assert len(await found(stage, payers, ledger=str(stage.ledger_id))) == 1
    assert len(await found(stage, payers, collector=payers["anna"])) == 1
    assert await found(stage, payers, collector=bruno) == []
    for query, status in (({"ledger": payers["anna"]}, 404), ({"to": "2020-01-01"}, 422), ({"days": 31}, 422), ({"share_gte": 0}, 422)):
        assert (await stage.api.get(f"/v1{REPORT}", params={**payers["period"], **query})).status_code == status, query
    unseen = await stage.api.get(f"/v1{REPORT}", params=payers["period"], headers={HEADER: bruno})
    assert unseen.json()["data"] == []


async def test_a_returned_payment_is_none_and_a_credit_note_is_no_payment(stage: Stage, payers: dict[str, Any]) -> None:
    receipts = [
        row["receipt_id"]
        for row in await stage.tenant.rows("select r.receipt_id from receipt r join customer c using (tenant_id, customer_id) where c.external_id = 'C1'")
    ]
    await stage.payment_returns(receipts[0])
    assert [row["items_just_before"] for row in await found(stage, payers, at_least=2)] == [2]
    assert await found(stage, payers) == []


async def test_pages_follow_customers_and_each_takes_the_same_statements_and_the_file_has_the_same_rows(stage: Stage, payers: dict[str, Any]) -> None:
    """House style 28. A page looks at `limit` customers and leaves out those without the habit."""
    query = {**payers["period"], "at_least": 2, "share_gte": 50, "days": 3}
    whole = (await stage.get(REPORT, **query))["data"]
    assert [row["customer_external_id"] for row in whole] == ["C1", "C2"]
    seen: list[Any] = []
    counts, cursor = set(), None
    while True:
        log: list[str] = []
        token = statement_log.set(log)
        page = await stage.get(REPORT, limit=1, **query, **({"cursor": cursor} if cursor else {}))
        statement_log.reset(token)
        counts.add(len(log))
        seen += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == whole
    log = []
    token = statement_log.set(log)
    await stage.get(REPORT, **query)
    statement_log.reset(token)
    assert len(counts | {len(log)}) <= 2, (counts, len(log))
    assert max(counts | {len(log)}) <= 7
    answer = await stage.api.get(f"/v1{REPORT}.csv", params=query)
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [line["customer_external_id"] for line in lines] == ["C1", "C2"]
    assert [{"amount": line["amount"], "currency": line["currency"]} for line in lines] == [total for row in whole for total in row["totals"]]


async def test_every_address_in_the_file_leads_to_an_object(stage: Stage, payers: dict[str, Any]) -> None:
    """S3-21: the customer, and of each time the item and the reminder, as whole addresses."""
    (row,) = await found(stage, payers)
    answer = await stage.api.get(f"/v1{REPORT}.csv", params=payers["period"])
    (line,) = csv.DictReader(io.StringIO(answer.text))
    urls = re.findall(r"http://testserver(/v1/[^,; ]+)", " ".join(line.values()))
    assert sorted(urls) == sorted([row["customer_url"], *(last[name] for last in row["last"] for name in ("item_url", "action_url"))])
    for url in urls:
        assert (await stage.api.get(url)).status_code == 200, url


async def test_a_step_that_something_held_back_was_not_forestalled(stage: Stage) -> None:
    """03 would have come long ago: whoever pays while a hold lasts has not waited for it. Without the hold, and paid in time, is the control."""
    await stage.open(LADDER)
    held, free = [await stage.customer(code) for code in ("C1", "C2")]
    begins = await stage.today()
    items = {code: await stage.invoice("100.00", customer=code, days_overdue=0) for code in ("C1", "C2")}
    await stage.advance(days=9)
    await stage.hold(customer_id=held, reason="talks")
    await stage.advance(days=5)
    await stage.pay("100.00", items["C2"], customer="C2")
    await stage.advance(days=6)
    await stage.pay("100.00", items["C1"], customer="C1")
    period = {"from": str(begins), "to": str(begins + dt.timedelta(days=60))}
    assert [row["customer_id"] for row in (await stage.get(REPORT, **period, at_least=1, days=30))["data"]] == [str(free)]
