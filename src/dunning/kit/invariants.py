"""Sentences about stored data that must always be true, each with the statement that finds what breaks it."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass

import dunning
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


def all_checks() -> list[Check]:
    """Return the checks of every folder that has an `invariants` module with `CHECKS`, in the order of the folders' names."""
    found: list[Check] = []
    for folder in sorted(module.name for module in pkgutil.iter_modules(dunning.__path__) if module.ispkg):
        name = f"dunning.{folder}.invariants"
        if folder != "kit" and importlib.util.find_spec(name) is not None:
            found += importlib.import_module(name).CHECKS
    return found


async def violations(session: ReadSession, tenant_id: TenantId, checks: Sequence[Check], shown: int = SHOWN) -> list[Violation]:
    """Run checks for one tenant and return what breaks them, up to `shown` each."""
    found: list[Violation] = []
    for check in checks:
        rows = await session.rows(f"select subject, detail from ({check.sql}) v limit {int(shown)}", tenant_id)
        found += [Violation(check.name, row["subject"], row["detail"]) for row in rows]
    return found
