"""What is known before a planned run may go out: read once, then judged by the breakers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from dunning.collection import breaker_store, run_store
from dunning.collection.breakers import Gate
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession
from dunning.ledger.ledger_store import Ledger
from dunning.tenancy.service import Tenant

USUAL_DAYS = 30


async def gate_of(session: ReadSession, clock: Clock, tenant: Tenant, ledger: Ledger, counts: Mapping[str, Any]) -> Gate:
    """Return what decides whether a run with these counts goes out by itself."""
    tenant_id, ledger_id = tenant.tenant_id, ledger.ledger_id
    return Gate(
        stopped=tenant.stopped_at is not None,
        sending_enabled=tenant.sending_enabled,
        first_run_approved=ledger.first_run_approved,
        run_mode=ledger.run_mode,
        freshness_limit_hours=ledger.freshness_limit_hours,
        complete_as_of=ledger.complete_as_of,
        planned=counts.get("actions", 0),
        usual=await run_store.usual_counts(session, tenant_id, ledger_id, clock.now() - dt.timedelta(days=USUAL_DAYS)),
        finished_runs=await breaker_store.finished_runs(session, tenant_id, ledger_id),
        changing_step=counts.get("changing_step", 0),
        owing=await breaker_store.owing_customers(session, tenant_id, ledger_id),
        step_change_limit_percent=ledger.step_change_limit_percent,
        imports=await breaker_store.import_volumes(session, tenant_id, ledger_id),
        largest_minor=counts.get("largest_minor", {}),
        limit_minor={limit["currency"]: limit["minor"] for limit in ledger.message_limit},
    )
