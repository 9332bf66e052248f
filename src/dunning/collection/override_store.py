"""Statements on one customer's own changes to the steps of a scenario."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, LedgerId, OverrideId, ScenarioId, TenantId
from dunning.tenancy.people_store import author_of


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOverride:
    """One change: `content` is the step, or the keys of it, that stands instead; template versions are frozen with it."""

    override_id: OverrideId
    ledger_id: LedgerId
    customer_id: CustomerId
    scenario_id: ScenarioId
    kind: str
    step_code: str
    content: dict[str, Any]
    template_versions: dict[str, Any]
    reason: str
    actor: str
    author: str
    created_at: dt.datetime
    removed_at: dt.datetime | None
    removed_by: str | None
    removed_by_name: str | None


_COLUMNS = (
    f"override_id, ledger_id, customer_id, scenario_id, kind, step_code, content, reason, actor, {author_of('actor')} as author, created_at, removed_at,"
    f" removed_by, {author_of('removed_by')} as removed_by_name"
)


def _override(row: asyncpg.Record) -> StoredOverride:
    content = row["content"]
    return StoredOverride(
        override_id=OverrideId(row["override_id"]),
        ledger_id=LedgerId(row["ledger_id"]),
        customer_id=CustomerId(row["customer_id"]),
        scenario_id=ScenarioId(row["scenario_id"]),
        kind=row["kind"],
        step_code=row["step_code"],
        content=content.get("step", {}),
        template_versions=content.get("template_versions", {}),
        reason=row["reason"],
        actor=row["actor"],
        author=row["author"],
        created_at=row["created_at"],
        removed_at=row["removed_at"],
        removed_by=row["removed_by"],
        removed_by_name=row["removed_by_name"],
    )


async def overrides_of(session: ReadSession, tenant_id: TenantId, customer_ids: Collection[UUID], *, removed: bool = False) -> list[StoredOverride]:
    """Return the overrides in force of some customers, oldest first; with `removed` the former ones too."""
    if not customer_ids:
        return []
    rows = await session.rows(
        f"""select {_COLUMNS} from step_override where tenant_id = $1 and customer_id = any ($2::uuid[]) and ($3 or removed_at is null)
             order by customer_id, override_id""",
        tenant_id,
        list(customer_ids),
        removed,
    )
    return [_override(row) for row in rows]


async def overrides_that_move(session: ReadSession, tenant_id: TenantId) -> list[StoredOverride]:
    """Return the overrides in force of the customers whose ladder has other steps than its scenario: one inserted, or one with a trigger of its own."""
    rows = await session.rows(
        f"""select {_COLUMNS} from step_override where tenant_id = $1 and removed_at is null and customer_id in (
              select customer_id from step_override where tenant_id = $1 and removed_at is null and (kind = 'insert' or content -> 'step' -> 'trigger' is not null))
             order by customer_id, override_id""",
        tenant_id,
    )
    return [_override(row) for row in rows]


async def override_of(session: ReadSession, tenant_id: TenantId, override_id: OverrideId) -> StoredOverride | None:
    """Return one override."""
    row = await session.row(f"select {_COLUMNS} from step_override where tenant_id = $1 and override_id = $2", tenant_id, override_id)
    return None if row is None else _override(row)


async def overrides_after(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId, after: UUID | None, limit: int) -> list[StoredOverride]:
    """Return a customer's overrides past an id, the former ones too."""
    rows = await session.rows(
        f"""select {_COLUMNS} from step_override where tenant_id = $1 and customer_id = $2 and ($3::uuid is null or override_id > $3)
             order by override_id limit $4""",
        tenant_id,
        customer_id,
        after,
        limit,
    )
    return [_override(row) for row in rows]


async def present_versions(session: ReadSession, tenant_id: TenantId, scenario_ids: Collection[ScenarioId]) -> dict[ScenarioId, int]:
    """Return the version in force of some scenarios."""
    if not scenario_ids:
        return {}
    rows = await session.rows(
        "select scenario_id, published_version from scenario where tenant_id = $1 and scenario_id = any ($2::uuid[]) and published_version is not null",
        tenant_id,
        list(scenario_ids),
    )
    return {ScenarioId(row["scenario_id"]): row["published_version"] for row in rows}


async def insert_override(session: Session, tenant_id: TenantId, override: StoredOverride) -> None:
    """Insert an override; a second one in force for the same step raises the unique violation."""
    await session.execute(
        """insert into step_override (tenant_id, override_id, ledger_id, customer_id, scenario_id, kind, step_code, content, reason, actor, created_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)""",
        tenant_id, override.override_id, override.ledger_id, override.customer_id, override.scenario_id, override.kind, override.step_code,
        {"step": override.content, "template_versions": override.template_versions}, override.reason, override.actor,
        override.created_at,
    )  # fmt: skip


async def remove_override(session: Session, tenant_id: TenantId, override_id: OverrideId, actor: str, at: dt.datetime) -> bool:
    """End an override; False when it had ended."""
    return bool(
        await session.execute(
            "update step_override set removed_at = $3, removed_by = $4 where tenant_id = $1 and override_id = $2 and removed_at is null",
            tenant_id,
            override_id,
            at,
            actor,
        )
    )
