"""Sentences about stored data that must always be true, each with the statement that finds what breaks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dunning.kit.database import ReadSession
from dunning.kit.ids import TenantId

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant. `sql` takes the tenant as `$1` and returns a row `(subject, detail)`, both text, for each violation."""

    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that breaks an invariant."""

    check: str
    subject: str
    detail: str


async def violations(session: ReadSession, tenant_id: TenantId, checks: Sequence[Check], shown: int = SHOWN) -> list[Violation]:
    """Run checks for one tenant and return what breaks them, up to `shown` each."""
    found: list[Violation] = []
    for check in checks:
        rows = await session.rows(f"select subject, detail from ({check.sql}) v limit {int(shown)}", tenant_id)
        found += [Violation(check.name, row["subject"], row["detail"]) for row in rows]
    return found
