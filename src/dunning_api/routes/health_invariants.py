"""Whether the tenant's data is sound."""

from __future__ import annotations

from typing import Annotated

from dunning.kit import invariants
from dunning_api.deps import Work, reads
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.health import InvariantsOut

router = Router(tags=["operation"])


@router.get("/health/invariants", summary="Is the data sound", responses=problems())
async def get_invariants(work: Annotated[Work, reads()]) -> InvariantsOut:
    """Recompute every stored counter and rule of the tenant and name what breaks one; `sound` is true when nothing does."""
    checks = invariants.all_checks()
    return InvariantsOut.of(checks, await invariants.violations(work.session, work.tenant_id, checks))
