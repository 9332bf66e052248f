"""Generated histories: promises, money of any value date booked on any day, returns, disputes; each verdict is compared with a plain reading of the rule."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from dunning.collection import promise_fact_store, promise_rules, promise_turns
from dunning.collection.promise_rules import Agreement, Apart, Instalment, Payment, PromisedItem, Reason, State, judge_all
from dunning.kit.bell import NullBell
from dunning.kit.database import Database
from dunning.kit.ids import new_id
from dunning.kit.settings import Settings
from dunning_api.app import create_app
from dunning_cli.embedded import EmbeddedPostgres
from dunning_worker.jobs.watch import watch_agreements
from dunning_worker.world import world_of
from tests.collection.agreements import dispute, eur
from tests.collection.promise_histories import HISTORIES, ITEMS, PROMISES, Books, History, Step, days_of
from tests.collection.stage import Stage, scenario, step
from tests.conftest import KEYRING, client_of, make_tenant

FULL = os.environ.get("DUNNING_FAULTS") == "full"
FIRST = dt.date(2026, 3, 2)
IDS = {name: UUID(int=number) for number, name in enumerate([*ITEMS, *PROMISES], 1)}


def day(number: int) -> dt.date:
    """Return a day of a history."""
    return FIRST + dt.timedelta(days=number)


def found_by_the_rule(books: Books, today: int) -> dict[str, tuple[str, int, dt.date | None]]:
    """Return what the product's rule finds, from the facts as its statements would give them."""
    agreements = []
    for number, (name, items) in enumerate(PROMISES.items()):
        before = books.verdicts[name]
        if before.state == "cancelled":
            continue
        terms, promised = books.terms[number], sum(ITEMS[item] for item in items)
        instalment = Instalment(
            IDS[name], promised, promised, terms.tolerance, day(terms.day), terms.grace, FIRST, before.received if before.state == "kept" else None
        )
        at = dt.datetime(2026, 3, 1, number, tzinfo=dt.UTC)
        agreements.append(Agreement(IDS[name], "EUR", at, tuple(_item(books, item) for item in items), (instalment,)))
    at = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
    payments = [
        Payment(
            UUID(int=100 + n), None if one.item is None else IDS[one.item], "EUR", day(one.value_day), at, one.minor, day(one.day) if one.returned else None
        )
        for n, one in enumerate(books.receipts)
    ]
    judged = judge_all(agreements, payments, day(today))
    return {name: (judged[IDS[name]].state.value, judged[IDS[name]].received_minor, judged[IDS[name]].last_on) for name in PROMISES if IDS[name] in judged}


def _item(books: Books, name: str) -> PromisedItem:
    apart = [
        Apart(day(one.begins), None if one.ends is None else day(one.ends), None if one.whole else one.minor, Reason.DISPUTED, one.ends is not None)
        for one in books.disputes if one.item == name
    ]  # fmt: skip
    return PromisedItem(IDS[name], books.open(name), tuple(apart))


def compare(found: dict[str, tuple[str, int, dt.date | None]], books: Books) -> None:
    """Insist that states agree, and of open promises what has come in and the last day."""
    for name, (state, received, last_on) in found.items():
        verdict = books.verdicts[name]
        assert state == verdict.state, (name, state, verdict)
        if state == State.OPEN:
            assert (received, last_on) == (verdict.received, None if verdict.last is None else day(verdict.last)), (name, received, last_on, verdict)


def read_through(history: History) -> Counter[str]:
    """Let a history happen to the rule, looking after every step and every day, and return the turns that were met."""
    books, turns = Books(history.terms), Counter[str]()
    for today, steps in days_of(history):
        for taken in [None, *(one for one in steps)]:
            if taken is not None:
                if not books.possible(taken):
                    continue
                books.take(taken)
            found, before = found_by_the_rule(books, today), dict(books.verdicts)
            books.look(today)
            compare(found, books)
            turns.update(f"{before[name].state} {books.verdicts[name].state}" for name in PROMISES if before[name].state != books.verdicts[name].state)
    return turns


@settings(max_examples=10_000 if FULL else 600, deadline=None)
@given(HISTORIES)
def test_the_rule_reads_every_history_as_a_plain_reading_does(history: History) -> None:
    """B-36, B-37: value dates, returns, money on account, disputes, in any order."""
    read_through(history)


def test_the_histories_meet_every_turn() -> None:
    """A test that never meets a return or a dispute would prove nothing: the share of histories with each turn."""
    met, number = Counter[str](), 0

    @settings(max_examples=400, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
    @given(HISTORIES)
    def count(history: History) -> None:
        nonlocal number
        number += 1
        met.update(set(read_through(history)))

    count()
    shares = {turn: met[turn] / number for turn in ("open kept", "open broken", "kept open", "kept broken", "broken kept")}
    assert all(share >= 0.01 for share in shares.values()), shares


_JUDGE = promise_rules.judge


def _blind_to_returns(agreement: Agreement, payments: list[Payment], today: dt.date) -> Any:
    return _JUDGE(agreement, [replace(payment, returned_on=None) for payment in payments], today)


BROKEN: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "money counts whenever it is dated": (promise_rules, "last_day", lambda promised_on, grace: promised_on + dt.timedelta(days=grace + 3)),
    "a returned payment counts": (promise_rules, "judge", _blind_to_returns),
    "disputed days count": (promise_rules, "_put_off", lambda last_on, _: last_on),
    "what is disputed is owed": (promise_rules, "_asked", lambda items, late, _: (sum(i.open_minor + late.get(i.item_id, 0) for i in items), False)),
    "each cent counts for everybody": (promise_rules, "_use_up", lambda *_: None),
}


@pytest.mark.parametrize("sentence", BROKEN)
def test_control_a_rule_that_forgets_a_sentence_is_caught(monkeypatch: pytest.MonkeyPatch, sentence: str) -> None:
    where, name, broken = BROKEN[sentence]
    monkeypatch.setattr(where, name, broken)

    @settings(max_examples=4_000, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(HISTORIES)
    def play(history: History) -> None:
        read_through(history)

    with pytest.raises((AssertionError, ExceptionGroup)):
        play()


class Company:
    """A company on the real servers, with a customer of its own for each history."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.number = 0

    async def live(self, history: History) -> None:
        """Let a history happen through the API, the worker looking after every step and every day, and compare what the API then says."""
        stage, self.number = self.stage, self.number + 1
        first, name = await stage.today(), f"H{self.number}"
        customer = await stage.customer(name)
        items = {item: await stage.invoice(f"{minor / 100:.2f}", customer=name) for item, minor in ITEMS.items()}
        made = {}
        for terms, (promised, about) in zip(history.terms, PROMISES.items(), strict=True):
            body = {
                "customer_id": str(customer), "item_ids": [str(items[item]) for item in about], "amount": eur(f"{sum(ITEMS[item] for item in about) / 100:.2f}"),
                "promised_on": str(first + dt.timedelta(days=terms.day)), "grace_days": terms.grace, "tolerance_percent": terms.tolerance,
            }  # fmt: skip
            made[promised] = (await stage.post("/promises", body, status=201))["promise_id"]
        books, receipts, disputes = Books(history.terms), list[str](), dict[str, str]()
        for today, steps in days_of(history):
            await stage.tenant.set_clock(dt.datetime.combine(first + dt.timedelta(days=today), dt.time(8 if today else 9), dt.UTC))
            for taken in [None, *steps]:
                if taken is not None:
                    if not books.possible(taken):
                        continue
                    await self._do(taken, books, name, items, receipts, disputes, first)
                    books.take(taken)
                books.look(today)
                await watch_agreements(stage.world, stage.tenant_id)
                found = {}
                for promised, promise_id in made.items():
                    seen = await stage.get(f"/promises/{promise_id}")
                    last_on = None if seen["last_on"] is None else FIRST + (dt.date.fromisoformat(seen["last_on"]) - first)
                    found[promised] = seen["state"], int(seen["received"]["amount"].replace(".", "")), last_on
                compare(found, books)

    async def _do(
        self, taken: Step, books: Books, customer: str, items: dict[str, UUID], receipts: list[str], disputes: dict[str, str], first: dt.date
    ) -> None:  # fmt: skip
        stage = self.stage
        if taken.what in {"pay", "on_account"}:
            minor = min(taken.minor, books.open(taken.item)) if taken.what == "pay" else taken.minor
            amount = eur(f"{minor / 100:.2f}")
            body = {
                "customer_external_id": customer, "amount": amount, "received_on": str(first + dt.timedelta(days=taken.day - taken.number)),
                "allocation": "none" if taken.what == "on_account" else [{"item_id": str(items[taken.item]), "amount": amount}],
            }  # fmt: skip
            answer = await stage.api.put(f"/v1/ledgers/{stage.ledger_id}/receipts/R{new_id().hex[-12:]}", json=body, headers={"Idempotency-Key": str(new_id())})
            assert answer.status_code == 201, answer.text
            receipts.append(answer.json()["receipt_id"])
        elif taken.what == "return":
            await stage.payment_returns(UUID(receipts[books.receipts.index(books.returning(taken))]))
        elif taken.what == "resolve":
            await stage.post(f"/disputes/{disputes[taken.item]}/resolve", {"resolution": "rejected"})
        else:
            content = {"amount": eur("5.00")} if taken.what == "dispute_part" else {}
            disputes[taken.item] = (await dispute(stage, items[taken.item], **content))["dispute_id"]


def play(postgres: EmbeddedPostgres, where: Settings, examples: int, *, shrink: bool = True) -> None:
    """Play histories on a loop and a pool of their own."""
    loop = asyncio.new_event_loop()
    database = loop.run_until_complete(Database.connect(postgres.app_url(), size=4))

    async def begin() -> Company:
        tenant = await make_tenant(database)
        api: httpx.AsyncClient = client_of(create_app(database, where, KEYRING, NullBell()), tenant.api_key)
        return Company(await Stage(tenant, world_of(database, where, KEYRING), api).open(scenario(step(1, "a", 300))))

    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
    )  # fmt: skip
    @given(HISTORIES)
    def live(history: History) -> None:
        loop.run_until_complete(company.live(history))

    try:
        company = loop.run_until_complete(begin())
        live()
    finally:
        loop.run_until_complete(database.close())
        loop.close()


def test_the_product_finds_what_a_plain_reading_finds(postgres: EmbeddedPostgres, settings: Settings) -> None:
    """The same on the real servers, through the API and the worker: statements, transitions and looks included."""
    play(postgres, settings, 300 if FULL else 12)


@pytest.mark.parametrize("fault", ["record_date", "verdicts_last"])
def test_control_a_product_that_reads_otherwise_is_caught(
    postgres: EmbeddedPostgres, settings: Settings, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:  # fmt: skip
    """Money by the day of its booking; verdicts that are for ever."""
    if fault == "record_date":
        honest = promise_fact_store.payments_towards

        async def booked(session: Any, tenant_id: Any, customer_ids: Any, item_ids: Any, since: Any) -> list[Any]:
            rows = await honest(session, tenant_id, customer_ids, item_ids, since)
            clock = await session.value("select clock_at from tenant where tenant_id = $1", tenant_id)
            return [dict(row) | {"value_on": clock.date()} for row in rows]

        monkeypatch.setattr(promise_fact_store, "payments_towards", booked)
    else:
        monkeypatch.setattr(promise_turns.Change, "is_none", property(lambda change: change.row["state"] != "open"))
    with pytest.raises((AssertionError, ExceptionGroup)):
        play(postgres, settings, 100, shrink=False)
