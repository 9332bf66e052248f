"""Verifying a run: what it decided is decided again from the inputs that it stored, and must come out the same.

Three things must agree for each customer: the decision as it is stored, the hash stored beside it, and the decision made again. A stored
decision that was altered with its hash left alone is found as well as one that comes out otherwise.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass
from typing import Any

from dunning.collection import catalogue, run_store, runs
from dunning.kit.database import ReadSession
from dunning.kit.ids import CustomerId, RunId, TenantId
from dunning.scenarios.overrides import Override
from dunning.scenarios.rules import plan
from dunning.scenarios.snapshot import UnknownFormat, decode_inputs, encode_plan, plan_content_bytes

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
    """Hold what verifying a run found: customers decided again, how many agree, and those that do not.

    `differences_count` also counts customers that could not be decided again, but whose stored decision is not the one that was hashed.
    """

    run_id: RunId
    checked: int
    agreed: int
    differences: tuple[Difference, ...]
    differences_count: int


async def verify_run(session: ReadSession, *, tenant_id: TenantId, run_id: RunId) -> Verification:
    """Decide again what a run decided for every customer that got an action, and compare; raise `NotFound` for an unknown run.

    Inputs are kept for a while only (`inputs_kept_days`), and only of customers that got an action; of the others it is looked at whether
    their stored decision is still the one that was hashed, and they count only where it is not. Running it again gives the same answer.
    """
    await runs.run_of(session, tenant_id=tenant_id, run_id=run_id)
    checked, agreed, found = 0, 0, 0
    shown: list[Difference] = []
    after = None
    while rows := await run_store.decisions_after(session, tenant_id, run_id, after, PAGE):
        after = rows[-1]["customer_id"]
        for row in rows:
            decided_again = row["inputs"] is not None
            difference = await _compare(session, tenant_id, row) if decided_again else _altered(row)
            checked += decided_again
            if difference is None:
                agreed += decided_again
            else:
                found += 1
                shown += [difference] if len(shown) < SHOWN else []
    return Verification(run_id, checked, agreed, tuple(shown), found)


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
    own = [(str(scenario_id), Override(kind, code, json.loads(text))) for scenario_id, kind, code, text in inputs.position.overrides]
    again = encode_plan(plan(inputs.position, known.with_own_steps(own).compiled, inputs.today))
    stored = _stored(row)
    if hashlib.sha256(again).digest() == row["plan_sha256"] and plan_content_bytes(stored) == again:
        return None
    recomputed = json.loads(again)
    parts = tuple(name for name in sorted({*recomputed, *stored}) if recomputed.get(name) != stored.get(name))
    return Difference(customer_id, parts or ("hash",), stored, recomputed)


def _altered(row: Any) -> Difference | None:
    """Look at a decision whose inputs are not kept: what is stored must be what was hashed."""
    stored = _stored(row)
    if not stored or hashlib.sha256(plan_content_bytes(stored)).digest() == row["plan_sha256"]:
        # Nothing is stored of a customer whose planning failed, or that was left out before it was planned.
        return None
    return Difference(CustomerId(row["customer_id"]), ("decision_altered",), stored, None)


def _stored(row: Any) -> dict[str, Any]:
    """Return a stored decision without the note of whom nobody could be told, which is no part of it."""
    return {name: value for name, value in row["plan"].items() if name != "unreachable"}
