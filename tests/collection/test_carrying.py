"""Carrying out what was approved: in sets, with the outcome that each action by itself would have (S2-12, architecture 4.4)."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from dunning.collection import carrying, freezing
from dunning.kit.database import Database, statement_log
from dunning.kit.settings import Settings
from dunning_worker.jobs import actions as jobs
from dunning_worker.world import world_of
from tests.collection.agreements import dispute, promise, sound
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_bulk import bulk, waiting
from tests.collection.test_specific_actions import mail, mails, make, task
from tests.conftest import KEYRING, client_of, make_tenant

CALL = {"kind": "create_call_task", "when": "executed", "params": {"text": "Call them."}}
BLOCK = {"kind": "block_account", "when": "completed", "params": {"degree": "no_deliveries", "release_when": "settled"}}

VARIED = scenario(
    step(10, "01", 1, mode="approve", operations=[CALL, BLOCK]),
    step(20, "02", 8, mode="approve", notices=[], task={"kind": "letter", "text": "Write a letter."}),
    step(30, "03", 15, mode="approve", notices=[], deadline_days=None, operations=[BLOCK | {"when": "executed"}, {"kind": "record_activity", "params": {}}]),
    step(40, "04", 22, mode="approve", notices=[], deadline_days=3, task={"kind": "call", "text": "Call."}),
    late_entry="matching_age",
)


async def let_go(stage: Stage) -> None:
    """Approve everything that waits for it."""
    await bulk(stage, "approve", filter={"ledger_id": str(stage.ledger_id), "state": "awaiting_approval"})


async def counted(stage: Stage, expected: int) -> list[str]:
    """Let the worker carry out what is due, and return the statements that it took."""
    log: list[str] = []
    token = statement_log.set(log)
    try:
        assert await jobs.carry_out_due(stage.world, stage.tenant_id) == expected
    finally:
        statement_log.reset(token)
    return log


async def test_carrying_out_takes_the_same_statements_however_many_customers_there_are(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Style 20: never a statement an action; the control: one turn an action is caught."""
    ids = [a["action_id"] for a in await waiting(stage, 66)]

    async def statements(some: list[str]) -> int:
        await bulk(stage, "approve", action_ids=some)
        return len(await counted(stage, len(some)))

    await statements(ids[:3])
    few, many = await statements(ids[3:6]), await statements(ids[6:36])
    monkeypatch.setattr(carrying, "one_a_customer", lambda actions: [[action] for action in actions])
    singly = await statements(ids[36:])
    print(f"statements: {few} for 3, {many} for 30, {singly} for 30 one by one")
    assert few == many <= 40
    assert singly > 10 * many
    await stage.settle()
    assert len(await mails(stage)) == 66
    await sound(stage)


@pytest.fixture
async def twins(app: object, database: Database, settings: Settings) -> AsyncIterator[tuple[Stage, Stage]]:
    """Two companies alike, of which the second carries out one action a transaction."""
    made = []
    for limit in (settings.execute_batch_customers, 1):
        tenant = await make_tenant(database)
        world = replace(world_of(database, settings, KEYRING), settings=settings.model_copy(update={"execute_batch_customers": limit}))
        made.append(Stage(tenant, world, client_of(app, tenant.api_key)))
    yield made[0], made[1]
    for stage in made:
        await stage.api.aclose()


async def varied(stage: Stage) -> None:
    """Approve actions of all kinds, of customers for which much has changed since."""
    await stage.open(VARIED)
    overdue = itertools.cycle([2, 9, 16, 23])
    items: dict[str, list[UUID]] = {}
    customers: dict[str, UUID] = {}
    for n in range(24):
        name = f"C{n:02}"
        customers[name] = await stage.customer(name, emails=[] if n % 11 == 5 else None)
        days = next(overdue)
        items[name] = [await stage.invoice("100.00", customer=name, days_overdue=days), await stage.invoice("60.00", customer=name, days_overdue=days)]
        if n % 6 == 4:
            items[name].append(await stage.invoice("70.00", customer=name, days_overdue=days, currency="USD"))
    await stage.launch(commit_at_once=True)
    tomorrow = str(await stage.today() + dt.timedelta(days=1))
    for n in (1, 2, 8, 9):
        # A second action of the customer: beside the scenario, and its items are others' only where they are not attached.
        name = f"C{n:02}"
        await make(stage, customers[name], mail(*items[name], origin="ad_hoc", mode="approve", content={"template": "claim-01"}))
        late = await stage.invoice("33.00", customer=name, days_overdue=-3)
        await make(stage, customers[name], mail(late, mode="approve", scheduled_on=tomorrow if n == 9 else None))
        await make(stage, customers[name], task(late, origin="ad_hoc", mode="approve"))
    await let_go(stage)
    for n, name in enumerate(customers):
        match (n + n // 4) % 8:
            case 0:
                await stage.pay("160.00", customer=name)
            case 1:
                await stage.pay("40.00", items[name][0], customer=name)
            case 2:
                await stage.hold(customer_id=customers[name], item_id=items[name][0])
            case 3:
                await dispute(stage, *items[name])
            case 4:
                await stage.credit("110.00", customer=name)
            case 5:
                await promise(stage, customers[name], "60.00", items[name][1])
            case 6:
                await stage.credit("400.00", customer=name)


OUTCOME = {
    "actions": """select c.external_id, a.origin, a.step_code, a.kind, a.state, a.reason, a.task_kind, a.totals::text, a.deadline_on, a.completed_on,
                         a.executed_at is null as untouched, a.content_mode
                    from action a join customer c using (tenant_id, customer_id) where a.tenant_id = $1 order by 1, 2, 3, 4, 8, 5""",
    "progress": """select c.external_id, i.number, p.step_code, p.state, p.reason, p.completed_on
                     from item_progress p join item i using (tenant_id, item_id) join customer c on c.tenant_id = i.tenant_id and c.customer_id = i.customer_id
                    where p.tenant_id = $1 order by 1, 2, 3, 4, 5""",
    "tied": """select i.number, t.state, t.reason from action_item t join item i using (tenant_id, item_id) where t.tenant_id = $1 order by 1, 2, 3""",
    "claims": """select c.external_id, k.state, (select jsonb_agg(b - 'rows') from jsonb_array_elements(k.data->'blocks') b)::text as sums, k.data->>'reminder_no' as reminder_no,
                        (select string_agg(r->>'number' || ' ' || (r->>'section') || ' ' || (r->>'open_minor'), ', ' order by r->>'number')
                           from jsonb_array_elements(k.data->'blocks') b, jsonb_array_elements(b->'rows') r) as rows
                   from claim k join customer c using (tenant_id, customer_id) where k.tenant_id = $1 order by 1, 5, 2""",
    "messages": """select c.external_id, m.state, m.notice, m.is_primary from message m join customer c using (tenant_id, customer_id)
                    where m.tenant_id = $1 order by 1, 2, 3""",
    "operations": """select c.external_id, o.kind, o.at_moment, o.state, jsonb_array_length(o.params->'item_ids') as items
                       from operation_record o join action a using (tenant_id, action_id) join customer c using (tenant_id, customer_id)
                      where o.tenant_id = $1 order by 1, 2, 3, 4, 5""",
    "activities": "select c.external_id, v.kind, v.text from activity v join customer c using (tenant_id, customer_id) where v.tenant_id = $1 order by 1, 2, 3",
    "events": """select c.external_id, e.kind, e.data->>'reason' as reason, count(*) from event e join customer c using (tenant_id, customer_id)
                  where e.tenant_id = $1 group by 1, 2, 3 order by 1, 2, 3""",
    "facts": """select c.external_id, s.facts_version, s.review_on, s.watched from customer_state s join customer c using (tenant_id, customer_id)
                 where s.tenant_id = $1 order by 1""",
}


async def outcome(stage: Stage) -> dict[str, list[dict[str, object]]]:
    """Return what there is of everything that carrying out writes, in words that two companies alike share."""
    return {name: await stage.tenant.rows(statement, stage.tenant_id) for name, statement in OUTCOME.items()}


async def test_a_batch_has_the_outcome_that_each_action_by_itself_would_have(twins: tuple[Stage, Stage]) -> None:
    """S2-12: settled, part paid, held, disputed, credited, promised, without an address; several actions of one customer; every kind of step."""
    for stage in twins:
        await varied(stage)
        await jobs.carry_out_due(stage.world, stage.tenant_id)
    together, singly = await outcome(twins[0]), await outcome(twins[1])
    for name in OUTCOME:
        assert together[name] == singly[name], name
    states = {(row["kind"], row["state"], row["reason"]) for row in together["actions"]}
    print(f"{len(together['actions'])} actions: {sorted(map(str, states))}")
    assert {why for _, state, why in states if state == "cancelled"} >= {"settled", "excluded_status", "covered_by_credit"}
    assert {(kind, state) for kind, state, _ in states} >= {("notice", "executed"), ("notice", "waiting"), ("task", "waiting"), ("operations", "completed")}
    for stage in twins:
        await stage.settle()
        await sound(stage)
    assert await outcome(twins[0]) == await outcome(twins[1])


async def test_a_batch_that_frees_nothing_that_drops_out_is_caught(twins: tuple[Stage, Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the comparison above."""

    async def forgotten(*_: Any) -> None:
        pass

    for stage in twins:
        await varied(stage)
        if stage is twins[1]:
            monkeypatch.setattr(carrying, "_drop", forgotten)
        await jobs.carry_out_due(stage.world, stage.tenant_id)
    together, singly = await outcome(twins[0]), await outcome(twins[1])
    assert [name for name in OUTCOME if together[name] != singly[name]]


async def test_one_action_that_fails_stays_scheduled_and_keeps_no_other_from_going(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """S2-12: the batch is undone and carried out one by one; what failed is tried again with the next look."""
    ids = [a["action_id"] for a in await waiting(stage, 5)]
    await bulk(stage, "approve", action_ids=ids)
    freeze = freezing.freeze

    def failing(heading: Any, *rest: Any) -> Any:
        if heading.customer["external_id"] == "C2":
            msg = "this one cannot be written"
            raise RuntimeError(msg)
        return freeze(heading, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(freezing, "freeze", failing)
        assert await jobs.carry_out_due(stage.world, stage.tenant_id) == 4
        assert [a["state"] for a in await stage.actions()].count("scheduled") == 1
        await stage.settle()
        assert len(await mails(stage)) == 4
    await stage.settle()
    assert len(await mails(stage)) == 5


async def test_several_actions_of_one_customer_are_carried_out_each_on_what_the_one_before_has_left(stage: Stage) -> None:
    """S4-02: three invoices told each for itself, with one number a claim; what a specific action has taken is in no other of the batch."""
    await stage.open(scenario(step(10, "01", 1, mode="approve"), grouping="document"))
    customer_id = await stage.customer()
    items = [await stage.invoice(f"{n}00.00") for n in (1, 2, 3)]
    await stage.launch(commit_at_once=True)
    own = await stage.invoice("50.00", days_overdue=-9)
    await make(stage, customer_id, mail(own, mode="approve"))
    beside = await make(stage, customer_id, mail(own, items[0], origin="ad_hoc", mode="approve"))
    await let_go(stage)
    before = await stage.tenant.value("select facts_version from customer_state where tenant_id = $1", stage.tenant_id)
    assert await jobs.carry_out_due(stage.world, stage.tenant_id) == 5
    claims = await stage.tenant.rows("select claim_no, facts_version from claim where tenant_id = $1 order by claim_no", stage.tenant_id)
    assert [row["claim_no"] for row in claims] == [1, 2, 3, 4, 5]
    assert [row["facts_version"] for row in claims] == [before + n for n in range(1, 6)]  # type: ignore[operator]  # a number
    assert {i["item_id"]: i["reason"] for i in (await stage.action(beside["action_id"]))["items"]}[str(own)] == "specific_action"
    await stage.settle()
    assert sorted(await mails(stage)) == ["10000", "10000", "20000", "30000", "5000"]
    assert [await stage.progress(item) for item in items] == [["01#0 completed 2026-03-02"]] * 3
    await sound(stage)


async def test_what_a_step_does_is_done_once_though_its_mail_is_written_again(stage: Stage) -> None:
    """S0-09: a part payment between queueing and sending makes a new claim, but no second call; a block is caused by what was told only."""
    await stage.open(scenario(step(10, "01", 1, operations=[CALL, BLOCK])))
    await stage.customer()
    disputed, told = await stage.invoice("100.00"), await stage.invoice("60.00")
    await stage.launch(commit_at_once=True)
    await stage.pay("10.00", told)
    await dispute(stage, disputed)
    await stage.settle()
    (action,) = await stage.actions(origin="scenario")
    whole = await stage.action(action["action_id"])
    assert ([c["state"] for c in whole["claims"]], whole["state"]) == (["void", "told"], "completed")
    assert [(o["kind"], o["state"]) for o in whole["operations"]] == [("create_call_task", "done"), ("block_account", "done")]
    assert len(await stage.actions(origin="ad_hoc")) == 1
    (block,) = (await stage.get("/account-blocks"))["data"]
    assert [row["item_id"] for row in block["items"]] == [str(told)]
