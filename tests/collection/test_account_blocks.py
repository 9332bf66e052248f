"""Account blocks: placed when a step is completed or by hand, lifted by settlement, told both ways (S0-09, B-29, C-38)."""

from __future__ import annotations

from typing import Any

import pytest

from dunning_worker.jobs.watch import watch_agreements
from tests.collection.agreements import sound, told
from tests.collection.stage import Stage, scenario, step

BLOCK = {"kind": "block_account", "params": {"degree": "no_deliveries", "reason": "Last notice", "release_when": "settled"}}
LAST = scenario(step(1, "last", 1, operations=[BLOCK]))


async def blocks(stage: Stage, **params: str) -> list[dict[str, Any]]:
    """Return the account blocks, oldest first."""
    return list((await stage.get("/account-blocks", **params))["data"])


async def test_claim_phase_05_blocks_the_account_until_the_debt_is_paid(stage: Stage) -> None:
    """S0-09: the shipped scenario places the block when its notice was taken, and the payment lifts it within seconds, with events both ways."""
    await stage.open("claims")
    customer = await stage.customer()
    item = await stage.invoice("100.00", days_overdue=31)
    for _ in range(5):
        await stage.remind()
        await stage.advance(days=8)
    assert (await stage.progress(item))[-1].startswith("05#0 completed")
    (block,) = await blocks(stage)
    assert (block["state"], block["degree"], block["origin"], block["customer_id"]) == ("active", "no_new_orders", "step", str(customer))
    assert [row["item_id"] for row in block["items"]] == [str(item)]
    (event,) = await told(stage, "account.blocked")
    assert (event["data"]["degree"], event["data"]["item_ids"], event["data"]["strictest"]) == ("no_new_orders", [str(item)], "no_new_orders")
    operations = await stage.tenant.rows("select state from operation_record where tenant_id = $1 and kind = 'block_account'", stage.tenant_id)
    assert [row["state"] for row in operations] == ["done"]
    await stage.pay("99.99", item)
    await watch_agreements(stage.world, stage.tenant_id)
    assert (await blocks(stage))[0]["state"] == "active"
    await stage.pay("0.01", item)
    await watch_agreements(stage.world, stage.tenant_id)
    assert ((await blocks(stage))[0]["state"], (await blocks(stage))[0]["lifted_because"]) == ("lifted", "settled")
    (event,) = await told(stage, "account.unblocked")
    assert event["data"]["strictest"] is None
    await sound(stage)


async def test_no_block_before_the_notice_was_taken_and_none_of_a_cancelled_action(stage: Stage) -> None:
    """Promises 2.4: money effects hang on acceptance, never on the plan."""
    await stage.open(LAST)
    await stage.customer()
    await stage.customer("C2")
    await stage.invoice("100.00")
    await stage.invoice("100.00", customer="C2")
    await stage.launch(commit_at_once=True)
    assert await blocks(stage) == []
    cancelled, _ = await stage.actions()
    await stage.post(f"/actions/{cancelled['action_id']}/cancel", {"reason": "not them"})
    await stage.settle()
    assert [block["customer_id"] for block in await blocks(stage)] == [(await stage.actions())[1]["customer_id"]], "the control: the other one is blocked"
    rows = await stage.tenant.rows("select state from operation_record where tenant_id = $1 order by state", stage.tenant_id)
    assert [row["state"] for row in rows] == ["done", "not_needed"]


async def test_a_returned_payment_brings_the_block_of_a_step_back(stage: Stage) -> None:
    """S0-09, last step: the debt is open again, so is the block, with an event of its own; paid once more it is lifted, and so on."""
    await stage.open(LAST, return_hold_days=30)
    await stage.customer()
    item = await stage.invoice("100.00")
    await stage.remind()
    for number in (1, 2):
        receipt = await stage.pay("100.00", item)
        await stage.settle()
        assert [block["state"] for block in await blocks(stage)] == ["lifted"] * number
        await stage.payment_returns(receipt)
        await stage.settle()
        *former, again = await blocks(stage)
        assert (again["state"], again["degree"], again["reason"], again["origin"]) == ("active", "no_deliveries", "payment_returned", "step")
        assert (again["renews_id"], [row["item_id"] for row in again["items"]]) == (former[-1]["block_id"], [str(item)])
        event = (await told(stage, "account.blocked"))[number]
        assert (event["data"]["reason"], event["data"]["renews_id"]) == ("payment_returned", former[-1]["block_id"])
        await stage.settle()
        assert len(await blocks(stage)) == number + 1, "once a return"
    await sound(stage)


@pytest.mark.parametrize(("params", "count"), [({"when_returned": "leave"}, 1), ({"when_returned": "block"}, 2)])
async def test_a_step_may_leave_a_lifted_block_lifted(stage: Stage, params: dict[str, str], count: int) -> None:
    """The tenant's wish, as an option of the operation; the control: the default said aloud."""
    operation = BLOCK | {"params": BLOCK["params"] | params}  # type: ignore[operator]  # a mapping
    await stage.open(scenario(step(1, "last", 1, operations=[operation])))
    await stage.customer()
    item = await stage.invoice("100.00")
    await stage.remind()
    receipt = await stage.pay("100.00", item)
    await stage.settle()
    await stage.payment_returns(receipt)
    await stage.settle()
    assert len(await blocks(stage)) == count
    refused = scenario(step(1, "last", 1, operations=[BLOCK | {"params": BLOCK["params"] | {"when_returned": "perhaps"}}]))  # type: ignore[operator]
    made = await stage.post("/scenarios", refused, status=201)
    answer = await stage.api.post(f"/v1/scenarios/{made['scenario_id']}/publish", headers={"Idempotency-Key": "k"})
    assert "unknown_when_returned" in answer.text


async def test_what_a_person_lifted_stays_lifted_and_what_a_person_placed_may_stay_away(stage: Stage) -> None:
    await stage.open(LAST)
    customer = await stage.customer()
    first, second = await stage.invoice("100.00"), await stage.invoice("50.00")
    body = {"customer_id": str(customer), "degree": "full", "reason": "late"}
    by_hand = await stage.post("/account-blocks", body | {"item_ids": [str(first)]}, status=201)
    await stage.post(f"/account-blocks/{by_hand['block_id']}/lift", {"reason": "settled"})
    for degree, renewable in (("no_changes", True), ("no_new_orders", False)):
        await stage.post("/account-blocks", body | {"degree": degree, "item_ids": [str(second)], "renewable": renewable}, status=201)
    receipt = await stage.pay("50.00", second)
    await stage.settle()
    await stage.payment_returns(receipt)
    await stage.settle()
    assert [(block["degree"], block["state"]) for block in await blocks(stage)] == [
        ("full", "lifted"), ("no_changes", "lifted"), ("no_new_orders", "lifted"), ("no_changes", "active"),
    ]  # fmt: skip
    await sound(stage)


async def test_what_owes_again_after_the_last_step_is_put_before_somebody_once(stage: Stage) -> None:
    """Nothing more would come of itself (SCENARIO_ENDED), held or not: a call is listed; whoever cancels it is not asked again. The control has a step left."""
    await stage.open(LAST, return_hold_days=30)
    made = await stage.post("/scenarios", scenario(step(1, "last", 1), step(2, "more", 50)), status=201)
    await stage.post(f"/scenarios/{made['scenario_id']}/publish")
    for name in ("C1", "C2"):
        await stage.customer(name, **({} if name == "C1" else {"policy": "scenario", "scenario_id": made["scenario_id"]}))
    items = [await stage.invoice("100.00", customer=name) for name in ("C1", "C2")]
    await stage.remind()
    receipts = [await stage.pay("100.00", item, customer=name) for item, name in zip(items, ("C1", "C2"), strict=True)]
    await stage.settle()
    for receipt in receipts:
        await stage.payment_returns(receipt)
    await stage.settle()
    (call,) = await stage.actions(state="waiting")
    assert (call["origin"], call["task_kind"], call["step_name"]) == ("ad_hoc", "call", "Owes again, and no step is left")
    assert [row["item_id"] for row in (await stage.action(call["action_id"]))["items"]] == [str(items[0])]
    assert [row["action_id"] for row in (await stage.get("/agenda"))["data"]] == [call["action_id"]]
    await stage.post(f"/actions/{call['action_id']}/cancel", {"reason": "known"})
    await stage.advance(days=1)
    assert await stage.actions(state="waiting") == []
    await sound(stage)


async def test_the_same_block_is_placed_once(stage: Stage) -> None:
    """Same degree, same items: 409 names the one in force. Another degree, other items, or lifted: another block."""
    await stage.open(LAST)
    customer = await stage.customer()
    first, second = await stage.invoice("100.00"), await stage.invoice("50.00")
    body = {"customer_id": str(customer), "degree": "full", "reason": "late", "item_ids": [str(first), str(second)]}
    made = await stage.post("/account-blocks", body, status=201)
    refused = await stage.post("/account-blocks", body | {"reason": "again", "item_ids": [str(second), str(first)]}, status=409)
    assert (refused["code"], refused["block_id"]) == ("already_blocked", made["block_id"])
    assert (await stage.post("/account-blocks", body | {"item_ids": None}, status=409))["code"] == "already_blocked", "all that is overdue is the same"
    await stage.post("/account-blocks", body | {"degree": "no_changes"}, status=201)
    await stage.post("/account-blocks", body | {"item_ids": [str(first)]}, status=201)
    await stage.post(f"/account-blocks/{made['block_id']}/lift", {"reason": "x"})
    await stage.post("/account-blocks", body, status=201)
    await sound(stage)


async def test_blocks_by_hand_name_their_causes_and_the_strictest_counts(stage: Stage) -> None:
    """B-29, C-38: degree, reason and item list, so that the CRM can decide; what is left is told when one is lifted."""
    await stage.open(LAST)
    customer = await stage.customer()
    due, later = await stage.invoice("100.00", days_overdue=5), await stage.invoice("50.00", days_overdue=-20)
    mild = await stage.post("/account-blocks", {"customer_id": str(customer), "degree": "no_changes", "reason": "late"}, status=201)
    assert [row["item_id"] for row in mild["items"]] == [str(due)]
    hard = {"customer_id": str(customer), "degree": "full", "reason": "fraud", "item_ids": [str(later)]}
    strict = await stage.post("/account-blocks", hard, status=201)
    assert [event["data"]["strictest"] for event in await told(stage, "account.blocked")] == ["no_changes", "full"]
    lifted = await stage.post(f"/account-blocks/{strict['block_id']}/lift", {"reason": "It was not them."})
    assert (lifted["state"], lifted["lifted_because"]) == ("lifted", "It was not them.")
    (event,) = await told(stage, "account.unblocked")
    assert (event["data"]["degree"], event["data"]["strictest"]) == ("full", "no_changes")
    await stage.post(f"/account-blocks/{strict['block_id']}/lift", {"reason": "again"}, status=409)
    await sound(stage)


async def test_a_block_needs_a_cause_or_a_hand_that_lifts_it(stage: Stage) -> None:
    """D-15: no block without cause."""
    await stage.open(LAST)
    customer = await stage.customer()
    body = {"customer_id": str(customer), "degree": "full", "reason": "prepayment only"}
    assert (await stage.post("/account-blocks", body, status=409))["code"] == "nothing_overdue"
    kept = await stage.post("/account-blocks", body | {"lifts_when_settled": False}, status=201)
    await stage.settle()
    assert (await stage.get(f"/account-blocks/{kept['block_id']}"))["state"] == "active"
    await sound(stage)


async def test_the_crm_confirms_both_ways(stage: Stage) -> None:
    await stage.open(LAST)
    customer = await stage.customer()
    await stage.invoice("100.00")
    made = await stage.post("/account-blocks", {"customer_id": str(customer), "degree": "full", "reason": "late"}, status=201)
    path = f"/account-blocks/{made['block_id']}"
    assert (await stage.post(f"{path}/confirm", {"what": "unblocked"}, status=409))["code"] == "block_active"
    once = await stage.post(f"{path}/confirm", {"what": "blocked", "reference": "CRM-1"})
    assert once["confirmed"]["blocked"]["reference"] == "CRM-1"
    await stage.post(f"{path}/lift", {"reason": "paid in cash"})
    both = await stage.post(f"{path}/confirm", {"what": "unblocked", "reference": "CRM-2"})
    assert (both["confirmed"]["blocked"]["reference"], both["confirmed"]["unblocked"]["reference"]) == ("CRM-1", "CRM-2")
    assert [event["data"]["what"] for event in await told(stage, "account.block_confirmed")] == ["blocked", "unblocked"]


async def test_nothing_is_blocked_for_what_was_paid_while_the_notice_travelled(stage: Stage) -> None:
    """The notice left, the debt was paid before its acceptance was booked as a completion by hand: the operation is not needed."""
    step_by_hand = step(1, "last", 1, mode="manual", operations=[BLOCK])
    await stage.open(scenario(step_by_hand))
    await stage.customer()
    item = await stage.invoice("100.00")
    await stage.launch(commit_at_once=True)
    (waiting,) = await stage.actions()
    await stage.pay("100.00", item)
    await stage.post(f"/actions/{waiting['action_id']}/complete", {}, status=200)
    assert await blocks(stage) == []
