"""M2: what came in is applied, parked or a known duplicate, to the cent, whatever the file holds and wherever the worker dies."""

from __future__ import annotations

import json
import os
import random

import pytest

from dunning.kit import faults
from dunning.kit.faults import InjectedFault
from dunning_worker.jobs.imports import work_on_imports
from dunning_worker.world import World
from tests.ledger.books import Books, customer_row, document_row, eur

FULL = os.environ.get("DUNNING_FAULTS") == "full"
LINES = 10_000 if FULL else 600
BATCH = 50


def _file(chance: random.Random) -> tuple[list[str], dict[str, int]]:
    """Receipts of two currencies with repeats, contradictions, unknown customers and invoices, and rows that are no receipts."""
    lines: list[str] = []
    earlier: list[str] = []
    money: dict[str, int] = {"EUR": 0, "USD": 0}
    for n in range(LINES):
        kind = chance.choices(["good", "repeat", "contradiction", "unknown", "too_much", "bad"], [60, 10, 5, 10, 10, 5])[0]
        minor = chance.randrange(1, 20_000)
        currency = chance.choice(["EUR", "EUR", "USD"])
        row = {
            "kind": "receipt",
            "external_id": f"R-{n}",
            "customer_external_id": f"C-{chance.randrange(20)}",
            "amount": eur(f"{minor // 100}.{minor % 100:02}", currency),
            "received_on": "2026-02-25",
            "allocation": chance.choice(["oldest_first", "none"]),
        }
        if kind == "repeat" and earlier:
            row = json.loads(chance.choice(earlier))
        elif kind == "contradiction" and earlier:
            row = {**json.loads(chance.choice(earlier)), "reference": f"other {n}"}
        elif kind == "unknown":
            row["customer_external_id"] = f"X-{n % 7}"
        elif kind == "too_much":
            row["allocation"] = [{"document_external_id": f"I-{chance.randrange(40)}", "amount": row["amount"]}]
        elif kind == "bad":
            lines.append(chance.choice(["{", '{"kind": "receipt"}', json.dumps({**row, "received_on": "2026-02-31"}), json.dumps({**row, "amount": 7})]))
            continue
        lines.append(json.dumps(row))
        earlier.append(lines[-1])
        amount = row["amount"]
        whole, _, cents = amount["amount"].partition(".")
        money[amount["currency"]] += int(whole) * 100 + int(cents)
    return lines, money


async def _run(worker: World, tenant, plan: str | None) -> int:
    """Work until nothing is left, beginning again after each death; return how often it died."""
    deaths = 0
    faults.set_plan(plan)
    while True:
        try:
            await work_on_imports(worker, tenant.tenant_id)
        except InjectedFault:
            deaths += 1
            if deaths == 4:
                faults.set_plan(None)
        else:
            faults.set_plan(None)
            return deaths


async def _outcomes(tenant, import_id: str) -> dict[str, dict[str, int]]:
    counts = await tenant.value("select counts from import where import_id = $1", import_id)
    return counts["totals"]


@pytest.mark.parametrize("seed", [1, 2, 3] if FULL else [1])
@pytest.mark.parametrize("plan", [None, "import_batch_applied=raise@2", "import_batch_committed=raise@3"])
async def test_in_is_applied_parked_and_duplicate_to_the_cent(books: Books, worker: World, tenant, settings, seed: int, plan: str | None):
    worker.settings = settings.model_copy(update={"import_batch_rows": BATCH})
    lines, money = _file(random.Random(seed))
    ready = [customer_row(f"C-{n}") for n in range(20)] + [document_row(f"I-{n}", "150.00", f"C-{n % 20}") for n in range(40)]
    await books.post_import(ready)
    await _run(worker, tenant, None)
    made = await books.post_import("\n".join(lines), kind="receipts")
    import_id = made.json()["import_id"]
    deaths = await _run(worker, tenant, plan)
    assert deaths == (0 if plan is None else 1)
    imported = await books.imported(import_id)
    assert imported["state"] == "done"
    assert sum(imported["counts"].values()) == len(lines), "every row ended, once"
    totals = await _outcomes(tenant, import_id)
    print(f"M2 seed={seed} plan={plan} lines={len(lines)} deaths={deaths} totals={totals}")
    for currency, minor in money.items():
        assert sum(totals[currency].values()) == minor, currency
        booked = await tenant.value("select coalesce(sum(amount_minor), 0)::bigint from receipt where currency = $1", currency)
        assert booked == totals[currency]["created"]
        spent = await tenant.value("select coalesce(sum(allocated_minor), 0)::bigint from item where currency = $1 and direction = 'debit'", currency)
        assert spent == await tenant.value("select coalesce(sum(allocated_minor), 0)::bigint from receipt where currency = $1", currency)
    waiting = await tenant.value("select count(*) from import_row where import_id = $1 and outcome = 'parked' and waits_for is not null", import_id)
    inbox = await tenant.value("select count(*) from receipt_inbox")
    assert waiting + inbox == imported["counts"]["parked"], "what is parked can be found"
    await books.sound()
    # The customers come after all: what waited for them is applied, and the sums still hold.
    await books.post_import([customer_row(f"X-{n}") for n in range(7)])
    await _run(worker, tenant, None)
    totals = await _outcomes(tenant, import_id)
    for currency, minor in money.items():
        assert sum(totals[currency].values()) == minor
    assert await tenant.value("select count(*) from import_row where outcome = 'parked' and waits_for like 'customer:%'") == 0
    await books.sound()


async def test_control_a_cursor_moved_before_its_rows_loses_money(books: Books, worker: World, tenant, settings, monkeypatch):
    """A worker that notes its progress first, and dies before the rows are in, must break the sum; else the test above proves nothing."""
    from dunning.ledger import import_store

    worker.settings = settings.model_copy(update={"import_batch_rows": BATCH})
    lines, money = _file(random.Random(5))
    await books.post_import([customer_row(f"C-{n}") for n in range(20)])
    await _run(worker, tenant, None)
    made = await books.post_import("\n".join(lines), kind="receipts")
    honest = import_store.lock_import
    skipped = {"once": False}

    async def hasty(session, tenant_id, import_id):
        found = await honest(session, tenant_id, import_id)
        if found is not None and found.state == "applying" and not skipped["once"]:
            skipped["once"] = True
            await session.execute("update import set next_row = next_row + $2 where import_id = $1", import_id, BATCH)
            return await honest(session, tenant_id, import_id)
        return found

    monkeypatch.setattr(import_store, "lock_import", hasty)
    for _ in range(3):
        await _run(worker, tenant, None)
    totals = await _outcomes(tenant, made.json()["import_id"])
    assert any(sum(totals[currency].values()) != minor for currency, minor in money.items())
