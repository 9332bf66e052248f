"""Verifying a run: what it decided is decided again from the inputs that it stored, and must come out the same."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass
from typing import Any

from dunning.collection import catalogue, run_store, runs
from dunning.kit.database import ReadSession
from dunning.kit.ids import CustomerId, RunId, TenantId
from dunning.scenarios.rules import plan
from dunning.scenarios.snapshot import UnknownFormat, decode_inputs, encode_plan

PAGE = 200
SHOWN = 50
"""Differences that are shown in full; all are counted."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Hold one customer whose decision does not come out as it was stored. `what` names the parts that differ, or why it cannot be told."""

    customer_id: CustomerId
    what: tuple[str, ...]
    stored: dict[str, Any] | None
    recomputed: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Verification:
    """Hold what verifying a run found: customers decided again, how many agree, and those that do not."""

    run_id: RunId
    checked: int
    agreed: int
    differences: tuple[Difference, ...]
    differences_count: int


async def verify_run(session: ReadSession, *, tenant_id: TenantId, run_id: RunId) -> Verification:
    """Decide again what a run decided for every customer that got an action, and compare; raise `NotFound` for an unknown run.

    Inputs are kept for a while only (`inputs_kept_days`); customers without them are not counted. Running it again gives the same answer.
    """
    await runs.run_of(session, tenant_id=tenant_id, run_id=run_id)
    checked, found = 0, 0
    shown: list[Difference] = []
    after = None
    while rows := await run_store.inputs_after(session, tenant_id, run_id, after, PAGE):
        after = rows[-1]["customer_id"]
        for row in rows:
            checked += 1
            difference = await _compare(session, tenant_id, row)
            if difference is not None:
                found += 1
                shown += [difference] if len(shown) < SHOWN else []
    return Verification(run_id, checked, checked - found, tuple(shown), found)


async def _compare(session: ReadSession, tenant_id: TenantId, row: Any) -> Difference | None:
    customer_id = CustomerId(row["customer_id"])
    try:
        data = zlib.decompress(row["inputs"])
        inputs = decode_inputs(data)
    except (zlib.error, UnknownFormat):
        return Difference(customer_id, ("inputs_unreadable",), None, None)
    if hashlib.sha256(data).digest() != row["inputs_sha256"]:
        return Difference(customer_id, ("inputs_altered",), None, None)
    known = await catalogue.load(session, tenant_id, inputs.versions)
    again = encode_plan(plan(inputs.position, known.compiled, inputs.today))
    if hashlib.sha256(again).digest() == row["plan_sha256"]:
        return None
    stored = {name: value for name, value in row["plan"].items() if name != "unreachable"}
    recomputed = json.loads(again)
    parts = tuple(name for name in recomputed if recomputed[name] != stored.get(name))
    return Difference(customer_id, parts or ("hash",), stored, recomputed)
