"""The full record of a customer in one request (row S2-06)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from dunning.collection.customer_record import PARTS
from dunning.kit.database import statement_log
from dunning_api.acting import HEADER
from dunning_api.schemas.customer_record import EXAMPLE, FullCustomerRecord
from tests.collection.agreements import promise
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_agenda import call_task, leads, person

EVERYTHING = ",".join(PARTS)


@pytest.fixture
async def known(stage: Stage) -> dict[str, Any]:
    """A covered customer with a collector, two reminded invoices, one yet to come, a promise, a hold, a block, and a declaration to make."""
    declare = {"kind": "declare_to_insurer", "when": "executed"}
    made = await stage.open(scenario(step(10, "first", 1, operations=[declare]), step(20, "second", 20, mode="approve")))
    cover = {"state": "active", "until_on": "2026-03-31", "reference": "POL-1"}
    customer = await stage.customer("C1", insurance_cover=cover)
    anna = await person(stage, "anna")
    await leads(stage, customer, anna)
    items = [await stage.invoice("100.00", days_overdue=5), await stage.invoice("50.00", days_overdue=40), await stage.invoice("70.00", days_overdue=-10)]
    await stage.remind()
    await promise(stage, customer, "50.00", items[0])
    await stage.hold(item_id=items[1], reason="talks")
    await stage.post("/account-blocks", {"customer_id": str(customer), "item_ids": [str(items[1])], "degree": "no_new_orders", "reason": "old"}, status=201)
    return {"customer": customer, "items": items, "anna": anna, "scenario": str(made.scenario_id), "path": f"/customers/{customer}"}


async def test_one_request_tells_everything_known_about_a_customer(stage: Stage, known: dict[str, Any]) -> None:
    """S2-06."""
    today = await stage.today()
    record = await stage.get(known["path"], expand=EVERYTHING)
    assert [contact["email"] for contact in record["contacts"]] == ["ap@c1.example"]
    terms = record["terms"]
    policy = terms["policy"]
    assert (policy["decided_by"], policy["policy"], policy["scenario_id"], policy["scenario_version"]) == ("ledger", "scenario", known["scenario"], 1)
    assert terms["days_granted"] == {"usual": 30, "shortest": 30, "longest": 30, "items": 3}
    assert [(hold["reason"], hold["scope"]) for hold in terms["holds"]] == [("talks", "item")]
    assert [block["degree"] for block in terms["blocks"]] == ["no_new_orders"]
    assert record["insurance"]["covered_today"] is True
    assert [(notice["kind"], notice["state"]) for notice in record["insurance"]["notices"]] == [("declare_to_insurer", "waiting")]
    assert (await stage.api.get(record["insurance"]["notices"][0]["url"])).status_code == 200
    assert (record["collector"]["lead_id"], record["collector"]["assignments"][0]["person_name"]) == (known["anna"], "anna")
    (euros,) = record["position"]["currencies"]
    assert (euros["overdue"]["amount"], euros["not_due"]["amount"], euros["promised"]["amount"]) == ("150.00", "70.00", "50.00")
    agenda = record["agenda"]
    assert agenda["current_step"] == "first"
    assert {action["step_code"] for action in agenda["actions"] if action["state"] == "planned"} == {"first", "second"}
    assert [action["state"] for action in agenda["actions"] if action["step_code"] is None] == ["waiting"], "the declaration is somebody's task"
    assert all(action["on"] >= str(today) for action in agenda["actions"])


async def test_a_part_with_an_address_of_its_own_is_what_that_address_answers(stage: Stage, known: dict[str, Any]) -> None:
    record = await stage.get(known["path"], expand=EVERYTHING)
    assert record["collector"] == await stage.get(f"{known['path']}/collectors")
    assert record["position"] == await stage.get(f"{known['path']}/position")
    assert record["agenda"] == await stage.get(f"{known['path']}/agenda")


async def test_without_expand_the_record_is_what_was_stated_and_parts_come_by_name(stage: Stage, known: dict[str, Any]) -> None:
    plain = await stage.get(known["path"])
    assert len(plain["contacts"]) == 1
    assert [name for name in PARTS if name != "contacts" and plain[name] is not None] == []
    for name in PARTS:
        record = await stage.get(known["path"], expand=name)
        assert record[name] is not None
        assert {other for other in PARTS if record[other] is not None} == {"contacts", name}
    repeated = await stage.get(known["path"], expand=["terms", "position,terms"])
    assert (repeated["terms"] is None, repeated["position"] is None, repeated["agenda"] is None) == (False, False, True)


async def test_an_unknown_part_is_refused_by_an_answer_that_names_the_known_ones(stage: Stage, known: dict[str, Any]) -> None:
    for wrong in ("orders", "terms,orders", "Terms", "", "terms,"):
        answer = await stage.api.get(f"/v1{known['path']}", params={"expand": wrong})
        assert answer.status_code == 422, wrong
        (error,) = answer.json()["errors"]
        assert error["field"].endswith("expand")
        assert all(name in error["message"] for name in PARTS), error


async def test_a_record_takes_the_same_statements_however_much_there_is_to_tell(stage: Stage, known: dict[str, Any]) -> None:
    """House style 28."""

    async def statements(**query: str) -> int:
        log: list[str] = []
        token = statement_log.set(log)
        await stage.get(known["path"], **query)
        statement_log.reset(token)
        return len(log)

    await statements(expand=EVERYTHING)
    before = await statements(expand=EVERYTHING)
    for n in range(3):
        await stage.invoice("30.00", days_overdue=3 + n)
        await stage.hold(customer_id=known["customer"], reason=f"talks-{n}")
        await call_task(stage, known["customer"], known["items"][2], days=n)
    assert await statements(expand=EVERYTHING) == before <= 18
    key_and_record = await statements()
    assert {await statements(expand=name) - key_and_record for name in ("insurance", "position")} == {2}


async def test_a_colleague_of_another_team_finds_nobody_and_cover_ends_with_its_last_day(stage: Stage, known: dict[str, Any]) -> None:
    bruno = await person(stage, "bruno", role="collector", sees="own")
    answer = await stage.api.get(f"/v1{known['path']}", params={"expand": EVERYTHING}, headers={HEADER: bruno})
    assert answer.status_code == 404
    own = await stage.api.get(f"/v1{known['path']}", params={"expand": EVERYTHING}, headers={HEADER: known["anna"]})
    assert own.status_code == 200
    for days, covered in ((29, True), (30, False)):
        await stage.tenant.set_clock(dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC) + dt.timedelta(days=days))
        assert (await stage.get(known["path"], expand="insurance"))["insurance"]["covered_today"] is covered


def test_the_documented_example_is_an_answer() -> None:
    FullCustomerRecord.model_validate(EXAMPLE)
