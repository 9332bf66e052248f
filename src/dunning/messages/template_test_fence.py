"""The last look before a test message leaves. It belongs to no customer, so there are no facts to look at again."""

from __future__ import annotations

from dunning.kit.database import Session
from dunning.kit.ids import TenantId
from dunning.messages.ports import Send, Stop
from dunning.tenancy import service as tenancy


async def fence_of_test(session: Session, tenant_id: TenantId) -> Send | Stop:
    """Decide, in the transaction that commits a test to be sent, whether it may go: the emergency stop alone keeps it back.

    Whether the address is suppressed is looked at by the statement that moves the message, as for every mail.
    """
    await tenancy.sending_lock_shared(session, tenant_id, lock_timeout="2s")
    tenant = await tenancy.tenant_of(session, tenant_id)
    return Send() if tenant.stopped_at is None else Stop("stopped")
