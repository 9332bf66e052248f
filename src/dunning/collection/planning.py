"""Planning a run: page by page, each page one statement of facts, decisions in memory, and one set of writes with the cursor."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from dunning.collection import facts, run_store, sheet_store
from dunning.collection.catalogue import Catalogue
from dunning.collection.facts import CustomerFacts
from dunning.collection.measures import changes_step, totals_asked
from dunning.collection.recipients import told
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, RunId, TenantId
from dunning.scenarios.rules import Action, Plan, plan
from dunning.scenarios.snapshot import encode_inputs, encode_plan, inputs_of, plan_of
from dunning.scenarios.steps import Audience, Channel
from dunning.tenancy.service import Tenant

EMPTY_SHA256 = hashlib.sha256(b"").digest()
ERROR_CAP = 300
DECIDED_AT_ONCE = 25
"""Customers after which planning gives way to what else the process has to do."""
FAST = 1
"""Level of compression of stored inputs: the higher ones take three times as long for a tenth less."""


class PageFacts(NamedTuple):
    """Hold what is known about the next customers of a run; `found` is empty where none are left."""

    found: list[CustomerFacts]
    known: Catalogue


@dataclass(slots=True)
class Page:
    """Collect what was decided about the customers of a page, a list a column."""

    read: PageFacts
    customer_ids: list[CustomerId] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    action_counts: list[int] = field(default_factory=list)
    plans: list[str] = field(default_factory=list)
    inputs: list[bytes | None] = field(default_factory=list)
    inputs_sha256: list[bytes] = field(default_factory=list)
    plan_sha256: list[bytes] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    errors: list[str | None] = field(default_factory=list)
    sleepers: list[tuple[CustomerId, dt.date | None, int]] = field(default_factory=list)
    decided: list[tuple[int, Plan]] = field(default_factory=list)
    """Place in the lists and plan of each customer that has actions."""
    reasons: Counter[str] = field(default_factory=Counter)
    unreachable: int = 0

    def columns(self) -> Sequence[list[Any]]:
        """Return the lists in the order of the statement that stores them."""
        return (
            self.customer_ids, self.versions, self.action_counts, self.plans, self.inputs, self.inputs_sha256, self.plan_sha256, self.outcomes, self.errors,
        )  # fmt: skip


async def read_page(session: ReadSession, tenant_id: TenantId, run: asyncpg.Record, after: UUID | None, limit: int) -> PageFacts:
    """Return the facts about the next customers of a run past one of them.

    They may be read before the page before is written: each customer stands for itself, and what is written names the version of its facts.
    """
    chosen = run["filter"]
    named = chosen.get("customer_ids")
    found, known = await facts.due_facts(
        session, tenant_id, run["ledger_id"], run["local_date"], after=after, revision=run["ledger_revision"], limit=limit,
        every=bool(chosen), customer_ids=None if named is None else [UUID(i) for i in named], group_codes=chosen.get("customer_groups"),
    )  # fmt: skip
    return PageFacts(found, known)


async def decide_page(read: PageFacts, local_date: dt.date) -> Page:
    """Plan some customers in memory. A customer whose plan raises is listed as failed and touches no other.

    Gives way now and then, so that what else this process does, such as writing the page before, is not kept waiting.
    """
    page = Page(read)
    shared = read.known.compiled
    today = local_date.toordinal()
    for place, one in enumerate(read.found, 1):
        _decide(page, one, shared if one.known is read.known else one.known.compiled, today)
        if place % DECIDED_AT_ONCE == 0:
            await asyncio.sleep(0)
    return page


async def write_page(session: Session, tenant: Tenant, run: asyncpg.Record, page: Page) -> None:
    """Store what was decided about some customers of a run.

    The rows, the counts and the cursor are written together, so that a run killed anywhere goes on where it was.
    """
    found, _ = page.read
    await _mark_unreachable(session, tenant, page)
    run_id = RunId(run["run_id"])
    await run_store.upsert_customers(session, tenant.tenant_id, run_id, page.columns())
    if not run["dry_run"]:
        ids, days, versions = ([sleeper[n] for sleeper in page.sleepers] for n in range(3))
        await run_store.put_to_sleep(session, tenant.tenant_id, ids, days, versions, run["ledger_revision"])  # type: ignore[arg-type]  # columns of tuples
    counts, reasons = _counted(run["counts"], run["reasons"], page, found)
    await run_store.add_page(session, tenant.tenant_id, run_id, found[-1].customer_id, counts, reasons)


def _decide(page: Page, one: CustomerFacts, compiled: Mapping[Any, Any], today: int) -> None:
    page.customer_ids.append(one.customer_id)
    page.versions.append(one.facts_version)
    inputs = encode_inputs(inputs_of(one.position, compiled, today))
    page.inputs_sha256.append(hashlib.sha256(inputs).digest())
    try:
        decided = plan(one.position, compiled, today)
    except Exception as error:  # noqa: BLE001  # whatever is wrong with one customer must not keep the others from being planned
        page.action_counts.append(0)
        page.plans.append("{}")
        page.inputs.append(zlib.compress(inputs, FAST))
        page.plan_sha256.append(EMPTY_SHA256)
        page.outcomes.append("failed")
        page.errors.append(error_text(error))
        return
    written = encode_plan(decided)
    page.plans.append(written.decode())
    page.plan_sha256.append(hashlib.sha256(written).digest())
    page.action_counts.append(len(decided.actions))
    page.outcomes.append("planned" if decided.actions else "nothing")
    page.errors.append(None)
    page.inputs.append(zlib.compress(inputs, FAST) if decided.actions else None)
    for blocked in decided.reasons:
        for code in blocked.codes:
            page.reasons[code.value] += 1
    if decided.actions:
        page.decided.append((len(page.plans) - 1, decided))
    review_on = None if decided.review_on is None else dt.date.fromordinal(decided.review_on)
    page.sleepers.append((one.customer_id, review_on, one.facts_version))


def error_text(error: Exception) -> str:
    """Return what is kept of an error about one customer: its kind and what it said, cut short."""
    return f"{type(error).__name__}: {error}"[:ERROR_CAP]


async def _mark_unreachable(session: Session, tenant: Tenant, page: Page) -> None:
    """Note in each stored plan which of its actions nobody could be told of by mail as things are."""
    if not page.decided:
        return
    contacts = await sheet_store.contacts_of(session, tenant.tenant_id, [page.customer_ids[place] for place, _ in page.decided])
    for place, decided in page.decided:
        reachable, known = contacts[page.customer_ids[place]], page.read.found[place].known
        lost = [n for n, action in enumerate(decided.actions) if not _reaches(action, known, reachable, tenant)]
        if lost:
            page.unreachable += len(lost)
            page.plans[place] = f'{page.plans[place][:-1]},"unreachable":{json.dumps(lost)}}}'


def _reaches(action: Action, known: Catalogue, contacts: Sequence[Any], tenant: Tenant) -> bool:
    step = known[action.scenario_id, action.version].steps[action.step_code]
    primary = next((notice for notice in step.notices if notice.primary), None)
    if primary is None or primary.channel is not Channel.EMAIL:
        return True
    return bool(told(contacts, primary.to_roles, internal=primary.audience is Audience.INTERNAL, own_domains=tenant.internal_domains))


def _counted(counts: dict[str, Any], reasons: dict[str, int], page: Page, found: Sequence[CustomerFacts]) -> tuple[dict[str, Any], dict[str, int]]:
    steps: Counter[str] = Counter(counts.get("by_step", {}))
    rows = counts.get("rows", 0)
    for _, decided in page.decided:
        for action in decided.actions:
            steps[action.step_code] += 1
            rows += len(action.rows)
    largest = dict(counts.get("largest_minor", {}))
    for place, decided in page.decided:
        for action in decided.actions:
            nets = found[place].known[action.scenario_id, action.version].compiled.nets
            for currency, minor in totals_asked(action, found[place].position, nets=nets).items():
                largest[currency] = max(largest.get(currency, 0), minor)
    made = {
        "customers": counts.get("customers", 0) + len(found),
        "customers_with_actions": counts.get("customers_with_actions", 0) + len(page.decided),
        "actions": counts.get("actions", 0) + sum(page.action_counts),
        "rows": rows,
        "by_step": dict(steps),
        "changing_step": counts.get("changing_step", 0) + sum(changes_step(decided) for _, decided in page.decided),
        "largest_minor": largest,
        "unreachable": counts.get("unreachable", 0) + page.unreachable,
        "failed": counts.get("failed", 0) + page.outcomes.count("failed"),
    }
    return made, dict(Counter(reasons) + page.reasons)


def stored_plan(content: Mapping[str, Any]) -> Plan:
    """Read a plan as a run stored it."""
    return plan_of(content)
