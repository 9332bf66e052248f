"""Whether the tenant's data is sound."""

from __future__ import annotations

from typing import Annotated

from dunning import soundness
from dunning_api.deps import Work, reads
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.health import InvariantsOut

router = Router(tags=["health"])


@router.get("/health/invariants", summary="Is the data sound", responses=problems())
async def get_invariants(work: Annotated[Work, reads()]) -> InvariantsOut:
    """Recompute every stored counter and rule of the tenant and name what breaks one; `sound` is true when nothing does."""
    return InvariantsOut.of(soundness.names(), await soundness.broken(work.session, work.clock, tenant_id=work.tenant_id))
