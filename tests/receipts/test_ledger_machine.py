"""M3: the invariants hold after every step of any sequence of operations. A control that allocates without looking must be caught."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from dunning.kit import invariants
from dunning.kit.database import Database, Session
from dunning.kit.errors import DunningError
from dunning.kit.ids import AllocationId, LedgerId, ReceiptId, new_id
from dunning.ledger import customers, documents, entries, ledger_store, ledgers
from dunning.ledger import invariants as ledger_invariants
from dunning.ledger.rows import CustomerRow, DocumentRow
from dunning.receipts import allocations, receipts, returns
from dunning.receipts import invariants as receipt_invariants
from dunning.receipts.rows import ReceiptRow, ReturnContent
from dunning_api.schemas.ledgers import EXAMPLE, LedgerCreate
from tests.conftest import TenantWorld, make_tenant
from tests.ledger.books import customer_row, document_row, eur, receipt_row

FULL = os.environ.get("DUNNING_FAULTS") == "full"
CHECKS = ledger_invariants.CHECKS + receipt_invariants.CHECKS
AMOUNTS = st.sampled_from(["0.01", "10.00", "33.33", "60.00", "100.00", "150.00"])
CUSTOMERS = st.sampled_from(["C-0", "C-1"])
DOCUMENTS = st.sampled_from([f"D-{n}" for n in range(5)])
CURRENCIES = st.sampled_from(["EUR", "EUR", "EUR", "USD"])


class LedgerMachine(RuleBasedStateMachine):
    """Operations of the service functions on a real database, each in its own transaction; a refusal is a step that changes nothing."""

    made = Bundle("receipts")
    loop: asyncio.AbstractEventLoop
    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.tenant: TenantWorld = self.run(make_tenant(self.database))
        self.clock = self.run(self.tenant.clock())
        self.ledger = self.run(self.open_ledger())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    @asynccontextmanager
    async def step(self) -> AsyncIterator[Session]:
        try:
            async with self.database.transaction(self.tenant.tenant_id) as session:
                yield session
        except DunningError:
            pass

    async def open_ledger(self) -> ledger_store.Ledger:
        async with self.database.transaction(self.tenant.tenant_id) as session:
            known = {"tenant_id": self.tenant.tenant_id, "actor": "test"}
            ledger = await ledgers.create_ledger(session, self.clock, **known, **LedgerCreate(**EXAMPLE).fields())
            rows = [CustomerRow.model_validate(customer_row(name)) for name in ("C-0", "C-1")]
            await customers.put_customers(session, self.clock, **known, ledger=ledger, rows=rows)
            return ledger

    async def put_document(self, content: dict[str, Any]) -> None:
        row = DocumentRow.model_validate(content)
        async with self.step() as session:
            await documents.put_documents(session, self.clock, tenant_id=self.tenant.tenant_id, actor="test", ledger=self.ledger, rows=[row])

    @rule(name=DOCUMENTS, customer=CUSTOMERS, amount=AMOUNTS, currency=CURRENCIES, state=st.sampled_from(["posted", "posted", "void"]))
    def state_invoice(self, name: str, customer: str, amount: str, currency: str, state: str) -> None:
        self.run(self.put_document({**document_row(name, amount, customer, state=state), "total": eur(amount, currency)}))

    @rule(name=DOCUMENTS, first=AMOUNTS, second=AMOUNTS)
    def state_two_instalments(self, name: str, first: str, second: str) -> None:
        parts = [{"due_on": "2026-02-01", "amount": eur(first)}, {"due_on": "2026-03-01", "amount": eur(second)}]
        cents = sum(int(a.replace(".", "")) for a in (first, second))
        content = document_row(name, f"{cents // 100}.{cents % 100:02}", "C-0", instalments=parts)
        del content["due_on"]
        self.run(self.put_document(content))

    @rule(n=st.integers(0, 2), name=DOCUMENTS, customer=CUSTOMERS, amount=AMOUNTS, state=st.sampled_from(["posted", "posted", "void"]))
    def state_credit_note(self, n: int, name: str, customer: str, amount: str, state: str) -> None:
        content = document_row(f"CN-{n}", amount, customer, type="credit_note", corrects_external_id=name, state=state)
        self.run(self.put_document(content))

    @rule(
        target=made,
        customer=CUSTOMERS,
        amount=AMOUNTS,
        currency=CURRENCIES,
        allocation=st.one_of(st.sampled_from(["oldest_first", "none"]), st.tuples(DOCUMENTS, AMOUNTS)),
        park=st.booleans(),
    )
    def record_receipt(self, customer: str, amount: str, currency: str, allocation: Any, park: bool) -> Any:
        how = allocation if isinstance(allocation, str) else [{"document_external_id": allocation[0], "amount": eur(allocation[1], currency)}]
        content = {**receipt_row(f"R-{new_id()}", amount, customer, allocation=how), "amount": eur(amount, currency)}
        try:
            row = ReceiptRow.model_validate(content)
        except ValueError:
            return multiple()

        async def record() -> Any:
            before = await self.totals()
            outcomes = []
            for _ in range(2):  # I4: the same operation again changes nothing
                async with self.step() as session:
                    outcomes += await receipts.put_receipts(
                        session,
                        self.clock,
                        tenant_id=self.tenant.tenant_id,
                        actor="test",
                        ledger=self.ledger,
                        rows=[row],
                        source="test",
                        park_refused=park,
                    )
            added = int(amount.replace(".", "")) if outcomes[0].outcome == "created" else 0
            before[currency] = before.get(currency, 0) + added
            assert {c: n for c, n in (await self.totals()).items() if n} == {c: n for c, n in before.items() if n}
            return outcomes[0].object_id if outcomes[0].outcome == "created" else None

        receipt_id = self.run(record())
        return receipt_id if receipt_id is not None else multiple()

    async def totals(self) -> dict[str, int]:
        rows = await self.tenant.rows("select currency, sum(amount_minor)::bigint as minor from receipt group by currency")
        return {str(row["currency"]): int(str(row["minor"])) for row in rows}

    @rule(receipt_id=made, allocation=st.one_of(st.just("oldest_first"), st.tuples(DOCUMENTS, AMOUNTS)))
    def allocate_rest(self, receipt_id: Any, allocation: Any) -> None:
        from dunning.receipts.rows import Target

        how = allocation if isinstance(allocation, str) else [Target.model_validate({"document_external_id": allocation[0], "amount": eur(allocation[1])})]

        async def work() -> None:
            async with self.step() as session:
                await allocations.allocate_rest(
                    session, self.clock, tenant_id=self.tenant.tenant_id, actor="test", receipt_id=ReceiptId(receipt_id), allocation=how
                )

        self.run(work())

    @rule(receipt_id=made, which=st.integers(0, 3))
    def undo_one_allocation(self, receipt_id: Any, which: int) -> None:
        async def work() -> None:
            async with self.step() as session:
                _, found = await receipts.receipt_of(session, tenant_id=self.tenant.tenant_id, receipt_id=ReceiptId(receipt_id))
                if found:
                    entry = found[which % len(found)].allocation_id
                    await allocations.reverse_allocation(
                        session, self.clock, tenant_id=self.tenant.tenant_id, actor="test", allocation_id=AllocationId(entry), reason="test"
                    )

        self.run(work())

    @rule(receipt_id=made, charges=st.sampled_from([None, "7.50"]))
    def return_payment(self, receipt_id: Any, charges: str | None) -> None:
        async def work() -> None:
            async with self.step() as session:
                receipt, _ = await receipts.receipt_of(session, tenant_id=self.tenant.tenant_id, receipt_id=ReceiptId(receipt_id))
                returned = ReturnContent.model_validate(
                    {
                        "receipt_id": receipt_id,
                        "returned_on": dt.date(2026, 3, 1),
                        "reason": "x",
                        "charges": eur(charges, receipt.currency) if charges else None,
                    }
                )
                await returns.record_return(session, self.clock, tenant_id=self.tenant.tenant_id, actor="test", returned=returned)

        self.run(work())

    @rule(receipt_id=made)
    def reverse_receipt(self, receipt_id: Any) -> None:
        async def work() -> None:
            async with self.step() as session:
                await returns.reverse_receipt(session, self.clock, tenant_id=self.tenant.tenant_id, actor="test", receipt_id=ReceiptId(receipt_id), reason="x")

        self.run(work())

    @invariant()
    def the_books_are_sound(self) -> None:
        async def look() -> list[invariants.Violation]:
            async with self.database.reading(self.tenant.tenant_id) as session:
                assert await ledger_store.ledger_of(session, self.tenant.tenant_id, LedgerId(self.ledger.ledger_id)) is not None
                return await invariants.violations(session, self.tenant.tenant_id, CHECKS)

        assert self.run(look()) == []


def play(postgres: Any, examples: int, steps: int, *, shrink: bool = True) -> None:
    """Run the machine on a loop and a pool of its own."""
    loop = asyncio.new_event_loop()
    database = loop.run_until_complete(Database.connect(postgres.app_url(), size=2))
    machine = type("Machine", (LedgerMachine,), {"loop": loop, "database": database})
    phases = [Phase.explicit, Phase.generate, *([Phase.shrink] if shrink else [])]
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                phases=phases,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        loop.run_until_complete(database.close())
        loop.close()


def test_the_invariants_hold_after_every_step(postgres):
    play(postgres, 10_000, 60) if FULL else play(postgres, 40, 20)


@pytest.mark.parametrize("broken", ["counter_not_moved", "reversal_keeps_counter"])
def test_control_a_book_that_forgets_a_counter_is_caught(postgres, monkeypatch, broken):
    async def nothing(*_args: Any, **_kwargs: Any) -> None:
        return None

    if broken == "counter_not_moved":
        monkeypatch.setattr(entries, "_move_counters", nothing)
    else:
        honest = entries._move_counters

        async def only_up(session: Session, tenant_id: Any, found: Any, *, sign: int, with_receipts: bool) -> None:
            if sign > 0:
                await honest(session, tenant_id, found, sign=sign, with_receipts=with_receipts)

        monkeypatch.setattr(entries, "_move_counters", only_up)
    with pytest.raises((AssertionError, asyncpg.IntegrityConstraintViolationError, ExceptionGroup)):
        play(postgres, 200, 30, shrink=False)


async def test_the_endpoint_names_what_breaks_an_invariant(books, tenant, postgres):
    """D-15, with a planted fault that only the owner of the tables can make."""
    made = await books.invoice("A", "100.00")
    assert (await books.api.get("/v1/health/invariants")).json()["sound"] is True
    owner = await asyncpg.connect(postgres.superuser_url("dunning"))
    try:
        await owner.execute("update item set allocated_minor = 1 where item_id = $1", made["items"][0]["item_id"])
    finally:
        await owner.close()
    answer = (await books.api.get("/v1/health/invariants")).json()
    assert answer["sound"] is False
    assert [(v["check"], v["subject"]) for v in answer["violations"]] == [("item counters equal the sum of their live entries", made["items"][0]["item_id"])]
