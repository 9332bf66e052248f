"""How disputes end, and what comes next: credit notes awaited, follow-ups that were cancelled, deadlines that pass, owners who left (S4-04, B-37)."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from tests.collection.agreements import action, dispute, eur, promise, sound, statuses, told
from tests.collection.stage import Stage, scenario, step

ONE_STEP = scenario(step(1, "a", 1))


async def credit(stage: Stage, item: UUID, amount: str) -> None:
    """State a credit note over an invoice."""
    today = await stage.today()
    invoice = (await stage.get(f"/items/{item}"))["external_id"].rpartition("/")[0]
    await stage.invoice(amount, type="credit_note", document_on=today, due_on=today, corrects_external_id=invoice)


async def resolve(stage: Stage, made: dict[str, Any], resolution: str, *, status: int = 200, **content: Any) -> dict[str, Any]:
    """Resolve a dispute."""
    return dict(await stage.post(f"/disputes/{made['dispute_id']}/resolve", {"resolution": resolution, **content}, status=status))


async def now(stage: Stage, made: dict[str, Any]) -> dict[str, Any]:
    """Return a dispute once the worker has looked."""
    await stage.settle()
    return dict(await stage.get(f"/disputes/{made['dispute_id']}"))


async def opened(stage: Stage, **content: Any) -> tuple[dict[str, Any], UUID]:
    """Open the company, with an invoice of 100.00 that is disputed."""
    await stage.open(ONE_STEP)
    await stage.customer()
    item = await stage.invoice("100.00")
    return await dispute(stage, item, **content), item


async def test_an_accepted_dispute_is_held_until_the_credit_note_has_come(stage: Stage) -> None:
    """The creditor agrees: nobody reminds of the full amount the next day, and what is left after the credit note is reminded of."""
    made, item = await opened(stage, amount=eur("40.00"))
    done = await resolve(stage, made, "accepted", text="We credit it.")
    assert (done["held_until"], done["credit_awaited"], done["items"][0]["credit"]) == ("2026-04-01", True, eur("40.00"))
    (hold,) = (await stage.get("/holds", item=str(item)))["data"]
    assert (hold["origin"], hold["reason"], hold["until_on"], hold["comment"]) == ("dispute", "credit_note_awaited", "2026-04-01", "We credit it.")
    task = await action(stage, done["follow_up_action_id"])
    assert (task["origin"], task["state"], task["scheduled_on"], task["title"]) == ("ad_hoc", "waiting", dt.date(2026, 4, 1), "Credit note: price")
    await stage.advance(days=3)
    assert await stage.accepted() == []
    await credit(stage, item, "39.99")
    assert (await now(stage, made))["credit_awaited"] is True, "the control: a cent is missing"
    await credit(stage, item, "0.01")
    assert (await now(stage, made))["credit_awaited"] is False
    assert (await action(stage, done["follow_up_action_id"]))["reason"] == "credited"
    assert len(await told(stage, "dispute.credited")) == 1
    await stage.remind()
    (mail,) = await stage.actions(state="completed", step="a")
    assert mail["totals"] == [eur("60.00")]
    await sound(stage)


async def test_a_credit_note_that_never_comes_frees_the_items_after_the_days_that_were_stated(stage: Stage) -> None:
    """Held for two days: silence on the second, reminded of on the third; the task is overdue then."""
    made, _ = await opened(stage)
    done = await resolve(stage, made, "accepted", hold_days=2)
    await stage.advance(days=2)
    assert (await stage.accepted(), done["held_until"]) == ([], "2026-03-04")
    await stage.advance(days=1)
    assert await stage.accepted() == ["a ap@c1.example"]
    (task,) = (await stage.get("/agenda", bucket="overdue"))["data"]
    assert task["action_id"] == done["follow_up_action_id"]
    await sound(stage)


async def test_a_rejected_dispute_goes_back_to_its_scenario_at_once_unless_a_hold_is_asked_for(stage: Stage) -> None:
    made, item = await opened(stage)
    await stage.customer("C2")
    other = await dispute(stage, await stage.invoice("70.00", customer="C2"))
    done = await resolve(stage, made, "rejected")
    assert (done["held_until"], done["credit_awaited"], await statuses(stage, [item])) == (None, False, ["dispute_resolved"])
    await resolve(stage, other, "rejected", hold_until="2026-03-05")
    await stage.remind()
    assert await stage.accepted() == ["a ap@c1.example"]
    await stage.advance(days=4)
    assert await stage.accepted() == ["a ap@c1.example", "a ap@c2.example"]


async def test_what_is_to_be_credited_may_be_stated_and_the_rest_go_on(stage: Stage) -> None:
    """Partly accepted without an amount holds nothing; with one it is awaited, and with 0 days nothing is held."""
    made, item = await opened(stage)
    done = await resolve(stage, made, "partly_accepted", credit_note=eur("25.00"), hold_days=0)
    assert (done["held_until"], done["credit_awaited"], done["items"][0]["credit"]) == (None, True, eur("25.00"))
    assert "25.00 EUR" in (await action(stage, done["follow_up_action_id"]))["task_text"]
    await stage.remind()
    assert await stage.accepted() == ["a ap@c1.example"]
    await stage.pay("100.00", item)
    assert (await now(stage, made))["credit_awaited"] is False, "nothing is left to credit"
    assert (await action(stage, done["follow_up_action_id"]))["state"] == "cancelled"
    assert (await resolve(stage, await dispute(stage, await stage.invoice("10.00")), "partly_accepted"))["held_until"] is None
    await sound(stage)


async def test_a_credit_note_that_came_before_the_word_is_not_awaited(stage: Stage) -> None:
    made, item = await opened(stage, amount=eur("40.00"))
    await credit(stage, item, "40.00")
    done = await resolve(stage, made, "accepted")
    assert done["credit_awaited"] is False
    assert [hold["released_at"] is None for hold in (await stage.get("/holds", item=str(item)))["data"]] == [False]
    await stage.remind()
    assert await stage.accepted() == ["a ap@c1.example"]


async def test_what_contradicts_itself_is_refused_and_nothing_is_written(stage: Stage) -> None:
    made, _ = await opened(stage)
    assert (await resolve(stage, made, "rejected", credit_note=eur("1.00"), status=422))["errors"][0]["field"] == "credit_note"
    assert (await resolve(stage, made, "accepted", hold_days=3, hold_until="2026-03-05", status=422))["errors"][0]["field"] == "hold_until"
    assert (await resolve(stage, made, "accepted", hold_until="2026-03-01", status=422))["errors"][0]["field"] == "hold_until"
    dollars = {"amount": "1.00", "currency": "USD"}
    assert (await resolve(stage, made, "accepted", credit_note=dollars, status=422))["errors"][0]["field"] == "credit_note"
    refused = await resolve(stage, made, "accepted", credit_note=eur("100.01"), status=409)
    assert (refused["code"], refused["credit_note"], refused["open"]) == ("credit_above_open", "100.01 EUR", "100.00 EUR")
    assert (await now(stage, made))["state"] == "open"


async def test_a_promise_waits_on_while_the_credit_note_is_awaited(stage: Stage) -> None:
    """Disputed, then held: one span of days; what the credit note leaves nothing of is no promise any more."""
    await stage.open(ONE_STEP)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    made = await promise(stage, customer, "100.00", item, days=2)
    raised = await dispute(stage, item)
    await stage.advance(days=3)
    await resolve(stage, raised, "accepted", hold_days=10)
    await stage.settle()
    waiting = await stage.get(f"/promises/{made['promise_id']}")
    assert (waiting["state"], waiting["reason"], waiting["last_on"]) == ("open", "held", "2026-03-18")
    await credit(stage, item, "100.00")
    await stage.settle()
    over = await stage.get(f"/promises/{made['promise_id']}")
    assert (over["state"], over["reason"]) == ("cancelled", "nothing_owed")
    await sound(stage)


async def test_a_dispute_whose_follow_up_was_cancelled_is_listed_until_somebody_follows_it_up(stage: Stage) -> None:
    """Nobody would be told otherwise: it stays open, its items excluded. An owner or a deadline makes a new task."""
    made, item = await opened(stage)
    quiet = await dispute(stage, await stage.invoice("5.00"))

    async def listed(needed: str = "true") -> list[str]:
        return [row["dispute_id"] for row in (await stage.get("/disputes", needs_attention=needed))["data"]]

    assert (await listed(), await listed("false")) == ([], [made["dispute_id"], quiet["dispute_id"]])
    await stage.post(f"/actions/{made['follow_up_action_id']}/cancel", {"reason": "not mine"})
    assert (await now(stage, made))["attention"] == ["not_followed_up"]
    assert (await listed(), await listed("false")) == ([made["dispute_id"]], [quiet["dispute_id"]])
    (event,) = await told(stage, "dispute.not_followed_up")
    assert event["subject_id"] == UUID(made["dispute_id"])
    path = f"/v1/disputes/{made['dispute_id']}"
    assert (await stage.api.patch(path, json={"text": "Asked twice."}, headers={"If-Match": "*"})).json()["attention"] == ["not_followed_up"]
    again = (await stage.api.patch(path, json={"deadline_on": made["deadline_on"]}, headers={"If-Match": "*"})).json()
    assert (again["attention"], await listed()) == ([], [])
    task = await action(stage, again["follow_up_action_id"])
    assert (task["state"], task["scheduled_on"], task["origin"]) == ("waiting", dt.date(2026, 3, 16), "specific")
    await stage.post(f"/actions/{task['action_id']}/complete", {})
    assert (await now(stage, made))["state"] == "resolved"
    await sound(stage)


async def test_what_replaces_a_follow_up_follows_the_dispute_up(stage: Stage) -> None:
    """The successor resolves it when it is done, and nobody is asked for meanwhile."""
    made, _ = await opened(stage)
    new = {"title": "Ask the carrier", "content": {"kind": "task", "task_text": "Get the carrier's report."}}
    successor = await stage.post(f"/actions/{made['follow_up_action_id']}/replace", new | {"reason": "The carrier knows more."}, status=201)
    followed = await now(stage, made)
    assert (followed["attention"], followed["follow_up_action_id"]) == ([], successor["action_id"])
    assert await told(stage, "dispute.not_followed_up") == []
    await stage.post(f"/actions/{successor['action_id']}/complete", {})
    assert (await now(stage, made))["state"] == "resolved"


async def test_a_question_to_a_colleague_that_replaces_a_follow_up_decides_nothing_by_having_been_sent(stage: Stage) -> None:
    """S4-03, S4-04: the mail leaves, the dispute stays open and asks for somebody, and nobody reminds of its item."""
    made, item = await opened(stage)
    await stage.api.patch("/v1/tenant", json={"internal_domains": ["acme.example"]})
    mail = {"kind": "notice", "audience": "internal", "to_emails": ["bob@acme.example"], "text": "Did we deliver?"}
    new = {"title": "Ask the warehouse", "mode": "automatic", "content": mail, "reason": "They know."}
    asked = await stage.post(f"/actions/{made['follow_up_action_id']}/replace", new, status=201)
    followed = await now(stage, made)
    assert (await stage.action(asked["action_id"]))["state"] == "completed"
    assert (followed["state"], followed["resolution"], followed["attention"]) == ("open", None, ["not_followed_up"])
    await stage.advance(days=2)
    assert (len(await stage.accepted()), await stage.progress(item)) == (1, []), "the question, and no reminder"
    await sound(stage)


async def test_whoever_gets_the_task_that_follows_a_dispute_up_owns_the_dispute(stage: Stage) -> None:
    """S4-04: by the action, in bulk, and by what replaces it; the list by owner finds it."""
    made, _ = await opened(stage)
    people = [
        (await stage.post("/people", {"name": name, "email": f"{name}@acme.example", "role": "collector"}, status=201))["person_id"] for name in ("a", "b", "c")
    ]
    task = f"/actions/{made['follow_up_action_id']}"
    await stage.api.patch(f"/v1{task}", json={"person_id": people[0]}, headers={"If-Match": "*"})
    owners = [(await now(stage, made))["owner_id"]]
    await stage.post("/actions/bulk", {"act": "reassign", "action_ids": [made["follow_up_action_id"]], "person_id": people[1]})
    owners += [(await now(stage, made))["owner_id"]]
    new = {"title": "Ask", "content": {"kind": "task", "task_text": "Ask."}, "reason": "Nearer.", "person_id": people[2]}
    await stage.post(f"{task}/replace", new, status=201)
    owners += [(await now(stage, made))["owner_id"]]
    assert owners == people
    assert [row["dispute_id"] for row in (await stage.get("/disputes", owner=people[2]))["data"]] == [made["dispute_id"]]
    assert [event["data"]["to"] for event in await told(stage, "dispute.changed")] == [{"owner_id": one} for one in people]


async def test_a_deadline_that_passes_is_told_once_and_shown(stage: Stage) -> None:
    """Not on the day itself; once a deadline, so that a later one can pass again."""
    made, _ = await opened(stage, deadline_on="2026-03-04")
    await stage.advance(days=2)
    assert ((await now(stage, made))["overdue_on"], await told(stage, "dispute.overdue")) == (None, [])
    await stage.advance(days=1)
    late = await now(stage, made)
    assert (late["overdue_on"], late["attention"]) == ("2026-03-05", ["overdue"])
    await stage.advance(days=2)
    (event,) = await told(stage, "dispute.overdue")
    assert event["data"]["deadline_on"] == "2026-03-04"
    moved = await stage.api.patch(f"/v1/disputes/{made['dispute_id']}", json={"deadline_on": "2026-03-09"}, headers={"If-Match": "*"})
    assert (moved.json()["overdue_on"], moved.json()["attention"]) == (None, [])
    await stage.advance(days=4)
    assert len(await told(stage, "dispute.overdue")) == 2
    await sound(stage)


async def test_somebody_who_has_left_sees_to_no_dispute(stage: Stage) -> None:
    """422 names the field; somebody unknown is 404, as any other object."""
    made, item = await opened(stage)
    person = await stage.post("/people", {"name": "Anna Ferri", "email": "anna@acme.example", "role": "collector"}, status=201)
    left = await stage.api.patch(f"/v1/people/{person['person_id']}", json={"active": False}, headers={"If-Match": "*"})
    assert left.status_code == 200, left.text
    refused = await stage.api.patch(f"/v1/disputes/{made['dispute_id']}", json={"owner_id": person["person_id"]}, headers={"If-Match": "*"})
    assert (refused.status_code, refused.json()["errors"][0]["field"], "Anna Ferri" in refused.json()["detail"]) == (422, "owner_id", True)
    await resolve(stage, made, "withdrawn")
    again = await dispute(stage, item, owner_id=person["person_id"], status=422)
    assert again["errors"][0]["field"] == "owner_id"
    await dispute(stage, item, owner_id=str(UUID(int=7)), status=404)
