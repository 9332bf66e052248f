"""Ledgers: creating, changing, and stating how fresh their facts are."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from dunning.events import due_work
from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed, NotFound, PreconditionFailed
from dunning.kit.ids import LedgerId, TenantId, new_id
from dunning.ledger import item_statuses, ledger_store, settings_check
from dunning.ledger.ledger_store import Ledger


class ExternalIdTaken(Conflict):
    """Another ledger has the external id."""

    code = "external_id_taken"
    title = "The external id is taken"


class BalanceSourceFixed(Conflict):
    """Documents exist, so the origin of balances cannot change."""

    code = "balance_source_fixed"
    title = "The balance source is fixed"


async def create_ledger(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, **values: Any) -> Ledger:
    """Create a ledger. Nothing is sent for it until a scenario is assigned, a first run was approved and sending is on.

    Raises `Malformed` naming each wrong setting, `ExternalIdTaken`, or `NotFound` for an unknown scenario.
    """
    await _check(session, tenant_id, values)
    ledger_id = LedgerId(new_id())
    if not await ledger_store.insert_ledger(session, tenant_id, ledger_id, values):
        msg = f"A ledger with external_id {values['external_id']} exists. Change that one with PATCH, or take another external_id."
        raise ExternalIdTaken(msg)
    await item_statuses.install_built_in(session, tenant_id=tenant_id)
    await events.record(session, clock, tenant_id=tenant_id, kind="ledger.created", subject_kind="ledger", subject_id=ledger_id, actor=actor)
    # The nightly hour of a new or changed ledger must be looked at by the schedule.
    await due_work.ring(session, tenant_id, "schedule")
    return await ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)


async def update_ledger(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger_id: LedgerId, expected_version: int | None, **values: Any
) -> Ledger:
    """Change the given settings and have all customers planned again.

    Raises `PreconditionFailed` when the ledger is no longer at `expected_version` (None: whatever it is), `BalanceSourceFixed` once documents exist. Settings that are
    all as they were change nothing.
    """
    ledger = await ledger_store.ledger_for_change(session, tenant_id, ledger_id)
    if ledger is None:
        noun = "ledger"
        raise NotFound(noun)
    if expected_version is not None and ledger.version != expected_version:
        msg = f"The ledger is at version {ledger.version}, not {expected_version}. Read it again and repeat the change on what it says now."
        raise PreconditionFailed(msg, version=ledger.version)
    # Some settings are judged together, so the stored ones fill what was not given.
    whole = {name: getattr(ledger, name) for name in ledger_store.SETTINGS} | values
    if values.get("policy", "scenario") != "scenario" and "scenario_id" not in values:
        whole["scenario_id"] = None
    await _check(session, tenant_id, whole)
    changed = {name: value for name, value in whole.items() if value != getattr(ledger, name)}
    if "balance_source" in changed and await ledger_store.has_documents(session, tenant_id, ledger_id):
        msg = "balance_source cannot change once documents or receipts exist: open amounts would lose their explanation. Create another ledger."
        raise BalanceSourceFixed(msg)
    if not changed:
        return ledger
    await ledger_store.update_ledger(session, tenant_id, ledger_id, changed)
    await events.record(
        session,
        clock,
        tenant_id=tenant_id,
        kind="ledger.changed",
        subject_kind="ledger",
        subject_id=ledger_id,
        actor=actor,
        data={"fields": sorted(changed)},
    )
    await due_work.ring(session, tenant_id, "schedule")
    return await ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)


async def ledger_of(session: ReadSession, *, tenant_id: TenantId, ledger_id: LedgerId) -> Ledger:
    """Return a ledger; raise `NotFound`."""
    ledger = await ledger_store.ledger_of(session, tenant_id, ledger_id)
    if ledger is None:
        noun = "ledger"
        raise NotFound(noun)
    return ledger


async def ledgers_after(session: ReadSession, *, tenant_id: TenantId, after: UUID | None, limit: int, external_id: str | None = None) -> list[Ledger]:
    """Return ledgers past an id, by id; with an external id, that one or none."""
    return await ledger_store.ledgers_after(session, tenant_id, after, limit, external_id)


async def state_freshness(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger_id: LedgerId, complete_as_of: dt.datetime) -> Ledger:
    """State that all facts up to an instant have been given. Earlier instants than the stored one change nothing; future ones are refused."""
    await ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    if complete_as_of > clock.now():
        msg = "complete_as_of lies in the future: state until when the data you have sent is complete."
        raise Malformed(msg, errors=[{"field": "complete_as_of", "message": "lies in the future"}])
    await ledger_store.raise_complete_as_of(session, tenant_id, ledger_id, complete_as_of)
    await events.record(
        session,
        clock,
        tenant_id=tenant_id,
        kind="ledger.freshness_stated",
        subject_kind="ledger",
        subject_id=ledger_id,
        actor=actor,
        data={"complete_as_of": complete_as_of},
    )
    return await ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)


async def _check(session: Session, tenant_id: TenantId, values: dict[str, Any]) -> None:
    faults = settings_check.faults_of(values)
    policy, scenario_id = values.get("policy", "never"), values.get("scenario_id")
    if (policy == "scenario") != (scenario_id is not None):
        faults.append({"field": "scenario_id", "message": "goes with policy `scenario`, and only with it"})
    if faults:
        detail = "; ".join(f"{f['field']}: {f['message']}" for f in faults[:3])
        raise Malformed(detail, errors=list(faults))
    if scenario_id is not None and not await ledger_store.known_scenarios(session, tenant_id, [scenario_id]):
        noun = "scenario"
        raise NotFound(noun)
    if values.get("bank_accounts"):
        values["bank_accounts"] = settings_check.compact_accounts(values["bank_accounts"])
