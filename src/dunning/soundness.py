"""All invariants of a tenant's data in one place: the statements of each folder, and the one that needs the planner."""

from __future__ import annotations

from dunning.collection import agreement_invariants as of_agreements
from dunning.collection import invariants as of_collection
from dunning.collection import outlook
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession
from dunning.kit.ids import TenantId
from dunning.kit.invariants import Check, Violation, violations
from dunning.ledger import invariants as of_ledger
from dunning.receipts import invariants as of_receipts

CHECKS: list[Check] = [*of_ledger.CHECKS, *of_receipts.CHECKS, *of_collection.CHECKS, *of_agreements.CHECKS]
SLEEPING = "no sleeping customer has an action today"
SLEEPING_SAMPLE = 50
"""Sleeping customers of each ledger that are planned to see that the gate hides nobody."""


def names() -> list[str]:
    """Return the sentences that are checked."""
    return [*(check.name for check in CHECKS), SLEEPING]


async def broken(session: ReadSession, clock: Clock, *, tenant_id: TenantId) -> list[Violation]:
    """Recompute everything that must always hold for a tenant and return what does not, up to twenty a sentence."""
    found = await violations(session, tenant_id, CHECKS)
    asleep = await outlook.sleeping_too_long(session, clock, tenant_id=tenant_id, sample=SLEEPING_SAMPLE)
    return found + [Violation(SLEEPING, str(customer_id), "a plan made today has an action, yet its review_on lies later") for customer_id in asleep]
