"""The agenda of a collector's day (rows S4-17, S4-18): what is due, overdue, to approve and to do, and why."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from dunning.kit.database import statement_log
from dunning_api.acting import HEADER
from tests.collection.stage import Stage, scenario, step

CALL = {"kind": "task", "task_kind": "call", "task_text": "Ask when it will be paid."}


async def person(stage: Stage, name: str, **values: Any) -> str:
    """Make a collector and return the id."""
    made = await stage.post("/people", {"name": name, "email": f"{name}@acme.example", "role": "collector", "sees": "all", **values}, status=201)
    return str(made["person_id"])


async def leads(stage: Stage, customer: object, person_id: str) -> None:
    """Give a customer to a collector."""
    answer = await stage.api.put(f"/v1/customers/{customer}/collectors", json={"lead_id": person_id})
    assert answer.status_code == 200, answer.text


async def call_task(stage: Stage, customer: object, item: object, *, days: int = 0, **terms: Any) -> str:
    """Make a call task outside the scenario some days from now."""
    on = ((await stage.today()) + dt.timedelta(days=days)).isoformat()
    body = {"title": "Call", "content": CALL, "item_ids": [str(item)], "origin": "ad_hoc", "scheduled_on": on, **terms}
    made = await stage.post(f"/customers/{customer}/actions", body, status=201)
    return str(made["action_id"])


@pytest.fixture
async def desk(stage: Stage) -> dict[str, Any]:
    """Two collectors with a customer each; a step that needs approval, calls of yesterday, today and tomorrow."""
    await stage.open(scenario(step(10, "first", 1, mode="approve")))
    ids: dict[str, Any] = {"anna": await person(stage, "anna"), "bruno": await person(stage, "bruno")}
    for code, who in (("C1", "anna"), ("C2", "bruno")):
        ids[code] = await stage.customer(code)
        await leads(stage, ids[code], ids[who])
        ids[f"item {code}"] = await stage.invoice(customer=code, days_overdue=5)
    await stage.remind()
    ids["yesterday"] = await call_task(stage, ids["C1"], ids["item C1"])
    await stage.advance(days=1)
    ids["today"] = await call_task(stage, ids["C1"], ids["item C1"])
    ids["tomorrow"] = await call_task(stage, ids["C1"], ids["item C1"], days=1)
    return ids


def found(page: dict[str, Any]) -> list[str]:
    """Return the ids of a page."""
    return [entry["action_id"] for entry in page["data"]]


async def test_the_agenda_of_a_collector_holds_their_work_by_day_with_the_count_of_each_bucket(stage: Stage, desk: dict[str, Any]) -> None:
    page = await stage.get("/agenda", person=desk["anna"])
    approvals = [entry for entry in page["data"] if entry["state"] == "awaiting_approval"]
    assert len(approvals) == 1
    assert set(found(page)) == {approvals[0]["action_id"], desk["yesterday"], desk["today"], desk["tomorrow"]}
    assert page["counts"] == {"due": 1, "overdue": 2, "coming": 1, "to_approve": 1, "to_do": 3}
    assert [entry["scheduled_on"] for entry in page["data"]] == sorted(entry["scheduled_on"] for entry in page["data"])
    assert (approvals[0]["why"], approvals[0]["days_late"], approvals[0]["customer_name"]) == ("waits_for_approval", 1, "Customer C1")
    assert approvals[0]["totals"] == [{"amount": "100.00", "currency": "EUR"}]
    assert (approvals[0]["items"], approvals[0]["step_code"]) == (1, "first")
    assert page["person_ids"] == [desk["anna"]]


async def test_each_bucket_holds_what_its_count_says(stage: Stage, desk: dict[str, Any]) -> None:
    counts = (await stage.get("/agenda", ledger=str(stage.ledger_id)))["counts"]
    for bucket, count in counts.items():
        assert len((await stage.get("/agenda", ledger=str(stage.ledger_id), bucket=bucket))["data"]) == count, bucket
    assert found(await stage.get("/agenda", person=desk["anna"], bucket="coming")) == [desk["tomorrow"]]


async def test_the_same_action_id_stands_in_agenda_to_do_list_and_on_the_customers_page(stage: Stage, desk: dict[str, Any]) -> None:
    """S4-17."""
    listed = {one["action_id"] for one in await stage.actions(state="waiting")}
    of_customer = {one["action_id"] for one in await stage.actions(customer=str(desk["C1"]))}
    assert set(found(await stage.get("/agenda", bucket="to_do"))) == listed
    assert set(found(await stage.get("/agenda", person=desk["anna"]))) <= of_customer


async def test_a_team_sees_the_work_of_its_people_and_a_substitute_that_of_who_is_away(stage: Stage, desk: dict[str, Any]) -> None:
    team = await stage.post("/teams", {"code": "north", "name": "North"}, status=201)
    answer = await stage.api.patch(f"/v1/people/{desk['bruno']}", json={"team_id": team["team_id"]}, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text
    assert [entry["person_name"] for entry in (await stage.get("/agenda", team=team["team_id"]))["data"]] == ["bruno"]
    today = await stage.today()
    away = {"from_on": today.isoformat(), "until_on": (today + dt.timedelta(days=3)).isoformat(), "substitute_id": desk["anna"]}
    before = len((await stage.get("/agenda", person=desk["anna"]))["data"])
    await stage.post(f"/people/{desk['bruno']}/absences", away, status=201)
    page = await stage.get("/agenda", person=desk["anna"])
    assert len(page["data"]) == before + 1
    assert page["person_ids"] == [desk["anna"], desk["bruno"]]


async def test_a_key_that_acts_for_somebody_is_shown_their_own_work_unless_everybodys_is_asked_for(stage: Stage, desk: dict[str, Any]) -> None:
    headers = {HEADER: desk["bruno"]}
    own = (await stage.api.get("/v1/agenda", headers=headers)).json()
    assert {entry["person_id"] for entry in own["data"]} == {desk["bruno"]}
    every = (await stage.api.get("/v1/agenda", params={"everybody": "true"}, headers=headers)).json()
    assert {entry["person_id"] for entry in every["data"]} == {desk["anna"], desk["bruno"]}


async def test_an_unknown_person_team_or_ledger_is_not_found(stage: Stage, desk: dict[str, Any]) -> None:
    unknown = "0198c0de-0000-7000-8000-000000000001"
    for name in ("person", "team", "ledger"):
        assert (await stage.api.get("/v1/agenda", params={name: unknown})).status_code == 404, name


async def test_pages_of_the_agenda_follow_one_another_and_take_the_same_statements_for_one_row_as_for_many(stage: Stage, desk: dict[str, Any]) -> None:
    for query in ({"person": desk["anna"]}, {"ledger": str(stage.ledger_id)}):
        whole = found(await stage.get("/agenda", **query))
        pages: list[str] = []
        counts = set()
        cursor = None
        while True:
            log: list[str] = []
            token = statement_log.set(log)
            page = await stage.get("/agenda", limit=1, **query, **({"cursor": cursor} if cursor else {}))
            statement_log.reset(token)
            counts.add(len(log))
            pages += found(page)
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert pages == whole
        log = []
        token = statement_log.set(log)
        await stage.get("/agenda", **query)
        statement_log.reset(token)
        assert counts == {len(log)}
