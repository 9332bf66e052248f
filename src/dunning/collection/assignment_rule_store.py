"""Statements on assignment rules."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import LedgerId, PersonId, RuleId, TenantId

_RULE = "rule_id, ledger_id, rank, name, role, person_ids, conditions, active, version, created_at, updated_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleValues:
    """What is stated about a rule."""

    rank: int
    name: str
    role: str
    person_ids: Sequence[UUID]
    conditions: Mapping[str, Any]
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRule(RuleValues):
    """One rule as it is stored."""

    rule_id: RuleId
    ledger_id: LedgerId
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime


async def insert_rule(session: Session, tenant_id: TenantId, ledger_id: LedgerId, rule_id: RuleId, values: RuleValues) -> None:
    """Insert a rule; a rank that is taken raises the unique violation."""
    v = values
    await session.execute(
        """insert into assignment_rule (tenant_id, ledger_id, rule_id, rank, name, role, person_ids, conditions, active)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        tenant_id, ledger_id, rule_id, v.rank, v.name, v.role, list(v.person_ids), dict(v.conditions), v.active,
    )  # fmt: skip


async def update_rule(session: Session, tenant_id: TenantId, rule_id: RuleId, values: RuleValues) -> None:
    """Write all that is stated about a rule, as a new version."""
    v = values
    await session.execute(
        """update assignment_rule set rank = $3, name = $4, role = $5, person_ids = $6, conditions = $7, active = $8, version = version + 1,
                  updated_at = clock_timestamp()
            where tenant_id = $1 and rule_id = $2""",
        tenant_id, rule_id, v.rank, v.name, v.role, list(v.person_ids), dict(v.conditions), v.active,
    )  # fmt: skip


async def rule_of(session: ReadSession, tenant_id: TenantId, rule_id: RuleId) -> StoredRule | None:
    """Return one rule."""
    row = await session.row(f"select {_RULE} from assignment_rule where tenant_id = $1 and rule_id = $2", tenant_id, rule_id)
    return None if row is None else StoredRule(**dict(row))


async def rule_for_change(session: Session, tenant_id: TenantId, rule_id: RuleId) -> StoredRule | None:
    """Return one rule with its row locked."""
    row = await session.row(f"select {_RULE} from assignment_rule where tenant_id = $1 and rule_id = $2 for update", tenant_id, rule_id)
    return None if row is None else StoredRule(**dict(row))


async def rules_after(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, after: UUID | None, limit: int) -> list[StoredRule]:
    """Return the rules of a ledger past an id, by id."""
    rows = await session.rows(
        f"select {_RULE} from assignment_rule where tenant_id = $1 and ledger_id = $2 and ($3::uuid is null or rule_id > $3) order by rule_id limit $4",
        tenant_id,
        ledger_id,
        after,
        limit,
    )
    return [StoredRule(**dict(row)) for row in rows]


async def active_rules(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId) -> list[StoredRule]:
    """Return the active rules of a ledger, by role and rank."""
    rows = await session.rows(
        f"select {_RULE} from assignment_rule where tenant_id = $1 and ledger_id = $2 and active order by role, rank", tenant_id, ledger_id
    )
    return [StoredRule(**dict(row)) for row in rows]


async def rules_naming(session: ReadSession, tenant_id: TenantId, person_id: PersonId) -> list[RuleId]:
    """Return the active rules that name somebody."""
    rows = await session.rows(
        "select rule_id from assignment_rule where tenant_id = $1 and $2 = any (person_ids) and active order by rule_id", tenant_id, person_id
    )
    return [RuleId(row["rule_id"]) for row in rows]
