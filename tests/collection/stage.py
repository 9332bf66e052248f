"""A small company to play stories on: its ledger, customers and invoices, a worker that works when told, and a clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

import httpx

from dunning.kit.ids import CustomerId, LedgerId, new_id
from dunning.ledger import customers, documents, holds, ledgers
from dunning.ledger.rows import CustomerRow, DocumentRow
from dunning.receipts import receipts, returns
from dunning.receipts.rows import ReceiptRow, ReturnContent
from dunning.scenarios import service as scenarios
from dunning_api.routes.scenarios import PORTS
from dunning_worker.jobs import nightly, walk
from dunning_worker.jobs.runs import work_on_runs
from dunning_worker.world import World
from tests.conftest import TenantWorld

TODAY = dt.date(2026, 3, 2)
LEDGER: dict[str, Any] = {
    "external_id": "acme", "name": "Acme S.p.A.", "currency": "EUR", "time_zone": "Europe/Rome", "country": "IT", "subdivision": None, "language": "en",
    "sender_name": "Acme receivables", "sender_email": "ar@acme.example", "reply_to": None,
    "bank_accounts": [{"beneficiary": "Acme S.p.A.", "iban": "IT60X0542811101000000123456", "bic": None, "bank_name": None, "currency": "EUR"}],
    "run_mode": "automatic", "nightly_at": "06:00", "send_from": "08:00", "send_until": "19:00", "send_on_closed_days": True, "undo_seconds": 0,
    "policy": "scenario",
}  # fmt: skip


def step(rank: int, code: str, offset: int, **settings: Any) -> dict[str, Any]:
    """Return a step that mails the template claim-01; settings win."""
    trigger = {"kind": "due_date", "offset_days": offset, "until_days": settings.pop("until", None)}
    notice = {"code": "main", "channel": "email", "to_roles": ["dunning", "billing"], "template": "claim-01", "fallback": ["letter"]}
    notice |= settings.pop("notice", {})
    base: dict[str, Any] = {"rank": rank, "code": code, "name": f"Step {code}", "trigger": trigger, "notices": [notice], "deadline_days": 7}
    return base | settings


def scenario(*steps: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Return a scenario of some steps."""
    return {"code": f"s-{new_id().hex[-8:]}", "name": "A scenario", "steps": list(steps), **settings}


@dataclass
class Stage:
    """One tenant's company, with a worker."""

    tenant: TenantWorld
    world: World
    api: httpx.AsyncClient
    ledger_id: LedgerId = field(init=False)
    scenario_id: UUID = field(init=False)
    numbers: int = 1000

    @property
    def tenant_id(self) -> Any:
        """The tenant."""
        return self.tenant.tenant_id

    async def open(self, content: Mapping[str, Any] | str = "claims", *, approved: bool = True, **ledger: Any) -> Stage:
        """Open the ledger with a scenario, shipped or given; `approved` lets its runs go out by themselves."""
        clock = await self.tenant.clock()
        async with self.tenant.database.transaction(self.tenant_id) as session:
            # One language: publishing renders every template in all languages of the tenant, which these stories have no use for.
            await session.execute("update tenant set languages = '{en}' where tenant_id = $1", self.tenant_id)
            await PORTS.templates.install(session, clock, tenant_id=self.tenant_id, actor="test", codes=["claim-01", "claim-link"], languages=["en"])
            self.scenario_id = await self._scenario(session, clock, content)
            made = await ledgers.create_ledger(session, clock, tenant_id=self.tenant_id, actor="test", **(LEDGER | {"scenario_id": self.scenario_id} | ledger))
            self.ledger_id = made.ledger_id
            if approved:
                await session.execute("update ledger set first_run_approved = true where tenant_id = $1", self.tenant_id)
        await nightly.run_due_nights(self.world, self.tenant_id)
        return self

    async def _scenario(self, session: Any, clock: Any, content: Mapping[str, Any] | str) -> UUID:
        if isinstance(content, str):
            stored, _ = await scenarios.install_shipped_scenario(session, clock, PORTS, tenant_id=self.tenant_id, actor="test", code=content)
        else:
            stored = await scenarios.create_scenario(session, clock, tenant_id=self.tenant_id, actor="test", content=dict(content))
            await scenarios.publish_scenario(session, clock, PORTS, tenant_id=self.tenant_id, actor="test", scenario_id=stored.scenario_id)
        return stored.scenario_id

    async def customer(self, external_id: str = "C1", *, emails: Sequence[str] | None = None, **content: Any) -> CustomerId:
        """State a customer with one contact in the role dunning a mail address."""
        addresses = [f"ap@{external_id.lower()}.example"] if emails is None else emails
        contacts = [
            {"external_id": f"p{n}", "name": f"Person {n}", "email": email, "roles": ["dunning"], "internal": False} for n, email in enumerate(addresses)
        ]
        row = CustomerRow.model_validate({"external_id": external_id, "name": f"Customer {external_id}", "contacts": contacts} | content)
        clock = await self.tenant.clock()
        async with self.tenant.database.transaction(self.tenant_id) as session:
            found = await customers.put_customers(session, clock, tenant_id=self.tenant_id, actor="test", ledger=await self._ledger(session), rows=[row])
        assert found[0].outcome in {"created", "changed", "unchanged"}, found
        return CustomerId(await self.tenant.value("select customer_id from customer where tenant_id = $1 and external_id = $2", self.tenant_id, external_id))  # type: ignore[arg-type]

    async def _ledger(self, session: Any) -> Any:
        return await ledgers.ledger_of(session, tenant_id=self.tenant_id, ledger_id=self.ledger_id)

    async def invoice(self, amount: str = "100.00", *, days_overdue: int = 1, customer: str = "C1", currency: str = "EUR", **content: Any) -> UUID:
        """State an invoice that has been due for some days (negative: is not yet due) and return its item."""
        self.numbers += 1
        today = (await self.today()) if "today" not in content else content.pop("today")
        due_on = today - dt.timedelta(days=days_overdue)
        external_id = f"D{self.numbers}"
        row = DocumentRow.model_validate(
            {
                "external_id": external_id, "customer_external_id": customer, "number": str(self.numbers), "document_on": due_on - dt.timedelta(days=30),
                "due_on": due_on, "total": {"amount": amount, "currency": currency},
            }
            | content
        )  # fmt: skip
        clock = await self.tenant.clock()
        async with self.tenant.database.transaction(self.tenant_id) as session:
            found = await documents.put_documents(session, clock, tenant_id=self.tenant_id, actor="test", ledger=await self._ledger(session), rows=[row])
        assert found[0].outcome in {"created", "changed"}, found
        return await self.tenant.value("select item_id from item where tenant_id = $1 and external_id = $2", self.tenant_id, f"{external_id}/1")  # type: ignore[return-value]

    async def credit(self, amount: str, *, customer: str = "C1") -> UUID:
        """State a credit note that corrects no invoice."""
        today = await self.today()
        return await self.invoice(amount, customer=customer, type="credit_note", document_on=today, due_on=today)

    async def pay(self, amount: str, *items: UUID, customer: str = "C1", currency: str = "EUR") -> UUID:
        """Book a receipt against items, the oldest of the customer where none is named; return the receipt."""
        async with self.tenant.database.transaction(self.tenant_id) as session:
            return await self.pay_in(session, amount, *items, customer=customer, currency=currency)

    async def pay_in(self, session: Any, amount: str, *items: UUID, customer: str = "C1", currency: str = "EUR") -> UUID:
        """Book a receipt in a transaction of the caller."""
        external_id = f"R{new_id().hex[-12:]}"
        named = {row["item_id"]: row["external_id"] for row in await session.rows("select item_id, external_id from item where tenant_id = $1", self.tenant_id)}
        allocation: Any = "oldest_first"
        if items:
            allocation = [{"item_external_id": named[item], "amount": {"amount": amount, "currency": currency}} for item in items]
        row = ReceiptRow.model_validate(
            {
                "external_id": external_id, "customer_external_id": customer, "amount": {"amount": amount, "currency": currency},
                "received_on": await self.today(), "allocation": allocation,
            }
        )  # fmt: skip
        found = await receipts.put_receipts(
            session, await self.tenant.clock(), tenant_id=self.tenant_id, actor="test", ledger=await self._ledger(session), rows=[row],
            source="test", park_refused=False,
        )  # fmt: skip
        assert found[0].outcome == "created", found
        receipt_id: UUID = await session.value("select receipt_id from receipt where tenant_id = $1 and external_id = $2", self.tenant_id, external_id)
        return receipt_id

    async def payment_returns(self, receipt_id: UUID) -> None:
        """Let the bank take a payment back."""
        content = ReturnContent.model_validate({"receipt_id": receipt_id, "returned_on": await self.today(), "reason": "insufficient_funds"})
        async with self.tenant.database.transaction(self.tenant_id) as session:
            await returns.record_return(session, await self.tenant.clock(), tenant_id=self.tenant_id, actor="test", returned=content)

    async def hold(self, *, customer_id: UUID | None = None, item_id: UUID | None = None, until_on: dt.date | None = None, reason: str = "talks") -> UUID:
        """Set a hold on an item, a customer, or the ledger."""
        scope: Literal["ledger", "customer", "item"] = "item" if item_id else "customer" if customer_id else "ledger"
        async with self.tenant.database.transaction(self.tenant_id) as session:
            made = await holds.set_hold(
                session, await self.tenant.clock(), tenant_id=self.tenant_id, actor="test", scope=scope,
                object_id=item_id or customer_id or self.ledger_id, reason=reason, comment=None, from_on=None, until_on=until_on,
            )  # fmt: skip
        return made.hold_id

    async def today(self) -> dt.date:
        """Return today in Rome."""
        return (await self.tenant.clock()).now().astimezone(dt.UTC).date()

    async def settle(self) -> None:
        """Let the worker do all that is due now: imports, runs, sending."""
        await walk.settle(self.world, self.tenant_id)

    async def plan(self) -> None:
        """Let the worker do runs only: nothing is sent."""
        await work_on_runs(self.world, self.tenant_id)

    async def launch(self, **body: Any) -> dict[str, Any]:
        """Launch a run and let the worker plan it, and carry it out where it may."""
        answer = await self.api.post(f"/v1/ledgers/{self.ledger_id}/runs", json=body, headers={"Idempotency-Key": str(new_id())})
        assert answer.status_code == 202, answer.text
        await self.plan()
        return dict(await self.get(f"/runs/{answer.json()['run_id']}"))

    async def remind(self) -> dict[str, Any]:
        """Launch a run that goes out at once, and send."""
        run = await self.launch(commit_at_once=True)
        await self.settle()
        return dict(await self.get(f"/runs/{run['run_id']}"))

    async def advance(self, **by: Any) -> dict[str, Any]:
        """Walk the clock forward and let the worker do what comes on the way."""
        answer = await self.api.post("/v1/test-clock/advance", json=by)
        assert answer.status_code == 202, answer.text
        await walk.work_on_walks(self.world, self.tenant_id)
        done: dict[str, Any] = await self.get(f"/test-clock/walks/{answer.json()['walk_id']}")
        assert done["state"] == "done", done
        return done

    async def get(self, path: str, **params: Any) -> Any:
        """Read from the API."""
        answer = await self.api.get(f"/v1{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None, *, status: int = 200) -> Any:
        """Do something through the API."""
        answer = await self.api.post(f"/v1{path}", json=body, headers={"Idempotency-Key": str(new_id())})
        assert answer.status_code == status, answer.text
        return answer.json()

    async def put(self, path: str, body: Any, *, status: int = 200) -> Any:
        """Put and insist on a status."""
        answer = await self.api.put(f"/v1{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def actions(self, **params: Any) -> list[dict[str, Any]]:
        """Return actions, the oldest first."""
        return list(reversed((await self.get("/actions", **params))["data"]))

    async def action(self, action_id: str) -> dict[str, Any]:
        """Return one action with its parts."""
        return dict(await self.get(f"/actions/{action_id}"))

    async def accepted(self) -> list[str]:
        """Return step code and recipient of every mail to a customer that left, in order."""
        rows = await self.tenant.rows(
            """select a.step_code || ' ' || d.to_email as told from message m join action a using (tenant_id, action_id)
                 join message_address d using (tenant_id, message_id) where m.tenant_id = $1 and m.state = 'accepted' and not m.is_copy order by m.message_id""",
            self.tenant_id,
        )
        return [str(row["told"]) for row in rows]

    async def progress(self, item_id: UUID) -> list[str]:
        """Return the live progress of an item: code, repeat, state, day or reason."""
        rows = await self.tenant.rows(
            """select step_code, repeat_no, state, reason, completed_on from item_progress where tenant_id = $1 and item_id = $2 and state <> 'void'
                order by item_progress_id""",
            self.tenant_id,
            item_id,
        )
        return [f"{r['step_code']}#{r['repeat_no']} {r['state']} {r['reason'] or r['completed_on'] or ''}".strip() for r in rows]
