"""Runs as a resource: one at a time, edited, held, filtered, verified, and one customer's failure touching no other."""

from __future__ import annotations

import datetime as dt
import json
import zlib
from typing import Any

import httpx
import pytest

from dunning.collection import execute, run_store
from dunning.kit.database import statement_log
from dunning.kit.ids import new_id
from dunning.scenarios import rules
from tests.collection.stage import Stage, scenario, step

ONE_STEP = scenario(step(1, "a", 1))


async def test_one_run_of_a_ledger_is_open_at_a_time(stage: Stage) -> None:
    """B-02: the second launch is refused and names the first; a dry run is never in the way; cancelled, the next may begin."""
    await stage.open(ONE_STEP)
    first = await stage.launch()
    refused = await stage.post(f"/ledgers/{stage.ledger_id}/runs", {}, status=409)
    assert (refused["code"], refused["run_id"]) == ("run_open", first["run_id"])
    assert (await stage.launch(dry_run=True))["state"] == "proposed"
    await stage.post(f"/runs/{first['run_id']}/cancel")
    assert (await stage.launch())["state"] == "proposed"


async def test_a_dry_run_tells_all_and_stores_nothing_on_customers(stage: Stage) -> None:
    """C-44, promises 3: the same decisions as a real run; customers stay as they were; it cannot be committed."""
    await stage.open(ONE_STEP)
    await stage.customer()
    await stage.invoice()
    await stage.customer("C2")
    await stage.invoice(customer="C2", days_overdue=-5)
    before = await stage.tenant.rows("select * from customer_state where tenant_id = $1 order by customer_id", stage.tenant_id)
    dry = await stage.launch(dry_run=True)
    assert await stage.tenant.rows("select * from customer_state where tenant_id = $1 order by customer_id", stage.tenant_id) == before
    refused = await stage.post(f"/runs/{dry['run_id']}/commit", status=409)
    assert refused["code"] == "run_not_proposed"
    real = await stage.launch()
    assert (dry["counts"], dry["reasons"]) == (real["counts"], real["reasons"])
    assert (real["reasons"], real["counts"]["by_step"]) == ({"NOT_YET": 1}, {"a": 1})


async def test_sleeping_customers_are_not_read_again(stage: Stage) -> None:
    """Plan 15: who has nothing to come today sleeps until its day; a new fact wakes it."""
    await stage.open(ONE_STEP)
    await stage.customer()
    await stage.invoice(days_overdue=-5)
    assert (await stage.launch())["counts"]["customers"] == 1
    await stage.post(f"/runs/{(await stage.get('/runs'))['data'][0]['run_id']}/cancel")
    again = await stage.launch()
    assert again["counts"]["customers"] == 0
    await stage.post(f"/runs/{again['run_id']}/cancel")
    await stage.invoice(days_overdue=3)
    assert (await stage.launch())["counts"]["actions"] == 1


async def test_a_second_run_on_the_same_day_reminds_nobody_again(stage: Stage) -> None:
    """C-01: launched as often as anybody likes, each customer is told once."""
    await stage.open("claims")
    await stage.customer()
    await stage.invoice(days_overdue=9)
    for _ in range(3):
        await stage.remind()
    assert await stage.accepted() == ["02 ap@c1.example"]


async def test_an_excluded_customer_stays_out_and_the_nightly_run_keeps_it_out(stage: Stage) -> None:
    """Architecture 4.3: the night supersedes the proposal and keeps the person's exclusion; the others go out."""
    await stage.open(ONE_STEP)
    for name in ("C1", "C2"):
        await stage.customer(name)
        await stage.invoice(customer=name)
    run = await stage.launch()
    kept_out = next(c for c in (await stage.get(f"/runs/{run['run_id']}/customers"))["data"] if c["external_id"] == "C1")
    path = f"/v1/runs/{run['run_id']}/customers/{kept_out['customer_id']}"
    answer = await stage.api.patch(path, json={"excluded": True, "reason": "In talks."})
    assert (answer.status_code, answer.json()["excluded_because"]) == (200, "In talks.")
    await stage.advance(days=1)
    assert (await stage.get(f"/runs/{run['run_id']}"))["state"] == "superseded"
    assert await stage.accepted() == ["a ap@c2.example"]
    nightly = next(r for r in (await stage.get("/runs"))["data"] if r["kind"] == "nightly")
    (left,) = (await stage.get(f"/runs/{nightly['run_id']}/customers", outcome="excluded"))["data"]
    assert (left["external_id"], left["excluded_because"]) == ("C1", "In talks.")


async def test_a_ledgers_first_run_is_always_a_proposal(stage: Stage) -> None:
    """Architecture 4.3: even in automatic mode the first waits for a person; after its commit nights go out by themselves."""
    await stage.open(ONE_STEP, approved=False)
    await stage.customer()
    await stage.invoice(days_overdue=0)
    await stage.advance(days=1)
    (run,) = (await stage.get("/runs", state="proposed"))["data"]
    assert run["held_because"] == "first_run"
    await stage.post(f"/runs/{run['run_id']}/commit", status=202)
    await stage.settle()
    await stage.invoice(days_overdue=0, amount="20.00")
    await stage.advance(days=1)
    assert await stage.accepted() == ["a ap@c1.example"] * 2


@pytest.mark.parametrize(
    ("ledger", "because"),
    [
        ({"run_mode": "proposal"}, "ledger_run_mode"),
        ({"freshness_limit_hours": 24}, "stale_data"),
        ({}, None),
    ],
)
async def test_what_holds_a_run_back_is_named(stage: Stage, ledger: dict[str, Any], because: str | None) -> None:
    """C-04, D-06: the ledger's mode and data that nobody called fresh keep a run a proposal, with the reason."""
    await stage.open(ONE_STEP, **ledger)
    await stage.customer()
    await stage.invoice()
    run = await stage.launch(commit_at_once=True)
    assert run["held_because"] == because
    assert run["state"] == ("proposed" if because else "committed")


async def test_sending_off_means_proposals_and_refuses_the_commit(stage: Stage) -> None:
    """B-28: off means that runs make proposals; a commit is refused and says how to switch on."""
    await stage.open(ONE_STEP)
    await stage.customer()
    await stage.invoice()
    await stage.api.put("/v1/tenant/sending", json={"enabled": False})
    run = await stage.launch(commit_at_once=True)
    assert (run["state"], run["held_because"]) == ("proposed", "sending_off")
    refused = await stage.post(f"/runs/{run['run_id']}/commit", status=409)
    assert refused["code"] == "sending_off"


async def test_data_stated_to_be_fresh_lets_the_run_go(stage: Stage) -> None:
    """D-06: at the limit it goes, past it it does not."""
    await stage.open(ONE_STEP, freshness_limit_hours=24)
    await stage.customer()
    await stage.invoice()
    for hours, state in ((24, "committed"), (25, "proposed")):
        await stage.tenant.rows("select 1")
        async with stage.tenant.database.transaction(stage.tenant_id) as session:
            await session.execute(
                "update ledger set complete_as_of = $2::timestamptz - make_interval(hours => $3) where tenant_id = $1",
                stage.tenant_id,
                (await stage.tenant.clock()).now(),
                hours,
            )
        run = await stage.launch(commit_at_once=True)
        assert run["state"] == state, hours


async def test_far_more_than_usual_waits_for_a_person(stage: Stage) -> None:
    """Promises 3: after ten runs, more than three times the median is held; exactly three times is not."""
    await stage.open(ONE_STEP)
    for name in range(13):
        await stage.customer(f"C{name}")
        await stage.invoice(customer=f"C{name}")
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        for _ in range(10):
            await session.execute(
                """insert into run (tenant_id, run_id, ledger_id, kind, local_date, state, actor, business_at, counts)
                   values ($1, $2, $3, 'nightly', '2026-02-20', 'committed', 'test', '2026-02-20T05:00Z', '{"actions": 4}')""".replace(
                    "'{\"actions\": 4}'", "jsonb_build_object('actions', 4)"
                ),
                stage.tenant_id,
                new_id(),
                stage.ledger_id,
            )
    run = await stage.launch(commit_at_once=True)
    assert (run["counts"]["actions"], run["held_because"]) == (13, "far_above_usual")


async def test_a_run_over_named_customers_tells_reasons_even_where_nothing_is_due(stage: Stage) -> None:
    """S0-10, B-03: the filter looks at sleepers too; unknown customers are refused."""
    await stage.open(ONE_STEP)
    first = await stage.customer()
    item = await stage.invoice(days_overdue=-5)
    await stage.customer("C2")
    await stage.invoice(customer="C2")
    await stage.launch(dry_run=True)
    run = await stage.launch(filter={"customer_external_ids": ["C1"]})
    (seen,) = (await stage.get(f"/runs/{run['run_id']}/customers"))["data"]
    assert seen["customer_id"] == str(first)
    assert seen["reasons"] == [{"item_id": str(item), "reasons": ["NOT_YET"], "first_day": "2026-03-08"}]
    await stage.post(f"/ledgers/{stage.ledger_id}/runs", {"filter": {"customer_external_ids": ["NOBODY"]}}, status=404)


async def test_one_customers_failure_is_listed_and_touches_no_other(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """C-34, B-52: carried out one by one after an error; the failed one is listed with what went wrong, and retried by itself."""
    await stage.open(ONE_STEP)
    ids = {}
    for name in ("C1", "C2", "C3"):
        ids[name] = await stage.customer(name)
        await stage.invoice(customer=name)
    whole = execute.progress_rows

    def broken(customer_id: Any, *rest: Any) -> Any:
        if customer_id == ids["C2"]:
            msg = "this customer is cursed"
            raise ValueError(msg)
        return whole(customer_id, *rest)

    monkeypatch.setattr(execute, "progress_rows", broken)
    run = await stage.remind()
    assert (run["state"], run["counts"]["outcomes"]) == ("committed", {"executed": 2, "failed": 1})
    assert sorted(await stage.accepted()) == ["a ap@c1.example", "a ap@c3.example"]
    (failed,) = (await stage.get(f"/runs/{run['run_id']}/customers", outcome="failed"))["data"]
    assert (failed["external_id"], failed["error"]) == ("C2", "ValueError: this customer is cursed")
    monkeypatch.undo()
    retried = await stage.post(f"/runs/{run['run_id']}/customers/{ids['C2']}/retry")
    assert retried["outcome"] == "executed"
    await stage.settle()
    assert "a ap@c2.example" in await stage.accepted()
    await stage.post(f"/runs/{run['run_id']}/customers/{ids['C2']}/retry", status=409)


async def test_a_customer_that_cannot_be_planned_keeps_nobody_from_being_planned(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """C-34: a plan that raises is one failed customer, not a failed run."""
    await stage.open(ONE_STEP)
    for name in ("C1", "C2"):
        await stage.customer(name)
        await stage.invoice(customer=name, amount="66.60" if name == "C1" else "100.00")
    whole = rules.plan

    def broken(position: Any, *rest: Any) -> Any:
        if any(item.open_minor == 6660 for item in position.items):
            msg = "no"
            raise ZeroDivisionError(msg)
        return whole(position, *rest)

    monkeypatch.setattr("dunning.collection.planning.plan", broken)
    run = await stage.launch()
    assert (run["state"], run["counts"]["failed"], run["counts"]["actions"]) == ("proposed", 1, 1)


async def test_a_run_decided_again_from_its_inputs_agrees_and_an_altered_one_does_not(stage: Stage) -> None:
    """D-02: verify recomputes and must agree, also after facts have moved on; the control alters one stored decision."""
    await stage.open("claims")
    for name in ("C1", "C2"):
        await stage.customer(name)
        await stage.invoice(customer=name, days_overdue=9)
        await stage.credit("20.00", customer=name)
    run = await stage.remind()
    await stage.pay("50.00")
    found = await stage.post(f"/runs/{run['run_id']}/verify")
    assert (found["checked"], found["agreed"], found["agrees"]) == (2, 2, True)
    row = (await stage.tenant.rows("select * from run_customer where tenant_id = $1 and inputs is not null order by customer_id", stage.tenant_id))[0]
    inputs = json.loads(zlib.decompress(row["inputs"]))  # type: ignore[arg-type]
    inputs["items"][0][6] += 1
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute(
            "update run_customer set inputs = $3, inputs_sha256 = sha256($4) where tenant_id = $1 and customer_id = $2",
            stage.tenant_id, row["customer_id"], zlib.compress(planned := json.dumps(inputs).encode()), planned,
        )  # fmt: skip
    found = await stage.post(f"/runs/{run['run_id']}/verify")
    assert (found["agrees"], found["differences"][0]["what"]) == (False, ["actions"])


async def test_a_stored_decision_altered_beside_its_hash_is_found_and_its_customer_named(stage: Stage) -> None:
    """D-02: the stored decision, its stored hash and the decision made again must all agree; the control is the run as it was."""
    await stage.open("claims")
    for name in ("C1", "C2"):
        await stage.customer(name)
        await stage.invoice(customer=name, days_overdue=9)
    await stage.customer("C3")
    await stage.invoice(customer="C3", days_overdue=-40)
    run = await stage.remind()
    whole = await stage.post(f"/runs/{run['run_id']}/verify")
    assert (whole["checked"], whole["agreed"], whole["agrees"], whole["differences"]) == (2, 2, True, [])
    rows = await stage.tenant.rows("select customer_id, plan from run_customer where tenant_id = $1 and inputs is not null", stage.tenant_id)
    told = rows[0]["customer_id"]
    await _alter(stage, told, "jsonb_set(plan, '{actions,0,7,0,6}', '1')")
    found = await stage.post(f"/runs/{run['run_id']}/verify")
    assert (found["checked"], found["agreed"], found["agrees"], found["differences_count"]) == (2, 1, False, 1)
    assert [(one["customer_id"], one["what"]) for one in found["differences"]] == [(str(told), ["actions"])]
    assert found["differences"][0]["stored"]["actions"] != found["differences"][0]["recomputed"]["actions"]
    # C3 was decided to wait, so its inputs were not kept; its decision was hashed all the same.
    rows = await stage.tenant.rows("select customer_id from run_customer where tenant_id = $1 and inputs is null", stage.tenant_id)
    waits = rows[0]["customer_id"]
    await _alter(stage, waits, "jsonb_set(plan, '{review_on}', '1')")
    found = await stage.post(f"/runs/{run['run_id']}/verify")
    assert (found["checked"], found["agreed"], found["differences_count"]) == (2, 1, 2)
    assert {one["customer_id"]: one["what"] for one in found["differences"]} == {str(told): ["actions"], str(waits): ["decision_altered"]}


async def _alter(stage: Stage, customer_id: object, made: str) -> None:
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        changed = await session.execute(f"update run_customer set plan = {made} where tenant_id = $1 and customer_id = $2", stage.tenant_id, customer_id)
    assert changed == 1


async def test_full_or_link_only_is_chosen_at_launch_and_wins(stage: Stage) -> None:
    """S0-11, S0-12, S0-21: link_only shows no amount and no number; the claim behind the link has them."""
    await stage.open(ONE_STEP)
    await stage.customer()
    await stage.invoice("123.45")
    run = await stage.launch(content_mode="link_only", commit_at_once=True)
    assert run["content_mode"] == "link_only"
    await stage.settle()
    (message,) = (await stage.get("/messages"))["data"]
    body = await stage.get(f"/messages/{message['message_id']}/body")
    text = json.dumps(body)
    assert "123.45" not in text
    assert "1001" not in body["text"]
    claim = await stage.get(f"/claims/{message['claim_id']}")
    assert claim["data"]["blocks"][0]["total_minor"] == 12345


async def test_runs_of_somebody_else_do_not_exist(stage: Stage, other_api: httpx.AsyncClient) -> None:
    """T1: a foreign run, customer of a run or ledger answers exactly as an unknown one."""
    await stage.open(ONE_STEP)
    customer = await stage.customer()
    await stage.invoice()
    run = await stage.launch()
    key = {"Idempotency-Key": str(new_id())}
    for method, path in (
        ("GET", f"/runs/{run['run_id']}"),
        ("GET", f"/runs/{run['run_id']}/customers"),
        ("POST", f"/runs/{run['run_id']}/commit"),
        ("POST", f"/runs/{run['run_id']}/cancel"),
        ("POST", f"/runs/{run['run_id']}/verify"),
        ("POST", f"/runs/{run['run_id']}/customers/{customer}/retry"),
        ("GET", f"/customers/{customer}/agenda"),
        ("GET", f"/customers/{customer}/timeline"),
        ("GET", f"/ledgers/{stage.ledger_id}/forewarning"),
    ):
        foreign = await other_api.request(method, f"/v1{path}", headers=key)
        unknown = await other_api.request(
            method, f"/v1{path}".replace(run["run_id"], str(new_id())).replace(str(customer), str(new_id())), headers=key | {"Idempotency-Key": str(new_id())}
        )
        assert (foreign.status_code, foreign.json()) == (404, unknown.json()), path
    launched = await other_api.post(f"/v1/ledgers/{stage.ledger_id}/runs", json={}, headers={"Idempotency-Key": str(new_id())})
    assert launched.status_code == 404
    named = await other_api.get("/v1/runs")
    assert named.json()["data"] == []


async def test_the_inputs_of_old_runs_are_forgotten_and_found_by_the_index_of_what_is_kept(stage: Stage) -> None:
    """Hash and plan stay. However many decisions there are, a night reads those alone that still keep something."""
    await stage.open(scenario(step(10, "01", 1)))
    await stage.customer()
    await stage.invoice(days_overdue=5)
    await stage.remind()
    now = (await stage.tenant.clock()).now()
    kept = await stage.tenant.value("select count(*) from run_customer where tenant_id = $1 and inputs is not null", stage.tenant_id)
    assert kept == 1
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        assert await run_store.forget_inputs(session, stage.tenant_id, now - dt.timedelta(days=1), 10) == 0
        log: list[str] = []
        token = statement_log.set(log)
        assert await run_store.forget_inputs(session, stage.tenant_id, now + dt.timedelta(days=1), 10) == 1
        statement_log.reset(token)
        await session.execute("set local enable_seqscan = off")
        plan = await session.rows(f"explain {log[-1]}", stage.tenant_id, now, 10)
    assert "run_customer_inputs_idx" in "\n".join(row[0] for row in plan)
    (row,) = await stage.tenant.rows("select inputs, inputs_sha256, plan_sha256, plan from run_customer where tenant_id = $1", stage.tenant_id)
    assert row["inputs"] is None
    assert row["inputs_sha256"] and row["plan_sha256"]
