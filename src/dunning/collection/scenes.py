"""What single actions are carried out in: tenant, ledger, today, and who acts."""

from __future__ import annotations

from dunning.collection.despatch import Outbound, Scene
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession
from dunning.kit.ids import LedgerId, TenantId
from dunning.ledger import ledgers
from dunning.tenancy import service as tenancy


async def scene_of(session: ReadSession, clock: Clock, *, tenant_id: TenantId, ledger_id: LedgerId, outbound: Outbound, actor: str) -> Scene:
    """Return the scene of a ledger at the present of the tenant's clock; raise `NotFound`."""
    tenant = await tenancy.tenant_of(session, tenant_id)
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    return Scene(tenant, ledger, outbound, local_date(clock.now(), ledger.time_zone), actor)
