"""The nightly run of each ledger: once a local day, at the ledger's hour, late where nobody worked at the hour, never twice."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dunning.collection import action_queries, actions, operations, runs
from dunning.collection.despatch import Outbound
from dunning.events import service as events
from dunning.kit.clock import Clock, instant_of, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActionId, CustomerId, LedgerId, RunId, TenantId
from dunning.ledger import ledger_store
from dunning.ledger.customer_state import lock_customers
from dunning.ledger.ledger_store import Ledger
from dunning.scenarios.steps import OperationWhen
from dunning.tenancy.service import Tenant

JOB = "nightly"
LEDGERS_MAX = 10_000
BATCH = 200


@dataclass(frozen=True, slots=True)
class Night:
    """Hold one night of one ledger: its local day, and the instant from which it is due."""

    ledger: Ledger
    local_day: dt.date
    due_at: dt.datetime


def night_of(ledger: Ledger, local_day: dt.date) -> Night:
    """Return a ledger's night of a local day. An hour that daylight saving skips falls after the gap, one that it repeats is taken once."""
    return Night(ledger, local_day, instant_of(local_day, dt.time.fromisoformat(ledger.nightly_at), ledger.time_zone))


def last_night(ledger: Ledger, now: dt.datetime) -> Night:
    """Return the ledger's latest night whose instant has come."""
    today = local_date(now, ledger.time_zone)
    night = night_of(ledger, today)
    return night if night.due_at <= now else night_of(ledger, today - dt.timedelta(days=1))


def next_night(ledger: Ledger, now: dt.datetime) -> Night:
    """Return the ledger's next night after an instant."""
    today = local_date(now, ledger.time_zone)
    night = night_of(ledger, today)
    return night if night.due_at > now else night_of(ledger, today + dt.timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Schedule:
    """Hold what the nights of a tenant depend on: its ledgers, and the local day of the last night that each has begun."""

    tenant: Tenant
    ledgers: Sequence[Ledger]
    done: Mapping[LedgerId, dt.date]

    def due(self, now: dt.datetime) -> list[Night]:
        """Return the nights that are due and have not been begun, at most one a ledger.

        Several missed nights are one run, which uses today's facts. A live ledger's first night is the first whose hour comes after its creation;
        a ledger of a test tenant begins with the first look at it, since its clock and the machine's have nothing in common.
        """
        found = []
        for ledger in self.ledgers:
            night = last_night(ledger, now)
            last = self.done.get(ledger.ledger_id)
            if last is None and (self.tenant.mode == "test" or night.due_at <= ledger.created_at):
                continue
            if last is None or last < night.local_day:
                found.append(night)
        return found

    def next_at(self, now: dt.datetime) -> dt.datetime | None:
        """Return the instant at which the next night of any ledger begins; None where there is no ledger."""
        return min([next_night(ledger, now).due_at for ledger in self.ledgers], default=None)


async def schedule_of(session: ReadSession, *, tenant: Tenant) -> Schedule:
    """Return the schedule of a tenant as it stands."""
    found = await ledger_store.ledgers_after(session, tenant.tenant_id, None, LEDGERS_MAX, None)
    return Schedule(tenant, found, await _last_days(session, tenant.tenant_id))


async def begin_schedule(session: Session, clock: Clock, *, tenant: Tenant) -> Schedule:
    """Note for ledgers of a test tenant that have no nights yet that those up to now are over, and return the schedule."""
    schedule = await schedule_of(session, tenant=tenant)
    if tenant.mode != "test":
        return schedule
    noted = {}
    for ledger in schedule.ledgers:
        if ledger.ledger_id not in schedule.done:
            night = last_night(ledger, clock.now())
            await _note_night(session, tenant.tenant_id, night, None)
            noted[ledger.ledger_id] = night.local_day
    return replace(schedule, done={**schedule.done, **noted})


async def run_night(session: Session, clock: Clock, *, tenant_id: TenantId, ledger_id: LedgerId, local_day: dt.date) -> RunId | None:
    """Begin a ledger's night: its run, in the place of an open proposal. None: the night was begun before, or another run is under way.

    The row of the schedule and the run are one transaction, and the row is unique for ledger, job and local day, so that two workers, or one
    that was killed, begin a night once.
    """
    ledger = await ledger_store.ledger_for_change(session, tenant_id, ledger_id)
    if ledger is None or await _is_begun(session, tenant_id, ledger_id, local_day):
        return None
    run_id = await runs.supersede(session, clock, tenant_id=tenant_id, ledger=ledger, local_day=local_date(clock.now(), ledger.time_zone))
    if run_id is not None:
        await _note_night(session, tenant_id, night_of(ledger, local_day), run_id)
    return run_id


async def tidy_up(session: Session, clock: Clock, *, tenant_id: TenantId, ledger_id: LedgerId, outbound: Outbound) -> int:
    """Do a batch of what a day brings beside the run and return how much was done; again until 0.

    Tasks whose items are all settled end, and operations that wait for a stated deadline to pass begin.
    """
    ledger = await ledger_store.ledger_of(session, tenant_id, ledger_id)
    if ledger is None:
        return 0
    today = local_date(clock.now(), ledger.time_zone)
    done = await actions.cancel_settled(session, clock, tenant_id=tenant_id, ledger_id=ledger_id, today=today, outbound=outbound, limit=BATCH)
    passed = await action_queries.deadlines_passed(session, tenant_id, ledger_id, today, BATCH)
    if passed:
        customers = {ActionId(row["action_id"]): CustomerId(row["customer_id"]) for row in passed}
        await lock_customers(session, tenant_id, set(customers.values()))
        made = await operations.reach(
            session, clock, tenant_id=tenant_id, ledger_id=ledger_id, customers=customers, moments={OperationWhen.DEADLINE_PASSED}, today=today, actor=JOB
        )
        await events.record_many(session, clock, tenant_id=tenant_id, actor=JOB, events=made)
    return done + len(passed)


async def _last_days(session: ReadSession, tenant_id: TenantId) -> dict[LedgerId, dt.date]:
    rows = await session.rows(
        "select ledger_id, max(local_date) as local_date from schedule_run where tenant_id = $1 and job = $2 group by ledger_id", tenant_id, JOB
    )
    return {LedgerId(row["ledger_id"]): row["local_date"] for row in rows}


async def _is_begun(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, local_day: dt.date) -> bool:
    return bool(
        await session.value(
            "select exists (select 1 from schedule_run where tenant_id = $1 and ledger_id = $2 and job = $3 and local_date >= $4)",
            tenant_id,
            ledger_id,
            JOB,
            local_day,
        )
    )


async def _note_night(session: Session, tenant_id: TenantId, night: Night, run_id: RunId | None) -> int:
    return await session.execute(
        """insert into schedule_run (tenant_id, ledger_id, job, local_date, state, run_id, finished_at) values ($1, $2, $3, $4, 'done', $5, clock_timestamp())
           on conflict do nothing""",
        tenant_id,
        night.ledger.ledger_id,
        JOB,
        night.local_day,
        run_id,
    )
