"""A whole night: decide, carry out and send a mail to each customer, beside what Odoo 17 took for the same night on the reference machine."""

from __future__ import annotations

from tests.fakes.processes import running

from benchmarks import evaluation
from benchmarks.ground import KEYRING, Ground
from benchmarks.results import Line, Result
from benchmarks.sending import send_all, world_to
from dunning_worker.world import world_of

NIGHT = Line(
    "whole night",
    "s",
    50.0,
    None,
    "Odoo 17 Community with account_credit_control: 241 s for 10,000 invoices of 2,000 customers, measured once elsewhere; scaled",
)
ODOO_SECONDS_AN_INVOICE = 241 / 10_000
INVOICES_A_CUSTOMER = 5


async def measure(ground: Ground) -> list[Result]:
    """Take a company through a night, from facts to the last mail accepted."""
    invoices = min(10_000, ground.sizes.items // 5)
    mails = invoices // INVOICES_A_CUSTOMER
    pairs = []
    with running("tests.fakes.sink") as sink:
        for _ in range(ground.sizes.long_repeats):
            company = await ground.company()
            await ground.fill(company, invoices, INVOICES_A_CUSTOMER)
            await ground.settle()
            world = world_of(ground.database, ground.settings, KEYRING)
            run_id, planned = await evaluation.plan_run(world, company)
            carried = await evaluation.carry_out(world, company, run_id)
            sent = mails / await send_all(world_to(ground, sink.port, ground.settings.smtp_connections), company, sink.port, mails)
            ground.notes.append(f"night of {invoices} invoices: planned {planned:.2f} s, carried out {carried:.2f} s, {mails} mails sent {sent:.2f} s")
            pairs.append((planned + carried + sent, ODOO_SECONDS_AN_INVOICE * invoices))
    return [Result(NIGHT, pairs)]
