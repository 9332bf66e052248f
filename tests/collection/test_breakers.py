"""The breakers before any sending (promises 3): each below, at and above its limit, and what a person sees of a run that waits."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import httpx
import pytest

from dunning.collection.breakers import RULES, Gate, HeldBecause, ImportVolume, why_held
from dunning.kit.ids import new_id
from tests.collection.stage import Stage, scenario, step

NOW = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)
OPEN = Gate(
    stopped=False, sending_enabled=True, first_run_approved=True, run_mode="automatic", freshness_limit_hours=None, complete_as_of=None, planned=0, usual=[],
    finished_runs=10, owing=100,
)  # fmt: skip
ONE_STEP = scenario(step(10, "a", 1))


def codes(**changes: Any) -> list[str]:
    """Return why a gate holds a run, by code."""
    return [held.code.value for held in why_held(dataclasses.replace(OPEN, **changes), NOW)]


def test_an_open_gate_holds_nothing() -> None:
    """The control: each of the cases below differs from this one in what it names."""
    assert codes() == []


@pytest.mark.parametrize(
    ("changing", "percent", "held"),
    [(50, 50, False), (51, 50, True), (20, 20, False), (21, 20, True), (100, 100, False), (10, 1, False), (11, 1, True)],
)
def test_many_customers_who_change_step_hold_a_run(changing: int, percent: int, held: bool) -> None:
    """Promises 3: above the share, not at it; up to ten customers never hold one; 100 per cent is off."""
    assert (codes(changing_step=changing, step_change_limit_percent=percent) == ["many_change_step"]) is held


@pytest.mark.parametrize(("rows", "held"), [(51, False), (50, False), (49, True), (0, True)])
def test_an_import_of_less_than_half_its_usual_size_holds_a_run(rows: int, held: bool) -> None:
    """Promises 3: down by more than 50 %, against the median of the last ten."""
    before = [100] * 9 + [5]
    assert (codes(imports=[ImportVolume("documents", rows, before)]) == ["import_volume_down"]) is held


@pytest.mark.parametrize(("before", "held"), [([100] * 9, False), ([10] * 10, False), ([11] * 10, True)])
def test_what_is_usual_needs_ten_imports_of_some_size(before: list[int], held: bool) -> None:
    assert (codes(imports=[ImportVolume("documents", 1, before)]) == ["import_volume_down"]) is held


@pytest.mark.parametrize(("largest", "held"), [(99_99, False), (100_00, False), (100_01, True)])
def test_a_message_above_the_limit_holds_a_run(largest: int, held: bool) -> None:
    """Promises 3: above the amount, a currency at a time; a currency without a limit has none."""
    assert (codes(largest_minor={"EUR": largest, "USD": 10**9}, limit_minor={"EUR": 100_00}) == ["message_above_limit"]) is held


@pytest.mark.parametrize(
    "changes",
    [
        {"planned": 13, "usual": [4] * 9},
        {"changing_step": 90, "step_change_limit_percent": 50, "finished_runs": 9},
        {"imports": [ImportVolume("documents", 1, [100] * 10)], "finished_runs": 9},
    ],
)
def test_what_compares_with_the_past_begins_after_ten_runs(changes: dict[str, Any]) -> None:
    """Promises, decided otherwise: breakers start after ten runs."""
    assert codes(**changes) == []


def test_all_reasons_are_told_the_strictest_first() -> None:
    """One list of rules: each rule has its own code, and a run that several hold names them all."""
    told = codes(stopped=True, sending_enabled=False, first_run_approved=False, run_mode="proposal", freshness_limit_hours=1, planned=13, usual=[4] * 10,
                 changing_step=90, step_change_limit_percent=50, imports=[ImportVolume("documents", 1, [100] * 10)], largest_minor={"EUR": 2},
                 limit_minor={"EUR": 1})  # fmt: skip
    assert told == [reason.value for reason in HeldBecause]
    assert len(RULES) == len(HeldBecause)


async def past_runs(stage: Stage, number: int = 10, actions: int = 40) -> None:
    """Let runs have ended before."""
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        for _ in range(number):
            await session.execute(
                """insert into run (tenant_id, run_id, ledger_id, kind, local_date, state, actor, business_at, counts, finished_at)
                   values ($1, $2, $3, 'nightly', '2026-02-20', 'committed', 'test', '2026-02-20T05:00Z', jsonb_build_object('actions', $4::int), $5)""",
                stage.tenant_id, new_id(), stage.ledger_id, actions, dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            )  # fmt: skip


async def owing(stage: Stage, number: int) -> None:
    """Let so many customers be overdue."""
    for n in range(number):
        await stage.customer(f"C{n}")
        await stage.invoice(customer=f"C{n}")


async def test_a_run_that_moves_most_customers_waits_and_a_person_commits_it(stage: Stage) -> None:
    """Promises 3: the whole run waits as a proposal with its reasons and an event; the person commits as usual."""
    await stage.open(ONE_STEP)
    await owing(stage, 12)
    await past_runs(stage)
    run = await stage.launch(commit_at_once=True)
    assert (run["state"], run["held_because"]) == ("proposed", "many_change_step")
    assert run["held_reasons"] == [{"code": "many_change_step", "customers": 12, "of": 12, "limit_percent": 50}]
    told = await stage.tenant.rows("select data from event where kind = 'run.proposed' order by event_id desc limit 1")
    assert told[0]["data"]["held_reasons"][0]["code"] == "many_change_step"  # type: ignore[index]
    assert await stage.accepted() == []
    await stage.post(f"/runs/{run['run_id']}/commit", status=202)
    await stage.settle()
    assert len(await stage.accepted()) == 12


async def test_control_with_the_limit_lifted_the_same_run_goes(stage: Stage) -> None:
    """The control: 100 per cent switches the breaker off, and nothing else holds the run."""
    await stage.open(ONE_STEP, step_change_limit_percent=100)
    await owing(stage, 12)
    await past_runs(stage)
    assert (await stage.launch(commit_at_once=True))["state"] == "committed"


async def test_a_total_above_the_ledgers_limit_waits_whatever_the_number_of_runs(stage: Stage) -> None:
    """Promises 3: the total of the message, rows beside the candidates included, at the limit and above it."""
    limit = [{"currency": "EUR", "minor": 200_00}]
    await stage.open(scenario(step(10, "a", 1), step(20, "b", 30)), message_limit=limit)
    await stage.customer()
    await stage.invoice("100.00", days_overdue=3)
    await stage.remind()
    assert len(await stage.accepted()) == 1
    await stage.advance(days=1)
    await stage.invoice("100.00", days_overdue=2)
    await stage.remind()
    assert len(await stage.accepted()) == 2, "200.00 are asked for, which is the limit"
    await stage.advance(days=1)
    await stage.invoice("0.01", days_overdue=2)
    run = await stage.launch(commit_at_once=True)
    assert run["held_reasons"] == [{"code": "message_above_limit", "currency": "EUR", "largest": "200.01", "limit": "200.00"}]


async def test_an_import_cut_short_holds_the_next_run_once(stage: Stage) -> None:
    """Promises 3: the newest import of a kind since the last run; once a person has committed, it is not asked about again."""
    await stage.open(ONE_STEP)
    await stage.customer()
    await stage.invoice()
    await past_runs(stage)
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        for n in range(11):
            await session.execute(
                """insert into import (tenant_id, import_id, ledger_id, format, kind, state, actor, file_sha256, counts, finished_at)
                   values ($1, $2, $3, 'ndjson', 'documents', 'done', 'test', ''::bytea, jsonb_build_object('unchanged', $4::int), clock_timestamp())""",
                stage.tenant_id, new_id(), stage.ledger_id, 100 if n < 10 else 49,
            )  # fmt: skip
    run = await stage.launch(commit_at_once=True)
    assert run["held_reasons"] == [{"code": "import_volume_down", "kind": "documents", "rows": 49, "usual": 100}]
    await stage.post(f"/runs/{run['run_id']}/commit", status=202)
    await stage.settle()
    await stage.advance(days=1)
    await stage.invoice()
    assert (await stage.launch(commit_at_once=True))["state"] == "committed"


async def test_the_limits_are_settings_of_the_ledger(stage: Stage, other_api: httpx.AsyncClient) -> None:
    """Set, shown, cleared, refused where they make no sense; another tenant cannot touch them (T1)."""
    await stage.open(ONE_STEP)
    path = f"/v1/ledgers/{stage.ledger_id}"
    shown = (await stage.api.get(path)).json()
    assert (shown["step_change_limit_percent"], shown["message_limit"]) == (50, None)
    change = {"step_change_limit_percent": 30, "message_limit": [{"amount": "5000.00", "currency": "EUR"}]}
    changed = await stage.api.patch(path, json=change, headers={"If-Match": "*"})
    assert {name: changed.json()[name] for name in change} == change
    twice = {"message_limit": [{"amount": "1.00", "currency": "EUR"}, {"amount": "2.00", "currency": "EUR"}]}
    assert (await stage.api.patch(path, json=twice, headers={"If-Match": "*"})).status_code == 422
    negative = {"message_limit": [{"amount": "-1.00", "currency": "EUR"}]}
    assert (await stage.api.patch(path, json=negative, headers={"If-Match": "*"})).status_code == 422
    cleared = await stage.api.patch(path, json={"message_limit": None}, headers={"If-Match": "*"})
    assert cleared.json()["message_limit"] is None
    assert (await other_api.patch(path, json=change, headers={"If-Match": "*"})).status_code == 404
