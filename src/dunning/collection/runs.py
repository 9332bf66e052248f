"""Runs: launching a proposal, editing it, committing it, and taking it through its stages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection import execute, planning, run_store, sheet_store, wording
from dunning.collection.breakers import Held, HeldBecause, why_held
from dunning.collection.despatch import Outbound, Scene
from dunning.collection.execute import Planned, RunTerms
from dunning.collection.gate import gate_of
from dunning.events import due_work
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, NotFound
from dunning.kit.ids import CustomerId, LedgerId, RunId, TenantId, new_id
from dunning.ledger import ledgers
from dunning.ledger.ledger_store import Ledger
from dunning.messages.shipped import LINK_ONLY_CODE
from dunning.tenancy import service as tenancy
from dunning.tenancy.service import Tenant


class RunOpen(Conflict):
    """The ledger has an open run; `run_id` names it."""

    code = "run_open"
    title = "Another run of this ledger is open"


class NotProposed(Conflict):
    """Only a proposal can be edited or committed."""

    code = "run_not_proposed"
    title = "The run is no open proposal"


class SendingOff(Conflict):
    """Sending is off or stopped, so runs stay proposals."""

    code = "sending_off"
    title = "Sending is off"


class NoLinkTemplate(Conflict):
    """A mail of text and link only needs its own template."""

    code = "no_link_template"
    title = "No template for mails of text and link only"


async def launch_run(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    ledger_id: LedgerId,
    kind: str = "manual",
    dry_run: bool = False,
    commit_at_once: bool = False,
    content_mode: str | None = None,
    customer_ids: Sequence[CustomerId] | None = None,
    customer_external_ids: Sequence[str] | None = None,
    customer_groups: Sequence[str] | None = None,
) -> asyncpg.Record:
    """Queue a run of a ledger and return it; a worker plans it.

    Raises `RunOpen` naming the open run (a dry run is never in the way of one), `NotFound` for an unknown ledger or customer, `NoLinkTemplate`.
    """
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    if content_mode == "link_only" and await wording.link_wording(session, tenant_id) is None:
        msg = f"Publish a template with the code {LINK_ONLY_CODE} first: it is what mails of text and link only are written with."
        raise NoLinkTemplate(msg)
    filters = await _filters(session, tenant_id, ledger_id, customer_ids, customer_external_ids, customer_groups)
    run_id = RunId(new_id())
    now = clock.now()
    made = await run_store.insert_run(
        session, tenant_id, run_id, ledger_id, kind=kind, local_date=local_date(now, ledger.time_zone), dry_run=dry_run,
        commit_at_once=commit_at_once, content_mode=content_mode, filters=filters, actor=actor, business_at=now,
    )  # fmt: skip
    if not made:
        raise await _open_run(session, tenant_id, ledger_id)
    await due_work.ring(session, tenant_id, "run")
    return await run_of(session, tenant_id=tenant_id, run_id=run_id)


async def _open_run(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId) -> RunOpen:
    row = await run_store.open_run_of(session, tenant_id, ledger_id)
    run_id = None if row is None else str(row["run_id"])
    msg = f"Run {run_id} of this ledger is open. Commit or cancel it first, or wait for it to end."
    return RunOpen(msg, run_id=run_id)


async def _filters(
    session: ReadSession,
    tenant_id: TenantId,
    ledger_id: LedgerId,
    customer_ids: Sequence[CustomerId] | None,
    external_ids: Sequence[str] | None,
    groups: Sequence[str] | None,
) -> dict[str, Any]:
    filters: dict[str, Any] = {}
    if customer_ids is not None or external_ids is not None:
        rows = await session.rows(
            """select customer_id from customer where tenant_id = $1 and ledger_id = $2 and (customer_id = any ($3::uuid[]) or external_id = any ($4::text[]))""",
            tenant_id, ledger_id, list(customer_ids or ()), list(external_ids or ()),
        )  # fmt: skip
        if len(rows) < len({*(customer_ids or ())}) + len({*(external_ids or ())}):
            noun = "customer in this ledger"
            raise NotFound(noun)
        filters["customer_ids"] = sorted(str(row["customer_id"]) for row in rows)
    if groups is not None:
        known = await session.rows(
            "select code from customer_group where tenant_id = $1 and ledger_id = $2 and code = any ($3::text[])", tenant_id, ledger_id, list(groups)
        )
        if len(known) < len(set(groups)):
            noun = "customer group in this ledger"
            raise NotFound(noun)
        filters["customer_groups"] = sorted(set(groups))
    return filters


async def run_of(session: ReadSession, *, tenant_id: TenantId, run_id: RunId) -> asyncpg.Record:
    """Return one run; raise `NotFound`."""
    row = await run_store.run_of(session, tenant_id, run_id)
    if row is None:
        noun = "run"
        raise NotFound(noun)
    return row


async def runs_before(
    session: ReadSession, *, tenant_id: TenantId, before: UUID | None, limit: int, ledger_id: UUID | None = None, state: str | None = None
) -> list[asyncpg.Record]:
    """Return runs, the newest first."""
    return await run_store.runs_before(session, tenant_id, before, limit, ledger_id=ledger_id, state=state)


async def customers_after(
    session: ReadSession, *, tenant_id: TenantId, run_id: RunId, after: UUID | None, limit: int, outcome: str | None = None, with_actions: bool | None = None
) -> list[asyncpg.Record]:
    """Return what a run decided about its customers, by customer id; raise `NotFound` for an unknown run."""
    await run_of(session, tenant_id=tenant_id, run_id=run_id)
    return await run_store.customers_after(session, tenant_id, run_id, after, limit, outcome=outcome, with_actions=with_actions)


async def customer_of_run(session: ReadSession, *, tenant_id: TenantId, run_id: RunId, customer_id: CustomerId) -> asyncpg.Record:
    """Return what a run decided about one customer; raise `NotFound`."""
    row = await run_store.customer_of_run(session, tenant_id, run_id, customer_id)
    if row is None:
        noun = "customer in this run"
        raise NotFound(noun)
    return row


async def _proposal(session: Session, tenant_id: TenantId, run_id: RunId) -> asyncpg.Record:
    row = await run_store.run_for_change(session, tenant_id, run_id)
    if row is None:
        noun = "run"
        raise NotFound(noun)
    if row["state"] != "proposed" or row["dry_run"]:
        what = "a dry run, which never goes out: launch a run without dry_run" if row["dry_run"] else row["state"]
        msg = f"The run is {what}. Only an open proposal can be edited or committed."
        raise NotProposed(msg, state=row["state"])
    return row


async def exclude_customer(
    session: Session, *, tenant_id: TenantId, actor: str, run_id: RunId, customer_id: CustomerId, excluded: bool, reason: str | None
) -> asyncpg.Record:
    """Take a customer out of a proposal, with a reason, or back in; a nightly run that takes the proposal's place keeps the exclusion."""
    await _proposal(session, tenant_id, run_id)
    if not await run_store.exclude(session, tenant_id, run_id, customer_id, excluded=excluded, actor=actor, reason=reason):
        noun = "customer in this run"
        raise NotFound(noun)
    return await customer_of_run(session, tenant_id=tenant_id, run_id=run_id, customer_id=customer_id)


async def commit_run(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, run_id: RunId) -> asyncpg.Record:
    """Let a proposal go out: a worker carries it out. The first commit of a ledger approves it for automatic runs.

    Raises `NotProposed`, or `SendingOff` while the tenant may not send. Committing a run that is being carried out or done is refused.
    """
    row = await _proposal(session, tenant_id, run_id)
    tenant = await tenancy.tenant_of(session, tenant_id)
    if not tenant.may_send:
        msg = "Sending is off or stopped, so this run stays a proposal. Switch sending on with PUT /v1/tenant/sending, then commit."
        raise SendingOff(msg)
    await run_store.set_state(session, tenant_id, run_id, "committing")
    await run_store.approve_first_run(session, tenant_id, row["ledger_id"])
    await _tell(session, clock, tenant_id, actor, "run.committed", run_id, {"held_because": row["held_because"]})
    await due_work.ring(session, tenant_id, "run")
    return await run_of(session, tenant_id=tenant_id, run_id=run_id)


async def cancel_run(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, run_id: RunId) -> asyncpg.Record:
    """Give up a run that has not begun to go out; what it planned is forgotten by nobody, but nothing of it is carried out."""
    row = await run_store.run_for_change(session, tenant_id, run_id)
    if row is None:
        noun = "run"
        raise NotFound(noun)
    if row["state"] not in {"queued", "planning", "proposed"}:
        msg = f"The run is {row['state']}. Only one that has not begun to go out can be cancelled; cancel its actions instead."
        raise NotProposed(msg, state=row["state"])
    await run_store.set_state(session, tenant_id, run_id, "cancelled", finished=True)
    await _tell(session, clock, tenant_id, actor, "run.cancelled", run_id, {})
    return await run_of(session, tenant_id=tenant_id, run_id=run_id)


async def supersede(session: Session, clock: Clock, *, tenant_id: TenantId, ledger: Ledger, local_day: dt.date) -> RunId | None:
    """Launch the nightly run of a ledger in the place of an open proposal, whose exclusions it keeps; None: another run is under way."""
    open_run = await run_store.open_run_of(session, tenant_id, ledger.ledger_id)
    if open_run is not None:
        open_run = await run_store.run_for_change(session, tenant_id, RunId(open_run["run_id"]))
        if open_run is None or open_run["state"] in {"queued", "planning", "committing"}:
            return None
        if open_run["state"] == "proposed":
            await run_store.set_state(session, tenant_id, RunId(open_run["run_id"]), "superseded", finished=True)
        else:
            open_run = None
    run_id = RunId(new_id())
    made = await run_store.insert_run(
        session, tenant_id, run_id, ledger.ledger_id, kind="nightly", local_date=local_day, dry_run=False, commit_at_once=True, content_mode=None,
        filters={}, actor="nightly", business_at=clock.now(),
    )  # fmt: skip
    if not made:
        return None
    if open_run is not None:
        await run_store.keep_exclusions(session, tenant_id, RunId(open_run["run_id"]), run_id)
    await due_work.ring(session, tenant_id, "run")
    return run_id


async def begin_planning(session: Session, *, tenant_id: TenantId, run_id: RunId) -> asyncpg.Record:
    """Fix the revision of shared settings that a run is planned on, unless it is, and return the run; raise `NotFound`."""
    row = await run_store.fix_revision(session, tenant_id, run_id)
    if row is None:
        noun = "run"
        raise NotFound(noun)
    return row


async def finish_planning(session: Session, clock: Clock, *, tenant: Tenant, run: asyncpg.Record) -> str:
    """End the planning of a run and return its next state: `proposed`, or `committing` where it was asked to go out and nothing holds it.

    One that may go out and has nothing to carry out is `committed` at once. `tenant` is read in the same transaction.
    """
    tenant_id = tenant.tenant_id
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=LedgerId(run["ledger_id"]))
    run_id = RunId(run["run_id"])
    asked_to_go = run["commit_at_once"] and not run["dry_run"]
    held = why_held(await gate_of(session, clock, tenant, ledger, run["counts"]), clock.now()) if asked_to_go else []
    first = held[0].code.value if held else None
    reasons = [one.as_data() for one in held]
    state = "committing" if asked_to_go and not held else "proposed"
    await run_store.set_state(session, tenant_id, run_id, state, held_because=first, held_reasons=reasons, finished=run["dry_run"])
    actions = run["counts"].get("actions", 0)
    told = [] if run["dry_run"] else [("run.proposed", {"actions": actions, "held_because": first, "held_reasons": reasons})]
    told += [("run.committed", {})] if state == "committing" else []
    made = [NewEvent(kind, "run", run_id, None, data) for kind, data in told]
    await events.record_many(session, clock, tenant_id=tenant_id, actor=run["actor"], events=made)
    if state == "committing" and not actions:
        await finish_run(session, clock, tenant_id=tenant_id, run=run)
        return "committed"
    if state == "committing":
        await due_work.ring(session, tenant_id, "run")
    return state


@dataclass(frozen=True, slots=True)
class RunBatch:
    """Hold what a run decided about some customers, with the first of the claim numbers taken for them; None: they are taken when it is carried out."""

    planned: Sequence[Planned]
    numbers_from: int | None = None

    def single(self) -> list[RunBatch]:
        """Return batches of one customer each, for when the whole did not go through."""
        return [RunBatch([one]) for one in self.planned]


async def next_batch(session: Session, *, tenant_id: TenantId, run: asyncpg.Record, after: CustomerId | None, limit: int) -> RunBatch:
    """Return the next customers of a committing run past one of them, and take the numbers of their claims; an empty batch: none are left.

    The numbers are taken in this short transaction, so that the ledger's counter is free again while the batch is carried out; those of a batch
    that is then not carried out stay gaps.
    """
    rows = await run_store.to_execute(session, tenant_id, RunId(run["run_id"]), after, limit)
    planned = [_planned(row) for row in rows]
    count = execute.claims_of(planned)
    first = await sheet_store.take_numbers(session, tenant_id, LedgerId(run["ledger_id"]), "claim", count) if count else None
    return RunBatch(planned, first)


def _planned(row: asyncpg.Record) -> Planned:
    return Planned(CustomerId(row["customer_id"]), row["facts_version"], planning.stored_plan(row["plan"]))


async def execute_batch(session: Session, clock: Clock, *, tenant: Tenant, run: asyncpg.Record, outbound: Outbound, batch: RunBatch) -> None:
    """Carry out the plans of some customers of a committing run and store what became of each. `tenant` is read in the same transaction.

    Raises `SendingOff` once the tenant may no longer send; nothing of the batch is done then.
    """
    tenant_id = tenant.tenant_id
    if not tenant.may_send:
        msg = "Sending was switched off while the run went out."
        raise SendingOff(msg)
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=LedgerId(run["ledger_id"]))
    today = local_date(clock.now(), ledger.time_zone)
    terms = RunTerms(RunId(run["run_id"]), run["content_mode"], today == run["local_date"] and ledger.revision == run["ledger_revision"])
    scene = Scene(tenant, ledger, outbound, today, run["actor"])
    outcomes = await execute.execute_customers(session, clock, scene, run=terms, planned=batch.planned, numbers_from=batch.numbers_from)
    await run_store.set_outcomes(session, tenant_id, terms.run_id, list(outcomes), list(outcomes.values()), [None] * len(outcomes))


async def hold_run(session: Session, clock: Clock, *, tenant_id: TenantId, run: asyncpg.Record, because: HeldBecause) -> None:
    """Make a committing run a proposal again, because it may not go on."""
    run_id = RunId(run["run_id"])
    await run_store.set_state(session, tenant_id, run_id, "proposed", held_because=because.value, held_reasons=[Held(because).as_data()])
    await _tell(session, clock, tenant_id, run["actor"], "run.held", run_id, {"held_because": because.value})


async def finish_run(session: Session, clock: Clock, *, tenant_id: TenantId, run: asyncpg.Record) -> None:
    """End a run whose customers were all carried out."""
    run_id = RunId(run["run_id"])
    await run_store.close_excluded(session, tenant_id, run_id)
    outcomes = await run_store.outcome_counts(session, tenant_id, run_id)
    await run_store.add_counts(session, tenant_id, run_id, {"outcomes": outcomes})
    await run_store.set_state(session, tenant_id, run_id, "committed", finished=True)
    await _tell(session, clock, tenant_id, run["actor"], "run.finished", run_id, {"outcomes": outcomes})


async def fail_run(session: Session, clock: Clock, *, tenant_id: TenantId, run: asyncpg.Record, error: Exception) -> None:
    """End a run that cannot go on; what was carried out before stays."""
    run_id = RunId(run["run_id"])
    await run_store.set_state(session, tenant_id, run_id, "failed", error=planning.error_text(error), finished=True)
    await _tell(session, clock, tenant_id, run["actor"], "run.failed", run_id, {"error": type(error).__name__})


async def retry_customer(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, run_id: RunId, customer_id: CustomerId, outbound: Outbound
) -> asyncpg.Record:
    """Carry out once more what failed for one customer of a committed run; raise `NotProposed` where nothing failed."""
    run = await run_store.run_for_change(session, tenant_id, run_id)
    row = None if run is None else await run_store.customer_of_run(session, tenant_id, run_id, customer_id)
    if run is None or row is None:
        noun = "customer in this run"
        raise NotFound(noun)
    if row["outcome"] != "failed" or row["action_count"] == 0 or run["state"] not in {"committed", "committing"}:
        msg = f"Nothing of this customer failed in the run (outcome {row['outcome']}). Only a failed customer of a committed run is retried."
        raise NotProposed(msg, outcome=row["outcome"])
    await _tell(session, clock, tenant_id, actor, "run.retried", run_id, {"customer_id": customer_id})
    tenant = await tenancy.tenant_of(session, tenant_id)
    await execute_batch(session, clock, tenant=tenant, run=run, outbound=outbound, batch=RunBatch([_planned(row)]))
    return await customer_of_run(session, tenant_id=tenant_id, run_id=run_id, customer_id=customer_id)


async def _tell(session: Session, clock: Clock, tenant_id: TenantId, actor: str, kind: str, run_id: RunId, data: dict[str, Any]) -> None:
    await events.record(session, clock, tenant_id=tenant_id, kind=kind, subject_kind="run", subject_id=run_id, actor=actor, data=data)
