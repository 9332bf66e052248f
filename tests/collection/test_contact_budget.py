"""The contact budget of a customer and of a person, over scenario, specific, calls and legal together (D-07)."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest

from dunning.collection import contact_budget_store
from dunning.kit.database import statement_log
from dunning.kit.ids import new_id
from dunning_api.acting import HEADER
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_agenda import leads, person

LADDER = scenario(step(10, "01", 1), step(20, "02", 8))
SHARED = ["accounts@office.example"]


async def ask(stage: Stage, path: str, body: Any, *, who: str | None = None) -> Any:
    """Post for a person, and return status and answer."""
    headers = {"Idempotency-Key": str(new_id())} | ({HEADER: who} if who else {})
    answer = await stage.api.post(f"/v1{path}", json=body, headers=headers)
    return answer.status_code, answer.json()


def call(item: Any, **terms: Any) -> dict[str, Any]:
    """Return a call about an item, to be made by hand."""
    return {"item_ids": [str(item)], "title": "Call", "content": {"kind": "task", "task_kind": "call", "task_text": "Ask."}, **terms}


def mail(item: Any, **terms: Any) -> dict[str, Any]:
    """Return a specific mail about an item, to be sent now."""
    return {"item_ids": [str(item)], "title": "Once more", "mode": "automatic", "content": {"kind": "notice"}, **terms}


async def on_the_list(stage: Stage, on: str) -> list[tuple[str, str | None, str | None]]:
    return [(row["external_id"], row["not_before"], row["because"]) for row in (await stage.get(f"/call-lists/{on}"))["data"]]


@pytest.mark.parametrize(("outcome", "waits"), [("reached", True), ("no_answer", False)])
async def test_a_call_that_was_taken_counts_and_is_never_refused(stage: Stage, outcome: str, waits: bool) -> None:
    """Twice, although one is allowed; the reminder waits until the second is out of the window. A call that nobody took is none, the control."""
    await stage.open(LADDER, contact_budget=1, contact_budget_days=5)
    customer = await stage.customer()
    item = await stage.invoice(days_overdue=0)
    for _ in range(2):
        await stage.post(f"/customers/{customer}/activities", {"kind": "call", "outcome": outcome}, status=201)
    await stage.advance(days=1)
    if waits:
        explained = await stage.get(f"/items/{item}/explain")
        assert (explained["blockers"], explained["first_day"]) == (["CONTACT_BUDGET"], "2026-03-07")
        await stage.advance(days=4)
    assert await stage.accepted() == ["01 ap@c1.example"]
    assert await stage.today() == dt.date(2026, 3, 7 if waits else 3)


async def test_a_call_logged_between_plan_and_sending_stops_the_mail(stage: Stage) -> None:
    """The plan was made before the call; what it decided is looked at again."""
    await stage.open(LADDER, contact_budget=1, contact_budget_days=5)
    customer = await stage.customer()
    await stage.invoice(days_overdue=1)
    run = await stage.launch()
    await stage.post(f"/customers/{customer}/activities", {"kind": "call", "outcome": "reached"}, status=201)
    await stage.post(f"/runs/{run['run_id']}/commit", status=202)
    await stage.settle()
    assert await stage.accepted() == []
    assert [(action["state"], action["reason"]) for action in await stage.actions()] == [("cancelled", "contact_budget")]


async def test_a_call_beyond_the_budget_is_on_the_list_with_the_day_from_which_it_may_be_made(stage: Stage) -> None:
    """At the end of the list, whatever its priority; logged all the same when it is made. Without a contact, the control, it stands first."""
    await stage.open(LADDER, contact_budget=1, contact_budget_days=5)
    for code, amount in (("C1", "100.00"), ("C2", "9000.00")):
        await stage.customer(code)
        item = await stage.invoice(amount, customer=code, days_overdue=1)
        status, _ = await ask(stage, f"/customers/{await stage.customer(code)}/actions", call(item, origin="ad_hoc"))
        assert status == 201
    assert await on_the_list(stage, "2026-03-02") == [("C2", None, None), ("C1", None, None)]
    await stage.post(f"/customers/{await stage.customer('C2')}/activities", {"kind": "visit", "text": "Talked."}, status=201)
    assert await on_the_list(stage, "2026-03-02") == [("C1", None, None), ("C2", "2026-03-07", "CONTACT_BUDGET")]
    assert (await stage.get("/call-lists/2026-03-02"))["not_yet"] == 1
    assert [row["external_id"] for row in (await stage.get("/call-lists/2026-03-02", limit=1))["data"]] == ["C1"]
    file = (await stage.api.get("/v1/call-lists/2026-03-02/export.csv")).text.splitlines()
    assert "2026-03-07,CONTACT_BUDGET" in file[2]
    assert (await on_the_list(stage, "2026-03-07"))[0] == ("C2", None, None)
    held = next(row for row in (await stage.get("/call-lists/2026-03-02"))["data"] if row["external_id"] == "C2")
    await stage.post(f"/actions/{held['calls'][0]['action_id']}/call-outcome", {"outcome": "reached"}, status=201)
    assert [row[0] for row in await on_the_list(stage, "2026-03-02")] == ["C1"]


async def test_a_call_made_by_hand_beyond_the_budget_is_refused_with_the_rule_unless_somebody_who_may_says_so(stage: Stage) -> None:
    """From a selection and as an action; a collector may not override, a manager may, and then the list lets it be made."""
    await stage.open(LADDER, contact_budget=1, contact_budget_days=5)
    anna, boss = await person(stage, "anna"), await person(stage, "boss", role="manager")
    customer = await stage.customer()
    item = await stage.invoice(days_overdue=1)
    await leads(stage, customer, anna)
    await stage.remind()
    chosen = {"customer_ids": [str(customer)]}
    status, refused = await ask(stage, "/call-tasks", chosen, who=anna)
    assert (status, refused["counts"], refused["data"][0]["code"]) == (200, {"refused": 1}, "contact_budget")
    assert "contact_budget allows 1 contacts of a customer in 5 days" in refused["data"][0]["detail"]
    status, refused = await ask(stage, f"/customers/{customer}/actions", call(item), who=anna)
    assert (status, refused["code"], refused["free_on"]) == (409, "contact_budget", "2026-03-07")
    for path, body in (("/call-tasks", chosen), (f"/customers/{customer}/actions", call(item))):
        status, refused = await ask(stage, path, body | {"override_contact_budget": True}, who=anna)
        assert (status, refused["scope"]) == (403, "budget:override")
    assert (await ask(stage, "/call-tasks", chosen | {"scheduled_on": "2026-03-07", "dry_run": True}, who=anna))[1]["counts"] == {"ready": 1}
    status, made = await ask(stage, "/call-tasks", chosen | {"override_contact_budget": True}, who=boss)
    assert (status, made["counts"]) == (200, {"created": 1})
    assert await on_the_list(stage, "2026-03-02") == [("C1", None, None)]


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        ({"kind": "task", "task_kind": "counsel"}, True), ({"kind": "task", "task_kind": "letter"}, True), ({"kind": "notice", "channel": "counsel"}, True),
        ({"kind": "notice", "channel": "registered_letter"}, True), ({"kind": "task", "task_kind": "checkpoint"}, False),
        ({"kind": "task", "task_kind": "other"}, False),
    ],
)  # fmt: skip
async def test_legal_steps_by_hand_are_contacts_and_work_inside_the_company_is_none(stage: Stage, content: dict[str, str], refused: bool) -> None:
    await stage.open(LADDER, contact_budget=1, contact_budget_days=5)
    customer = await stage.customer()
    item = await stage.invoice(days_overdue=1)
    await stage.remind()
    status, answer = await ask(stage, f"/customers/{customer}/actions", {"item_ids": [str(item)], "title": "By hand", "content": content})
    assert (status, answer.get("code")) == ((409, "contact_budget") if refused else (201, None))


@pytest.mark.parametrize(("kind", "counts"), [("letter", True), ("pec", True), ("counsel", True), ("checkpoint", False)])
async def test_legal_steps_of_a_scenario_count_and_wait_like_others(stage: Stage, kind: str, counts: bool) -> None:
    """A formal letter that waits, or counsel, holds the reminder of another invoice, and waits for one; a checkpoint, the control, does neither."""
    legal = step(20, "legal", 8) | {"notices": [], "task": {"kind": kind, "text": "Do it."}, "mode": "manual"}
    await stage.open(scenario(step(10, "01", 1, until=7), legal), contact_budget=1, contact_budget_days=5)
    await stage.customer()
    await stage.invoice(days_overdue=9)
    await stage.remind()
    young = await stage.invoice(days_overdue=0)
    await stage.advance(days=1)
    assert await stage.accepted() == ([] if counts else ["01 ap@c1.example"])
    explained = await stage.get(f"/items/{young}/explain")
    assert (explained["blockers"] == ["CONTACT_BUDGET"]) is counts
    await stage.customer("C2")
    await stage.invoice(customer="C2", days_overdue=1)
    await stage.remind()
    late = await stage.invoice(customer="C2", days_overdue=9)
    assert (await stage.get(f"/items/{late}/explain"))["blockers"] == (["CONTACT_BUDGET"] if counts else [])


async def test_a_person_of_several_customers_is_written_to_within_one_budget(stage: Stage) -> None:
    """The same night, the same address: one mail leaves, the other waits its day, with the rule in its explanation. Without the budget both leave, the control."""
    await stage.open(LADDER, person_contact_budget=1, person_contact_budget_days=5)
    for code in ("C1", "C2"):
        await stage.customer(code, emails=SHARED)
    items = [await stage.invoice(customer=code, days_overdue=0) for code in ("C1", "C2")]
    await stage.advance(days=1)
    assert await stage.accepted() == ["01 accounts@office.example"]
    (late,) = [action for action in await stage.actions() if action["reason"] == "contact_budget"]
    assert late["state"] == "cancelled"
    waiting = items[1] if late["customer_id"] == str(await stage.customer("C2", emails=SHARED)) else items[0]
    assert await stage.progress(waiting) == []
    await stage.advance(days=1)
    explained = await stage.get(f"/items/{waiting}/explain")
    assert (explained["blockers"], explained["first_day"]) == (["CONTACT_BUDGET"], "2026-03-08")
    assert "person_contact_budget" in [one["code"] for one in explained["conditions"] if not one["met"]]
    await stage.advance(days=4)
    assert await stage.accepted() == ["01 accounts@office.example"] * 2
    assert await stage.today() == dt.date(2026, 3, 8)


async def test_without_a_budget_of_people_everybody_is_written_to(stage: Stage) -> None:
    await stage.open(LADDER)
    for code in ("C1", "C2"):
        await stage.customer(code, emails=SHARED)
        await stage.invoice(customer=code, days_overdue=1)
    await stage.remind()
    assert await stage.accepted() == ["01 accounts@office.example"] * 2


async def test_whoever_may_be_written_to_gets_the_mail_although_somebody_else_may_not(stage: Stage) -> None:
    """Two readers of one customer, of whom one has had a mail for another customer."""
    await stage.open(LADDER, person_contact_budget=1, person_contact_budget_days=5)
    await stage.customer("C1", emails=SHARED)
    await stage.invoice(customer="C1", days_overdue=1)
    await stage.remind()
    await stage.customer("C2", emails=[*SHARED, "ap@c2.example"])
    await stage.invoice(customer="C2", days_overdue=1)
    await stage.remind()
    assert await stage.accepted() == ["01 accounts@office.example", "01 ap@c2.example"]


async def test_an_approved_mail_whose_readers_may_not_be_written_to_is_put_off_and_goes_on_its_day(stage: Stage) -> None:
    await stage.open(scenario(step(10, "01", 1, mode="approve")), person_contact_budget=1, person_contact_budget_days=5)
    for code in ("C1", "C2"):
        await stage.customer(code, emails=SHARED)
        await stage.invoice(customer=code, days_overdue=1)
    await stage.remind()
    first, second = await stage.actions()
    for one in (first, second):
        await stage.post(f"/actions/{one['action_id']}/approve")
    assert (await stage.action(first["action_id"]))["state"] == "executed"
    put_off = await stage.action(second["action_id"])
    assert (put_off["state"], put_off["reason"], put_off["scheduled_on"]) == ("scheduled", "contact_budget", "2026-03-07")
    (shown,) = [row for row in (await stage.get("/agenda"))["data"] if row["action_id"] == second["action_id"]]
    assert shown["why"] == "contact_budget"
    await stage.settle()
    await stage.advance(days=4)
    assert len(await stage.accepted()) == 1
    await stage.advance(days=1)
    assert await stage.accepted() == ["01 accounts@office.example"] * 2


async def test_a_specific_mail_to_people_whose_budget_is_spent_is_refused_with_that_rule(stage: Stage) -> None:
    """An ad hoc mail counts for nobody; with the override it leaves, and counts."""
    await stage.open(LADDER, person_contact_budget=1, person_contact_budget_days=5)
    await stage.customer("C1", emails=SHARED)
    await stage.invoice(customer="C1", days_overdue=1)
    await stage.remind()
    customer = await stage.customer("C2", emails=SHARED)
    item = await stage.invoice(customer="C2", days_overdue=-9)
    status, refused = await ask(stage, f"/customers/{customer}/actions", mail(item))
    assert (status, refused["code"], refused["free_on"]) == (409, "person_contact_budget", "2026-03-07")
    assert (await ask(stage, f"/customers/{customer}/actions", mail(item, origin="ad_hoc")))[0] == 201
    status, made = await ask(stage, f"/customers/{customer}/actions", mail(item, override_contact_budget=True))
    assert (status, made["state"]) == (201, "executed")


async def test_a_call_with_a_person_counts_for_the_person(stage: Stage) -> None:
    """And the phone of a person whose budget is spent says from when it may be rung."""
    await stage.open(LADDER, person_contact_budget=1, person_contact_budget_days=5)
    phone: Any = [{"external_id": "p0", "name": "Anna", "phone": "+39 06 1", "email": SHARED[0], "roles": ["dunning"], "internal": False}]
    customer = await stage.customer("C1", contacts=phone)
    item = await stage.invoice(customer="C1", days_overdue=-9)
    await ask(stage, f"/customers/{customer}/actions", call(item, origin="ad_hoc"))
    contact = (await stage.get(f"/customers/{customer}"))["contacts"][0]["contact_id"]
    assert [one["not_before"] for one in (await stage.get("/call-lists/2026-03-02"))["data"][0]["phones"]] == [None]
    await stage.post(f"/customers/{customer}/activities", {"kind": "call", "outcome": "reached", "contact_id": contact}, status=201)
    assert [one["not_before"] for one in (await stage.get("/call-lists/2026-03-02"))["data"][0]["phones"]] == ["2026-03-07"]
    await stage.customer("C2", emails=["ACCOUNTS@office.example"])
    late = await stage.invoice(customer="C2", days_overdue=1)
    await stage.remind()
    assert await stage.accepted() == []
    assert (await stage.get(f"/items/{late}/explain"))["blockers"] == ["CONTACT_BUDGET"]


async def test_who_sees_one_customer_only_keeps_the_budget_of_its_people_all_the_same(stage: Stage) -> None:
    """What was told for a customer out of sight counts: the day is told, nothing else."""
    await stage.open(scenario(step(10, "01", 1, mode="approve")), person_contact_budget=1, person_contact_budget_days=5)
    anna = await person(stage, "anna", sees="own")
    for code in ("C1", "C2"):
        await stage.customer(code, emails=SHARED)
        await stage.invoice(customer=code, days_overdue=1)
    mine = await stage.customer("C2", emails=SHARED)
    await leads(stage, mine, anna)
    await stage.remind()
    of = {action["customer_id"]: action["action_id"] for action in await stage.actions()}
    other = next(action_id for customer_id, action_id in of.items() if customer_id != str(mine))
    await stage.post(f"/actions/{other}/approve")
    status, answer = await ask(stage, f"/actions/{of[str(mine)]}/approve", None, who=anna)
    assert (status, answer["state"], answer["reason"]) == (200, "scheduled", "contact_budget")


@pytest.mark.parametrize("alone", [True, False])
async def test_two_approvals_at_once_do_not_write_to_one_person_twice(stage: Stage, monkeypatch: pytest.MonkeyPatch, alone: bool) -> None:
    """Whoever writes to a person counts what those before it wrote; without that lock, the control, both count nothing and both write."""
    await stage.open(scenario(step(10, "01", 1, mode="approve")), person_contact_budget=1, person_contact_budget_days=5)
    for code in ("C1", "C2"):
        await stage.customer(code, emails=SHARED)
        await stage.invoice(customer=code, days_overdue=1)
    await stage.remind()
    count = contact_budget_store.contacts_of_addresses

    async def slowly(*args: Any) -> Any:
        found = await count(*args)
        await asyncio.sleep(0.3)
        return found

    monkeypatch.setattr(contact_budget_store, "contacts_of_addresses", slowly)
    if not alone:

        async def nothing(*_: Any) -> None:
            pass

        monkeypatch.setattr(contact_budget_store, "lock_addresses", nothing)
    await asyncio.gather(*[stage.post(f"/actions/{action['action_id']}/approve") for action in await stage.actions()])
    states = sorted(action["state"] for action in await stage.actions())
    assert states == (["executed", "scheduled"] if alone else ["executed", "executed"])


async def test_both_budgets_take_the_same_statements_for_many_customers_as_for_one(stage: Stage) -> None:
    """Planning and carrying out a run: one statement more for the customers' contacts, a few for the people, however many there are."""
    await stage.open(LADDER, contact_budget=3, contact_budget_days=30, person_contact_budget=3, person_contact_budget_days=30)
    counts = []
    for number in (1, 7):
        for n in range(number):
            await stage.customer(f"C{number}{n}", emails=[f"ap{number}{n}@office.example", "group@office.example"])
            await stage.invoice(customer=f"C{number}{n}", days_overdue=1)
        log: list[str] = []
        token = statement_log.set(log)
        await stage.launch(commit_at_once=True)
        statement_log.reset(token)
        counts.append(len(log))
    assert counts[1] <= counts[0], counts


async def test_budgets_come_with_their_days(stage: Stage) -> None:
    await stage.open(LADDER)
    answer = await stage.api.patch(f"/v1/ledgers/{stage.ledger_id}", json={"person_contact_budget": 2}, headers={"If-Match": "*"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "person_contact_budget_days")
