"""The step of many customers at once: the ladders of a tenant as rows, beside which a statement puts what was completed.

The step of a customer is what `scenarios.rules.customer_step` says. Here the same ladders decide, written out by `scenarios.rules.rungs_of`.
"""

from __future__ import annotations

from typing import Any

from dunning.collection import catalogue, override_store, step_store
from dunning.collection.override_store import StoredOverride
from dunning.collection.step_store import Rungs
from dunning.kit.database import ReadSession
from dunning.kit.ids import CustomerId, TenantId
from dunning.scenarios.rules import Id, Rung, Scenarios, rungs_of


async def rungs(session: ReadSession, tenant_id: TenantId) -> Rungs:
    """Return the rungs of all ladders of a tenant, as `step_store.STEP` takes them, with those of customers whose own steps make another ladder."""
    versions = await step_store.versions(session, tenant_id)
    known = await catalogue.load(session, tenant_id, [(str(row["scenario_id"]), row["version"]) for row in versions])
    present: dict[Id, int] = {str(row["scenario_id"]): row["published_version"] for row in versions}
    compiled = known.compiled
    shared: dict[Id, list[Rung]] = {scenario_id: rungs_of(scenario_id, compiled[scenario_id, version], compiled) for scenario_id, version in present.items()}
    made = [_row(rung) for ladder in shared.values() for rung in ladder]
    own: dict[CustomerId, list[StoredOverride]] = {}
    for override in await override_store.overrides_that_move(session, tenant_id):
        own.setdefault(override.customer_id, []).append(override)
    for customer_id, overrides in own.items():
        varied: Scenarios = known.varied_by(overrides).compiled
        for scenario_id in _changed(overrides, present):
            ladder = rungs_of(scenario_id, varied[scenario_id, present[scenario_id]], varied)
            if ladder != shared[scenario_id]:
                made += [_row(rung, customer_id) for rung in ladder]
    return made


def _changed(overrides: list[StoredOverride], present: dict[Id, int]) -> set[Id]:
    own: set[Id] = {str(override.scenario_id) for override in overrides}
    return own & present.keys()


def _row(rung: Rung, customer_id: CustomerId | None = None) -> dict[str, Any]:
    return {**rung._asdict(), "customer_id": None if customer_id is None else str(customer_id)}
