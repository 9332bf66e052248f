"""Account blocks: placed when a step is completed or by hand, lifted by settlement, told both ways (S0-09, B-29, C-38)."""

from __future__ import annotations

from typing import Any

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


async def test_a_payment_that_is_returned_does_not_bring_a_lifted_block_back(stage: Stage) -> None:
    """The item goes up the ladder anew; only a new notice blocks again."""
    await stage.open(LAST, return_hold_days=30)
    await stage.customer()
    item = await stage.invoice("100.00")
    await stage.remind()
    receipt = await stage.pay("100.00", item)
    await stage.settle()
    assert [block["state"] for block in await blocks(stage)] == ["lifted"]
    await stage.payment_returns(receipt)
    await stage.settle()
    assert [block["state"] for block in await blocks(stage)] == ["lifted"]
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
