"""Giving the customers of a ledger whom nobody looks after to somebody, by its rules: after files that say who owes what, and each night."""

from __future__ import annotations

from uuid import UUID

from dunning.collection import sharing
from dunning.collection.assignment_rules import ACCOUNT_MANAGER, COLLECTOR
from dunning.collection.sharing import Applied
from dunning.kit.ids import LedgerId, TenantId
from dunning.tenancy import service as tenancy
from dunning_worker.world import World

ROLES = (COLLECTOR, ACCOUNT_MANAGER)


async def assign_everybody(world: World, tenant_id: TenantId, ledger_id: LedgerId, actor: str) -> dict[str, Applied]:
    """Apply the rules of a ledger, some pages a transaction, tell once a role who is left over, and return what came of it by role.

    Twice is harmless: whoever has somebody is left alone, and of two at once the unique lead of a customer lets one win.
    """
    done = {}
    for role in ROLES:
        done[role] = Applied()
        place: UUID | None = None
        more = True
        while more:
            async with world.database.transaction(tenant_id) as session:
                clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
                part, place = await sharing.apply(session, clock, tenant_id=tenant_id, actor=actor, ledger_id=ledger_id, role=role, after=place)
                done[role].include(part)
                more = place is not None
                if not more:
                    await sharing.tell_unassigned(session, clock, tenant_id=tenant_id, actor=actor, ledger_id=ledger_id, role=role, applied=done[role])
    return done
