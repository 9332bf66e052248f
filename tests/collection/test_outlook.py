"""Looking ahead and explaining agree with what the nights then do."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from dunning.collection import ledger_days, outlook
from tests.collection.stage import Stage, scenario, step


async def test_the_agenda_is_what_then_happens(stage: Stage) -> None:
    """S2-09: future steps with their days, planned by the rule itself; a month later they have come on those days."""
    await stage.open("claims")
    customer = await stage.customer()
    await stage.invoice(days_overdue=-3)
    await stage.invoice("50.00", days_overdue=2)
    agenda = await stage.get(f"/customers/{customer}/agenda", days=28)
    expected = [(a["on"], a["step_code"]) for a in agenda["actions"]]
    assert len(expected) >= 5
    await stage.remind()
    await stage.advance(days=28)
    assert [(a["completed_on"], a["step_code"]) for a in await stage.actions()] == expected


async def test_explain_names_step_conditions_blockers_and_first_day(stage: Stage) -> None:
    """D-01, B-03: for an item that is not yet due, one that is held, and one that goes today; later days can be asked for."""
    await stage.open("claims")
    customer = await stage.customer()
    due, early = await stage.invoice(days_overdue=9), await stage.invoice(days_overdue=-9)
    now = await stage.get(f"/items/{due}/explain")
    assert (now["may_be_dunned"], now["candidate_step"], now["blockers"], now["first_day"]) == (True, "02", [], "2026-03-02")
    assert {"step_code": "01", "reason": "window_passed"} in now["passed_over"]
    later = await stage.get(f"/items/{early}/explain")
    assert (later["may_be_dunned"], later["blockers"], later["first_day"]) == (False, ["NOT_YET"], "2026-03-04")
    assert (await stage.get(f"/items/{early}/explain", at="2026-03-04"))["may_be_dunned"]
    await stage.hold(customer_id=customer, item_id=due, until_on=dt.date(2026, 3, 5))
    held = await stage.get(f"/items/{due}/explain")
    assert (held["blockers"], held["first_day"]) == (["HELD"], "2026-03-06")
    whole = await stage.get(f"/customers/{customer}/explain")
    assert [i["item_id"] for i in whole["items"]] == [str(due), str(early)]
    answer = await stage.api.get(f"/v1/items/{due}/explain", params={"at": "2026-03-01"})
    assert answer.status_code == 422


async def test_a_settled_item_has_nothing_to_explain(stage: Stage) -> None:
    """D-01: 409 with a reason a person understands."""
    await stage.open("claims")
    await stage.customer()
    item = await stage.invoice()
    await stage.pay("100.00")
    answer = await stage.api.get(f"/v1/items/{item}/explain")
    assert (answer.status_code, answer.json()["code"]) == (409, "item_not_open")


async def test_forewarning_says_what_goes_out_next_and_who_cannot_be_reached(stage: Stage) -> None:
    """B-27, D-18: within a fortnight, with the day; no address is named before it matters."""
    await stage.open("claims")
    await stage.customer("C1")
    await stage.invoice(customer="C1", days_overdue=-2)
    await stage.customer("MUTE", emails=[])
    await stage.invoice(customer="MUTE", days_overdue=0)
    found = (await stage.get(f"/ledgers/{stage.ledger_id}/forewarning"))["data"]
    assert [(f["external_id"], f["on"], f["step_code"], f["problem"]) for f in found] == [
        ("C1", "2026-03-02", "00", None),
        ("C1", "2026-03-05", "01", None),
        ("C1", "2026-03-12", "02", None),
        ("MUTE", "2026-03-03", "01", "no_address"),
        ("MUTE", "2026-03-10", "02", "no_address"),
    ]
    only = (await stage.get(f"/ledgers/{stage.ledger_id}/forewarning", only_problems="true"))["data"]
    assert {f["external_id"] for f in only} == {"MUTE"}


async def test_the_timeline_merges_everything_newest_first_and_pages(stage: Stage) -> None:
    """S2-08, S2-19, S2-28: action, claim, mail, note and receipt in one list; pages without loss or repetition."""
    await stage.open("claims")
    customer = await stage.customer()
    await stage.invoice()
    await stage.remind()
    (action,) = await stage.actions()
    await stage.post(f"/actions/{action['action_id']}/notes", {"text": "They asked for a copy."}, status=201)
    await stage.pay("100.00")
    whole = (await stage.get(f"/customers/{customer}/timeline"))["data"]
    assert [e["kind"] for e in whole] == ["receipt", "activity", "activity", "message", "action"]
    assert whole[1]["data"]["text"] == "They asked for a copy."
    assert whole[0]["data"]["amount"] == {"amount": "100.00", "currency": "EUR"}
    paged, cursor = [], None
    while True:
        page = await stage.get(f"/customers/{customer}/timeline", limit=2, **({"cursor": cursor} if cursor else {}))
        paged += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert paged == whole


async def test_actions_are_found_by_customer_step_day_and_channel(stage: Stage) -> None:
    """S0-16: every filter narrows; paging by cursor."""
    await stage.open("claims")
    first = await stage.customer("C1")
    await stage.customer("C2", emails=[])
    await stage.invoice(customer="C1", days_overdue=0)
    await stage.invoice(customer="C2", days_overdue=0)
    await stage.advance(days=9)
    assert len(await stage.actions()) == 3
    assert {a["customer_id"] for a in await stage.actions(customer=str(first))} == {str(first)}
    assert [a["step_code"] for a in await stage.actions(step="02")] == ["02"]
    assert len(await stage.actions(channel="email")) == 2
    assert [a["state"] for a in await stage.actions(channel="letter")] == ["waiting"]
    assert [a["local_date"] for a in await stage.actions(**{"from": "2026-03-04", "to": "2026-03-10"})] == ["2026-03-10"]


async def test_no_sleeping_customer_is_due(stage: Stage) -> None:
    """D-15, plan 15: a sample of sleepers planned afresh has no action; the control puts one to sleep by hand and it is found."""
    await stage.open(scenario(step(1, "a", 1), step(2, "b", 8)))
    for n in range(6):
        await stage.customer(f"C{n}")
        await stage.invoice(customer=f"C{n}", days_overdue=n - 3)
    await stage.remind()
    await stage.advance(days=5)
    async with stage.tenant.database.reading(stage.tenant_id) as session:
        assert await outlook.sleeping_too_long(session, await stage.tenant.clock(), tenant_id=stage.tenant_id, sample=100) == []
    await stage.customer("HIDDEN")
    await stage.invoice(customer="HIDDEN", days_overdue=3)
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute("update customer_state set review_on = null, planned_revision = 1000 where tenant_id = $1", stage.tenant_id)
    async with stage.tenant.database.reading(stage.tenant_id) as session:
        assert len(await outlook.sleeping_too_long(session, await stage.tenant.clock(), tenant_id=stage.tenant_id, sample=100)) == 1


async def test_sleepers_of_each_ledger_are_looked_at_on_the_day_it_is_there(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """D-15: 2 March has begun on one island and not on the other; an invoice whose step comes that day is found in the first ledger alone, an older one in both.

    The control takes the later day for both ledgers.
    """
    for place, zone in (("east", "Pacific/Kiritimati"), ("west", "Pacific/Pago_Pago")):
        await stage.open(scenario(step(1, "a", 1)), external_id=place, time_zone=zone)
        for days in (0, 1, 2):
            await stage.customer(f"{place}-{days}")
            await stage.invoice(customer=f"{place}-{days}", days_overdue=days)
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute("update customer_state set review_on = null, planned_revision = 1000 where tenant_id = $1", stage.tenant_id)

    async def found(sample: int) -> list[str]:
        async with stage.tenant.database.reading(stage.tenant_id) as session:
            wrong = await outlook.sleeping_too_long(session, await stage.tenant.clock(), tenant_id=stage.tenant_id, sample=sample)
            rows = await session.rows("select external_id from customer where tenant_id = $1 and customer_id = any ($2)", stage.tenant_id, wrong)
        return sorted(row["external_id"] for row in rows)

    assert await found(100) == ["east-1", "east-2", "west-2"]
    assert await found(3) == await found(100), "the sample is of each ledger"
    there = ledger_days.days_of

    async def one_day(*given: Any, **named: Any) -> ledger_days.LedgerDays:
        days = await there(*given, **named)
        return replace(days, todays=(days.latest,) * len(days.todays))

    monkeypatch.setattr(ledger_days, "days_of", one_day)
    assert await found(100) == ["east-1", "east-2", "west-1", "west-2"]
