"""Staying in control: repeats that do nothing, switches, stops, stale data, and every answer to "why" and "why not"."""

from __future__ import annotations

import asyncio
import datetime as dt

from dunning.kit.database import Database
from dunning_worker.jobs import walk
from dunning_worker.world import World
from tests.conftest import TenantWorld, client_of, make_tenant
from tests.stories.desk import Desk, scenario, step
from tests.stories.mailbox import Mailbox

LADDER = (step("01", 1, "First"), step("02", 8, "Second"))


async def test_a_run_may_be_repeated_at_will(desk: Desk) -> None:
    """C-01, C-02: ten runs and three workers at once, on one day and on the next: each reminder once."""
    await desk.open(scenario(*LADDER))
    for n in range(4):
        await desk.invoice(f"100{n}", customer=f"C{n}")
    for _ in range(5):
        await desk.post(f"/ledgers/{desk.ledger_id}/runs", {"commit_at_once": True}, status=202)
        await asyncio.gather(*(walk.settle(desk.world, desk.tenant.tenant_id) for _ in range(3)))
        await desk.work()
    await desk.days(1)
    await desk.remind()
    assert sorted(desk.mail.subjects()) == [f"ap@c{n}.example First: 100{n}" for n in range(4)]
    assert len({letter.message_id for letter in desk.mail.letters}) == 4


async def test_a_new_tenant_sends_nothing_until_it_is_switched_on(app: object, database: Database, world: World, mail: Mailbox) -> None:
    """B-28: a new tenant is off and a ledger's first run a proposal; switching on releases nothing that was decided before."""
    tenant = await make_tenant(database, sending=False)
    async with client_of(app, tenant.api_key) as client:
        desk = await Desk(tenant, client, world, mail).open(scenario(*LADDER), approved=False)
        await desk.invoice("1001")
        run = await desk.run(commit_at_once=True)
        assert (run["state"], run["held_because"]) == ("proposed", "sending_off")
        refused = await desk.post(f"/runs/{run['run_id']}/commit", status=409)
        assert "PUT /v1/tenant/sending" in refused["detail"]
        await desk.ask("PUT", "/tenant/sending", {"enabled": True})
        await desk.work()
        await desk.days(2)
        assert mail.letters == []
        (night,) = (await desk.get("/runs", ledger=desk.ledger_id, state="proposed"))["data"]
        assert (night["kind"], night["held_because"]) == ("nightly", "first_run")
        await desk.post(f"/runs/{night['run_id']}/commit")
        await desk.work()
        assert mail.subjects() == ["ap@c1.example First: 1001"]


async def test_switching_off_cancels_what_is_queued_and_says_how_much(desk: Desk) -> None:
    """C-27: nothing leaves any more, each message ends with its reason, nights make proposals, and switching on again sends nothing old."""
    await desk.open(scenario(*LADDER))
    for n in range(3):
        await desk.invoice(f"100{n}", customer=f"C{n}")
    await desk.run(commit_at_once=True)
    await desk.ask("PUT", "/tenant/sending", {"enabled": False})
    await desk.ask("PUT", "/tenant/sending", {"enabled": True})
    await desk.work()
    assert desk.mail.letters == []
    assert [(message["state"], message["reason"]) for message in await desk.messages(state="cancelled")] == [("cancelled", "sending_off")] * 3
    assert {(action["state"], action["reason"]) for action in await desk.actions()} == {("cancelled", "sending_off")}
    await desk.ask("PUT", "/tenant/sending", {"enabled": False})
    await desk.days(1)
    (run,) = (await desk.get("/runs", ledger=desk.ledger_id, state="proposed"))["data"]
    assert (run["held_because"], run["counts"]["actions"], desk.mail.letters) == ("sending_off", 3, [])


async def test_the_emergency_stop_says_what_did_not_leave_and_what_left_last(desk: Desk) -> None:
    """D-21: one call; its answer counts what is kept back and names the last message that left; after it nothing leaves."""
    await desk.open(scenario(*LADDER))
    await desk.invoice("1001")
    await desk.remind()
    for n in range(2, 5):
        await desk.invoice(f"100{n}", customer=f"C{n}")
    await desk.run(commit_at_once=True)
    (left,) = await desk.messages(state="accepted")
    stopped = await desk.post("/tenant/emergency-stop", {"reason": "Wrong prices went out."})
    assert (stopped["messages_not_sent"], stopped["last_accepted_message_id"]) == (3, left["message_id"])
    await desk.work()
    assert len(desk.mail.letters) == 1
    assert {message["reason"] for message in await desk.messages(state="cancelled")} == {"stopped"}
    assert (await desk.run(commit_at_once=True))["held_because"] == "emergency_stop"
    found = await desk.get("/tenant")
    assert (found["may_send"], found["stopped_because"]) == (False, "Wrong prices went out.")


async def test_stale_data_stops_automatic_sending_until_the_erp_speaks_again(desk: Desk) -> None:
    """D-06, C-04: at the limit it still goes, past it the run waits; a statement of completeness lets the next night go."""
    await desk.open(scenario(*LADDER), freshness_limit_hours=24)
    await desk.invoice("1001")
    assert (await desk.run(commit_at_once=True))["held_because"] == "stale_data"
    (run,) = (await desk.get("/runs", state="proposed"))["data"]
    await desk.post(f"/runs/{run['run_id']}/cancel")
    now = await desk.now()
    await desk.ask("PUT", f"/ledgers/{desk.ledger_id}/freshness", {"complete_as_of": (now - dt.timedelta(hours=24, seconds=1)).isoformat()})
    held = await desk.run(commit_at_once=True)
    assert held["held_because"] == "stale_data"
    await desk.post(f"/runs/{held['run_id']}/cancel")
    await desk.ask("PUT", f"/ledgers/{desk.ledger_id}/freshness", {"complete_as_of": (now - dt.timedelta(hours=24)).isoformat()})
    await desk.remind()
    assert len(desk.mail.letters) == 1


async def test_every_item_says_whether_it_may_be_dunned_what_stops_it_and_from_when(desk: Desk) -> None:
    """B-03, D-01: each blocker as a code, each condition with its inputs, the first possible day, and what would change the answer."""
    await desk.open(scenario(*LADDER))
    item = await desk.invoice("1001", due=3)
    await desk.hold("item", item, "talks", days=10)
    found = await desk.explain(item)
    assert found["may_be_dunned"] is False
    assert found["blockers"] == ["HELD"]
    assert {condition["code"] for condition in found["conditions"] if not condition["met"]} == {"hold", "due_date"}, "every condition that is not met is named"
    assert (found["candidate_step"], found["first_day"], found["scenario_version"]) == ("01", "2026-03-13", 1)
    assert all(condition["inputs"] is not None for condition in found["conditions"])
    assert found["changes"], "it says what would change the answer"
    assert all(change["text"] for change in found["changes"])
    then = await desk.explain(item, at=dt.date(2026, 3, 13))
    assert (then["may_be_dunned"], then["blockers"], all(condition["met"] for condition in then["conditions"])) == (True, [], True)
    await desk.days(10)
    assert desk.mail.letters == []
    await desk.days(1)
    assert desk.mail.subjects() == ["ap@c1.example First: 1001"]


async def test_a_run_decided_again_from_its_inputs_decides_the_same(desk: Desk) -> None:
    """D-02: whatever has happened since, the stored inputs give the stored decisions."""
    await desk.open(scenario(*LADDER))
    for n in range(3):
        await desk.invoice(f"100{n}", due=-1 - n, customer=f"C{n}")
    run = await desk.remind()
    await desk.pay("100.00", "1000", customer="C0")
    await desk.days(9)
    found = await desk.post(f"/runs/{run['run_id']}/verify")
    assert (found["checked"], found["agreed"], found["agrees"], found["differences"]) == (3, 3, True, [])
    async with desk.tenant.database.transaction(desk.tenant.tenant_id) as session:
        changed = "update run_customer set plan_sha256 = sha256('other') where tenant_id = $1 and run_id = $2 and customer_id = $3"
        await session.execute(changed, desk.tenant.tenant_id, run["run_id"], desk.customers["C1"])
    control = await desk.post(f"/runs/{run['run_id']}/verify")
    assert (control["agrees"], [one["customer_id"] for one in control["differences"]]) == (False, [desk.customers["C1"]]), (
        "the control: another decision is seen"
    )


async def test_who_cannot_be_reached_is_known_before_it_matters(desk: Desk) -> None:
    """B-27, D-18: what goes out in the next days, and the customers whom nobody could tell."""
    await desk.open(scenario(*LADDER))
    await desk.invoice("1001", due=0)
    await desk.push_customer("MUTE", emails=[])
    await desk.invoice("2001", due=1, customer="MUTE")
    coming = (await desk.get(f"/ledgers/{desk.ledger_id}/forewarning", days=5))["data"]
    assert sorted((c["external_id"], c["on"], c["step_code"], c["problem"]) for c in coming) == [
        ("C1", "2026-03-03", "01", None),
        ("MUTE", "2026-03-04", "01", "no_address"),
    ]
    problems = (await desk.get(f"/ledgers/{desk.ledger_id}/forewarning", days=5, only_problems="true"))["data"]
    assert [c["external_id"] for c in problems] == ["MUTE"]


async def test_without_an_address_the_phase_does_not_move_and_somebody_gets_a_task(desk: Desk) -> None:
    """C-34, B-24: others are told; the one who cannot be is a task in the step's fallback, and once an address is there the same step goes."""
    await desk.open(scenario(*LADDER))
    await desk.push_customer("MUTE", emails=[])
    silent = await desk.invoice("2001", customer="MUTE")
    await desk.invoice("1001")
    run = await desk.remind()
    assert (run["counts"]["unreachable"], desk.mail.subjects()) == (1, ["ap@c1.example First: 1001"])
    task = await desk.action(state="waiting")
    assert (task["task_kind"], task["reason"]) == ("letter", "no_address")
    assert "No e-mail address in the roles dunning, billing." in task["task_text"]
    await desk.days(9)
    assert await desk.steps_of(silent) == []
    await desk.push_customer("MUTE")
    await desk.post(f"/actions/{task['action_id']}/retry")
    await desk.remind()
    assert desk.mail.subjects_to("ap@mute.example") == ["First: 2001"]


async def test_an_address_that_takes_no_mail_ends_in_a_task_and_not_in_a_queue(desk: Desk) -> None:
    """C-30, C-28: refused for good: the message ends, the address is listed as suppressed, the step waits for a person, and the next try says so too."""
    await desk.open(scenario(*LADDER))
    item = await desk.invoice("1001")
    desk.mail.refusals["ap@c1.example"] = (550, "5.1.1 no such user")
    await desk.remind()
    (message,) = await desk.messages()
    assert message["state"] == "rejected"
    assert "no such user" in message["reply"]
    assert [m["message_id"] for m in await desk.messages(state="rejected")] == [message["message_id"]]
    task = await desk.action(state="waiting")
    assert task["reason"] == "message_rejected"
    assert (await desk.get("/suppressions", address="ap@c1.example"))["data"][0]["cause"] == "unknown_address"
    await desk.post(f"/actions/{task['action_id']}/retry")
    await desk.remind()
    assert [m["state"] for m in await desk.messages()] == ["rejected", "suppressed"]
    assert await desk.steps_of(item) == []
    again = await desk.action(state="waiting")
    done = await desk.post(f"/actions/{again['action_id']}/complete", {"note": "Told by registered letter."})
    assert done["state"] == "completed"
    assert await desk.steps_of(item) == ["01"]


async def test_a_relay_that_says_later_is_asked_again(desk: Desk, tenant: TenantWorld) -> None:
    """C-31, C-29: a 4xx is no bounce: the message waits with its reason and the time of the next try, and then leaves, once."""
    await desk.open(scenario(*LADDER))
    await desk.invoice("1001")
    desk.mail.refusals["ap@c1.example"] = (451, "4.7.1 greylisted, try again later")
    await desk.remind()
    (message,) = await desk.messages(state="retry_wait")
    assert "greylisted" in message["reply"]
    assert message["retry_at"] is not None
    assert (await desk.get("/suppressions"))["data"] == []
    desk.mail.refusals.clear()
    async with tenant.database.transaction(tenant.tenant_id) as session:  # waiting is measured by the database's clock
        await session.execute("update message set retry_at = now() where tenant_id = $1", tenant.tenant_id)
    await desk.work()
    assert desk.mail.subjects() == ["ap@c1.example First: 1001"]


async def test_the_clock_of_a_test_tenant_walks_every_night_and_never_back(desk: Desk) -> None:
    """B-55: a scenario can be walked forward; the clock does not go back, and one walk at a time."""
    await desk.open(scenario(*LADDER))
    await desk.invoice("1001", due=0)
    assert await desk.days(3) == ["2026-03-03", "2026-03-04", "2026-03-05"]
    refused = await desk.post("/test-clock/advance", {"to": "2026-03-04T08:00:00Z"}, status=422)
    assert "moves only forward" in refused["detail"]
    await desk.post("/test-clock/advance", {"days": 1}, status=202)
    await desk.post("/test-clock/advance", {"days": 1}, status=409)


async def test_another_company_sees_and_touches_none_of_it(desk: Desk, other_tenant: TenantWorld, app: object) -> None:
    """Architecture 6: the same ids with another company's key are unknown, whatever is asked of them."""
    await desk.open(scenario(*LADDER))
    item = await desk.invoice("1001")
    await desk.remind()
    action, (message,) = await desk.action(), await desk.messages()
    async with client_of(app, other_tenant.api_key) as stranger:
        for path in (
            f"/items/{item}/explain",
            f"/actions/{action['action_id']}",
            f"/messages/{message['message_id']}",
            f"/runs/{action['run_id']}",
            f"/ledgers/{desk.ledger_id}",
        ):
            assert (await stranger.get(f"/v1{path}")).status_code == 404, path
            assert (await desk.api.get(f"/v1{path}")).status_code == 200, path
        assert (await stranger.post(f"/v1/actions/{action['action_id']}/notes", json={"text": "Mine."})).status_code == 404
        assert (await stranger.get("/v1/messages")).json()["data"] == []
