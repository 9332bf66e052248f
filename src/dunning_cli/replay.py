"""Replay a real receivables file day by day under a test tenant's clock, into a sink.

Each day, before its night: invoices of that day are imported, disputed ones held from import on, settlements booked. Then the night runs through
the same planning, execution, fence and dispatch as in production; nothing leaves the process.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from dunning.collection import runs
from dunning.collection.places import places_in_scenario
from dunning.kit.database import Database
from dunning.kit.ids import LedgerId, TenantId, new_id
from dunning.kit.settings import Settings
from dunning.ledger import customers, documents, holds, ledgers
from dunning.ledger.ledger_store import Ledger
from dunning.ledger.rows import CustomerRow, DocumentRow, HoldRow
from dunning.messages.template_service import PublishedTemplates
from dunning.receipts import receipts
from dunning.receipts.rows import ReceiptRow
from dunning.scenarios import service as scenarios
from dunning.scenarios.ports import Ports
from dunning.tenancy import service as tenancy
from dunning_cli.installation import installation, keyring_of
from dunning_cli.receivables_file import Columns, Invoice, read_file
from dunning_worker.jobs import nightly, walk
from dunning_worker.world import World, world_of

ACTOR = "replay"
NIGHT = dt.time(6)
ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Day:
    """What one day of the file brings."""

    issued: list[Invoice]
    settled: list[Invoice]


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of a replay. `reminders` and `by_step` count item-steps completed, `messages` counts mails."""

    days: int
    reminders: int
    by_step: dict[str, int]
    messages: int
    after_settlement: int
    duplicates: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return the figures as one JSON object."""
        return {
            "days": self.days,
            "reminders": self.reminders,
            "by_step": self.by_step,
            "messages": self.messages,
            "after_settlement": self.after_settlement,
            "duplicates": self.duplicates,
            "seconds": round(self.seconds, 1),
        }


def days_of(invoices: list[Invoice]) -> dict[dt.date, Day]:
    """Return what happens on each day from the first invoice to the last settlement, quiet days too."""
    issued: dict[dt.date, list[Invoice]] = defaultdict(list)
    settled: dict[dt.date, list[Invoice]] = defaultdict(list)
    for invoice in invoices:
        issued[invoice.issued_on].append(invoice)
        if invoice.settled_on is not None:
            settled[invoice.settled_on].append(invoice)
    last = max([*issued, *settled])
    day = min(issued)
    found = {}
    while day <= last:
        found[day] = Day(issued.get(day, []), settled.get(day, []))
        day += ONE_DAY
    return found


async def replay(world: World, invoices: list[Invoice], currency: str, on_day: Callable[[dt.date], None]) -> tuple[TenantId, Figures]:
    """Replay the invoices for a tenant of their own and return it with the figures."""
    began = time.monotonic()
    days = days_of(invoices)
    tenant_id = TenantId(new_id())
    ledger_id = await _begin(world, tenant_id, min(days), currency, sorted({invoice.customer for invoice in invoices}))
    for day, brought in days.items():
        await _bring(world, tenant_id, ledger_id, day, brought, currency)
        async with world.database.transaction(tenant_id) as session:
            await tenancy.set_test_clock(session, tenant_id=tenant_id, at=dt.datetime.combine(day, NIGHT, dt.UTC))
        await nightly.run_due_nights(world, tenant_id)
        await walk.settle(world, tenant_id)
        on_day(day)
    figures = await _count(world.database, tenant_id, len(days), time.monotonic() - began)
    return tenant_id, figures


async def _begin(world: World, tenant_id: TenantId, first: dt.date, currency: str, names: list[str]) -> LedgerId:
    at = dt.datetime.combine(first, dt.time(0), dt.UTC)
    async with world.database.transaction(tenant_id) as session:
        tenant = await tenancy.create_tenant(session, tenant_id=tenant_id, name="Replay", mode="test", clock_at=at, languages=["en"])
        clock = tenancy.clock_of(tenant)
        await tenancy.switch_sending(session, clock, tenant_id=tenant_id, actor=ACTOR, enabled=True)
        ports = Ports(templates=PublishedTemplates(), places=places_in_scenario)
        scenario, _ = await scenarios.install_shipped_scenario(session, clock, ports, tenant_id=tenant_id, actor=ACTOR, code="claims")
        ledger = await ledgers.create_ledger(session, clock, tenant_id=tenant_id, actor=ACTOR, **_ledger(currency, scenario.scenario_id))
        rows = [CustomerRow(external_id=name, name=name, contacts=[_contact(n)]) for n, name in enumerate(names)]
        await customers.put_customers(session, clock, tenant_id=tenant_id, actor=ACTOR, ledger=ledger, rows=rows)
    # A ledger's first run is always a proposal that a person commits; over an empty ledger it decides nothing.
    async with world.database.transaction(tenant_id) as session:
        run = await runs.launch_run(session, clock, tenant_id=tenant_id, actor=ACTOR, ledger_id=ledger.ledger_id)
    await walk.settle(world, tenant_id)
    async with world.database.transaction(tenant_id) as session:
        await runs.commit_run(session, clock, tenant_id=tenant_id, actor=ACTOR, run_id=run["run_id"])
    await walk.settle(world, tenant_id)
    return ledger.ledger_id


def _ledger(currency: str, scenario_id: Any) -> dict[str, Any]:
    return {
        "external_id": "REPLAY",
        "name": "Replay",
        "currency": currency,
        "time_zone": "UTC",
        "country": "US",
        "language": "en",
        "sender_name": "Replay",
        "sender_email": "replay@sink.example",
        "policy": "scenario",
        "scenario_id": scenario_id,
        "run_mode": "automatic",
        "nightly_at": f"{NIGHT:%H:%M}",
        "send_from": "00:00",
        "send_until": "23:59",
        "send_on_closed_days": True,
    }


def _contact(number: int) -> Any:
    return {"external_id": "dunning", "email": f"customer{number}@sink.example", "roles": ["dunning"]}


async def _bring(world: World, tenant_id: TenantId, ledger_id: LedgerId, day: dt.date, brought: Day, currency: str) -> None:
    async with world.database.transaction(tenant_id) as session:
        await tenancy.set_test_clock(session, tenant_id=tenant_id, at=dt.datetime.combine(day, dt.time(0), dt.UTC))
        if not brought.issued and not brought.settled:
            return
        clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
        ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
        answers = await documents.put_documents(
            session, clock, tenant_id=tenant_id, actor=ACTOR, ledger=ledger, rows=[_document(invoice, currency) for invoice in brought.issued]
        )
        disputed = [HoldRow(scope="item", item_external_id=f"{invoice.number}/1", reason="dispute") for invoice in brought.issued if invoice.disputed]
        answers += await holds.put_hold_rows(session, clock, tenant_id=tenant_id, actor=ACTOR, ledger=ledger, rows=disputed)
        answers += await _book(session, clock, tenant_id, ledger, brought.settled, currency)
    refused = [answer for answer in answers if answer.outcome not in {"created", "unchanged", "changed"}]
    if refused:
        msg = f"{day}: {len(refused)} rows were not taken, the first because {refused[0].message}"
        raise RuntimeError(msg)


async def _book(session: Any, clock: Any, tenant_id: TenantId, ledger: Ledger, settled: list[Invoice], currency: str) -> list[Any]:
    rows = [
        ReceiptRow.model_validate(
            {
                "external_id": f"R-{invoice.number}",
                "customer_external_id": invoice.customer,
                "amount": {"amount": invoice.amount, "currency": currency},
                "received_on": invoice.settled_on,
                "allocation": [{"document_external_id": invoice.number, "amount": {"amount": invoice.amount, "currency": currency}}],
            }
        )
        for invoice in settled
    ]
    return list(await receipts.put_receipts(session, clock, tenant_id=tenant_id, actor=ACTOR, ledger=ledger, rows=rows, source=ACTOR, park_refused=False))


def _document(invoice: Invoice, currency: str) -> DocumentRow:
    return DocumentRow.model_validate(
        {
            "external_id": invoice.number,
            "customer_external_id": invoice.customer,
            "number": invoice.number,
            "document_on": invoice.issued_on,
            "due_on": invoice.due_on,
            "total": {"amount": invoice.amount, "currency": currency},
        }
    )


async def _count(database: Database, tenant_id: TenantId, days: int, seconds: float) -> Figures:
    async with database.reading(tenant_id) as session:
        steps = await session.rows(
            "select step_code, count(*) as n from item_progress where tenant_id = $1 and state = 'completed' group by step_code order by step_code", tenant_id
        )
        messages = await session.value("select count(*) from message where tenant_id = $1 and state = 'accepted'", tenant_id)
        # A reminder is wrong when its item was settled or held on the day on which it was told; both are read from the facts, not from the decision.
        wrong = await session.value(
            """select count(*) from item_progress p
                where p.tenant_id = $1 and p.state = 'completed'
                  and (exists (select 1 from allocation a join receipt r on r.tenant_id = a.tenant_id and r.receipt_id = a.receipt_id
                                where a.tenant_id = $1 and a.item_id = p.item_id and r.received_on <= p.completed_on)
                       or exists (select 1 from hold h where h.tenant_id = $1 and h.item_id = p.item_id and h.from_on <= p.completed_on))""",
            tenant_id,
        )
        doubled = await session.value(
            """select coalesce(sum(n - 1), 0) from (
                 select count(*) as n from item_progress where tenant_id = $1 and state = 'completed' group by item_id, episode, step_code, repeat_no
                 union all
                 select count(*) from message where tenant_id = $1 and state = 'accepted' group by customer_id, accepted_on, recipient_key) twins
                where n > 1""",
            tenant_id,
        )
    by_step = {row["step_code"]: row["n"] for row in steps}
    return Figures(days, sum(by_step.values()), by_step, messages, wrong, int(doubled), seconds)


def show(settings: Settings, path: Path, columns: Columns, *, as_json: bool) -> Figures:
    """Replay a file with a progress bar and print what came of it."""
    out = Console(stderr=as_json)
    invoices = read_file(path, columns)
    if "data_dir" not in settings.model_fields_set:
        settings = settings.model_copy(update={"data_dir": Path(".dunning/replay")})
    days = days_of(invoices)
    with (
        installation(settings) as servers,
        Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=out) as progress,
    ):
        bar = progress.add_task(f"{len(invoices)} invoices", total=len(days))

        async def run() -> Figures:
            database = await Database.connect(servers.database_url, size=settings.database_pool, name="dunning-replay")
            # The sink of a replay is this process: nothing leaves it, whatever the settings say.
            inside = settings.model_copy(update={"sink_host": None, "smtp_host": None})
            world = world_of(database, inside, keyring_of(settings))
            try:
                _, figures = await replay(world, invoices, columns.currency, lambda day: progress.update(bar, advance=1, description=day.isoformat()))
            finally:
                await world.close()
            return figures

        figures = asyncio.run(run())
    _print(out, figures)
    if as_json:
        print(json.dumps(figures.as_json()), flush=True)
    return figures


def _print(out: Console, figures: Figures) -> None:
    table = Table(title=f"{figures.days} days in {figures.seconds:.1f} s")
    table.add_column("step")
    table.add_column("item-steps", justify="right")
    for code, count in figures.by_step.items():
        table.add_row(code, str(count))
    table.add_section()
    table.add_row("reminders", str(figures.reminders))
    table.add_row("mails", str(figures.messages))
    table.add_row("after settlement or dispute", str(figures.after_settlement))
    table.add_row("duplicates", str(figures.duplicates))
    out.print(table)
