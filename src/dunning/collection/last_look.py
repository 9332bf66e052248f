"""What an action would tell or ask if it were carried out now: its rows looked at again on facts as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import UUID

import asyncpg

from dunning.collection import action_store, catalogue, composition, facts, override_store, specific_store
from dunning.collection.catalogue import Catalogue, Published
from dunning.collection.composition import Choice, Composition
from dunning.collection.despatch import Own, Scene
from dunning.collection.facts import CustomerFacts
from dunning.collection.override_store import StoredOverride
from dunning.collection.specific_rules import SPECIFIC, Content, select, step_of
from dunning.kit.database import ReadSession
from dunning.kit.ids import ActionId, CustomerId
from dunning.scenarios.rules import Id, compile_scenario
from dunning.scenarios.steps import Channel, ContentMode, Notice, Scenario, StepKind, Task, TaskKind


@dataclass(frozen=True, slots=True)
class Look:
    """Hold what an action says now, the version it says it in, what is its own in it, and the version of the facts that were looked at."""

    composed: Composition
    published: Published
    own: Own | None
    facts_version: int


async def published_of(session: ReadSession, scene: Scene, action: asyncpg.Record) -> Published:
    """Return the scenario version that an action belongs to; of one outside the scenario its own content, in that form."""
    return (await _published(session, scene, [action]))[ActionId(action["action_id"])]


async def _published(session: ReadSession, scene: Scene, actions: Sequence[asyncpg.Record]) -> dict[ActionId, Published]:
    found = {ActionId(action["action_id"]): own_version(action) for action in actions if action["origin"] != "scenario"}
    planned = {
        ActionId(action["action_id"]): Planned(action["customer_id"], str(action["scenario_id"]), action["scenario_version"], action["step_code"])
        for action in actions if action["origin"] == "scenario"
    }  # fmt: skip
    versions = await versions_of(session, scene, set(planned.values()))
    return found | {action_id: versions[key] for action_id, key in planned.items()}


class Planned(NamedTuple):
    """Hold what was planned for a customer: a step in a version of a scenario."""

    customer_id: UUID
    scenario_id: Id
    version: int
    step_code: str


async def versions_of(session: ReadSession, scene: Scene, planned: Collection[Planned]) -> dict[Planned, Published]:
    """Return the versions that steps were planned in, with the customers' own steps; the same number of statements however many."""
    if not planned:
        return {}
    known = await catalogue.load(session, scene.tenant_id, {(one.scenario_id, one.version) for one in planned})
    own: defaultdict[tuple[UUID, Id], list[StoredOverride]] = defaultdict(list)
    for override in await override_store.overrides_of(session, scene.tenant_id, {one.customer_id for one in planned}, removed=True):
        own[override.customer_id, str(override.scenario_id)].append(override)
    return {one: _as_planned(known, one, own[one.customer_id, one.scenario_id]) for one in planned}


def _as_planned(known: Catalogue, planned: Planned, own: Sequence[StoredOverride]) -> Published:
    key = planned.scenario_id, planned.version
    published = known.varied_by([one for one in own if one.removed_at is None])[key]
    if planned.step_code not in published.steps:
        # The step was this customer's own when the action was planned, and was taken back since.
        published = known.varied_by([one for one in own if one.step_code == planned.step_code][-1:])[key]
    return published


async def look(session: ReadSession, scene: Scene, actions: Sequence[asyncpg.Record]) -> dict[ActionId, Look]:
    """Look at actions of different customers again, the same number of statements however many.

    Rows that are settled, kept back or covered by now are named as dropped; nothing is ever added to an action's rows.
    """
    day, by_id = scene.today.toordinal(), {ActionId(action["action_id"]): action for action in actions}
    of_customer = {CustomerId(action["customer_id"]): action_id for action_id, action in by_id.items()}
    published = await _published(session, scene, actions)
    found, _ = await facts.facts_of(session, scene.tenant_id, list(of_customer), scene.today, but_for=of_customer)
    now = {of_customer[one.customer_id]: one for one in found}
    tied = await specific_store.tied_items(session, scene.tenant_id, [i for i, action in by_id.items() if action["origin"] != "scenario"])
    choices = await _choices(session, scene, [i for i, action in by_id.items() if action["origin"] == "scenario"])
    return {
        action_id: _by_step(action, published[action_id], now[action_id], choices[action_id], day)
        if action["origin"] == "scenario"
        else _on_its_own(action, published[action_id], now[action_id], tied[action_id], day)
        for action_id, action in by_id.items()
    }


async def _choices(session: ReadSession, scene: Scene, action_ids: Sequence[ActionId]) -> Mapping[ActionId, list[Choice]]:
    """Return the candidate rows that actions were planned with, by action."""
    found: defaultdict[ActionId, list[Choice]] = defaultdict(list)
    for row in await action_store.pending_rows(session, scene.tenant_id, action_ids):
        if row["reason"] is None:
            counted = row["counted_from_on"]
            day = None if counted is None else counted.toordinal()
            choice = Choice(str(row["item_id"]), row["episode"], row["scenario_version"], row["step_code"], row["repeat_no"], day)
            found[ActionId(row["action_id"])].append(choice)
    return found


def _by_step(action: asyncpg.Record, published: Published, now: CustomerFacts, choices: Sequence[Choice], day: int) -> Look:
    composed = composition.compose(
        now.position, published.compiled, day, choices, scenario_id=str(action["scenario_id"]), version=action["scenario_version"],
        document_id=None if action["document_id"] is None else str(action["document_id"]),
    )  # fmt: skip
    if action["content"] is None or composed.action is None:
        return Look(composed, published, None, now.facts_version)
    content = Content.read(action["content"])
    personal = changed(published, composed.action.step_code, content)
    own = Own(
        within_budget=not content.beyond_budget, contact_ids=content.contact_ids, personal_subject=content.subject, personal_text=content.text
    )  # fmt: skip
    return Look(composed, personal, own, now.facts_version)


def _on_its_own(action: asyncpg.Record, published: Published, now: CustomerFacts, item_ids: Sequence[UUID], day: int) -> Look:
    content = Content.read(action["content"] or {})
    tells = content.kind == StepKind.NOTICE and not content.is_internal
    composed = select(now.position, day, [str(item_id) for item_id in item_ids], published.steps[action["origin"]], tells_customer=tells)
    within_budget = action["origin"] == SPECIFIC and not content.beyond_budget
    return Look(composed, published, own_of(content, counts=action["counts_as_step"] is not None, within_budget=within_budget), now.facts_version)


def own_of(content: Content, *, counts: bool, within_budget: bool) -> Own:
    """Return what is an action's own in a claim and its messages."""
    return Own(
        selection="internal" if content.is_internal else "customer", counts=counts, within_budget=within_budget, contact_ids=content.contact_ids, to_emails=content.to_emails,
        personal_subject=content.subject, personal_text=content.text,
    )  # fmt: skip


def own_version(action: asyncpg.Record) -> Published:
    """Return what an action outside the scenario says, in the form of a scenario version of one step."""
    content = Content.read(action["content"] or {})
    step = step_of(content, origin=action["origin"], title=action["title"] or action["origin"], mode=action["mode"])
    return Published(compile_scenario(Scenario(code=step.code, name=step.name, steps=(step,))), {step.code: step}, _frozen(content))


def _frozen(content: Content) -> dict[str, tuple[UUID, int]]:
    if content.template is None or content.template_id is None or content.template_version is None:
        return {}
    return {content.template: (UUID(content.template_id), content.template_version)}


def changed(published: Published, code: str, content: Content) -> Published:
    """Return a version in which a person's changes to one action of the step stand: how its first notice is told, or what its task asks."""
    step = published.steps[code]
    if step.task is not None and content.task_text:
        task = Task(TaskKind(content.task_kind or step.task.kind.value), content.task_text)
        return replace(published, steps={**published.steps, code: replace(step, task=task)})
    notices = tuple(_written(notice, content) if notice.primary else notice for notice in step.notices)
    steps = {**published.steps, code: replace(step, notices=notices)}
    return replace(published, steps=steps, template_versions={**published.template_versions, **_frozen(content)})


def _written(notice: Notice, content: Content) -> Notice:
    template = content.template or notice.template
    # A template that a person has chosen is chosen for this customer, covered or not.
    covered = notice.template_when_covered if template == notice.template else None
    return replace(
        notice, channel=Channel(content.channel), template=template, template_when_covered=covered, content_mode=ContentMode(content.content_mode)
    )  # fmt: skip
