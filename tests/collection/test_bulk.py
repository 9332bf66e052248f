"""The same done to many actions at once: a result for each, none that stops the others, and not one statement more for more of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from dunning.kit.database import statement_log
from dunning.kit.ids import new_id
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_specific_actions import mails, make, opened, task

APPROVED = scenario(step(10, "01", 1, mode="approve"), step(20, "02", 8))


async def waiting(stage: Stage, customers: int) -> list[dict[str, Any]]:
    """Open a ladder to approve with an invoice each of some customers, and return the actions that wait."""
    await stage.open(APPROVED)
    for n in range(customers):
        await stage.customer(f"C{n}")
        await stage.invoice(customer=f"C{n}")
    await stage.launch(commit_at_once=True)
    found = await stage.actions(limit=500)
    assert len(found) == customers
    return found


async def bulk(stage: Stage, act: str, *, status: int = 200, **body: Any) -> dict[str, Any]:
    return dict(await stage.post("/actions/bulk", {"act": act, **body}, status=status))


async def counted(stage: Stage, act: str, **body: Any) -> tuple[dict[str, Any], list[str]]:
    """Do something in bulk, and return the answer with the statements that it took."""
    log: list[str] = []
    token = statement_log.set(log)
    try:
        return await bulk(stage, act, **body), list(log)
    finally:
        statement_log.reset(token)


async def test_a_bulk_approval_answers_a_result_a_row_and_one_bad_row_never_stops_the_others(stage: Stage) -> None:
    """S2-12: what cannot be done says why; the worker carries out the rest."""
    actions = await waiting(stage, 4)
    ids = [a["action_id"] for a in actions]
    await stage.post(f"/actions/{ids[0]}/reject", {"reason": "no"})
    await stage.pay("100.00", customer="C1")
    unknown = str(new_id())
    dry = await bulk(stage, "approve", action_ids=[*ids, unknown], dry_run=True)
    assert dry["counts"] == {"refused": 1, "ready": 3, "unknown": 1}
    assert {a["state"] for a in await stage.actions()} == {"rejected", "awaiting_approval"}
    done = await bulk(stage, "approve", action_ids=[*ids, unknown])
    assert done["counts"] == {"refused": 1, "done": 3, "unknown": 1}
    assert [(r["action_id"], r["outcome"], r["state"], r["code"]) for r in done["data"]] == [
        (ids[0], "refused", "rejected", "action_state"), (ids[1], "done", "scheduled", None), (ids[2], "done", "scheduled", None),
        (ids[3], "done", "scheduled", None), (unknown, "unknown", None, "not_found"),
    ]  # fmt: skip
    await stage.settle()
    states = {a["action_id"]: (a["state"], a["reason"]) for a in await stage.actions()}
    assert [states[i] for i in ids] == [("rejected", "no"), ("cancelled", "settled"), ("completed", None), ("completed", None)]
    assert await mails(stage) == ["10000", "10000"]
    assert {a["approved_by"] for a in await stage.actions(state="completed")} == {"key:all"}
    assert (await bulk(stage, "approve", action_ids=ids))["counts"] == {"refused": 4}


async def test_a_bulk_act_takes_the_same_statements_however_many_actions_there_are(stage: Stage) -> None:
    """Never a statement an action."""
    ids = [a["action_id"] for a in await waiting(stage, 33)]
    taken = {}
    for act, more in (("reassign", {"person_id": None}), ("reschedule", {"scheduled_on": "2026-03-03"}), ("approve", {}), ("cancel", {"reason": "x"})):
        _, few = await counted(stage, act, action_ids=ids[:3], **more)
        done, many = await counted(stage, act, action_ids=ids[3:], **more)
        assert done["counts"] == {"done": 30}, done
        assert len(many) == len(few), (act, len(few), len(many))
        taken[act] = len(many)
    print(f"statements: {taken}")


async def test_a_bulk_act_on_a_filter_takes_what_it_finds(stage: Stage) -> None:
    """S3-17: by filter, dry run first; at least one condition is asked for."""
    await waiting(stage, 3)
    where = {"ledger_id": str(stage.ledger_id), "state": "awaiting_approval", "step_code": "01"}
    assert (await bulk(stage, "reject", filter=where, reason="Not this month", dry_run=True))["counts"] == {"ready": 3}
    done = await bulk(stage, "reject", filter=where, reason="Not this month")
    assert (done["counts"], done["more"]) == ({"done": 3}, False)
    assert {(a["state"], a["reason"]) for a in await stage.actions()} == {("rejected", "Not this month")}
    assert await bulk(stage, "reject", filter={}, reason="all", status=422)
    assert await bulk(stage, "reject", reason="none", status=422)
    assert await bulk(stage, "reject", filter=where, status=422)


async def test_many_are_put_off_given_to_a_person_run_now_and_passed_over(stage: Stage) -> None:
    """S2-10..12."""
    ids = [a["action_id"] for a in await waiting(stage, 3)]
    person = await stage.post("/people", {"name": "Ada", "email": "ada@acme.example", "role": "collector"}, status=201)
    await bulk(stage, "reschedule", action_ids=ids, scheduled_on="2026-03-10")
    await bulk(stage, "reassign", action_ids=ids, person_id=person["person_id"])
    assert {(a["scheduled_on"], a["person_id"]) for a in await stage.actions()} == {("2026-03-10", person["person_id"])}
    assert len(await stage.actions(person=person["person_id"])) == 3
    assert (await bulk(stage, "reassign", action_ids=ids, person_id=str(new_id()), status=404))["code"] == "not_found"
    await bulk(stage, "run_now", action_ids=ids[:1])
    await stage.settle()
    assert (await stage.action(ids[0]))["state"] == "completed"
    skipped = await bulk(stage, "skip", action_ids=ids, reason="Known")
    assert skipped["counts"] == {"refused": 1, "done": 2}
    item = (await stage.action(ids[1]))["items"][0]["item_id"]
    assert await stage.progress(UUID(item)) == ["01#0 skipped by_hand 2026-03-02"] or await stage.progress(UUID(item)) == ["01#0 skipped by_hand"]


async def test_a_step_is_sent_again_to_many_with_a_result_a_row(stage: Stage) -> None:
    """S0-19: what is settled is refused with its reason, in a dry run as in the act."""
    ids = [a["action_id"] for a in await waiting(stage, 3)]
    await bulk(stage, "approve", action_ids=ids)
    await stage.settle()
    await stage.pay("100.00", customer="C0")
    claims = await stage.tenant.rows("select claim_id, claim_no from claim where tenant_id = $1 order by claim_id", stage.tenant_id)
    tried = await bulk(stage, "resend", action_ids=ids[:2], dry_run=True)
    assert [(r["outcome"], r["code"]) for r in tried["data"]] == [("refused", "nothing_to_resend"), ("ready", None)]
    assert await stage.tenant.rows("select claim_id, claim_no from claim where tenant_id = $1 order by claim_id", stage.tenant_id) == claims
    done, few = await counted(stage, "resend", action_ids=ids[:2])
    assert [(r["outcome"], r["code"]) for r in done["data"]] == [("refused", "nothing_to_resend"), ("done", None)]
    assert tried["data"][0] == done["data"][0]
    await stage.settle()
    done, many = await counted(stage, "resend", filter={"ledger_id": str(stage.ledger_id), "step_code": "01"})
    assert done["counts"] == {"refused": 1, "done": 2}
    assert abs(len(many) - len(few)) <= 1
    await stage.settle()
    assert await mails(stage) == ["10000"] * 6


async def test_actions_outside_the_scenario_are_ended_in_bulk_with_their_items_freed(stage: Stage) -> None:
    customer_id, items = await opened(stage)
    made = [await make(stage, customer_id, task(item)) for item in items]
    done = await bulk(stage, "cancel", action_ids=[a["action_id"] for a in made], reason="Wrong customer")
    assert done["counts"] == {"done": 3}
    skipped = await bulk(stage, "skip", action_ids=[a["action_id"] for a in made], reason="x")
    assert skipped["counts"] == {"refused": 3}
    await stage.remind()
    assert await mails(stage) == ["10000 20000 30000"]
