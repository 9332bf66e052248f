"""Shapes of the health of a tenant's data."""

from __future__ import annotations

from collections.abc import Sequence

from dunning.kit.invariants import Violation
from dunning_api.schemas.base import Output


class ViolationOut(Output):
    """Something that breaks an invariant."""

    check: str
    subject: str
    detail: str


class InvariantsOut(Output):
    """The sentences that were checked and what breaks them, up to twenty each."""

    sound: bool
    checks: list[str]
    violations: list[ViolationOut]

    @classmethod
    def of(cls, names: Sequence[str], found: Sequence[Violation]) -> InvariantsOut:
        """Show what was found."""
        shown = [ViolationOut(check=v.check, subject=v.subject, detail=v.detail) for v in found]
        return cls(sound=not shown, checks=list(names), violations=shown)
