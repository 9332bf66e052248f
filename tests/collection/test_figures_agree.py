"""One world, many lists: reports, explorer, agenda and customer record give the same figures, and those of a plain sum (rows S3-06, S3-11, S3-12, S3-23, S4-17)."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import pytest

from dunning.collection import explorer_store
from dunning.reports import control_store
from dunning_api.acting import HEADER
from tests.collection.agreements import eur, receive, sound
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_agenda import call_task, leads, person

CUSTOMERS = 7
SPOKEN = ("no_answer", "reached", None)


@dataclass
class Debt:
    """An item as the test keeps it, in hundredths."""

    customer: str
    currency: str
    due_on: dt.date
    open_minor: int
    disputed: bool = False
    promised_minor: int = 0


@dataclass
class Books:
    """What the test itself has done, to be added up without the product."""

    today: dt.date
    ids: dict[str, UUID] = field(default_factory=dict)
    debts: dict[UUID, Debt] = field(default_factory=dict)
    calls: Counter[str | None] = field(default_factory=Counter)
    called: set[str] = field(default_factory=set)
    promises: int = 0
    disputes: int = 0

    def owed(self, code: str) -> dict[str, dict[str, int]]:
        """Return what a customer owes, a currency: overdue, not due, disputed and promised."""
        found: dict[str, dict[str, int]] = {}
        for debt in self.debts.values():
            if debt.customer == code and debt.open_minor:
                sums = found.setdefault(debt.currency, {"overdue": 0, "not_due": 0, "disputed": 0, "promised": 0})
                sums["overdue" if debt.due_on < self.today else "not_due"] += debt.open_minor
                sums["disputed"] += debt.open_minor if debt.disputed else 0
                sums["promised"] += min(debt.promised_minor, debt.open_minor)
        return dict(sorted(found.items()))

    def debtors(self) -> set[str]:
        """Return who owes anything."""
        return {code for code in self.ids if self.owed(code)}

    def oldest(self, code: str) -> str | None:
        """Return the oldest due day of what a customer owes."""
        return min((debt.due_on.isoformat() for debt in self.debts.values() if debt.customer == code and debt.open_minor), default=None)


def minor(amount: dict[str, str] | str) -> int:
    """Return an amount of the API in hundredths."""
    return int(Decimal(amount if isinstance(amount, str) else amount["amount"]) * 100)


def text(hundredths: int) -> str:
    return str(Decimal(hundredths) / 100)


@pytest.fixture
async def trade(stage: Stage) -> tuple[Books, str]:
    """Seven customers at random in two currencies, with payments in part and whole, disputes, promises, calls, tasks and a step that waits for approval."""
    random = Random(20260309)
    await stage.open(scenario(step(10, "first", 3, mode="approve"), step(20, "second", 30)))
    anna = await person(stage, "anna")
    books = Books(await stage.today())
    for number in range(CUSTOMERS):
        code = f"C{number}"
        books.ids[code] = await stage.customer(code)
        if number % 2:
            await leads(stage, books.ids[code], anna)
        for _ in range(number % 4 + (number == 0)):
            currency = random.choice(["EUR", "EUR", "USD"])
            overdue, amount = random.randint(-20, 60), random.randint(1_000, 90_000)
            item = await stage.invoice(text(amount), customer=code, days_overdue=overdue, currency=currency)
            books.debts[item] = Debt(code, currency, books.today - dt.timedelta(days=overdue), amount)
    for place, (item, debt) in enumerate(books.debts.items()):
        if place % 4 == 1:
            paid = debt.open_minor if place % 8 == 1 else random.randint(1, debt.open_minor - 1)
            await stage.pay(text(paid), item, customer=debt.customer, currency=debt.currency)
            debt.open_minor -= paid
    left = [(item, debt) for item, debt in books.debts.items() if debt.open_minor]
    for place, (item, debt) in enumerate(left):
        if place % 5 == 0:
            await acting(stage, anna, "/disputes", {"item_ids": [str(item)], "reason": "price"})
            debt.disputed, books.disputes = True, books.disputes + 1
        elif place % 3 == 1 and debt.currency == "EUR":
            debt.promised_minor, books.promises = debt.open_minor // 2, books.promises + 1
            body = {"customer_id": str(books.ids[debt.customer]), "item_ids": [str(item)], "amount": eur(text(debt.promised_minor))}
            await acting(stage, anna, "/promises", body | {"promised_on": str(books.today + dt.timedelta(days=4))})
        elif place % 3 == 2:
            await call_task(stage, books.ids[debt.customer], item, days=random.choice([0, 3]))
    for number, code in enumerate(sorted(books.debtors())):
        if number % 3 != 2:
            outcome = SPOKEN[number % len(SPOKEN)]
            await acting(stage, anna, f"/customers/{books.ids[code]}/activities", {"kind": "call", "text": "x"} | ({"outcome": outcome} if outcome else {}))
            books.calls[outcome] += 1
            books.called.add(code)
    await stage.remind()
    return books, anna


async def acting(stage: Stage, person_id: str, path: str, body: dict[str, Any]) -> None:
    """Do something in a person's name."""
    answer = await stage.api.post(f"/v1{path}", json=body, headers={HEADER: person_id})
    assert answer.status_code == 201, answer.text


def sums_of(row: list[dict[str, Any]], *names: str) -> dict[str, dict[str, int]]:
    """Return sums a currency by their names, without currencies in which nothing is."""
    found = {one["currency"]: {name: minor(one[name]) for name in names} for one in row}
    return {currency: sums for currency, sums in found.items() if any(sums.values())}


async def disagreements(stage: Stage, books: Books, anna: str) -> list[str]:
    """Return every figure that is not what a plain sum gives."""
    wrong: list[str] = []

    def compare(what: str, said: object, expected: object) -> None:
        if said != expected:
            wrong.append(f"{what}: {said} instead of {expected}")

    plain = ("overdue", "not_due", "disputed")
    whole = {code: {currency: {name: sums[name] for name in plain} for currency, sums in books.owed(code).items()} for code in books.ids}
    rows = {row["external_id"]: row for row in (await stage.get("/customers"))["data"]}
    control = {row["external_id"]: row for row in (await stage.get("/reports/action-control"))["data"]}
    compare("customers", set(rows), set(books.ids))
    compare("debtors of action control", set(control), books.debtors())
    for code, row in rows.items():
        compare(f"explorer {code}", sums_of(row["owed"], *plain), whole[code])
        compare(f"items of {code}", row["open_items"], sum(debt.customer == code and debt.open_minor > 0 for debt in books.debts.values()))
        compare(f"oldest due day of {code}", row["oldest_due_on"], books.oldest(code))
        listed = (await stage.api.get(row["items_url"])).json()["data"]
        compare(
            f"open items behind {code}",
            sum(minor(item["open_amount"]) for item in listed),
            sum(d.open_minor for d in books.debts.values() if d.customer == code),
        )
        record = await stage.get(f"/customers/{row['customer_id']}", expand="position")
        compare(f"record of {code}", sums_of(record["position"]["currencies"], *plain, "promised"), books.owed(code))
    for code, row in control.items():
        compare(f"action control of {code}", sums_of(row["owed"], *plain), whole[code])
    for path in ("/customers.csv", "/reports/action-control.csv"):
        lines = list(csv.DictReader(io.StringIO((await stage.api.get(f"/v1{path}")).text)))
        for currency in ("EUR", "USD"):
            for name in plain:
                added = sum(minor(line[name]) for line in lines if line["currency"] == currency)
                compare(f"{path} {name} {currency}", added, sum(owed.get(currency, {}).get(name, 0) for owed in whole.values()))
    since = str(books.today)
    compare(
        "called", {code for code, row in control.items() if any(done["what"] == "call" and done["contact"] is not None for done in row["done"])}, books.called
    )
    silent = {row["external_id"] for row in (await stage.get("/reports/customers-without-action", without_action_since=since, action_type="call"))["data"]}
    compare("without a call", silent, books.debtors() - books.called)
    wrong += await _of_people(stage, books, anna)
    return wrong + await _of_actions(stage, books, control)


async def _of_people(stage: Stage, books: Books, anna: str) -> list[str]:
    period = {"from": str(books.today), "to": str(books.today)}
    (row,) = (await stage.get("/reports/collector-activity", **period))["data"]
    register = (await stage.get("/reports/activity-register", kind="call", **period))["data"]
    mine = (await stage.get("/agenda", person=anna))["counts"]
    said = (row["calls"], row["reached"], row["promises"], row["disputes"], len(register), row["open_actions"], row["overdue_actions"])
    calls = sum(books.calls.values())
    expected = (calls, books.calls["reached"], books.promises, books.disputes, calls, mine["due"] + mine["overdue"] + mine["coming"], mine["overdue"])
    return [] if said == expected else [f"what anna did: {said} instead of {expected}"]


async def _of_actions(stage: Stage, books: Books, control: dict[str, Any]) -> list[str]:
    """Compare what the agenda asks for with the items of each action, and its counts with the lists of actions, approvals and next actions."""
    wrong = []
    page = await stage.get("/agenda", limit=200)
    listed = {entry["action_id"]: entry for entry in page["data"]}
    for action_id, entry in listed.items():
        expected: Counter[str] = Counter()
        for item in await stage.get(f"/actions/{action_id}/items"):
            debt = books.debts[UUID(item["item_id"])]
            expected[debt.currency] += debt.open_minor
        said = {total["currency"]: minor(total) for total in entry["totals"]}
        if said != dict(+expected):
            wrong.append(f"agenda {entry['title'] or entry['step_code']}: {said} instead of {dict(expected)}")
    live = {action["action_id"] for state in ("awaiting_approval", "scheduled", "waiting") for action in await stage.actions(state=state, limit=200)}
    approvals = {row["action_id"]: row["totals"] for row in (await stage.get("/reports/approval-queue"))["data"]}
    counts = page["counts"]
    if live != set(listed) or counts["due"] + counts["overdue"] + counts["coming"] != len(live) or counts["to_approve"] != len(approvals):
        wrong.append(f"live actions: {len(live)}, on the agenda {len(listed)}, counted {counts}, to approve {len(approvals)}")
    wrong += [f"approval {action_id}" for action_id, totals in approvals.items() if totals != listed[action_id]["totals"]]
    for code, row in control.items():
        own = sorted((entry["scheduled_on"], entry["action_id"]) for entry in listed.values() if entry["customer_external_id"] == code)
        following = row["next_action"] and (row["next_action"]["scheduled_on"], row["next_action"]["action_id"])
        if following != (own[0] if own else None):
            wrong.append(f"next action of {code}: {following} instead of {own[:1]}")
    return wrong


async def test_all_lists_and_a_plain_sum_agree_also_after_more_has_happened(stage: Stage, trade: tuple[Books, str]) -> None:
    books, anna = trade
    assert len(books.debtors()) >= 4
    assert {debt.currency for debt in books.debts.values()} == {"EUR", "USD"}
    assert (books.disputes >= 2, books.promises >= 2, len((await stage.get("/reports/approval-queue"))["data"]) >= 1) == (True, True, True)
    assert await disagreements(stage, books, anna) == []
    item, debt = next(
        (item, debt) for item, debt in books.debts.items() if debt.open_minor and not debt.disputed and not debt.promised_minor and debt.currency == "EUR"
    )
    await receive(stage, text(debt.open_minor), item, customer=debt.customer)
    debt.open_minor = 0
    await stage.settle()
    assert await disagreements(stage, books, anna) == []
    await sound(stage)


@pytest.mark.parametrize(
    ("module", "name", "whole", "broken"),
    [
        (explorer_store, "_SHOWN", "r.due_on < r.today)", "r.due_on <= r.today + 10)"),
        (explorer_store, "_SHOWN", "least(t.disputed_minor, i.amount_minor - i.allocated_minor)", "t.disputed_minor + 1"),
        (control_store, "_DONE", "l.time_zone)::date as on_day", "l.time_zone)::date - 1000 as on_day"),
        (control_store, "TOTALS_NOW", None, "a.totals || '[[\"EUR\", 1]]'::jsonb"),
    ],
)
async def test_control_a_list_that_adds_up_otherwise_is_found(
    stage: Stage, trade: tuple[Books, str], monkeypatch: pytest.MonkeyPatch, module: Any, name: str, whole: str | None, broken: str
) -> None:
    """Each is one statement of one list with one sum, day or condition changed."""
    books, anna = trade
    before = getattr(module, name)
    assert whole is None or whole in before
    monkeypatch.setattr(module, name, broken if whole is None else before.replace(whole, broken))
    assert await disagreements(stage, books, anna) != []
