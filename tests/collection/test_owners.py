"""Work that is given to somebody is in that person's agenda, whoever looked after the customer before (S2-01, S2-13, S4-02)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dunning.collection import owners
from dunning_api.acting import HEADER
from tests.collection.agreements import told
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_assignments import TASK, ask, person, rule
from tests.collection.test_bulk import counted

Given = Callable[[Stage, str, str], Awaitable[Any]]


@pytest.fixture
async def desk(stage: Stage) -> Stage:
    """A company whose one step is a call, with Anna who collects from its one customer."""
    return await stage.open(scenario(step(1, "01", 1, **TASK)))


async def _of_item(stage: Stage) -> str:
    return str((await stage.get(f"/ledgers/{stage.ledger_id}/items"))["data"][0]["item_id"])


async def _changed(stage: Stage, customer: str, to: str) -> None:
    (action,) = await stage.actions(state="waiting")
    await ask(stage, "PATCH", f"/actions/{action['action_id']}", {"person_id": to})


async def _in_bulk(stage: Stage, customer: str, to: str) -> None:
    (action,) = await stage.actions(state="waiting")
    await ask(stage, "POST", "/actions/bulk", {"act": "reassign", "action_ids": [action["action_id"]], "person_id": to})


async def _made(stage: Stage, customer: str, to: str) -> None:
    body = {"item_ids": [await _of_item(stage)], "title": "Visit", "content": {"kind": "task", "task_kind": "other"}, "person_id": to}
    await ask(stage, "POST", f"/customers/{customer}/actions", body | {"origin": "ad_hoc"}, status=201)


async def _made_for_many(stage: Stage, customer: str, to: str) -> None:
    action = {"title": "Call", "origin": "ad_hoc", "content": {"kind": "task", "task_kind": "other"}, "person_id": to}
    await ask(stage, "POST", "/customers/bulk", {"act": "create_action", "customer_ids": [customer], "action": action})


async def _replaced(stage: Stage, customer: str, to: str) -> None:
    (action,) = await stage.actions(state="waiting")
    body = {"title": "Visit", "content": {"kind": "task", "task_kind": "other"}, "reason": "Near them.", "person_id": to}
    await ask(stage, "POST", f"/actions/{action['action_id']}/replace", body, status=201)


async def _disputed(stage: Stage, customer: str, to: str) -> None:
    await ask(stage, "POST", "/disputes", {"item_ids": [await _of_item(stage)], "reason": "price", "owner_id": to}, status=201)


WAYS: tuple[Given, ...] = (_changed, _in_bulk, _made, _made_for_many, _replaced, _disputed)


async def _with_anna(desk: Stage) -> tuple[str, str]:
    anna = await person(desk, "anna", sees="own")
    customer = str(await desk.customer())
    await desk.invoice()
    await ask(desk, "PUT", f"/customers/{customer}/collectors", {"lead_id": anna})
    await desk.remind()
    return customer, anna


async def _agenda(stage: Stage, who: str) -> list[str]:
    answer = await stage.api.get("/v1/agenda", params={"person": who}, headers={HEADER: who})
    assert answer.status_code == 200, answer.text
    return [row["customer_id"] for row in answer.json()["data"]]


@pytest.mark.parametrize("give", WAYS, ids=lambda way: way.__name__.strip("_"))
async def test_whoever_is_given_work_sees_it_and_its_customer_however_it_was_given(desk: Stage, give: Given) -> None:
    """Somebody who sees the own customers only: the work makes them a further collector, and stating the collectors anew takes both back to the lead."""
    customer, anna = await _with_anna(desk)
    bruno = await person(desk, "bruno", sees="own")
    await ask(desk, "GET", f"/customers/{customer}", who=bruno, status=404)
    await give(desk, customer, bruno)
    assert await _agenda(desk, bruno) == [customer]
    await ask(desk, "GET", f"/customers/{customer}", who=bruno)
    shown = await ask(desk, "GET", f"/customers/{customer}/collectors")
    assert [(a["person_id"], a["lead"], a["reason"]) for a in shown["assignments"]] == [(anna, True, None), (bruno, False, owners.BECAUSE)]
    event = (await told(desk, "customer.assigned"))[-1]
    assert (event["data"]["before"], event["data"]["lead_id"], event["data"]["others"]) == ([anna], anna, [bruno])
    await ask(desk, "PUT", f"/customers/{customer}/collectors", {"lead_id": anna})
    assert customer in await _agenda(desk, anna)
    await ask(desk, "GET", f"/customers/{customer}", who=bruno, status=404)
    assert not [a for a in await desk.actions() if a["person_id"] == bruno and a["state"] == "waiting"]


async def test_who_sees_all_customers_becomes_no_collector_until_they_see_less(desk: Stage) -> None:
    """Work is given to a manager, and to the lead, and nothing else changes; a manager who sees the own customers only from now on keeps that one."""
    customer, anna = await _with_anna(desk)
    boss = await person(desk, "boss", "manager")
    for one in (anna, boss):
        await _changed(desk, customer, one)
        assert await _agenda(desk, one) == [customer]

    async def collectors() -> list[str]:
        return [a["person_id"] for a in (await ask(desk, "GET", f"/customers/{customer}/collectors"))["assignments"]]

    assert await collectors() == [anna]
    await ask(desk, "PATCH", f"/people/{boss}", {"sees": "own"})
    assert await collectors() == [anna, boss]
    assert await _agenda(desk, boss) == [customer]


async def test_work_of_a_team_mate_stays_in_sight_when_the_customer_leaves_the_team(desk: Stage) -> None:
    """The lead's team gives the customer to another team by a rule, which moves the lead's work only."""
    north, south = [(await ask(desk, "POST", "/teams", {"code": code, "name": code}, status=201))["team_id"] for code in ("north", "south")]
    customer, anna = await _with_anna(desk)
    mate, bruno = await person(desk, "mate", team_id=north), await person(desk, "bruno", team_id=south)
    await ask(desk, "PATCH", f"/people/{anna}", {"team_id": north})
    await _changed(desk, customer, mate)
    await rule(desk, 10, bruno, external_ids=["C1"])
    moved = await ask(desk, "POST", f"/ledgers/{desk.ledger_id}/assignments/apply", {"mode": "reassign", "keep_by_hand": False})
    assert [(one["to_person_id"], one["open_actions"]) for one in moved["moves"]] == [(bruno, 0)]
    assert await _agenda(desk, mate) == [customer]


async def test_work_is_refused_to_whom_it_cannot_be_given(desk: Stage) -> None:
    """A viewer may write nothing, and counsel without customers sees none: the answer says whom to name, and nothing changes."""
    customer, anna = await _with_anna(desk)
    (action,) = await desk.actions(state="waiting")
    path = f"/actions/{action['action_id']}"
    viewer, counsel = await person(desk, "viewer", "viewer"), await person(desk, "counsel", "counsel")
    refused = await ask(desk, "PATCH", path, {"person_id": viewer}, status=409)
    assert (refused["code"], "Viewer is viewer" in refused["detail"]) == ("role_does_not_fit", True)
    refused = await ask(desk, "PATCH", path, {"person_id": counsel}, status=409)
    assert (refused["code"], "sight `own`" in refused["detail"]) == ("role_does_not_fit", True)
    assert (await desk.action(action["action_id"]))["person_id"] == anna
    await ask(desk, "PATCH", f"/people/{counsel}", {"sees": "own"})
    await ask(desk, "PATCH", path, {"person_id": counsel})
    assert await _agenda(desk, counsel) == [customer]


async def test_work_for_many_customers_is_made_visible_in_the_same_number_of_statements(desk: Stage) -> None:
    """Giving thirty actions to somebody who sees none of their customers costs what giving three does."""
    bruno = await person(desk, "bruno", sees="own")
    counts = []
    for group, many in (("A", 3), ("B", 30)):
        for n in range(many):
            await desk.customer(f"{group}{n}")
            await desk.invoice(customer=f"{group}{n}")
        await desk.remind()
        ids = [a["action_id"] for a in await desk.actions(state="waiting", limit=100) if a["person_id"] is None]
        assert len(ids) == many
        _, statements = await counted(desk, "reassign", action_ids=ids, person_id=bruno)
        counts.append(len(statements))
    assert counts[0] == counts[1]
    assert len(await _agenda(desk, bruno)) == 33
