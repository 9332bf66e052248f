"""Sending over SMTP: the product's dispatcher beside a plain sender, both to the same sink in a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.message import EmailMessage
from typing import Any

import aiosmtplib
import asyncpg
from tests.fakes.processes import running
from tests.fakes.sink import statistics_of

from benchmarks import evaluation
from benchmarks.ground import KEYRING, Company, Ground, Watch
from benchmarks.rendering import BareWriter, claim_of, row_of
from benchmarks.results import Line, Result
from dunning.messages.compose import Facts, compose
from dunning.messages.ports import ClaimRow
from dunning.messages.shipped import shipped_templates
from dunning.messages.smtp import SmtpAccount, SmtpTransport
from dunning_worker.jobs.dispatch import drain_tenant
from dunning_worker.world import World, world_of

SENDING = Line(
    "sending", "mails/s", 0.8, 0.6, "a plain sender: claim 100, read, render, standard library mail, aiosmtplib, mark done; no fence, no evidence, no state"
)
DISTANT = Line("sending to a relay 20 ms away", "mails/s", 0.9, 0.7, "aiosmtplib alone over as many connections, one mail text again and again")
CONNECTIONS_AFAR = 50


async def company_with_mails(ground: Ground, world: World, mails: int) -> Company:
    """Return a company whose run has queued one mail a customer, of ten invoices each."""
    company = await ground.company()
    await ground.fill(company, mails * 10, 10)
    run_id, _ = await evaluation.plan_run(world, company)
    await evaluation.carry_out(world, company, run_id)
    await ground.bare.execute("analyze")
    await ground.settle()
    return company


def world_to(ground: Ground, port: int, connections: int) -> World:
    """Return a worker's world whose test tenants send to a sink on a port."""
    transport = SmtpTransport(
        "sink", SmtpAccount("127.0.0.1", port, security="none", local_hostname="bench.example"), connections=connections,
        mails_per_connection=ground.settings.smtp_mails_per_connection,
    )  # fmt: skip
    world = world_of(ground.database, ground.settings, KEYRING)
    return replace(world, transports={"sink": transport})


async def send_all(world: World, company: Company, port: int, mails: int) -> float:
    """Dispatch everything a company has queued; return mails a second, the sink's count being the proof."""
    before = (await statistics_of(port))["mails"] or 0
    with Watch() as watch:
        await drain_tenant(world, company.tenant_id)
    arrived = ((await statistics_of(port))["mails"] or 0) - before
    if arrived != mails:
        msg = f"{arrived} of {mails} mails arrived at the sink."
        raise RuntimeError(msg)
    return mails / watch.seconds


_OUTBOX = """
drop schema if exists bare cascade; create schema bare;
create table bare.outbox (id bigint primary key, customer_id bigint not null, state text not null default 'ready');
create index on bare.outbox (id) where state = 'ready';
create table bare.invoice (id bigint primary key, customer_id bigint not null, number text not null, amount_minor bigint not null, due_on date not null);
create index on bare.invoice (customer_id);
"""


class PlainSender:
    """What one writes who only wants the mails to leave: batches of 100, results marked a batch at a time."""

    def __init__(self, ground: Ground, write: Callable[[int, list[Any]], bytes | EmailMessage]) -> None:
        self._ground = ground
        self._write = write

    async def prepare(self, mails: int) -> None:
        """Fill the outbox."""
        await self._ground.bare.execute(_OUTBOX)
        await self._ground.bare.execute("insert into bare.outbox (id, customer_id) select n, n from generate_series(1, $1::int) n", mails)
        await self._ground.bare.execute(
            "insert into bare.invoice select n, 1 + n % $1, 'K' || n, 10000 + n, date '2026-02-01' from generate_series(1, $1::int * 10) n", mails
        )
        await self._ground.bare.execute("analyze bare.outbox; analyze bare.invoice")
        await self._ground.settle()

    async def send(self, port: int, connections: int) -> float:
        """Send all and return the seconds."""
        async with asyncpg.create_pool(self._ground.postgres.superuser_url("dunning"), min_size=2, max_size=4) as pool:
            clients = [aiosmtplib.SMTP(hostname="127.0.0.1", port=port, local_hostname="bench.example", start_tls=False) for _ in range(connections)]
            await asyncio.gather(*[client.connect() for client in clients])
            with Watch() as watch:
                while batch := await pool.fetch(
                    """update bare.outbox set state = 'taken' where id in (
                         select id from bare.outbox where state = 'ready' order by id limit 100 for update skip locked) returning id, customer_id"""
                ):
                    invoices: dict[int, list[Any]] = {}
                    for row in await pool.fetch("select * from bare.invoice where customer_id = any ($1::bigint[])", [r["customer_id"] for r in batch]):
                        invoices.setdefault(row["customer_id"], []).append(row)
                    await asyncio.gather(*[self._lane(client, batch[n::connections], invoices) for n, client in enumerate(clients)])
                    await pool.execute("update bare.outbox set state = 'done' where id = any ($1::bigint[])", [r["id"] for r in batch])
            await asyncio.gather(*[client.quit() for client in clients])
        return watch.seconds

    async def _lane(self, client: aiosmtplib.SMTP, rows: list[asyncpg.Record], invoices: Mapping[int, list[Any]]) -> None:
        for row in rows:
            mail = self._write(row["id"], invoices.get(row["customer_id"], []))
            await client.sendmail("ar@acme.example", [f"ap@k{row['customer_id']}.example"], mail if isinstance(mail, bytes) else mail.as_bytes())


def standard_writer(lean: BareWriter) -> Callable[[int, list[Any]], EmailMessage]:
    """Return a writer of the same mails through the standard library's email package."""

    def write(n: int, _invoices: list[Any]) -> EmailMessage:
        text, html = lean.bodies()
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "Acme Accounts Receivable <ar@acme.example>", f"Accounts payable <ap@k{n}.example>", f"Reminder C-{n:06d}"
        mail["Message-ID"] = f"<m.{n}@acme.example>"
        mail.set_content(text)
        mail.add_alternative(html, subtype="html")
        return mail

    return write


def lean_writer() -> BareWriter:
    """Return a writer of mails as long as the product's."""
    row = row_of()
    facts = Facts(
        claims={row["claim_id"]: ClaimRow(claim_of(), 1, "issued")}, links={row["message_id"]: "https://pay.acme.example/c/x"},
        contents={(row["template_id"], 1): shipped_templates()["reminder"]},
    )  # fmt: skip
    from benchmarks.ground import MORNING  # the same moment as the tenants' clocks

    return BareWriter(compose(row, facts, MORNING))  # type: ignore[arg-type]  # a dictionary in the place of a database row


async def aiosmtplib_alone(port: int, connections: int, mails: int, mime: bytes) -> float:
    """Return the mails a second of the SMTP library alone."""
    clients = [aiosmtplib.SMTP(hostname="127.0.0.1", port=port, local_hostname="bench.example", start_tls=False) for _ in range(connections)]
    await asyncio.gather(*[client.connect() for client in clients])

    async def lane(client: aiosmtplib.SMTP, count: int) -> None:
        for _ in range(count):
            await client.sendmail("ar@acme.example", ["ap@k1.example"], mime)

    with Watch() as watch:
        await asyncio.gather(*[lane(client, mails // connections) for client in clients])
    await asyncio.gather(*[client.quit() for client in clients])
    return mails // connections * connections / watch.seconds


async def measure(ground: Ground) -> list[Result]:
    """Send what runs have queued, near and far."""
    mails, connections = ground.sizes.mails, ground.settings.smtp_connections
    lean = lean_writer()
    near, far = [], []
    with running("tests.fakes.sink") as sink, running("tests.fakes.sink", "--delay-ms", 20) as distant:
        for _ in range(ground.sizes.repeats):
            world = world_to(ground, sink.port, connections)
            company = await company_with_mails(ground, world, mails)
            figure = await send_all(world, company, sink.port, mails)
            sender = PlainSender(ground, standard_writer(lean))
            await sender.prepare(mails)
            near.append((figure, mails / await sender.send(sink.port, connections)))
        sender = PlainSender(ground, lambda n, _: lean.write(n))
        await sender.prepare(mails)
        ground.notes.append(f"sending: a plain sender that joins its mails by hand sends {mails / await sender.send(sink.port, connections):.0f} mails/s")
        # The usual pool: connections to the relay pass their fences and record their results together.
        world = world_to(ground, distant.port, CONNECTIONS_AFAR)
        # Opening so many connections takes its time; more mails, so that the sending is what is measured.
        company = await company_with_mails(ground, world, 3 * mails)
        figure = await send_all(world, company, distant.port, 3 * mails)
        far.append((figure, await aiosmtplib_alone(distant.port, CONNECTIONS_AFAR, 3 * mails, lean.write(1))))
    return [Result(SENDING, near), Result(DISTANT, far)]
