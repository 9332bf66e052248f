"""One customer's own steps and steps set by hand, through the API, with runs, verification and the mails that come of it."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import pytest

from dunning.collection import overrides, steps_by_hand
from dunning.kit.ids import ScenarioId
from dunning.scenarios import service as scenarios
from dunning_api.routes.scenarios import PORTS
from tests.collection.stage import Stage, scenario, step

LADDER = scenario(step(10, "01", 1), step(20, "02", 8), step(30, "03", 15))
CHECKPOINT = {
    "rank": 15, "name": "Look first", "mode": "manual", "trigger": {"kind": "due_date", "offset_days": 5},
    "task": {"kind": "checkpoint", "text": "Read the last letter."},
}  # fmt: skip


async def override(stage: Stage, customer: UUID, kind: str, code: str, *, status: int = 201, **content: object) -> dict[str, object]:
    body = {"scenario_id": str(stage.scenario_id), "kind": kind, "step_code": code, "content": content, "reason": "Agreed with sales."}
    return dict(await stage.post(f"/customers/{customer}/step-overrides", body, status=status))


async def agenda(stage: Stage, customer: UUID) -> list[tuple[str, str]]:
    entries = (await stage.get(f"/customers/{customer}/agenda", days=60))["actions"]
    return [(entry["on"], entry["step_code"]) for entry in entries]


async def test_an_inserted_checkpoint_stops_one_customer_and_nobody_else(stage: Stage) -> None:
    """S2-12, S2-23, S2-29: the shared scenario is as before; the path goes on when a person says so."""
    await stage.open(LADDER)
    mine, other = await stage.customer("C1"), await stage.customer("C2")
    await stage.invoice(days_overdue=0, customer="C1")
    await stage.invoice(days_overdue=0, customer="C2")
    await override(stage, mine, "insert", "look", **CHECKPOINT)
    await stage.advance(days=10)
    assert await stage.accepted() == ["01 ap@c1.example", "01 ap@c2.example", "02 ap@c2.example"]
    (waiting,) = [action for action in await stage.actions() if action["state"] == "waiting"]
    assert (waiting["step_code"], waiting["customer_id"]) == ("look", str(mine))
    assert "look" not in [code for _, code in await agenda(stage, other)]
    await stage.post(f"/actions/{waiting['action_id']}/complete", {}, status=200)
    await stage.advance(days=4)
    assert "02 ap@c1.example" in await stage.accepted()


async def test_a_removed_step_is_passed_over_by_name_and_the_run_verifies(stage: Stage) -> None:
    """S2-12, D-02: what a run decided by a customer's own steps is decided again from what it stored, though the override has gone meanwhile."""
    await stage.open(LADDER)
    customer = await stage.customer()
    item = await stage.invoice(days_overdue=9)
    made = await override(stage, customer, "remove", "01")
    run = await stage.remind()
    assert await stage.progress(item) == ["02#0 completed 2026-03-02", "01#0 skipped removed"]
    await stage.post(f"/step-overrides/{made['override_id']}/remove", {"reason": "No longer wanted."}, status=200)
    verified = await stage.post(f"/runs/{run['run_id']}/verify", {}, status=200)
    assert (verified["checked"], verified["agreed"]) == (1, 1)


async def test_a_changed_step_asks_for_approval_for_one_customer(stage: Stage) -> None:
    await stage.open(LADDER)
    customer = await stage.customer()
    await stage.customer("C2")
    await stage.invoice(days_overdue=1)
    await stage.invoice(days_overdue=1, customer="C2")
    await override(stage, customer, "change", "01", mode="approve")
    await stage.remind()
    assert await stage.accepted() == ["01 ap@c2.example"]
    assert [a["state"] for a in await stage.actions() if a["customer_id"] == str(customer)] == ["awaiting_approval"]


async def test_an_action_of_a_step_that_was_taken_back_can_still_be_approved(stage: Stage) -> None:
    """An inserted notice waits for approval, its override goes, and the person who approves still knows what is sent."""
    await stage.open(LADDER)
    customer = await stage.customer()
    await stage.invoice(days_overdue=5)
    await stage.remind()
    own = step(15, "own", 5, mode="approve")
    made = await override(stage, customer, "insert", "own", **{key: value for key, value in own.items() if key != "code"})
    await stage.advance(days=5)
    (action,) = [a for a in await stage.actions() if a["step_code"] == "own"]
    await stage.post(f"/step-overrides/{made['override_id']}/remove", {"reason": "Changed our minds."}, status=200)
    await stage.post(f"/actions/{action['action_id']}/approve", status=200)
    await stage.settle()
    assert "own ap@c1.example" in await stage.accepted()


@pytest.mark.parametrize(
    ("kind", "code", "content", "field"),
    [
        ("insert", "02", CHECKPOINT, "step_code"),
        ("insert", "look", {**CHECKPOINT, "rank": 20}, "content.rank"),
        ("change", "02", {"mode": "now and then"}, "content.mode"),
        ("change", "09", {"mode": "approve"}, "step_code"),
        ("change", "02", {"notices": [{"code": "main", "to_roles": ["dunning"], "template": "no-such-template"}]}, "notices[0].template"),
    ],
)
async def test_what_is_wrong_with_an_override_is_named_and_nothing_is_kept(stage: Stage, kind: str, code: str, content: dict[str, object], field: str) -> None:
    await stage.open(LADDER)
    customer = await stage.customer()
    answer = await override(stage, customer, kind, code, status=422, **content)
    assert answer["code"] == "override_refused"
    assert field in [error["field"] for error in answer["errors"]], answer["errors"]
    assert (await stage.get(f"/customers/{customer}/step-overrides"))["data"] == []


async def test_an_override_replaces_the_one_before_and_the_list_keeps_both(stage: Stage) -> None:
    """S2-11: the original plan stays in the audit trail."""
    await stage.open(LADDER)
    customer = await stage.customer()
    await override(stage, customer, "change", "02", mode="approve")
    second = await override(stage, customer, "remove", "02")
    listed = (await stage.get(f"/customers/{customer}/step-overrides"))["data"]
    assert [(one["kind"], one["removed_at"] is None) for one in listed] == [("change", False), ("remove", True)]
    events = await stage.tenant.rows("select data from event where tenant_id = $1 and kind = 'step_override.set' order by event_id", stage.tenant_id)
    assert events[0]["data"]["planned_before"]["code"] == "02"
    await stage.post(f"/step-overrides/{second['override_id']}/remove", {"reason": "x"}, status=200)
    again = await stage.post(f"/step-overrides/{second['override_id']}/remove", {"reason": "x"}, status=409)
    assert again["code"] == "override_ended"


async def publish(stage: Stage, *steps: dict[str, object]) -> None:
    """Publish a next version of the scenario, with other steps."""
    scenario_id = ScenarioId(stage.scenario_id)
    clock = await stage.tenant.clock()
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await scenarios.update_scenario(
            session, clock, tenant_id=stage.tenant_id, actor="test", scenario_id=scenario_id, expected_revision=None, changes={"steps": list(steps)}
        )
        await scenarios.publish_scenario(session, clock, PORTS, tenant_id=stage.tenant_id, actor="test", scenario_id=scenario_id)


async def standings(stage: Stage, customer: UUID) -> dict[str, str]:
    return {one["step_code"]: one["standing"] for one in (await stage.get(f"/customers/{customer}/step-overrides"))["data"]}


async def with_lost_steps(stage: Stage) -> tuple[UUID, UUID]:
    """Change steps for one customer, and publish a version that has no place for three of the five; return the customer and its item."""
    await stage.open(LADDER)
    customer = await stage.customer()
    item = await stage.invoice(days_overdue=1)
    taken_back = await override(stage, customer, "remove", "03")
    await stage.post(f"/step-overrides/{taken_back['override_id']}/remove", {"reason": "x"}, status=200)
    await override(stage, customer, "change", "01", mode="approve")
    await override(stage, customer, "change", "02", mode="approve")
    await override(stage, customer, "insert", "look", **CHECKPOINT)
    await override(stage, customer, "insert", "wait", **CHECKPOINT | {"rank": 16})
    assert await standings(stage, customer) == {"03": "removed", **dict.fromkeys(("01", "02", "look", "wait"), "in_force")}
    await publish(stage, step(10, "01", 1), step(15, "look", 8), step(16, "04", 12))
    return customer, item


async def test_an_own_step_that_a_new_version_has_no_place_for_is_marked_where_it_is_listed_and_explained(stage: Stage) -> None:
    """S2-11, S2-12: nobody takes an override for one in force that changes nothing any more, and the others go on."""
    customer, item = await with_lost_steps(stage)
    assert await standings(stage, customer) == {"03": "removed", "01": "in_force", "02": "step_gone", "look": "step_in_scenario", "wait": "does_not_fit"}
    first_page = await stage.get(f"/customers/{customer}/step-overrides", limit=3)
    assert [one["standing"] for one in first_page["data"]] == ["removed", "in_force", "step_gone"]
    lost = [{"step_code": "02", "why": "step_gone"}, {"step_code": "look", "why": "step_in_scenario"}, {"step_code": "wait", "why": "does_not_fit"}]
    assert (await stage.get(f"/items/{item}/explain"))["own_steps_left_out"] == lost
    assert (await stage.get(f"/customers/{customer}/explain"))["items"][0]["own_steps_left_out"] == lost
    other = await stage.customer("C2")
    await stage.invoice(days_overdue=1, customer="C2")
    assert (await stage.get(f"/customers/{other}/explain"))["items"][0]["own_steps_left_out"] == []
    assert (await override(stage, customer, "change", "04", mode="approve"))["standing"] == "in_force", "what has no place does not stand in the way of another"


async def test_an_own_step_that_is_never_looked_up_in_the_new_version_would_be_seen(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A positive control of the test above."""
    customer, _ = await with_lost_steps(stage)
    monkeypatch.setattr(overrides, "applied", lambda version, _: (version, {}))
    assert set((await standings(stage, customer)).values()) == {"removed", "in_force"}


async def test_an_override_is_as_old_as_the_company_s_clock_says(stage: Stage) -> None:
    """The list, its removal and its event are on one clock."""
    await stage.open(LADDER)
    customer = await stage.customer()
    await stage.advance(days=3)
    made = await override(stage, customer, "change", "02", mode="approve")
    now = (await stage.tenant.clock()).now()
    (listed,) = (await stage.get(f"/customers/{customer}/step-overrides"))["data"]
    assert [dt.datetime.fromisoformat(str(one["created_at"])) for one in (made, listed)] == [now, now]
    ended = await stage.post(f"/step-overrides/{made['override_id']}/remove", {"reason": "x"}, status=200)
    assert (ended["created_at"], ended["removed_at"]) == (listed["created_at"], listed["created_at"])


async def test_a_step_set_by_hand_comes_next_and_what_was_above_no_longer_counts(stage: Stage) -> None:
    """S0-20, plan 3: those below are skipped by hand, those at and above are void, the next run starts from the new step."""
    await stage.open(LADDER)
    await stage.customer()
    item = await stage.invoice(days_overdue=0)
    await stage.advance(days=16)
    assert await stage.accepted() == ["01 ap@c1.example", "02 ap@c1.example", "03 ap@c1.example"]
    (done,) = await stage.put(f"/items/{item}/step", {"step_code": "02", "reason": "They say they never got it."})
    assert (done["before"], done["step_code"], done["reached_before"], done["reached"]) == (None, "02", "03", "01")
    await stage.advance(days=1)
    assert (await stage.accepted())[3:] == ["02 ap@c1.example"]
    events = await stage.tenant.rows("select data from event where tenant_id = $1 and kind = 'item.step_set'", stage.tenant_id)
    assert events[0]["data"] == {"from": None, "to": "02", "reached_before": "03", "reason": "They say they never got it."}


async def test_a_step_ahead_skips_what_lies_below_by_hand(stage: Stage) -> None:
    await stage.open(LADDER)
    customer = await stage.customer()
    first, second = await stage.invoice(days_overdue=20), await stage.invoice(days_overdue=20)
    done = await stage.put(f"/customers/{customer}/step", {"step_code": "03", "reason": "Straight to the last one."})
    assert {one["item_id"] for one in done} == {str(first), str(second)}
    await stage.remind()
    assert await stage.accepted() == ["03 ap@c1.example"]
    assert sorted(await stage.progress(first)) == ["01#0 skipped by_hand", "02#0 skipped by_hand", "03#0 completed 2026-03-02"]


async def set_twice(stage: Stage, code: str) -> list[tuple[str | None, ...]]:
    """Set the step of an item that is to have its second step next, and set it again."""
    await stage.open(LADDER)
    customer = await stage.customer()
    item = await stage.invoice(days_overdue=1)
    await stage.remind()
    await override(stage, customer, "remove", "02")
    await override(stage, customer, "insert", "look", **CHECKPOINT | {"rank": 25})
    put = {"step_code": code, "reason": "x"}
    done = [(await stage.put(f"/items/{item}/step", put))[0] for _ in range(2)]
    return [tuple(one[name] for name in ("before", "step_code", "reached_before", "reached")) for one in done]


@pytest.mark.parametrize(
    ("code", "first", "again"),
    [("03", ("look", "03", "01", "look"), ("03", "03", "look", "look")), ("01", ("look", "01", "01", None), ("01", "01", None, None))],
)
async def test_where_an_item_stood_and_where_it_goes_on_are_told_in_one_form(stage: Stage, code: str, first: object, again: object) -> None:
    """S0-20: what is set to where it was says so; a removed step never comes next."""
    assert await set_twice(stage, code) == [first, again]


async def test_a_step_reached_told_as_the_step_that_comes_next_would_be_seen(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A positive control of the test above: the form of before told the step behind, and the step ahead as where it goes on."""
    told = steps_by_hand.StepSet
    monkeypatch.setattr(steps_by_hand, "StepSet", lambda item_id, _, code, reached, now: told(item_id, reached, code, reached, now))
    assert [one[:2] for one in await set_twice(stage, "03")] != [("look", "03"), ("03", "03")]


async def test_an_item_that_an_action_has_keeps_its_step(stage: Stage) -> None:
    await stage.open(scenario(step(10, "01", 1, mode="approve"), step(20, "02", 8)))
    await stage.customer()
    item = await stage.invoice(days_overdue=1)
    await stage.remind()
    refused = await stage.put(f"/items/{item}/step", {"step_code": "02", "reason": "x"}, status=409)
    assert (refused["code"], refused["item_ids"]) == ("item_waits", [str(item)])


async def test_a_step_that_the_scenario_does_not_have_is_refused_with_those_it_has(stage: Stage) -> None:
    await stage.open(LADDER)
    await stage.customer()
    item = await stage.invoice(days_overdue=1)
    unknown = await stage.put(f"/items/{item}/step", {"step_code": "77", "reason": "x"}, status=422)
    assert (unknown["code"], unknown["errors"][0]["message"]) == ("step_unknown", "expected one of 01, 02, 03")


async def test_imported_progress_is_forgotten_when_a_person_sets_the_step(stage: Stage) -> None:
    await stage.open(LADDER)
    customer = await stage.customer()
    item = await stage.invoice(days_overdue=20, step_reached="03", last_reminded_on="2026-02-27")
    await stage.put(f"/items/{item}/step", {"step_code": "01", "reason": "The other system was wrong."})
    await stage.remind()
    assert await stage.accepted() == ["01 ap@c1.example"]
    assert customer


async def test_a_budget_of_contacts_makes_the_next_reminder_wait(stage: Stage) -> None:
    """D-07: two invoices whose steps fall close together; the second contact waits until the first leaves the window, and explain names the rule."""
    await stage.open(LADDER, contact_budget=1, contact_budget_days=5)
    await stage.customer()
    await stage.invoice(days_overdue=1)
    late = await stage.invoice(days_overdue=-1)
    await stage.remind()
    await stage.advance(days=2)
    explained = await stage.get(f"/items/{late}/explain")
    assert explained["blockers"] == ["CONTACT_BUDGET"]
    assert explained["first_day"] == "2026-03-07"
    await stage.advance(days=3)
    assert await stage.accepted() == ["01 ap@c1.example", "01 ap@c1.example"]


async def test_a_person_at_a_checkpoint_leads_the_items_on_to_another_step(stage: Stage) -> None:
    """S2-23: approve (complete), skip or re-route; what was routed says where to, and by whom it was ended."""
    await stage.open(scenario(step(10, "01", 1), {**CHECKPOINT, "code": "look"}, step(20, "02", 8), step(30, "03", 15)))
    await stage.customer()
    item = await stage.invoice(days_overdue=0)
    await stage.advance(days=6)
    (waiting,) = [action for action in await stage.actions() if action["state"] == "waiting"]
    refused = await stage.post(f"/actions/{waiting['action_id']}/route", {"step_code": "99", "reason": "x"}, status=422)
    assert refused["code"] == "step_unknown"
    assert (await stage.action(waiting["action_id"]))["state"] == "waiting"
    routed = await stage.post(f"/actions/{waiting['action_id']}/route", {"step_code": "03", "reason": "Their lawyer has answered."})
    assert (routed["state"], routed["reason"]) == ("cancelled", "routed")
    await stage.advance(days=9)
    assert await stage.accepted() == ["01 ap@c1.example", "03 ap@c1.example"]
    assert [line for line in await stage.progress(item) if line.startswith("02")] == ["02#0 skipped by_hand"]


async def test_a_specific_mail_above_the_budget_is_refused_with_the_rule_and_the_day_that_is_free(stage: Stage) -> None:
    """D-07: scenario and specific contacts count alike; a day after the window and an ad hoc mail are taken, and a task is no contact by mail."""
    await stage.open(LADDER, contact_budget=1, contact_budget_days=5)
    customer = await stage.customer()
    item = await stage.invoice(days_overdue=1)
    await stage.remind()
    mail = {"item_ids": [str(item)], "title": "Once more", "mode": "automatic", "content": {"kind": "notice"}}
    refused = await stage.post(f"/customers/{customer}/actions", mail, status=409)
    assert (refused["code"], refused["free_on"]) == ("contact_budget", "2026-03-07")
    made = await stage.post(f"/customers/{customer}/actions", mail | {"scheduled_on": "2026-03-07"}, status=201)
    await stage.post(f"/actions/{made['action_id']}/cancel", {"reason": "Not needed."})
    await stage.post(f"/customers/{customer}/actions", mail | {"origin": "ad_hoc"}, status=201)
