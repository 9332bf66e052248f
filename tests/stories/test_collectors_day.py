"""The collectors' day as stories: a customer from the first reminder to the lifted block, and a collector who leaves."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

import httpx
import pytest

from dunning.kit.database import statement_log
from dunning_worker.jobs.watch import watch_agreements
from dunning_worker.world import World
from tests.collection.agreements import dispute, promise, sound, statuses, told
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_assignments import ask, customer_row, import_rows, invoice_row, leads, live, person, rule, strip
from tests.conftest import TenantWorld
from tests.stories.mailbox import Mailbox

AP = "ap@c1.example"
BLOCK = {"kind": "block_account", "params": {"degree": "no_deliveries", "reason": "Last notice without payment", "release_when": "settled"}}
LADDER = scenario(
    step(10, "reminder", 1),
    step(20, "urgent", 8),
    step(25, "breach", 0, trigger={"kind": "promise_broken", "offset_days": 0}),
    step(30, "last", 15, operations=[BLOCK]),
)


@pytest.fixture
def stage(tenant: TenantWorld, world: World, api: httpx.AsyncClient) -> Stage:
    """A company whose mails arrive in the mailbox: `await stage.open(...)`."""
    return Stage(tenant, world, api)


async def told_to(stage: Stage, customer: UUID) -> list[tuple[str, str, list[str]]]:
    """Return what a customer was told in order: the day, the step that gave the text, and the numbers of the items that reached a step by it."""
    done = [action for action in await stage.actions(customer=str(customer), origin="scenario") if action["state"] == "completed"]
    return [
        (action["completed_on"], action["step_code"], [item["number"] for item in (await stage.action(action["action_id"]))["items"] if item["completed_on"]])
        for action in done
    ]


async def lines(stage: Stage, customer: UUID) -> list[str]:
    """Return the timeline as somebody reads it, the oldest first: day, kind, and the word that tells the entries of a kind apart."""
    entries = (await stage.get(f"/customers/{customer}/timeline", limit=500))["data"]
    told = []
    for entry in reversed(entries):
        data = entry["data"]
        word = {
            "action": data.get("step_code") or data.get("title"), "activity": data.get("kind"), "comment": data.get("status_code"),
            "block": data.get("degree"), "receipt": data.get("amount", {}).get("amount"),
        }.get(entry["kind"], "")  # fmt: skip
        told.append(f"{entry['on'][5:]} {entry['kind']} {word}".strip())
    return told


async def test_one_customer_from_the_first_reminder_to_the_lifted_block(stage: Stage, mail: Mailbox) -> None:
    """S0-09, S2-08, S2-18, S2-20, B-29, B-36: five invoices; two are contested, one is promised and the promise broken, two reach the last notice."""
    await stage.open(LADDER)
    customer = await stage.customer()
    wet, lost, promised, fourth, fifth = items = [await stage.invoice(f"{n}00.00") for n in range(1, 6)]
    await stage.remind()
    assert await told_to(stage, customer) == [("2026-03-02", "reminder", ["1001", "1002", "1003", "1004", "1005"])]
    assert all(number in mail.last(AP).text for number in ("1001", "1002"))

    # The next day somebody calls: two pallets arrived wet, the third invoice will be paid by Saturday.
    await stage.advance(days=1)
    contested = await dispute(stage, wet, lost, reason="goods_damaged", text="Two pallets arrived wet.")
    given = await promise(stage, customer, "300.00", promised, days=4)
    assert await statuses(stage, items) == ["disputed", "disputed", "promised", None, None]

    # Saturday passes without money: on Sunday the breach is told by itself; the other two go on with their own step the day after.
    await stage.advance(days=4)
    assert (await stage.get(f"/promises/{given['promise_id']}"))["state"] == "open"
    assert len(mail.to(AP)) == 1
    await stage.advance(days=2)
    broken = await stage.get(f"/promises/{given['promise_id']}")
    assert (broken["state"], broken["decided_on"]) == ("broken", "2026-03-08")
    assert await statuses(stage, items) == ["disputed", "disputed", None, None, None]
    assert (await told_to(stage, customer))[1:] == [("2026-03-08", "breach", ["1003"]), ("2026-03-09", "urgent", ["1004", "1005"])]
    for letter in mail.to(AP)[1:]:
        assert not any(number in letter.text for number in ("1001", "1002")), "what is contested is named to nobody"

    # The call that the promise asked for is on the list, and its outcome takes it off.
    today = await stage.today()
    (row,) = (await stage.get(f"/call-lists/{today}"))["data"]
    (call,) = row["calls"]
    assert (row["external_id"], call["action_id"]) == ("C1", broken["follow_up_action_id"])
    outcome = {"outcome": "reached", "text": "Their bank has refused; they will not say when."}
    logged = await stage.post(f"/actions/{call['action_id']}/call-outcome", outcome, status=201)
    assert logged["action"]["state"] == "completed"
    assert (await stage.get(f"/call-lists/{today}"))["data"] == []

    # The last notice blocks the account, for the items that reached it and no others.
    await stage.advance(days=7)
    assert (await told_to(stage, customer))[3:] == [("2026-03-15", "urgent", ["1003"]), ("2026-03-16", "last", ["1004", "1005"])]
    (block,) = (await stage.get("/account-blocks"))["data"]
    assert (block["state"], block["degree"]) == ("active", "no_deliveries")
    assert {row["item_id"] for row in block["items"]} == {str(fourth), str(fifth)}

    # Paying one of them is not enough; paying both lifts the block within one look of the worker.
    await stage.pay("400.00", fourth)
    await watch_agreements(stage.world, stage.tenant_id)
    assert (await stage.get(f"/account-blocks/{block['block_id']}"))["state"] == "active"
    await stage.pay("500.00", fifth)
    await watch_agreements(stage.world, stage.tenant_id)
    lifted = await stage.get(f"/account-blocks/{block['block_id']}")
    assert (lifted["state"], lifted["lifted_because"]) == ("lifted", "settled")
    events = await told(stage, "account.blocked", "account.unblocked")
    assert [(event["kind"], event["data"]["strictest"]) for event in events] == [("account.blocked", "no_deliveries"), ("account.unblocked", None)]

    # The pallets were insured: the dispute ends, and what was contested goes on where it stood.
    await stage.post(f"/disputes/{contested['dispute_id']}/resolve", {"resolution": "rejected", "text": "The carrier has proof."})
    assert await statuses(stage, items) == ["dispute_resolved", "dispute_resolved", None, None, None]
    await stage.advance(days=1)
    assert (await told_to(stage, customer))[5:] == [("2026-03-17", "urgent", ["1001", "1002"])]
    assert [letter.to for letter in mail.letters] == [AP] * 6
    assert len({letter.message_id for letter in mail.letters}) == 6
    assert [line for line in await lines(stage, customer) if not line.endswith("claim_issued")] == [
        "03-02 action reminder", "03-02 message",
        "03-03 dispute", "03-03 action Dispute: goods damaged", "03-03 comment disputed", "03-03 comment disputed",
        "03-03 promise", "03-03 action Promise of 300.00 EUR until 2026-03-07", "03-03 comment promised",
        "03-08 comment ongoing", "03-08 activity promise_broken", "03-08 action breach", "03-08 message",
        "03-09 action urgent", "03-09 message", "03-09 activity call",
        "03-15 action urgent", "03-15 message",
        "03-16 action last", "03-16 message", "03-16 block no_deliveries",
        "03-16 receipt 400.00", "03-16 receipt 500.00", "03-16 block_lifted",
        "03-16 comment dispute_resolved", "03-16 comment dispute_resolved", "03-16 activity dispute_resolved",
        "03-17 action urgent", "03-17 message",
    ]  # fmt: skip
    await sound(stage)


async def test_a_collector_leaves_and_a_thousand_approvals_go_on_with_the_others(stage: Stage, mail: Mailbox) -> None:
    """S2-12, S2-13, S2-16: everything that is planned moves with its day, nothing is lost, and a bulk approval answers a result a row, each mail sent once."""
    await stage.open(scenario(step(10, "01", 1, mode="approve")))
    anna, bruno, carla = [await person(stage, name) for name in ("anna", "bruno", "carla")]
    await rule(stage, 10, anna)
    contact = [{"external_id": "p", "name": "Accounts", "roles": ["dunning"]}]
    rows = [customer_row(f"C{n}", contacts=[contact[0] | {"email": f"ap@c{n}.example"}]) for n in range(1002)]
    rows += [invoice_row(f"I{n}", f"C{n}", "100.00") for n in range(1002)]
    done = await import_rows(stage, *rows)
    assert (done["state"], done["assigned"]) == ("done", 1002)
    await stage.launch(commit_at_once=True)

    # Two of the customers have something planned for another day: an approval put off, and a call after a promise.
    found = await waiting_for(stage, anna)
    assert len(found) == 1002
    later, talked, *thousand = [row["action_id"] for row in found]
    await stage.post(f"/actions/{later}/reschedule", {"scheduled_on": "2026-03-12"})
    await stage.post(f"/actions/{talked}/reject", {"reason": "They have promised."})
    given = await promise(stage, UUID(found[1]["customer_id"]), "100.00", days=3)
    before = await live(stage)
    assert (len(before), {row["person"] for row in before.values()}) == (1002, {anna})

    # Anna leaves: one request shares her work out; days, steps and states stay as they were.
    shared = await ask(stage, "POST", f"/people/{anna}/hand-over", {"to": [bruno, carla], "reason": "Leaves the company."})
    assert (shared["customers"], shared["actions"], shared["person"]["active"]) == (1002, 1002, False)
    assert sorted(share["customers"] for share in shared["to"]) == [501, 501]
    after = await live(stage)
    assert strip(after) == strip(before)
    assert Counter(row["person"] for row in after.values()) == {bruno: 501, carla: 501}
    assert Counter((await leads(stage)).values()) == {"Bruno": 501, "Carla": 501}
    assert {str(one["scheduled_on"]) for one in after.values()} == {"2026-03-02", "2026-03-06", "2026-03-12"}

    # A thousand approvals in one request, tried first; then each leaves once, though it is asked for again.
    tried = await stage.post("/actions/bulk", {"act": "approve", "action_ids": thousand, "dry_run": True})
    assert (tried["counts"], mail.letters) == ({"ready": 1000}, [])
    log: list[str] = []
    token = statement_log.set(log)
    approved = await stage.post("/actions/bulk", {"act": "approve", "action_ids": thousand})
    statement_log.reset(token)
    assert approved["counts"] == {"done": 1000}
    assert [row["action_id"] for row in approved["data"]] == thousand
    assert len(log) < 40, "never a statement an action"
    assert (await stage.post("/actions/bulk", {"act": "approve", "action_ids": thousand}))["counts"] == {"refused": 1000}
    await stage.settle()
    assert len(mail.letters) == 1000
    assert set(Counter(letter.to for letter in mail.letters).values()) == {1}
    assert len({letter.message_id for letter in mail.letters}) == 1000

    # What was planned for another day comes on its day, for whoever has it now.
    await stage.post(f"/actions/{later}/approve")
    await stage.advance(days=11)
    assert len(mail.letters) == 1001
    assert (await stage.action(later))["completed_on"] == "2026-03-12"
    call = await stage.action(given["follow_up_action_id"])
    assert (call["state"], call["scheduled_on"], call["person_id"] in {bruno, carla}) == ("waiting", "2026-03-06", True)
    await sound(stage)


async def waiting_for(stage: Stage, person_id: str) -> list[dict[str, Any]]:
    """Return what waits for a person's approval, all pages of it, newest first."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = await stage.get("/actions", person=person_id, state="awaiting_approval", limit=500, **({"cursor": cursor} if cursor else {}))
        found += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found
