"""The step of a customer (plan.md 1; rows S3-06, S3-11): one answer in the explorer, its filter, the control report, explain and the agenda."""

from __future__ import annotations

import datetime as dt
from random import Random
from typing import Any
from uuid import UUID

import pytest

from dunning.collection import customer_steps, explorer_store
from dunning.kit.ids import ScenarioId, new_id
from dunning.scenarios import service as scenarios
from dunning_api.routes.scenarios import PORTS
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_own_steps import override

CUSTOMERS = 40
KNOWN = (("04", "04"), ("02", "01"), ("04", "03"))
"""What the first customers completed in the first version, and their step in the second: one has 04 as a step of its own, for the others what is gone counts below."""
FIRST = ("01", "02", "03", "04")
SECOND = ("01", "03", "03b", "05")
"""The steps of the two versions of a scenario: 02 and 04 are gone from the second, 03b and 05 are new."""
OTHER = ("A", "02", "B")
CLOSED, CLOSED_BY_GROUP = range(5, 40, 9), range(7, 40, 9)
"""Customers by their number whose scenario was closed. An item may still follow one of its own."""


async def write(stage: Stage, sql: str, *values: object) -> None:
    """Change a row as no use case would in one go."""
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute(sql, *values)


async def passed(stage: Stage, customer_id: UUID, item: UUID, step_of: tuple[UUID, int, str, int], state: str, on: dt.date) -> None:
    """Let an item have a row of progress: scenario, version, code and episode."""
    scenario_id, version, code, episode = step_of
    await write(
        stage,
        """insert into item_progress (tenant_id, item_progress_id, customer_id, item_id, episode, scenario_id, scenario_version, step_code, state, completed_on)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)""",
        stage.tenant_id, new_id(), customer_id, item, episode, scenario_id, version, code, state, on,
    )  # fmt: skip


async def another(stage: Stage, content: dict[str, Any]) -> Any:
    """Publish another scenario and return its id."""
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        return await stage._scenario(session, await stage.tenant.clock(), content)  # noqa: SLF001  # the stage's own way to publish


async def second_version(stage: Stage, content: dict[str, Any]) -> None:
    """Publish a second version of the ledger's scenario."""
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        clock = await stage.tenant.clock()
        await scenarios.update_scenario(
            session, clock, tenant_id=stage.tenant_id, actor="test", scenario_id=ScenarioId(stage.scenario_id), expected_revision=None,
            changes={"steps": content["steps"]},
        )  # fmt: skip
        await scenarios.publish_scenario(session, clock, PORTS, tenant_id=stage.tenant_id, actor="test", scenario_id=ScenarioId(stage.scenario_id))


@pytest.fixture
async def company(stage: Stage) -> Stage:
    """Forty customers at random: three ladders, codes that are gone, imported places, other episodes, settled items, steps of their own, closed scenarios.

    Of some customers the scenario was closed after steps were completed: by themselves, or by their group.
    """
    random = Random(20260302)
    ranks = {"01": 10, "02": 20, "03": 30, "03b": 35, "04": 40, "05": 50, "A": 5, "B": 45}
    await stage.open(scenario(*[step(ranks[code], code, ranks[code]) for code in FIRST]))
    await second_version(stage, scenario(*[step(ranks[code], code, ranks[code]) for code in SECOND]))
    other = await another(stage, scenario(*[step(ranks[code], code, ranks[code]) for code in OTHER], reset_policy="restart"))
    versions = [(stage.scenario_id, 1, FIRST), (stage.scenario_id, 2, SECOND), (other, 1, OTHER)]
    quiet = (await stage.api.put(f"/v1/ledgers/{stage.ledger_id}/customer-groups/quiet", json={"name": "Quiet", "policy": "never"})).json()
    own = {name: value for name, value in step(45, "04", 45).items() if name != "code"}
    for number in range(CUSTOMERS):
        code = f"C{number:02}"
        customer_id = await stage.customer(code)
        if number >= len(KNOWN) and random.random() < 0.3:
            await write(
                stage,
                "update customer set policy = 'scenario', scenario_id = $3 where tenant_id = $1 and customer_id = $2",
                stage.tenant_id,
                customer_id,
                other,
            )
        if number < len(KNOWN):
            item = await stage.invoice(customer=code)
            await passed(stage, customer_id, item, (stage.scenario_id, 1, KNOWN[number][0], 1), "completed", dt.date(2026, 1, 1))
        for _ in range(0 if number < len(KNOWN) else random.randint(1, 4)):
            item = await stage.invoice(customer=code, days_overdue=random.randint(-5, 90))
            episode = random.choice([1, 1, 2])
            await write(
                    stage, "update item set episode = $3, policy = $4, scenario_id = $5, step_reached = $6, last_reminded_on = $7 where tenant_id = $1 and item_id = $2",
                stage.tenant_id, item, episode, *random.choice([("inherit", None)] * 3 + [("scenario", other), ("never", None)]),
                *random.choice([(None, None)] * 2 + [(random.choice(["02", "03", "B"]), dt.date(2026, 1, random.randint(1, 28)))]),
            )  # fmt: skip
            seen = set()
            for _ in range(random.randint(0, 4)):
                scenario_id, version, codes = random.choice(versions)
                at = random.choice(codes), random.randint(1, episode)
                if at not in seen:
                    seen.add(at)
                    state = random.choice(["completed", "completed", "skipped", "void"])
                    await passed(stage, customer_id, item, (scenario_id, version, *at), state, dt.date(2026, 1, random.randint(1, 28)))
            if random.random() < 0.2:
                await write(stage, "update item set allocated_minor = amount_minor where tenant_id = $1 and item_id = $2", stage.tenant_id, item)
        if number in CLOSED:
            await write(
                stage, "update customer set policy = 'never', scenario_id = null where tenant_id = $1 and customer_id = $2", stage.tenant_id, customer_id
            )
        if number in CLOSED_BY_GROUP:
            sql = "update customer set policy = 'inherit', scenario_id = null, customer_group_id = $3 where tenant_id = $1 and customer_id = $2"
            await write(stage, sql, stage.tenant_id, customer_id, UUID(quiet["customer_group_id"]))
        if number == 0 or (number >= len(KNOWN) and random.random() < 0.3):
            await override(stage, customer_id, "insert", "04", **own)
    return stage


async def told_apart(stage: Stage) -> dict[str, tuple[Any, ...]]:
    """Return the customers of whom explorer, filter, report, explain and agenda do not all say the same."""
    rows = (await stage.get("/customers", limit=100))["data"]
    control = {row["customer_id"]: row["step_code"] for row in (await stage.get("/reports/action-control", limit=100))["data"]}
    by_step = {}
    for code in sorted({*FIRST, *SECOND, *OTHER}):
        by_step |= {row["customer_id"]: code for row in (await stage.get("/customers", step=code, limit=100))["data"]}
    wrong = {}
    for row in rows:
        customer_id = row["customer_id"]
        explained = (await stage.get(f"/customers/{customer_id}/explain"))["current_step"]
        agenda = (await stage.get(f"/customers/{customer_id}/agenda", days=0))["current_step"]
        said = (explained, agenda, row["step_code"], by_step.get(customer_id), control.get(customer_id, explained))
        if len(set(said)) > 1:
            wrong[row["external_id"]] = said
    return wrong


async def test_every_list_shows_the_step_that_the_rule_derives_and_a_wrong_derivation_is_noticed(company: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3-06, S3-11. The controls are derivations that take the lowest step, forget what is gone from a ladder, or forget a customer's own steps."""
    assert await told_apart(company) == {}
    steps = [row["step_code"] for row in (await company.get("/customers", limit=100))["data"]]
    assert len(steps) == CUSTOMERS
    assert steps[: len(KNOWN)] == [shown for _, shown in KNOWN]
    assert len(set(steps)) >= 6, steps
    with monkeypatch.context() as broken:
        broken.setattr(explorer_store, "_SHOWN", explorer_store._SHOWN.replace("order by r.rank desc", "order by r.rank"))  # noqa: SLF001  # the statement that is broken
        assert await told_apart(company) != {}
    for closed, left_open in (
        (
            "case c.policy when 'never' then null",
            "case c.policy when 'never' then (select z.scenario_id from ledger z where z.tenant_id = $1 and z.ledger_id = c.ledger_id)",
        ),
        ("case y.policy when 'never' then null", "case y.policy when 'never' then l.scenario_id"),
    ):
        assert closed in explorer_store._SHOWN  # noqa: SLF001  # the statement that is broken
        with monkeypatch.context() as broken:
            broken.setattr(explorer_store, "_SHOWN", explorer_store._SHOWN.replace(closed, left_open))  # noqa: SLF001  # the statement that is broken
            assert await told_apart(company) != {}, closed
    whole = customer_steps.rungs
    for column in ("of_scenario", "customer_id"):

        async def without(*args: Any, column: str = column) -> Any:
            return [rung for rung in await whole(*args) if rung[column] is None]

        with monkeypatch.context() as broken:
            broken.setattr(customer_steps, "rungs", without)
            assert await told_apart(company) != {}, column


async def test_a_step_that_is_a_call_is_shown_once_it_is_completed(stage: Stage) -> None:
    """S2-06: in the explorer, by its filter, in explain and on the item; nobody was reminded by it, so the last reminder stays."""
    await stage.open(
        scenario(
            step(10, "MAIL", 1),
            {
                "rank": 20,
                "code": "CALL0",
                "name": "Call",
                "trigger": {"kind": "due_date", "offset_days": 5},
                "task": {"kind": "call", "text": "Call."},
            },
        )
    )
    await stage.customer("C1")
    item = await stage.invoice(days_overdue=2)
    await stage.remind()
    mailed_on = str(await stage.today())
    await stage.advance(days=5)
    await stage.remind()
    (call,) = [one for one in await stage.actions() if one["step_code"] == "CALL0"]
    assert (await stage.get("/customers"))["data"][0]["step_code"] == "MAIL"
    assert (await stage.get("/customers", step="CALL0"))["data"] == []
    await stage.post(f"/actions/{call['action_id']}/complete", {})
    assert [row["step_code"] for row in (await stage.get("/customers", step="CALL0"))["data"]] == ["CALL0"]
    assert (await stage.get("/customers", step="MAIL"))["data"] == []
    shown = await stage.get(f"/items/{item}")
    assert (shown["step_code"], shown["last_reminded_on"], shown["reminders"]) == ("CALL0", mailed_on, 1)
    assert (await stage.get(f"/items/{item}/explain"))["reached_step"] == "CALL0"


async def test_imported_steps_steps_by_hand_and_operations_alone_are_steps_as_well(stage: Stage) -> None:
    block = {"kind": "block_account", "when": "executed", "params": {"degree": "full", "release_when": "settled"}}
    await stage.open(
        scenario(
            step(10, "01", 1),
            step(20, "02", 9),
            {"rank": 30, "code": "03", "name": "Block", "trigger": {"kind": "due_date", "offset_days": 20}, "operations": [block]},
        )
    )
    customer_id = await stage.customer("C1")
    item = await stage.invoice(days_overdue=10, step_reached="02", last_reminded_on=str((await stage.today()) - dt.timedelta(days=1)))

    async def said() -> list[str | None]:
        (row,) = (await stage.get("/customers"))["data"]
        return [row["step_code"], (await stage.get(f"/customers/{customer_id}/explain"))["current_step"], (await stage.get(f"/items/{item}"))["step_code"]]

    assert await said() == ["02"] * 3
    await stage.advance(days=11)
    await stage.remind()
    assert await said() == ["03"] * 3
    await stage.put(f"/items/{item}/step", {"step_code": "02", "reason": "They say they never got it."})
    assert await said() == [None] * 3
