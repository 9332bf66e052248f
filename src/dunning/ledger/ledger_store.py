"""Statements about ledgers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import LedgerId, ScenarioId, TenantId


@dataclass(frozen=True, slots=True)
class Ledger:
    """One creditor company's receivables: who it is, how it sends, where its balances come from."""

    ledger_id: LedgerId
    external_id: str
    name: str
    currency: str
    time_zone: str
    country: str
    subdivision: str | None
    language: str
    sender_name: str
    sender_email: str
    reply_to: str | None
    bank_accounts: list[dict[str, Any]]
    link_target: str
    crm_url: str | None
    balance_source: str
    run_mode: str
    nightly_at: str
    send_from: str
    send_until: str
    send_on_closed_days: bool
    freshness_limit_hours: int | None
    complete_as_of: dt.datetime | None
    closing_limit_percent: int
    step_change_limit_percent: int
    message_limit: list[dict[str, Any]]
    contact_budget: int | None
    contact_budget_days: int | None
    person_contact_budget: int | None
    person_contact_budget_days: int | None
    priority_weights: dict[str, int]
    undo_seconds: int
    return_hold_days: int
    challenge: str
    policy: str
    scenario_id: ScenarioId | None
    first_run_approved: bool
    revision: int
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime


_COLUMNS = ", ".join(f.name for f in fields(Ledger))
SETTINGS = [
    "name",
    "time_zone",
    "country",
    "subdivision",
    "language",
    "sender_name",
    "sender_email",
    "reply_to",
    "bank_accounts",
    "link_target",
    "crm_url",
    "balance_source",
    "run_mode",
    "nightly_at",
    "send_from",
    "send_until",
    "send_on_closed_days",
    "freshness_limit_hours",
    "closing_limit_percent",
    "step_change_limit_percent",
    "message_limit",
    "contact_budget",
    "contact_budget_days",
    "person_contact_budget",
    "person_contact_budget_days",
    "priority_weights",
    "undo_seconds",
    "return_hold_days",
    "challenge",
    "policy",
    "scenario_id",
]
"""Columns that a caller may set at any time; `balance_source` only while the ledger has no documents."""


def _ledger(row: Any) -> Ledger:
    return Ledger(**dict(row))


async def ledger_of(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId) -> Ledger | None:
    """Return one ledger."""
    row = await session.row(f"select {_COLUMNS} from ledger where tenant_id = $1 and ledger_id = $2", tenant_id, ledger_id)  # fixed words
    return None if row is None else _ledger(row)


async def ledger_for_change(session: Session, tenant_id: TenantId, ledger_id: LedgerId) -> Ledger | None:
    """Return one ledger with its row locked, so that two changes follow each other."""
    row = await session.row(
        f"select {_COLUMNS} from ledger where tenant_id = $1 and ledger_id = $2 for no key update",  # fixed words
        tenant_id,
        ledger_id,
    )
    return None if row is None else _ledger(row)


async def ledgers_after(session: ReadSession, tenant_id: TenantId, after: UUID | None, limit: int, external_id: str | None) -> list[Ledger]:
    """Return ledgers past an id, by id."""
    rows = await session.rows(
        f"""select {_COLUMNS} from ledger
             where tenant_id = $1 and ($2::uuid is null or ledger_id > $2) and ($4::text is null or external_id = $4)
             order by ledger_id limit $3""",  # fixed words
        tenant_id,
        after,
        limit,
        external_id,
    )
    return [_ledger(row) for row in rows]


async def insert_ledger(session: Session, tenant_id: TenantId, ledger_id: LedgerId, values: Mapping[str, Any]) -> bool:
    """Insert a ledger with the given columns; False when its external id is taken."""
    names = [name for name in ("external_id", "currency", *SETTINGS) if name in values]
    columns = ", ".join(names)
    places = ", ".join(f"${n}" for n in range(3, len(names) + 3))
    count = await session.execute(
        f"insert into ledger (tenant_id, ledger_id, {columns}) values ($1, $2, {places})"  # names from a fixed list
        " on conflict (tenant_id, external_id) do nothing",
        tenant_id,
        ledger_id,
        *(values[name] for name in names),
    )
    return count == 1


async def update_ledger(session: Session, tenant_id: TenantId, ledger_id: LedgerId, values: Mapping[str, Any]) -> None:
    """Set the given columns, raise the version by one and the revision by one, so that all customers are planned again."""
    names = [name for name in SETTINGS if name in values]
    sets = "".join(f", {name} = ${n}" for n, name in enumerate(names, 3))
    await session.execute(
        f"update ledger set version = version + 1, revision = revision + 1, updated_at = clock_timestamp(){sets}"  # fixed list
        " where tenant_id = $1 and ledger_id = $2",
        tenant_id,
        ledger_id,
        *(values[name] for name in names),
    )


async def has_documents(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId) -> bool:
    """Tell whether anything was ever booked in the ledger."""
    return bool(
        await session.value(
            """select exists (select 1 from document where tenant_id = $1 and ledger_id = $2)
                   or exists (select 1 from receipt where tenant_id = $1 and ledger_id = $2)""",
            tenant_id,
            ledger_id,
        )
    )


async def raise_complete_as_of(session: Session, tenant_id: TenantId, ledger_id: LedgerId, at: dt.datetime) -> None:
    """State that all facts up to an instant have been given; an earlier statement than the stored one changes nothing."""
    await session.execute("update ledger set complete_as_of = greatest(complete_as_of, $3) where tenant_id = $1 and ledger_id = $2", tenant_id, ledger_id, at)


async def known_scenarios(session: ReadSession, tenant_id: TenantId, scenario_ids: list[UUID]) -> set[UUID]:
    """Return those of the ids that are scenarios of the tenant."""
    rows = await session.rows("select scenario_id from scenario where tenant_id = $1 and scenario_id = any ($2::uuid[])", tenant_id, scenario_ids)
    return {row["scenario_id"] for row in rows}
