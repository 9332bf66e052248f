"""Whatever is paid, in whatever order and portions: no phase is left out, begun again or told twice (C-07)."""

from __future__ import annotations

import datetime as dt
import os
from collections import defaultdict
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dunning.kit.database import Database
from dunning.kit.settings import Settings
from dunning_worker.world import world_of
from tests.conftest import KEYRING, client_of, make_tenant
from tests.stories.desk import Desk, scenario, step
from tests.stories.mailbox import Mailbox

LADDER = {"01": 1, "02": 5, "03": 9, "04": 13}
HORIZON_DAYS = 16
FIRST = dt.date(2026, 3, 2)
EXAMPLES = 50 if os.environ.get("DUNNING_HYPOTHESIS") == "full" else 2


@dataclass(frozen=True)
class Account:
    """One customer: when each invoice is due (days from the first), how much, and on which days what share of the open sum is paid."""

    invoices: tuple[tuple[int, int], ...]
    payments: tuple[tuple[int, int], ...]


accounts = st.builds(
    Account,
    st.lists(st.tuples(st.integers(0, 8), st.integers(1, 30_000)), min_size=1, max_size=4).map(tuple),
    st.lists(st.tuples(st.sampled_from([2, 6, 10, 14]), st.integers(1, 100)), max_size=4, unique_by=lambda payment: payment[0]).map(tuple),
)


def expected_steps(account: Account) -> tuple[dict[int, list[str]], dict[int, int]]:
    """Return the steps that each invoice must have had, and the receipts by day, when the oldest debt is paid first.

    Day by day: the night reminds of what is open, by the age of each invoice alone; then the day's payment comes in.
    """
    still_open = [amount for _, amount in account.invoices]
    order = sorted(range(len(still_open)), key=lambda n: (account.invoices[n][0], n))
    told: dict[int, list[str]] = defaultdict(list)
    paid: dict[int, int] = {}
    shares = dict(account.payments)
    for day in range(1, HORIZON_DAYS + 1):
        for n, (due, _) in enumerate(account.invoices):
            told[n] += [code for code, offset in LADDER.items() if still_open[n] and day == due + offset]
        receipt = sum(still_open) * shares[day] // 100 if day in shares else 0
        if receipt:
            paid[day] = receipt
        for n in order:
            part = min(still_open[n], receipt)
            still_open[n] -= part
            receipt -= part
    return told, paid


def test_the_expectation_is_itself_right() -> None:
    """The control: an invoice paid between its second and third step has exactly the first two; the younger one has its own."""
    told, paid = expected_steps(Account(((0, 1000), (4, 500)), ((6, 67),)))
    assert paid == {6: 1005}
    assert told == {0: ["01", "02"], 1: ["01", "02", "03"]}


@given(st.lists(accounts, min_size=6, max_size=10))
@hypothesis_settings(max_examples=EXAMPLES, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
async def test_part_payments_of_the_oldest_leave_out_and_restart_nothing(app: object, database: Database, settings: Settings, book: list[Account]) -> None:
    """C-07, C-01: the ladder of each invoice is what its own age and open amount say, whatever was paid on the others."""
    mail = Mailbox()
    world = world_of(database, settings, KEYRING)
    world.transports = {"sink": mail}
    tenant = await make_tenant(database)
    async with client_of(app, tenant.api_key) as client:
        desk = Desk(tenant, client, world, mail)
        await desk.open(scenario(*(step(code, offset) for code, offset in LADDER.items())))
        await play(desk, book)
        for n, account in enumerate(book):
            told, _ = expected_steps(account)
            got = await steps_by_invoice(desk, f"K{n}")
            assert got == {f"K{n}-{i}": steps for i, steps in told.items() if steps}, account
        assert len({letter.message_id for letter in mail.letters}) == len(mail.letters)


async def play(desk: Desk, book: list[Account]) -> None:
    """State the accounts and let the days pass with their payments."""
    rows: list[dict[str, object]] = []
    for n, account in enumerate(book):
        contact = {"external_id": "a", "email": f"a@k{n}.example", "roles": ["dunning"]}
        rows.append({"kind": "customer", "external_id": f"K{n}", "name": f"K{n}", "contacts": [contact]})
        for i, (due, amount) in enumerate(account.invoices):
            day = (FIRST + dt.timedelta(days=due)).isoformat()
            money = {"amount": f"{amount // 100}.{amount % 100:02}", "currency": "EUR"}
            document = {"kind": "document", "external_id": f"K{n}-{i}", "customer_external_id": f"K{n}", "number": f"K{n}-{i}"}
            rows.append(document | {"document_on": "2026-01-02", "due_on": day, "total": money})
    assert (await desk.import_rows(*rows))["counts"]["created"] == len(rows)
    receipts = {n: expected_steps(account)[1] for n, account in enumerate(book)}
    at = 0
    for day in sorted({day for paid in receipts.values() for day in paid} | {HORIZON_DAYS}):
        await desk.days(day - at)
        at = day
        today = (FIRST + dt.timedelta(days=day)).isoformat()
        booked = [
            {
                "kind": "receipt", "external_id": f"R{n}-{day}", "customer_external_id": f"K{n}", "received_on": today,
                "amount": {"amount": f"{paid[day] // 100}.{paid[day] % 100:02}", "currency": "EUR"}, "allocation": "oldest_first",
            }
            for n, paid in receipts.items() if day in paid
        ]  # fmt: skip
        if booked:
            assert (await desk.import_rows(*booked))["counts"]["created"] == len(booked)


async def steps_by_invoice(desk: Desk, code: str) -> dict[str, list[str]]:
    """Return what each invoice of a customer was told, from the history; every claim must hold what was open on its day."""
    found = (await desk.get(f"/ledgers/{desk.ledger_id}/customers", external_id=code))["data"][0]
    told: dict[str, list[str]] = defaultdict(list)
    for action in await desk.actions(customer=found["customer_id"]):
        whole = await desk.get(f"/actions/{action['action_id']}")
        for item in whole["items"]:
            assert item["state"] == "completed", item
            assert item["open_then"]["amount"] != "0.00"
            told[item["number"]].append(item["step_code"])
        assert [claim["state"] for claim in whole["claims"]] == ["told"]
    return dict(told)


async def test_the_check_would_see_a_phase_that_is_left_out(desk: Desk) -> None:
    """The control: where a phase is missing, the history differs from what is expected."""
    await desk.open(scenario(*(step(code, offset) for code, offset in LADDER.items() if code != "02")))
    account = Account(((0, 1000),), ())
    await play(desk, [account])
    told, _ = expected_steps(account)
    assert (await steps_by_invoice(desk, "K0"))["K0-0"] == [code for code in told[0] if code != "02"]
    assert "02" in told[0]
