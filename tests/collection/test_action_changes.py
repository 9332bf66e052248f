"""What people do to single actions: change them in time and manner, replace them, carry them out now, tell again what was told."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from dunning.collection import action_store, carrying, own_words
from tests.collection.agreements import sound
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_specific_actions import mail, mails, make, opened, said, task

ASKED = scenario(step(10, "01", 1, mode="approve"), step(20, "02", 8))


async def asked(stage: Stage) -> tuple[UUID, list[UUID], dict[str, Any]]:
    """Open a ladder whose first step waits for approval, with an action that waits."""
    await stage.open(ASKED)
    customer_id = await stage.customer()
    items = [await stage.invoice("100.00"), await stage.invoice("200.00")]
    await stage.launch(commit_at_once=True)
    (action,) = await stage.actions()
    assert action["state"] == "awaiting_approval"
    return customer_id, items, action


async def patched(stage: Stage, action_id: str, body: dict[str, Any], *, etag: str = "*", status: int = 200) -> dict[str, Any]:
    answer = await stage.api.patch(f"/v1/actions/{action_id}", json=body, headers={"If-Match": etag})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def events(stage: Stage, kind: str) -> list[dict[str, Any]]:
    rows = await stage.tenant.rows("select data from event where tenant_id = $1 and kind = $2 order by event_id", stage.tenant_id, kind)
    return [dict(row["data"]) for row in rows]  # type: ignore[call-overload]


async def test_a_collector_changes_the_current_action_in_time_and_manner_and_the_plan_stays_in_its_events(stage: Stage) -> None:
    """S2-11: date, channel, template, words; the scenario is not touched."""
    _, _, action = await asked(stage)
    action_id = action["action_id"]
    changed = await patched(
        stage, action_id, {"template": "specific_action", "text": "Dear Anna, #items_amount_selected is open.", "title": "Kindly"}, etag='"1"'
    )  # fmt: skip
    assert (changed["title"], changed["content"]["template"], changed["revision"]) == ("Kindly", "specific_action", 2)
    stale = await patched(stage, action_id, {"title": "Other"}, etag='"1"', status=412)
    assert stale["code"] == "precondition_failed"
    (told,) = await events(stage, "action.changed")
    assert (told["from"], told["to"]["template"]) == ({}, "specific_action")
    assert "Dear Anna" not in str(told)
    await stage.post(f"/actions/{action_id}/approve")
    await stage.settle()
    body = await said(stage, action)
    assert "Dear Anna, €300.00 is open." in body["text"]
    assert body["verified"] is True
    (scenario_action,) = await stage.actions(origin="scenario")
    assert (scenario_action["state"], scenario_action["step_code"]) == ("completed", "01")
    assert (await patched(stage, action_id, {"title": "Late"}, status=409))["code"] == "action_state"


async def test_taking_a_change_away_gives_an_action_back_what_its_step_says(stage: Stage) -> None:
    """S2-11: not the product's template for own words, which the collector never chose."""
    _, _, action = await asked(stage)
    own = action["content"]
    await patched(stage, action["action_id"], {"template": "specific_action", "text": "Dear Anna, please look."})
    back = await patched(stage, action["action_id"], {"template": None, "text": None})
    assert back["content"] == own
    same = await patched(stage, action["action_id"], {"template": None})
    assert (same["content"], same["revision"]) == (own, back["revision"])
    await stage.post(f"/actions/{action['action_id']}/approve")
    await stage.settle()
    assert len(await mails(stage)) == 1
    assert "Dear Anna" not in (await said(stage, action))["text"]
    assert (await stage.action(action["action_id"]))["state"] == "completed"


async def test_another_channel_makes_it_a_task_for_somebody_with_the_claim_ready(stage: Stage) -> None:
    """S2-11: by letter instead of mail."""
    _, items, action = await asked(stage)
    await patched(stage, action["action_id"], {"channel": "registered_letter", "scheduled_on": "2026-03-02"})
    let_go = await stage.post(f"/actions/{action['action_id']}/approve")
    assert (let_go["state"], let_go["reason"], let_go["task_kind"], len(let_go["claims"])) == ("waiting", "by_registered_letter", "registered_letter", 1)
    await stage.post(f"/actions/{action['action_id']}/complete", {})
    assert await stage.progress(items[0]) == ["01#0 completed 2026-03-02"]


async def test_what_does_not_fit_the_kind_of_an_action_is_refused(stage: Stage) -> None:
    customer_id, items = await opened(stage)
    made = await make(stage, customer_id, task(items[0]))
    assert "task_kind" in (await patched(stage, made["action_id"], {"subject": "Hello"}, status=422))["detail"]
    changed = await patched(stage, made["action_id"], {"task_text": "Ask Bruno.", "scheduled_on": "2026-03-09"})
    assert (changed["task_text"], changed["scheduled_on"], changed["state"]) == ("Ask Bruno.", "2026-03-09", "waiting")
    assert (await patched(stage, made["action_id"], {"scheduled_on": "2026-02-01"}, status=422))["code"] == "malformed"
    assert (await patched(stage, made["action_id"], {"person_id": str(customer_id)}, status=404))["code"] == "not_found"


async def test_a_replaced_action_names_its_successor_which_completes_its_step(stage: Stage) -> None:
    """S4-03: an interactive mail instead of the proposed one."""
    _, items, action = await asked(stage)
    body = {"title": "Write kindly", "mode": "automatic", "content": {"text": "Please tell us about #document_numbers."}, "reason": "They prefer a word."}
    made = await stage.post(f"/actions/{action['action_id']}/replace", body, status=201)
    old = await stage.action(action["action_id"])
    assert (old["state"], old["reason"], old["superseded_by"]) == ("superseded", "They prefer a word.", made["action_id"])
    assert [(one["item_id"], one["state"], one["reason"]) for one in old["items"]] == [(str(item), "void", "superseded") for item in items]
    assert {one["action_id"] for one in await stage.actions(item=str(items[0]))} == {action["action_id"], made["action_id"]}
    assert (made["origin"], made["state"], made["counts_as_step"]) == ("specific", "executed", "01")
    await stage.settle()
    assert await mails(stage) == ["10000 20000"]
    assert [await stage.progress(item) for item in items] == [["01#0 completed 2026-03-02"]] * 2
    again = await stage.post(f"/actions/{action['action_id']}/replace", body, status=409)
    assert again["code"] == "action_state"


async def ended_calls(stage: Stage) -> list[dict[str, Any]]:
    """Return a call that was cancelled, one that was replaced, one that was settled, and one that was rejected."""
    customer_id, items = await opened(stage, invoices=4)
    cancelled, replaced, settled = [await make(stage, customer_id, task(item)) for item in items[:3]]
    rejected = await make(stage, customer_id, task(items[3], mode="approve"))
    await stage.post(f"/actions/{cancelled['action_id']}/cancel", {"reason": "Not now."})
    await stage.post(f"/actions/{replaced['action_id']}/replace", {"title": "Write", "content": {"text": "Kindly."}, "reason": "Nobody answers."}, status=201)
    await stage.pay("300.00", items[2])
    await stage.post(f"/actions/{rejected['action_id']}/reject", {"reason": "No."})
    await stage.advance(days=1)
    return [await stage.action(action["action_id"]) for action in (cancelled, replaced, settled, rejected)]


async def test_an_action_that_ended_otherwise_still_says_what_was_to_be_done(stage: Stage) -> None:
    """S4-03, S4-20: who reads the customer's history sees the call that was not made. One that nobody had approved was nobody's task yet."""
    *calls, rejected = await ended_calls(stage)
    assert [(call["state"], call["task_kind"], call["task_text"]) for call in calls] == [
        (state, "call", "Ask when.") for state in ("cancelled", "superseded", "cancelled")
    ]
    assert (rejected["state"], rejected["task_kind"], rejected["content"]["task_text"]) == ("rejected", None, "Ask when.")


async def test_the_event_of_a_superseded_action_names_the_one_that_took_its_place(stage: Stage) -> None:
    """S4-03: in the feed as in the action."""
    replaced = (await ended_calls(stage))[1]
    (told,) = await events(stage, "action.superseded")
    assert told == {"reason": "Nobody answers.", "superseded_by": replaced["superseded_by"]}
    assert all("superseded_by" not in data for data in await events(stage, "action.cancelled"))


async def test_an_ending_that_forgets_what_was_to_be_done_or_who_comes_next_would_be_seen(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A positive control of both tests above."""
    end, cancel = action_store.end_actions, carrying.cancel

    async def forgetting(session: Any, tenant_id: Any, ids: Any, state: str, reason: str) -> None:
        await end(session, tenant_id, ids, state, reason)
        await session.execute("update action set task_kind = null where tenant_id = $1 and action_id = any ($2::uuid[])", tenant_id, ids)

    monkeypatch.setattr(action_store, "end_actions", forgetting)
    monkeypatch.setattr(carrying, "cancel", lambda *given, superseded_by=None, **named: cancel(*given, **named))
    assert [call["task_kind"] for call in await ended_calls(stage)] == [None] * 4
    assert await events(stage, "action.superseded") == [{"reason": "Nobody answers."}]


async def test_a_replacement_that_completes_no_step_gives_the_items_back_to_their_step(stage: Stage) -> None:
    """S4-03, C-43: by choice."""
    _, items, action = await asked(stage)
    body = {**task(), "completes_steps": False, "reason": "Call first."}
    del body["item_ids"]
    made = await stage.post(f"/actions/{action['action_id']}/replace", body, status=201)
    assert (made["state"], made["task_kind"]) == ("waiting", "call")
    specific = await stage.post(f"/actions/{made['action_id']}/replace", {**body, "title": "Call Bruno"}, status=201)
    assert [i["state"] for i in (await stage.action(made["action_id"]))["items"]] == ["released", "released"]
    await stage.post(f"/actions/{specific['action_id']}/complete", {})
    assert await stage.progress(items[0]) == []
    await stage.advance(days=1)
    (again,) = await stage.actions(state="awaiting_approval")
    assert (again["origin"], again["step_code"]) == ("scenario", "01")


ALL_MOMENTS = [
    {"kind": "create_call_task", "when": "executed", "params": {"text": "Call them."}},
    {"kind": "record_activity", "when": "executed", "params": {"type": "notice", "text": "Insurer told."}},
    {"kind": "block_account", "when": "completed", "params": {"degree": "no_deliveries", "release_when": "settled"}},
]
DOING = scenario(step(10, "01", 1, mode="approve", operations=ALL_MOMENTS), step(20, "02", 8, operations=ALL_MOMENTS[2:]))


async def doing(stage: Stage, *, task: bool = False) -> tuple[list[UUID], dict[str, Any]]:
    """Open a ladder whose first step does something at every moment, with its action that waits: for approval, or for the call that it asks for."""
    call = {"notices": [], "mode": "automatic", "deadline_days": None, "task": {"kind": "call", "text": "Call."}}
    await stage.open(scenario(DOING["steps"][0] | call, DOING["steps"][1]) if task else DOING)
    await stage.customer()
    items = [await stage.invoice("100.00"), await stage.invoice("200.00")]
    await stage.launch(commit_at_once=True)
    (action,) = await stage.actions(origin="scenario")
    return items, action


async def done(stage: Stage, action_id: str) -> list[str]:
    return [f"{o['operation_no']} {o['kind']} {o['state']}" for o in (await stage.action(action_id))["operations"]]


async def effects(stage: Stage) -> tuple[int, int, list[list[str]]]:
    """Return how many calls were put on the list, how many activities noted, and the items behind each account block."""
    calls = [a for a in await stage.actions(origin="ad_hoc") if a["task_kind"] == "call"]
    noted = await stage.tenant.rows("select 1 from activity where tenant_id = $1 and kind = 'notice'", stage.tenant_id)
    blocks = (await stage.get("/account-blocks"))["data"]
    return len(calls), len(noted), [[row["item_id"] for row in block["items"]] for block in blocks]


INSTEAD = {"title": "Write kindly", "mode": "automatic", "content": {"text": "Please tell us about #document_numbers."}, "reason": "They prefer a word."}


async def test_a_replacement_does_what_its_step_does_once_and_each_at_its_moment(stage: Stage) -> None:
    """S4-03: it counts as the step, so the call, the note and the block come with it; what is settled in between causes no block."""
    items, action = await doing(stage)
    await stage.hold(item_id=items[1])
    made = await stage.post(f"/actions/{action['action_id']}/replace", INSTEAD, status=201)
    assert await done(stage, action["action_id"]) == []
    assert await done(stage, made["action_id"]) == ["1 create_call_task done", "2 record_activity done", "3 block_account waiting"]
    assert await effects(stage) == (1, 1, [])
    await stage.settle()
    assert await done(stage, made["action_id"]) == ["1 create_call_task done", "2 record_activity done", "3 block_account done"]
    assert await effects(stage) == (1, 1, [[str(items[0])]])
    await sound(stage)


async def test_a_replacement_takes_over_only_what_the_replaced_action_has_not_done(stage: Stage) -> None:
    """S4-03: a mail instead of a call that is on the list: the step's first effects are done and are not done again."""
    items, action = await doing(stage, task=True)
    assert await done(stage, action["action_id"]) == ["1 create_call_task done", "2 record_activity done", "3 block_account waiting"]
    letter = {"title": "Write", "mode": "approve", "content": {}, "reason": "Nobody answers."}
    first = await stage.post(f"/actions/{action['action_id']}/replace", letter, status=201)
    assert await done(stage, action["action_id"]) == ["1 create_call_task done", "2 record_activity done"]
    second = await stage.post(f"/actions/{first['action_id']}/replace", INSTEAD, status=201)
    assert [await done(stage, first["action_id"]), await done(stage, second["action_id"])] == [[], ["3 block_account waiting"]]
    await stage.settle()
    assert await effects(stage) == (1, 1, [sorted(map(str, items))])
    assert await stage.progress(items[0]) == ["01#0 completed 2026-03-02"]


async def test_a_task_in_the_place_of_a_step_does_what_the_step_does_when_it_is_done(stage: Stage) -> None:
    """S4-03: a call instead of the mail, by a person."""
    items, action = await doing(stage)
    call = {"title": "Call", "content": {"kind": "task", "task_kind": "call"}, "reason": "They prefer a word."}
    made = await stage.post(f"/actions/{action['action_id']}/replace", call, status=201)
    assert (await effects(stage), made["state"]) == ((0, 0, []), "waiting")
    await stage.post(f"/actions/{made['action_id']}/complete", {})
    assert await effects(stage) == (1, 1, [sorted(map(str, items))])


async def test_a_replacement_gives_the_days_for_payment_of_its_step_so_that_what_waits_for_the_deadline_comes(stage: Stage) -> None:
    """S4-03: a letter by hand instead of the mail; the block at the deadline and the step after the deadline come all the same, or after its own days."""
    at_deadline = [{"kind": "block_account", "when": "deadline_passed", "params": {"degree": "no_deliveries", "release_when": "settled"}}]
    after = step(20, "02", 0, mode="approve") | {"trigger": {"kind": "deadline_passed"}}
    await stage.open(scenario(step(10, "01", 1, mode="approve", deadline_days=5, operations=at_deadline), after))
    await stage.customer()
    await stage.customer("C2")
    items = [await stage.invoice("100.00"), await stage.invoice("200.00", customer="C2")]
    await stage.launch(commit_at_once=True)
    by_item = {action["items"][0]["item_id"]: action for action in [await stage.action(a["action_id"]) for a in await stage.actions(origin="scenario")]}
    for item, days in zip(items, ({}, {"deadline_days": 9}), strict=True):
        letter = {
            "title": "Letter",
            "mode": "manual",
            "content": {"kind": "task", "task_kind": "letter", "task_text": "Post it.", **days},
            "reason": "On paper.",
        }
        made = await stage.post(f"/actions/{by_item[str(item)]['action_id']}/replace", letter, status=201)
        await stage.post(f"/actions/{made['action_id']}/complete", {})

    async def come() -> list[list[str]]:
        blocks = (await stage.get("/account-blocks"))["data"]
        next_ones = await stage.actions(state="awaiting_approval")
        return [[str(item) for item in items if any(i["item_id"] == str(item) for one in found for i in one["items"])]
                for found in (blocks, [await stage.action(a["action_id"]) for a in next_ones])]  # fmt: skip

    assert await come() == [[], []]
    await stage.advance(days=6)
    assert await come() == [[str(items[0])], [str(items[0])]]
    await stage.advance(days=4)
    assert await come() == [[str(item) for item in items], [str(item) for item in items]]


async def test_what_a_step_does_is_left_out_where_that_is_asked_and_where_no_step_is_completed(stage: Stage) -> None:
    """S4-03: both are said in the request; what cannot be is refused."""
    items, action = await doing(stage)
    path = f"/actions/{action['action_id']}/replace"
    refused = await stage.post(path, {**INSTEAD, "completes_steps": False, "carries_out_operations": True}, status=422)
    assert "carries_out_operations" in refused["detail"]
    plain = await stage.post(path, {**INSTEAD, "mode": "approve", "completes_steps": False}, status=201)
    await stage.post(f"/actions/{plain['action_id']}/replace", {**INSTEAD, "completes_steps": False}, status=201)
    await stage.settle()
    assert (await effects(stage), await stage.progress(items[0])) == ((0, 0, []), [])
    await stage.advance(days=1)
    (again,) = await stage.actions(state="awaiting_approval")
    made = await stage.post(f"/actions/{again['action_id']}/replace", {**INSTEAD, "carries_out_operations": False}, status=201)
    await stage.settle()
    assert (await effects(stage), await done(stage, made["action_id"])) == ((0, 0, []), [])
    assert await stage.progress(items[0]) == ["01#0 completed 2026-03-03"]


async def test_a_replacement_may_count_as_another_step_and_then_does_what_that_one_does(stage: Stage) -> None:
    """S4-03, C-43: the step that is named is completed and the one below passed over; a step that the items have reached is refused, and all stays."""
    items, action = await doing(stage)
    path = f"/actions/{action['action_id']}/replace"
    assert (await stage.post(path, {**INSTEAD, "counts_as_step": "99"}, status=409))["code"] == "no_such_step"
    assert (await stage.action(action["action_id"]))["state"] == "awaiting_approval"
    made = await stage.post(path, {**INSTEAD, "counts_as_step": "02", "completes_steps": False}, status=201)
    assert (made["counts_as_step"], await done(stage, made["action_id"])) == ("02", ["1 block_account waiting"])
    await stage.settle()
    assert await effects(stage) == (0, 0, [sorted(map(str, items))])
    assert sorted(await stage.progress(items[0])) == ["01#0 skipped by_hand", "02#0 completed 2026-03-02"]


async def test_a_replacement_that_is_cancelled_leaves_nothing_of_its_step_to_do(stage: Stage) -> None:
    items, action = await doing(stage)
    made = await stage.post(f"/actions/{action['action_id']}/replace", {**INSTEAD, "mode": "approve"}, status=201)
    await stage.post(f"/actions/{made['action_id']}/reject", {"reason": "No."})
    assert {one.rsplit(" ", 1)[1] for one in await done(stage, made["action_id"])} == {"not_needed"}
    assert (await effects(stage), await stage.progress(items[0])) == ((0, 0, []), [])


async def test_an_action_runs_now_ahead_of_its_day(stage: Stage) -> None:
    customer_id, items = await opened(stage, days_overdue=-20)
    made = await make(stage, customer_id, mail(items[0], scheduled_on="2026-03-20"))
    ran = await stage.post(f"/actions/{made['action_id']}/run-now")
    assert (ran["state"], ran["scheduled_on"]) == ("executed", "2026-03-02")
    await stage.settle()
    assert await mails(stage) == ["10000"]
    assert (await stage.post(f"/actions/{made['action_id']}/run-now", status=409))["code"] == "action_state"


async def test_a_step_is_sent_again_without_what_is_settled_and_without_counting(stage: Stage) -> None:
    """S0-19: messages name the first; a new claim replaces the old one only where amounts changed; reminders do not rise unless asked."""
    customer_id, (first, second, _) = await opened(stage)
    await stage.remind()
    (action,) = await stage.actions()
    path = f"/actions/{action['action_id']}/resend"
    again = await stage.post(path, {})
    await stage.settle()
    whole = await stage.action(action["action_id"])
    assert (len(whole["claims"]), len(whole["messages"]), [m["state"] for m in whole["messages"]]) == (1, 2, ["accepted", "accepted"])
    resent = await stage.get(f"/messages/{whole['messages'][1]['message_id']}")
    assert resent["resend_of"] == whole["messages"][0]["message_id"]
    await stage.pay("100.00", first)
    contacts = (await stage.get(f"/customers/{customer_id}"))["contacts"]
    await stage.post(path, {"contact_ids": [contacts[0]["contact_id"]]})
    await stage.settle()
    assert (await mails(stage))[1:] == ["10000 20000 30000", "20000 30000"]
    whole = await stage.action(action["action_id"])
    assert [c["state"] for c in whole["claims"]] == ["told", "told"]
    assert whole["claims"][1]["replaces_id"] == whole["claims"][0]["claim_id"]
    assert whole["claims"][1]["data"]["reminder_no"] == 1
    assert await stage.tenant.value("select reminders from item_dunning where tenant_id = $1 and item_id = $2", stage.tenant_id, second) == 1
    await stage.post(path, {"counts_as_reminder": True})
    await stage.settle()
    assert await stage.tenant.value("select reminders from item_dunning where tenant_id = $1 and item_id = $2", stage.tenant_id, second) == 2
    assert [await stage.progress(second)] == [["01#0 completed 2026-03-02"]]
    assert again["state"] == "completed"


async def test_a_repeated_message_has_a_link_of_its_own_claim_and_says_what_is_frozen(stage: Stage) -> None:
    """S0-19: what the mail says is verified against what was sent."""
    _, (first, *_) = await opened(stage)
    await stage.remind()
    (action,) = await stage.actions()
    await stage.pay("100.00", first)
    await stage.post(f"/actions/{action['action_id']}/resend", {})
    await stage.settle()
    body = await said(stage, action)
    assert body["verified"] is True
    links = await stage.tenant.rows("select claim_id, message_id from link where tenant_id = $1 order by link_id", stage.tenant_id)
    messages = await stage.tenant.rows("select claim_id, message_id from message where tenant_id = $1 order by message_id", stage.tenant_id)
    assert [(r["claim_id"], r["message_id"]) for r in links] == [(r["claim_id"], r["message_id"]) for r in messages]


async def told_in_own_words(stage: Stage, **content: str) -> dict[str, Any]:
    """Return an action that has told a customer a collector's own words."""
    customer_id, items = await opened(stage)
    made = await make(stage, customer_id, mail(items[0], content=content))
    await stage.settle()
    return await stage.action(made["action_id"])


@pytest.mark.parametrize(
    ("content", "field"),
    [({"text": "We spoke of #items_amount_selected."}, "text"), ({"text": "Kindly."}, "text"), ({"subject": "Still open: #items_amount_selected"}, "subject")],
)
async def test_own_words_that_a_mail_of_link_only_cannot_show_are_refused_at_once(stage: Stage, content: dict[str, str], field: str) -> None:
    """S0-19, S4-13: sent again as it was, never without the words that were written for it, and never refused only as it is to leave."""
    action = await told_in_own_words(stage, **content)
    path = f"/actions/{action['action_id']}/resend"
    refused = await stage.post(path, {"content_mode": "link_only"}, status=409)
    assert (refused["code"], refused["reason"], [error["field"] for error in refused["errors"]]) == ("nothing_to_resend", "own_words", ["content_mode"])
    assert f"link_only cannot show the {field} that was written" in refused["detail"]
    many = await stage.post("/actions/bulk", {"act": "resend", "action_ids": [action["action_id"]], "content_mode": "link_only"})
    assert [(one["outcome"], one["detail"]) for one in many["data"]] == [("refused", refused["detail"])]
    assert len((await stage.action(action["action_id"]))["messages"]) == 1
    for body in ({}, {"content_mode": "full"}):
        await stage.post(path, body)
        await stage.settle()
    assert [m["state"] for m in (await stage.action(action["action_id"]))["messages"]] == ["accepted"] * 3


async def test_a_subject_of_ones_own_without_details_is_sent_again_as_link_only(stage: Stage) -> None:
    action = await told_in_own_words(stage, subject="About your account")
    await stage.post(f"/actions/{action['action_id']}/resend", {"content_mode": "link_only"})
    await stage.settle()
    body = await said(stage, action)
    assert (body["subject"], "€100.00" in body["text"]) == ("About your account", False)


async def test_own_words_that_nobody_looks_at_before_they_are_sent_again_would_be_seen_to_be_lost(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A positive control of the refusal: without it the text is left out in silence, and a subject with an amount stops the mail as it is to leave."""
    monkeypatch.setattr(own_words, "word_faults", lambda *_, **__: [])
    action = await told_in_own_words(stage, text="Kindly.", subject="Still open: #items_amount_selected")
    await stage.post(f"/actions/{action['action_id']}/resend", {"content_mode": "link_only"})
    await stage.settle()
    assert [m["state"] for m in (await stage.action(action["action_id"]))["messages"]] == ["accepted", "parked"]


async def test_there_is_nothing_to_send_again_where_nothing_was_told_or_all_is_settled(stage: Stage) -> None:
    """S0-19: refused with the reason, and nothing is written."""
    customer_id, items = await opened(stage)
    made = await make(stage, customer_id, task(items[0]))
    assert (await stage.post(f"/actions/{made['action_id']}/resend", {}, status=409))["reason"] == "not_told"
    await stage.post(f"/actions/{made['action_id']}/cancel", {"reason": "x"})
    await stage.remind()
    action = (await stage.actions(origin="scenario"))[0]
    await stage.pay("600.00")
    assert (await stage.post(f"/actions/{action['action_id']}/resend", {}, status=409))["reason"] == "settled"
    assert (await stage.post(f"/actions/{action['action_id']}/resend", {"contact_ids": [str(customer_id)]}, status=404))["code"] == "not_found"


async def test_a_step_is_signed_by_whoever_it_names_and_answers_go_there(stage: Stage) -> None:
    """B-25: an escalated sender on the step of its notice; the control is the step before, signed by the ledger."""
    second = step(20, "02", 8, notice={"sender_name": "Carla Conti, CFO", "reply_to": "cfo@acme.example"})
    await stage.open(scenario(step(10, "01", 1), second))
    await stage.customer()
    await stage.invoice("100.00", days_overdue=2)
    await stage.remind()
    await stage.advance(days=7)
    first, escalated = [await said(stage, action) for action in await stage.actions()]
    assert "Acme receivables" in first["text"]
    assert "Carla Conti, CFO\ncfo@acme.example" in escalated["text"]
    assert escalated["verified"] is True
