"""What a claim says and whom it tells."""

from __future__ import annotations

from typing import Any

from dunning.kit.invariants import violations
from dunning.soundness import CHECKS
from tests.collection.stage import Stage, scenario, step

PEOPLE = [
    {"external_id": "a", "name": "Anna", "email": "anna@c1.example", "roles": ["dunning"], "language": None, "internal": False},
    {"external_id": "b", "name": "Bruno", "email": "bruno@c1.example", "roles": ["billing"], "internal": False},
    {"external_id": "m", "name": "Mia", "email": "mia@acme.example", "roles": ["account_manager", "dunning"], "internal": True},
]


async def told(stage: Stage) -> dict[str, Any]:
    """Remind and return the only action with its parts."""
    await stage.remind()
    (action,) = await stage.actions()
    return await stage.action(action["action_id"])


async def test_the_first_role_that_anyone_has_is_written_to_and_colleagues_get_copies(stage: Stage) -> None:
    """S0-13, C-14, S1-06: dunning before billing; the account manager gets a copy, never the customer's mail or link."""
    notice = {"to_roles": ["director", "dunning", "billing"], "copy_roles": ["account_manager"]}
    await stage.open(scenario(step(1, "a", 1, notice=notice)))
    await stage.customer(contacts=PEOPLE)
    await stage.invoice()
    action = await told(stage)
    assert [(m["to_email"], m["audience"], m["is_primary"], m["is_copy"]) for m in action["messages"]] == [
        ("anna@c1.example", "customer", True, False),
        ("mia@acme.example", "internal", False, True),
    ]
    links = await stage.tenant.rows("select audience, message_id::text as message_id from link where tenant_id = $1 order by link_id", stage.tenant_id)
    assert {link["audience"]: link["message_id"] for link in links} == {m["audience"]: m["message_id"] for m in action["messages"]}


async def test_everybody_in_the_role_is_told_and_the_first_acceptance_completes_the_step_once(stage: Stage) -> None:
    """Promises 2.3 rule 9: two contacts are two mails; the step is done once."""
    await stage.open(scenario(step(1, "a", 1)))
    await stage.customer(emails=["one@c1.example", "two@c1.example"])
    item = await stage.invoice()
    action = await told(stage)
    assert [m["state"] for m in action["messages"]] == ["accepted", "accepted"]
    assert await stage.progress(item) == ["a#0 completed 2026-03-02"]
    assert (await stage.tenant.value("select reminders from item_dunning where tenant_id = $1 and item_id = $2", stage.tenant_id, item)) == 1


async def test_one_block_and_total_per_currency_with_credits_listed(stage: Stage) -> None:
    """C-11, C-20, C-21, B-14, plan example 25: never added across currencies; net total; payment on account counts as a credit."""
    await stage.open(scenario(step(1, "a", 1)))
    await stage.customer()
    await stage.invoice("100.00")
    await stage.invoice("70.00", currency="USD")
    await stage.credit("40.00")
    action = await told(stage)
    eur, usd = action["claims"][0]["data"]["blocks"]
    assert (eur["currency"], eur["overdue_minor"], eur["credit_minor"], eur["total_minor"]) == ("EUR", 10000, 4000, 6000)
    assert (usd["currency"], usd["overdue_minor"], usd["credit_minor"], usd["total_minor"]) == ("USD", 7000, 0, 7000)
    assert action["totals"] == [{"amount": "60.00", "currency": "EUR"}, {"amount": "70.00", "currency": "USD"}]


async def test_money_on_account_counts_against_what_is_asked_for(stage: Stage) -> None:
    """Promises 4 rule 6: a customer whose unallocated money covers its debt gets no reminder."""
    await stage.open(scenario(step(1, "a", 1)))
    await stage.customer()
    first = await stage.invoice("100.00")
    await stage.pay("130.00")
    await stage.invoice("30.00")
    run = await stage.remind()
    assert (run["reasons"], await stage.accepted(), await stage.progress(first)) == ({"COVERED_BY_CREDIT": 1}, [], [])


async def test_the_highest_step_gives_the_text_and_each_row_keeps_its_own(stage: Stage) -> None:
    """C-12, plan example 2: one letter, rows with their own steps, each advanced to its own."""
    await stage.open("claims")
    await stage.customer()
    old, young = await stage.invoice(days_overdue=9), await stage.invoice("50.00", days_overdue=2)
    action = await told(stage)
    data = action["claims"][0]["data"]
    assert (action["step_code"], data["step"]["code"]) == ("02", "02")
    assert [(r["number"], r["step_code"], r["days_overdue"]) for r in data["blocks"][0]["rows"]] == [("1001", "02", 9), ("1002", "01", 2)]
    assert (await stage.progress(old))[0].startswith("02#0")
    assert (await stage.progress(young))[0].startswith("01#0")


async def test_rows_beside_the_claim_are_shown_and_do_not_advance(stage: Stage) -> None:
    """Plan 8: an item that was reminded yesterday stands in today's mail for information, in the total, and stays where it is."""
    await stage.open("claims")
    await stage.customer()
    first = await stage.invoice(days_overdue=1)
    await stage.remind()
    await stage.advance(days=1)
    await stage.invoice("50.00", days_overdue=1)
    await stage.remind()
    second = (await stage.actions())[-1]
    data = (await stage.action(second["action_id"]))["claims"][0]["data"]
    assert [(r["section"], r["open_minor"]) for r in data["blocks"][0]["rows"]] == [("info", 10000), ("candidate", 5000)]
    assert data["blocks"][0]["total_minor"] == 15000
    assert second["totals"] == [{"amount": "50.00", "currency": "EUR"}]
    assert await stage.progress(first) == ["01#0 completed 2026-03-02", "00#0 skipped window_passed"]


async def test_claims_are_numbered_and_frozen_with_their_deadline(stage: Stage) -> None:
    """B-04, B-19, B-53: numbers rise, the deadline is the day of sending plus the step's days, the reminder's number counts up."""
    await stage.open("reminder")
    await stage.customer()
    await stage.invoice(days_overdue=1)
    await stage.remind()
    await stage.advance(days=7)
    data = [(await stage.action(a["action_id"]))["claims"][0]["data"] for a in await stage.actions()]
    assert [(d["claim_no"], d["reminder_no"], d["deadline_on"]) for d in data] == [("C-000001", 1, "2026-03-09"), ("C-000002", 2, "2026-03-16")]
    assert data[0]["ledger"]["bank_accounts"][0]["iban"] == "IT60X0542811101000000123456"
    assert data[0]["payment_reference"] == "1001"


async def test_a_refused_mail_becomes_a_task_and_the_step_stays(stage: Stage) -> None:
    """C-28, C-30, plan 10: rejected by the relay: a letter is asked for; nothing is completed."""
    await stage.open(scenario(step(1, "a", 1)))
    await stage.customer()
    item = await stage.invoice()
    await stage.launch(commit_at_once=True)
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute(
            "insert into suppression (tenant_id, channel, address_sha256, cause) values ($1, 'email', sha256('ap@c1.example'), 'unknown_address')",
            stage.tenant_id,
        )
    await stage.settle()
    (action,) = await stage.actions()
    assert (action["state"], action["reason"], action["task_kind"]) == ("waiting", "message_suppressed", "letter")
    assert await stage.progress(item) == ["a#0 pending"]
    async with stage.tenant.database.reading(stage.tenant_id) as session:
        assert await violations(session, stage.tenant_id, CHECKS) == []


async def test_the_invariants_hold_after_a_story_and_catch_what_breaks_them(stage: Stage) -> None:
    """D-15: nothing is found after months of reminding; each planted fault is found by its name."""
    await stage.open("claims")
    for n in range(4):
        await stage.customer(f"C{n}", emails=[] if n == 3 else None)
        await stage.invoice(customer=f"C{n}", days_overdue=n * 5 - 3)
    await stage.advance(days=20)
    await stage.pay("100.00", customer="C1")
    await stage.advance(days=20)

    async def found() -> set[str]:
        async with stage.tenant.database.reading(stage.tenant_id) as session:
            return {v.check for v in await violations(session, stage.tenant_id, CHECKS)}

    assert await found() == set()
    planted = {
        "update item_progress set state = 'pending', completed_on = null where tenant_id = $1 and step_code = '03' and state = 'completed'": {
            "only a live action keeps items waiting"
        },
        "update action set state = 'executed', executed_at = '2026-03-01T00:00Z' where tenant_id = $1 and state = 'waiting'": {
            "an executed action has a message that is on its way, or was taken",
            "no action stays executed for a week",
        },
        "update message set state = 'cancelled' where tenant_id = $1 and state = 'accepted'": {"a claim that was told has a message that was taken"},
    }
    for statement, names in planted.items():
        async with stage.tenant.database.transaction(stage.tenant_id) as session:
            assert await session.execute(statement, stage.tenant_id) > 0
        assert names <= await found()
