"""Changing the future steps of one customer: insert, change or remove one, without touching the scenario that others share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from dunning.collection import catalogue, override_store
from dunning.collection.override_store import StoredOverride
from dunning.events import service as events
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed, NotFound
from dunning.kit.ids import CustomerId, LedgerId, OverrideId, ScenarioId, TenantId, new_id
from dunning.ledger import ledger_store
from dunning.ledger.customer_state import facts_changed, lock_customers
from dunning.ledger.customer_store import customer_of
from dunning.scenarios import definition, store
from dunning.scenarios.linter import Severity, lint
from dunning.scenarios.overrides import NoPlace, Override, OverrideKind, applied, problems_of, varied
from dunning.scenarios.ports import Templates
from dunning.scenarios.steps import Scenario
from dunning.tenancy import service as tenancy


class OverrideRefused(Malformed):
    """The override does not make a step that can be carried out; `errors` lists every place."""

    code = "override_refused"
    title = "The step cannot be changed so"


class NotPublished(Conflict):
    """The scenario has no published version, so nobody follows it."""

    code = "scenario_not_published"
    title = "The scenario is not published"


class OverrideEnded(Conflict):
    """The override was removed before."""

    code = "override_ended"
    title = "The override is not in force"


async def set_override(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    customer_id: CustomerId,
    scenario_id: ScenarioId,
    kind: OverrideKind,
    step_code: str,
    content: Mapping[str, Any],
    reason: str,
    templates: Templates,
) -> StoredOverride:
    """Change one step of a scenario for one customer and return the override; one in force for the same step is replaced.

    What was planned before stays in the event. Raises `NotFound`, `NotPublished`, or `OverrideRefused` naming every wrong place.
    """
    await lock_customers(session, tenant_id, [customer_id])
    customer = await customer_of(session, tenant_id, customer_id)
    if customer is None:
        noun = "customer"
        raise NotFound(noun)
    scenario = await _scenario(session, tenant_id, scenario_id)
    override = Override(kind.value, step_code, dict(content))
    problems = problems_of(scenario, override)
    if problems:
        raise _refused(problems)
    in_force = [one for one in await override_store.overrides_of(session, tenant_id, [customer_id]) if one.scenario_id == scenario_id]
    left = applied(scenario, map(as_rule, in_force))[1]
    others = [as_rule(one) for one in in_force if one.step_code not in {step_code, *left}]
    try:
        variant = varied(scenario, [*others, override])
    except definition.InvalidDefinition as error:
        raise _refused(error.problems) from None
    frozen = await _templates(session, tenant_id, variant, step_code, templates)
    for replaced in (one for one in in_force if one.step_code == step_code):
        await override_store.remove_override(session, tenant_id, replaced.override_id, actor, clock.now())
    made = StoredOverride(
        override_id=OverrideId(new_id()), ledger_id=customer.ledger_id, customer_id=customer_id, scenario_id=scenario_id, kind=kind.value,
        step_code=step_code, content=dict(content), template_versions=frozen, reason=reason, actor=actor, author=actor,
        created_at=clock.now(), removed_at=None, removed_by=None, removed_by_name=None,
    )  # fmt: skip
    await override_store.insert_override(session, tenant_id, made)
    before = next((definition.step_content(step) for step in scenario.steps if step.code == step_code), None)
    data = {"scenario_id": scenario_id, "kind": kind.value, "step_code": step_code, "content": dict(content), "planned_before": before, "reason": reason}
    await events.record(
        session, clock, tenant_id=tenant_id, kind="step_override.set", subject_kind="step_override", subject_id=made.override_id, actor=actor,
        customer_id=customer_id, data=data,
    )  # fmt: skip
    await _changed(session, clock, tenant_id, customer_id, customer.ledger_id)
    return await override_of(session, tenant_id=tenant_id, override_id=made.override_id)


async def remove_override(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, override_id: OverrideId, reason: str) -> StoredOverride:
    """Let a customer follow the scenario's own step again; raise `NotFound`, or `OverrideEnded` on a second call."""
    found = await override_of(session, tenant_id=tenant_id, override_id=override_id)
    await lock_customers(session, tenant_id, [found.customer_id])
    if not await override_store.remove_override(session, tenant_id, override_id, actor, clock.now()):
        msg = "This override is no longer in force."
        raise OverrideEnded(msg)
    await events.record(
        session, clock, tenant_id=tenant_id, kind="step_override.removed", subject_kind="step_override", subject_id=override_id, actor=actor,
        customer_id=found.customer_id, data={"scenario_id": found.scenario_id, "step_code": found.step_code, "reason": reason},
    )  # fmt: skip
    await _changed(session, clock, tenant_id, found.customer_id, found.ledger_id)
    return await override_of(session, tenant_id=tenant_id, override_id=override_id)


async def override_of(session: ReadSession, *, tenant_id: TenantId, override_id: OverrideId) -> StoredOverride:
    """Return an override; raise `NotFound`."""
    found = await override_store.override_of(session, tenant_id, override_id)
    if found is None:
        noun = "step override"
        raise NotFound(noun)
    return found


async def overrides_after(session: ReadSession, *, tenant_id: TenantId, customer_id: CustomerId, after: UUID | None, limit: int) -> list[StoredOverride]:
    """Return a customer's overrides past an id, the former ones too; raise `NotFound` for an unknown customer."""
    if await customer_of(session, tenant_id, customer_id) is None:
        noun = "customer"
        raise NotFound(noun)
    return await override_store.overrides_after(session, tenant_id, customer_id, after, limit)


async def without_place(session: ReadSession, *, tenant_id: TenantId, stored: Sequence[StoredOverride]) -> dict[OverrideId, NoPlace]:
    """Return those of some overrides in force that the present version of their scenario has no place for, each with why; they change nothing."""
    asked = [one for one in stored if one.removed_at is None]
    present = await override_store.present_versions(session, tenant_id, {one.scenario_id for one in asked})
    known = await catalogue.load(session, tenant_id, [(str(scenario_id), version) for scenario_id, version in present.items()])
    # Whether one fits depends on those before it, which a page may not show.
    together: defaultdict[tuple[CustomerId, ScenarioId], list[StoredOverride]] = defaultdict(list)
    for one in await override_store.overrides_of(session, tenant_id, {one.customer_id for one in asked}):
        together[one.customer_id, one.scenario_id].append(one)
    found: dict[OverrideId, NoPlace] = {}
    for (_, scenario_id), of_customer in together.items():
        if scenario_id in present:
            left = applied(known[str(scenario_id), present[scenario_id]].compiled.scenario, map(as_rule, of_customer))[1]
            found |= {one.override_id: left[one.step_code] for one in of_customer if one.step_code in left}
    return found


def as_rule(stored: StoredOverride) -> Override:
    """Return an override as the rules take it."""
    return Override(stored.kind, stored.step_code, stored.content)


async def _scenario(session: ReadSession, tenant_id: TenantId, scenario_id: ScenarioId) -> Scenario:
    row = await store.scenario_row(session, tenant_id, scenario_id)
    if row is None:
        noun = "scenario"
        raise NotFound(noun)
    if row["published_version"] is None:
        msg = "Publish the scenario first: nobody follows a draft."
        raise NotPublished(msg)
    version = await store.version_row(session, tenant_id, scenario_id, row["published_version"])
    if version is None:
        noun = "scenario version"
        raise NotFound(noun)
    return definition.parse(version["content"])


async def _templates(session: ReadSession, tenant_id: TenantId, variant: Scenario, step_code: str, templates: Templates) -> dict[str, Any]:
    """Return the template versions that the step names, frozen as a scenario's are; raise `OverrideRefused` for what the linter finds in it."""
    place, step = next((n, step) for n, step in enumerate(variant.steps) if step.code == step_code)
    codes = {notice.template for notice in step.notices}
    if step.removed or not codes:
        return {}
    published = await templates.published(session, tenant_id, codes)
    tenant = await tenancy.tenant_of(session, tenant_id)
    facts = {code: found.facts for code, found in published.items()}
    findings = lint(variant, facts, tenant.languages)
    wrong = [(found.path, found.message) for found in findings if found.severity is Severity.ERROR and found.path.startswith(f"steps[{place}]")]
    if wrong:
        raise _refused([(path.removeprefix(f"steps[{place}]").lstrip(".") or "step", message) for path, message in wrong])
    return {code: [str(found.template_id), found.version] for code, found in published.items()}


def _refused(problems: Collection[tuple[str, str]] | Sequence[Any]) -> OverrideRefused:
    errors = [{"field": path, "message": message} for path, message in problems]
    return OverrideRefused("; ".join(f"{error['field']}: {error['message']}" for error in errors), errors=errors)


async def _changed(session: Session, clock: Clock, tenant_id: TenantId, customer_id: CustomerId, ledger_id: LedgerId) -> None:
    ledger = await ledger_store.ledger_of(session, tenant_id, ledger_id)
    if ledger is not None:
        await facts_changed(session, tenant_id, [customer_id], local_date(clock.now(), ledger.time_zone))
