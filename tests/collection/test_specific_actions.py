"""Actions outside the scenario: made from chosen items, apart from the scenario, carried out at their date, ended by themselves."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import pytest

from dunning.collection import terms
from dunning.kit.ids import new_id
from tests.collection.stage import Stage, scenario, step

LADDER = scenario(step(10, "01", 1), step(20, "02", 8), step(30, "03", 15))


async def opened(stage: Stage, *, days_overdue: int = 2, invoices: int = 3) -> tuple[UUID, list[UUID]]:
    """Open the ladder of three steps with one customer, and return it with its overdue invoices of 100, 200, 300."""
    await stage.open(LADDER)
    customer_id = await stage.customer()
    return customer_id, [await stage.invoice(f"{n}00.00", days_overdue=days_overdue) for n in range(1, invoices + 1)]


def task(*items: UUID, **more: Any) -> dict[str, Any]:
    return {
        "item_ids": [str(item) for item in items], "title": "Call", "content": {"kind": "task", "task_kind": "call", "task_text": "Ask when."}, **more
    }  # fmt: skip


def mail(*items: UUID, **more: Any) -> dict[str, Any]:
    content = {"kind": "notice", **more.pop("content", {})}
    return {"item_ids": [str(item) for item in items], "title": "About these", "mode": "automatic", "content": content, **more}


async def make(stage: Stage, customer_id: UUID, body: dict[str, Any], *, status: int = 201) -> dict[str, Any]:
    return dict(await stage.post(f"/customers/{customer_id}/actions", body, status=status))


async def mails(stage: Stage) -> list[str]:
    """Return the items of the claim of each accepted mail to a customer, oldest first."""
    rows = await stage.tenant.rows(
        """select k.data from message m join claim k using (tenant_id, claim_id) where m.tenant_id = $1 and m.state = 'accepted'
            and m.audience = 'customer' order by m.message_id""",
        stage.tenant_id,
    )
    return [" ".join(sorted(str(r["open_minor"]) for b in row["data"]["blocks"] for r in b["rows"])) for row in rows]  # type: ignore[index]


async def said(stage: Stage, action: dict[str, Any]) -> dict[str, Any]:
    """Return what the last message of an action says."""
    messages = (await stage.action(action["action_id"]))["messages"]
    return dict(await stage.get(f"/messages/{messages[-1]['message_id']}/body"))


async def test_items_of_an_open_specific_action_are_in_no_scenario_action_and_the_others_go_on(stage: Stage) -> None:
    """S4-01, S4-02, C-18: the attached item is apart until the action ends; then it follows the scenario from where it was."""
    customer_id, (apart, *others) = await opened(stage)
    made = await make(stage, customer_id, task(apart))
    assert (made["state"], made["origin"], made["title"], made["task_kind"]) == ("waiting", "specific", "Call", "call")
    assert [(i["item_id"], i["state"]) for i in made["items"]] == [(str(apart), "attached")]
    await stage.remind()
    assert await mails(stage) == ["20000 30000"]
    explained = await stage.get(f"/customers/{customer_id}/explain")
    assert "SPECIFIC_ACTION" in str(explained)
    assert await stage.progress(apart) == []
    done = await stage.post(f"/actions/{made['action_id']}/complete", {})
    assert (done["state"], [i["state"] for i in done["items"]]) == ("completed", ["released"])
    await stage.advance(days=1)
    assert (await mails(stage))[1:] == ["10000 20000 30000"]
    assert [p.split()[0] for p in await stage.progress(apart)] == ["01#0"]
    assert [await stage.progress(item) for item in others] == [["01#0 completed 2026-03-02"]] * 2


async def test_an_item_can_be_in_one_open_specific_action_only(stage: Stage) -> None:
    """S4-02: a second specific action is refused with the first one's id; an ad hoc one is not."""
    customer_id, (first, second, _) = await opened(stage)
    made = await make(stage, customer_id, task(first, second))
    refused = await make(stage, customer_id, task(second), status=409)
    assert (refused["code"], refused["action_ids"]) == ("item_in_specific_action", [made["action_id"]])
    beside = await make(stage, customer_id, task(second, origin="ad_hoc"))
    assert [i["state"] for i in beside["items"]] == ["listed"]


async def test_an_action_without_items_is_malformed_and_one_of_settled_items_a_conflict(stage: Stage) -> None:
    """S4-07."""
    customer_id, (item, *_) = await opened(stage)
    assert (await make(stage, customer_id, {**task(item), "item_ids": []}, status=422))["code"] == "malformed"
    await stage.pay("100.00", item)
    assert (await make(stage, customer_id, task(item), status=409))["code"] == "item_not_open"
    assert (await make(stage, customer_id, task(new_id()), status=404))["code"] == "not_found"


async def test_a_message_lists_exactly_the_chosen_items_and_their_total_a_currency(stage: Stage) -> None:
    """S4-06, S4-15, S4-16: no other open item, no credit, gross, and never added over currencies."""
    customer_id, (first, _, third) = await opened(stage)
    dollars = await stage.invoice("70.00", currency="USD", days_overdue=3)
    await stage.credit("40.00")
    text = "We speak of #items_amount_selected:\n{{items_list_selected}}"
    made = await make(stage, customer_id, mail(first, third, dollars, content={"text": text, "subject": "For {{customer_name}}: #document_numbers"}))
    assert made["state"] == "executed"
    await stage.settle()
    body = await said(stage, made)
    assert body["subject"].startswith("For Customer C1: 1")
    assert "We speak of €400.00 and US$70.00:" in body["text"]
    assert body["verified"] is True
    assert await mails(stage) == ["10000 30000 7000"]
    assert "1002" not in body["text"]
    assert "1005" not in body["text"]
    whole = await stage.action(made["action_id"])
    assert whole["totals"] == [{"amount": "400.00", "currency": "EUR"}, {"amount": "70.00", "currency": "USD"}]
    assert (whole["state"], [i["state"] for i in whole["items"]]) == ("completed", ["released"] * 3)
    assert await stage.progress(first) == []


async def test_all_settled_at_its_date_cancels_and_sends_nothing_some_settled_tells_the_rest(stage: Stage) -> None:
    """S4-20: at the date the facts decide, with amounts as they are then."""
    customer_id, (first, second, third) = await opened(stage, days_overdue=-20)
    day = (dt.date(2026, 3, 6)).isoformat()
    gone = await make(stage, customer_id, mail(first, scheduled_on=day))
    rest = await make(stage, customer_id, mail(second, third, scheduled_on=day))
    assert [a["state"] for a in (gone, rest)] == ["scheduled", "scheduled"]
    await stage.pay("100.00", first)
    await stage.pay("200.00", second)
    await stage.pay("50.00", third)
    await stage.advance(days=5)
    gone, rest = [await stage.action(a["action_id"]) for a in (gone, rest)]
    assert (gone["state"], gone["reason"], gone["messages"]) == ("cancelled", "settled", [])
    assert rest["state"] == "completed"
    assert {i["item_id"]: (i["state"], i["reason"]) for i in rest["items"]} == {
        str(second): ("dropped", "settled"), str(third): ("released", "completed")
    }  # fmt: skip
    assert await mails(stage) == ["25000"]


async def test_a_payment_between_execution_and_sending_is_told_as_it_is(stage: Stage) -> None:
    """S4-20, D5: the fence stops the old amounts, and a new claim tells the rest."""
    customer_id, (first, second, _) = await opened(stage)
    made = await make(stage, customer_id, mail(first, second))
    await stage.pay("100.00", first)
    await stage.pay("20.00", second)
    await stage.settle()
    whole = await stage.action(made["action_id"])
    assert [(c["state"], c["void_reason"]) for c in whole["claims"]] == [("void", "amounts_changed"), ("told", None)]
    assert await mails(stage) == ["18000"]
    await stage.credit("10.00")
    later = await make(stage, customer_id, mail(second))
    await stage.credit("5.00")
    await stage.settle()
    assert [c["state"] for c in (await stage.action(later["action_id"]))["claims"]] == ["told"], "a credit that is not shown changes nothing"


async def test_held_and_disputed_items_are_in_no_message_of_an_action_of_ones_own(stage: Stage) -> None:
    """Must hold: a held item drops out; a task and a question to colleagues may be about it."""
    customer_id, (held, free, _) = await opened(stage)
    await stage.hold(item_id=held)
    made = await make(stage, customer_id, mail(held, free))
    await stage.settle()
    assert await mails(stage) == ["20000"]
    assert {i["item_id"]: i["reason"] for i in (await stage.action(made["action_id"]))["items"]} == {str(held): "held", str(free): "completed"}
    none = await make(stage, customer_id, mail(held))
    assert (none["state"], none["reason"]) == ("cancelled", "held")
    assert (await make(stage, customer_id, task(held)))["state"] == "waiting"


async def test_modes_automatic_to_approve_and_manual(stage: Stage) -> None:
    """S4-14: automatic sends at its date, one to approve waits and is listed, a manual one never sends by itself."""
    customer_id, items = await opened(stage, days_overdue=-20)
    approve = await make(stage, customer_id, mail(items[0], mode="approve"))
    manual = await make(stage, customer_id, mail(items[1], mode="manual"))
    assert (approve["state"], manual["state"], manual["reason"]) == ("awaiting_approval", "waiting", "manual")
    await stage.advance(days=2)
    assert await mails(stage) == []
    assert [a["action_id"] for a in await stage.actions(state="awaiting_approval")] == [approve["action_id"]]
    let_go = await stage.post(f"/actions/{approve['action_id']}/approve")
    assert (let_go["state"], let_go["approved_by"]) == ("executed", "key:all")
    await stage.post(f"/actions/{manual['action_id']}/run-now")
    await stage.settle()
    assert await mails(stage) == ["10000", "20000"]


async def test_nothing_leaves_while_sending_is_off(stage: Stage) -> None:
    customer_id, (item, *_) = await opened(stage)
    answer = await stage.api.put("/v1/tenant/sending", json={"enabled": False})
    assert answer.status_code == 200, answer.text
    refused = await make(stage, customer_id, mail(item), status=409)
    assert refused["code"] == "sending_off"
    assert (await make(stage, customer_id, mail(item, mode="approve")))["state"] == "awaiting_approval"


async def test_what_counts_as_a_step_completes_it_and_passes_over_what_lies_below(stage: Stage) -> None:
    """C-43, S4-12: by choice only; explain says why the step below was skipped."""
    customer_id, (counted, plain, _) = await opened(stage, days_overdue=10)
    made = await make(stage, customer_id, mail(counted, origin="ad_hoc", counts_as_step="02"))
    await make(stage, customer_id, mail(plain, origin="ad_hoc"))
    await stage.settle()
    assert await stage.progress(counted) == ["02#0 completed 2026-03-02", "01#0 skipped by_hand"]
    assert await stage.progress(plain) == []
    assert await stage.tenant.rows("select item_id, reminders from item_dunning where tenant_id = $1", stage.tenant_id) == [
        {"item_id": counted, "reminders": 1}
    ]
    again = await make(stage, customer_id, mail(counted, origin="ad_hoc", counts_as_step="02"), status=409)
    assert again["code"] == "step_reached"
    unknown = await make(stage, customer_id, mail(plain, origin="ad_hoc", counts_as_step="99"), status=409)
    assert unknown["code"] == "no_such_step"
    assert [(i["step_code"], i["passed_over"]) for i in made["items"]] == [("02", [{"step_code": "01", "reason": "by_hand"}])]


async def test_a_cancelled_action_completes_no_step_and_its_items_are_free(stage: Stage) -> None:
    customer_id, (item, *_) = await opened(stage)
    made = await make(stage, customer_id, mail(item, mode="approve", counts_as_step="01"))
    await stage.post(f"/actions/{made['action_id']}/cancel", {"reason": "not now"})
    assert await stage.progress(item) == []
    await stage.remind()
    assert await mails(stage) == ["10000 20000 30000"]


async def test_afterwards_the_items_go_on_from_a_named_step(stage: Stage) -> None:
    """S4-12: what lies below the named step is passed over by hand."""
    customer_id, (item, other, _) = await opened(stage, days_overdue=20)
    made = await make(stage, customer_id, task(item, afterwards="step", afterwards_step_code="03"))
    await stage.post(f"/actions/{made['action_id']}/complete", {})
    assert await stage.progress(item) == ["01#0 skipped by_hand", "02#0 skipped by_hand"]
    await stage.remind()
    assert (await stage.progress(item))[-1] == "03#0 completed 2026-03-02"
    assert (await stage.progress(other))[-1] == "01#0 completed 2026-03-02"


async def test_a_settled_task_ends_by_itself_on_its_day_and_keeps_its_items_until_then(stage: Stage) -> None:
    """S4-20: of a waiting task alike; a payment that is returned before the day does not give its items to the scenario."""
    customer_id, (item, other, *_) = await opened(stage, days_overdue=-1)
    made, again = [await make(stage, customer_id, task(one, scheduled_on="2026-03-20")) for one in (item, other)]
    await stage.pay("100.00", item)
    returned = await stage.pay("200.00", other)
    await stage.advance(days=2)
    assert [(await stage.action(one["action_id"]))["state"] for one in (made, again)] == ["waiting", "waiting"]
    await stage.payment_returns(returned)
    await stage.advance(days=14)
    assert "20000" not in " ".join(await mails(stage))
    assert (await stage.action(made["action_id"]))["state"] == "waiting"
    await stage.advance(days=3)
    assert (await stage.action(again["action_id"]))["state"] == "waiting"
    ended = await stage.action(made["action_id"])
    assert (ended["state"], ended["reason"], [i["state"] for i in ended["items"]]) == ("cancelled", "settled", ["released"])


async def test_a_new_action_copies_a_step_an_action_or_a_model_and_leaves_the_source_as_it_is(stage: Stage) -> None:
    """S4-13: personalised after the copy; later edits of either side do not reach the other."""
    customer_id, (one, two, three) = await opened(stage)
    of_step = await make(
        stage, customer_id, {"item_ids": [str(one)], "copy_from": {"scenario_id": str(stage.scenario_id), "step_code": "02"}, "mode": "approve"}
    )  # fmt: skip
    assert (of_step["title"], of_step["content"]["template"], of_step["content"]["to_roles"]) == ("Step 02", "claim-01", ["dunning", "billing"])
    model = await stage.post("/action-models", {"code": "call", "name": "Friendly call", "content": task(one)["content"], "mode": "manual"}, status=201)
    of_model = await make(
        stage, customer_id, {"item_ids": [str(two)], "copy_from": {"model_id": model["model_id"]}, "content": {"kind": "task", "task_text": "Ask Anna."}}
    )  # fmt: skip
    assert (of_model["title"], of_model["task_kind"], of_model["task_text"], of_model["model_id"]) == ("Friendly call", "call", "Ask Anna.", model["model_id"])
    of_action = await make(stage, customer_id, {"item_ids": [str(three)], "copy_from": {"action_id": of_model["action_id"]}, "title": "Again"})
    assert (of_action["task_text"], of_action["copied_from_action_id"]) == ("Ask Anna.", of_model["action_id"])
    assert (await stage.get(f"/action-models/{model['model_id']}"))["content"]["content"]["task_text"] == "Ask when."
    changed = await stage.api.patch(
        f"/v1/action-models/{model['model_id']}", json={"content": {"kind": "task", "task_text": "Other."}}, headers={"If-Match": '"1"'}
    )  # fmt: skip
    assert changed.status_code == 200, changed.text
    assert (await stage.action(of_model["action_id"]))["task_text"] == "Ask Anna."
    stale = await stage.api.delete(f"/v1/action-models/{model['model_id']}", headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")


async def copies(stage: Stage, customer_id: UUID, items: list[UUID]) -> list[dict[str, Any]]:
    """Copy what goes by itself, a step, an action and a model, without saying how the copies go, and return them once the worker has done what it may."""
    model = await stage.post("/action-models", {"code": "mail", "name": "Mail", "content": {"kind": "notice"}, "mode": "automatic"}, status=201)
    later = await make(stage, customer_id, mail(items[3], scheduled_on="2026-03-20"))
    sources: list[dict[str, Any]] = [
        {"scenario_id": str(stage.scenario_id), "step_code": "02"}, {"action_id": later["action_id"]}, {"model_id": model["model_id"]}
    ]  # fmt: skip
    made = [await make(stage, customer_id, {"item_ids": [str(item)], "copy_from": source}) for item, source in zip(items, sources, strict=False)]
    await stage.settle()
    return [await stage.action(action["action_id"]) for action in made]


async def test_a_copy_of_what_goes_by_itself_waits_for_approval_unless_its_maker_says_automatic(stage: Stage) -> None:
    """S4-13, S4-14: nobody sends by copying; who says the mode has it."""
    customer_id, items = await opened(stage, invoices=5)
    assert [(made["mode"], made["state"]) for made in await copies(stage, customer_id, items)] == [("approve", "awaiting_approval")] * 3
    assert await mails(stage) == []
    copied = {"item_ids": [str(items[4])], "copy_from": {"scenario_id": str(stage.scenario_id), "step_code": "02"}}
    assert (await make(stage, customer_id, copied | {"mode": "automatic"}))["mode"] == "automatic"
    await stage.settle()
    assert await mails(stage) == ["50000"]


async def test_a_copy_that_kept_the_mode_of_its_source_would_be_seen_to_send(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A positive control of the test above."""
    monkeypatch.setattr(terms, "taken_over", lambda pattern, _: {name: pattern[name] for name in terms.TERMS if pattern.get(name) is not None})
    customer_id, items = await opened(stage, invoices=4)
    assert [made["mode"] for made in await copies(stage, customer_id, items)] == ["automatic"] * 3
    assert await mails(stage) == ["10000", "20000", "30000"]


async def test_a_replacement_that_is_copied_waits_for_approval_too(stage: Stage) -> None:
    """S4-03, S4-13: the copy of an automatic step in the place of a call."""
    customer_id, (item, *_) = await opened(stage)
    call = await make(stage, customer_id, task(item))
    copied = {"copy_from": {"scenario_id": str(stage.scenario_id), "step_code": "02"}, "completes_steps": False, "reason": "Nobody answers."}
    made = await stage.post(f"/actions/{call['action_id']}/replace", copied, status=201)
    assert (made["mode"], made["state"]) == ("approve", "awaiting_approval")


async def test_a_copied_task_waits_for_somebody(stage: Stage) -> None:
    """S4-14: what was automatic as a mail is manual as a task."""
    customer_id, (item, *_) = await opened(stage)
    copied = {"copy_from": {"scenario_id": str(stage.scenario_id), "step_code": "02"}, "content": {"kind": "task", "task_kind": "call"}}
    made = await make(stage, customer_id, {"item_ids": [str(item)], **copied})
    assert (made["mode"], made["state"], made["task_kind"]) == ("manual", "waiting", "call")


async def say_automatic(stage: Stage, customer_id: UUID, item: UUID) -> list[dict[str, Any]]:
    """Ask everywhere for a task that goes by itself, and return the answers."""
    content = {"kind": "task", "task_kind": "call"}
    automatic = {"title": "Call", "mode": "automatic", "content": content}
    in_bulk = {"act": "create_action", "customer_ids": [str(customer_id)], "action": automatic}
    qualified = {"item_ids": [str(item)], "next": automatic}
    model = await stage.post("/action-models", {"code": "mail", "name": "Mail", "content": {"kind": "notice"}, "mode": "automatic"}, status=201)
    patched = await stage.api.patch(f"/v1/action-models/{model['model_id']}", json={"content": content}, headers={"If-Match": '"1"'})
    asked = [
        await stage.api.post(f"/v1{path}", json=body, headers={"Idempotency-Key": str(new_id())})
        for path, body in (
            (f"/customers/{customer_id}/actions", {"item_ids": [str(item)], **automatic}),
            (f"/customers/{customer_id}/item-updates", qualified),
            ("/customers/bulk", in_bulk),
            ("/action-models", {"code": "call", "name": "Call", "content": content, "mode": "automatic"}),
        )
    ]
    return [{"status": answer.status_code, **answer.json()} for answer in (patched, *asked)]


async def test_a_task_that_is_to_go_by_itself_is_refused_wherever_it_is_asked_for(stage: Stage) -> None:
    """S4-14: somebody does a task; the mode is refused by its name, and nothing is made."""
    customer_id, (item, *_) = await opened(stage)
    for refused in await say_automatic(stage, customer_id, item):
        assert (refused["status"], [error["field"] for error in refused["errors"]]) == (422, ["mode"]), refused
        assert "expected manual, or approve" in refused["detail"]
    assert await stage.actions() == []
    assert (await make(stage, customer_id, task(item, mode="approve")))["state"] == "awaiting_approval"


async def test_a_task_taken_as_automatic_would_be_seen(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A positive control of the test above: without the refusal every one of these is made."""
    monkeypatch.setattr(terms, "refuse_mode", lambda *_: None)
    customer_id, (item, *_) = await opened(stage)
    assert [answer["status"] for answer in await say_automatic(stage, customer_id, item)][:2] == [200, 201]


async def test_a_step_to_go_on_from_is_refused_without_going_on_from_a_step(stage: Stage) -> None:
    """S4-12: what would be left out in silence is named."""
    customer_id, (item, *_) = await opened(stage)
    for more in ({}, {"afterwards": "resume"}):
        refused = await make(stage, customer_id, task(item, afterwards_step_code="03", **more), status=422)
        assert [error["field"] for error in refused["errors"]] == ["afterwards"], refused
    model = {"code": "call", "name": "Call", "content": {"kind": "task"}, "afterwards_step_code": "03"}
    assert (await stage.post("/action-models", model, status=422))["errors"][0]["field"] == "afterwards"
    first = await make(stage, customer_id, task(item, origin="ad_hoc", afterwards="step", afterwards_step_code="03"))
    copied = await make(stage, customer_id, {"item_ids": [str(item)], "copy_from": {"action_id": first["action_id"]}, "afterwards": "resume"})
    assert (copied["afterwards"], copied["afterwards_step_code"]) == ("resume", None)


async def test_items_of_an_ad_hoc_mail_go_on_from_the_step_that_was_named_for_it(stage: Stage) -> None:
    """S4-12, S4-19: the same as of a specific action; the mail itself is no step."""
    customer_id, (item, other, _) = await opened(stage, days_overdue=20)
    made = await make(stage, customer_id, mail(item, origin="ad_hoc", afterwards="step", afterwards_step_code="03"))
    await stage.settle()
    assert ((await stage.action(made["action_id"]))["state"], made["afterwards"]) == ("completed", "step")
    assert await stage.progress(item) == ["01#0 skipped by_hand", "02#0 skipped by_hand"]
    assert await stage.progress(other) == []


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"text": "Open: #items_amount_selectd"}, "items_amount_selected"),
        ({"text": "{% if x %}a{% endif %}"}, "conditions and loops"),
        ({"subject": "{{items_list}}"}, "cannot stand in a subject"),
        ({"text": "hello", "template": "claim-01"}, "shows no text of your own"),
        ({"text": "#items_amount", "content_mode": "link_only"}, "text and link only"),
    ],
)
async def test_words_that_a_template_cannot_show_are_refused_before_anything_is_written(stage: Stage, content: dict[str, str], field: str) -> None:
    """S4-13, S4-15: a fault is told to its writer, never found by the customer."""
    customer_id, (item, *_) = await opened(stage)
    refused = await make(stage, customer_id, mail(item, content=content), status=422)
    assert field in str(refused), refused
    assert await stage.actions() == []


async def test_the_same_action_stands_in_the_list_on_the_customer_and_with_its_items(stage: Stage) -> None:
    """S4-17, S4-18."""
    customer_id, (item, *_) = await opened(stage)
    made = await make(stage, customer_id, task(item))
    for found in (await stage.actions(customer=str(customer_id)), await stage.actions(item=str(item)), await stage.actions(origin="specific")):
        assert [a["action_id"] for a in found] == [made["action_id"]]
    items = await stage.get(f"/actions/{made['action_id']}/items")
    assert [(i["item_id"], i["open_then"]["amount"], i["open_now"]["amount"]) for i in items] == [(str(item), "100.00", "100.00")]
