"""What an action would tell or ask if it were carried out now: its rows looked at again on facts as they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

import asyncpg

from dunning.collection import action_store, catalogue, composition, facts, override_store, specific_store
from dunning.collection.catalogue import Published
from dunning.collection.composition import Choice, Composition
from dunning.collection.despatch import Own, Scene
from dunning.collection.specific_rules import Content, select, step_of
from dunning.kit.database import ReadSession
from dunning.kit.ids import ActionId, CustomerId
from dunning.scenarios.rules import compile_scenario
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
    if action["origin"] != "scenario":
        return own_version(action)
    key = (str(action["scenario_id"]), action["scenario_version"])
    known = await catalogue.load(session, scene.tenant_id, [key])
    own = [one for one in await override_store.overrides_of(session, scene.tenant_id, [action["customer_id"]], removed=True) if str(one.scenario_id) == key[0]]
    published = known.varied_by([one for one in own if one.removed_at is None])[key]
    if action["step_code"] not in published.steps:
        # The step was this customer's own when the action was planned, and was taken back since.
        published = known.varied_by([one for one in own if one.step_code == action["step_code"]][-1:])[key]
    return published


async def look(session: ReadSession, scene: Scene, action: asyncpg.Record) -> Look:
    """Look at an action again. Rows that are settled, held or covered by now are named as dropped; nothing is ever added to its rows."""
    action_id, customer_id = ActionId(action["action_id"]), CustomerId(action["customer_id"])
    published = await published_of(session, scene, action)
    found, _ = await facts.facts_of(session, scene.tenant_id, [customer_id], scene.today, without_action=action_id)
    position, day = found[0].position, scene.today.toordinal()
    if action["origin"] != "scenario":
        content = Content.read(action["content"] or {})
        item_ids = [str(item_id) for item_id in await specific_store.tied_items(session, scene.tenant_id, action_id)]
        tells = content.kind == StepKind.NOTICE and not content.is_internal
        composed = select(position, day, item_ids, published.steps[action["origin"]], tells_customer=tells)
        return Look(composed, published, own_of(content, counts=action["counts_as_step"] is not None), found[0].facts_version)
    rows = [row for row in await action_store.pending_rows(session, scene.tenant_id, action_id) if row["reason"] is None]
    composed = composition.compose(
        position, published.compiled, day, [choice_of(row) for row in rows], scenario_id=str(action["scenario_id"]), version=action["scenario_version"],
        document_id=None if action["document_id"] is None else str(action["document_id"]),
    )  # fmt: skip
    if action["content"] is None or composed.action is None:
        return Look(composed, published, None, found[0].facts_version)
    content = Content.read(action["content"])
    personal = changed(published, composed.action.step_code, content)
    return Look(composed, personal, Own(contact_ids=content.contact_ids, personal_subject=content.subject, personal_text=content.text), found[0].facts_version)


def choice_of(row: asyncpg.Record) -> Choice:
    """Return a row of progress as the choice that it was."""
    counted = row["counted_from_on"]
    return Choice(
        str(row["item_id"]), row["episode"], row["scenario_version"], row["step_code"], row["repeat_no"], None if counted is None else counted.toordinal()
    )  # fmt: skip


def own_of(content: Content, *, counts: bool) -> Own:
    """Return what is an action's own in a claim and its messages."""
    return Own(
        selection="internal" if content.is_internal else "customer", counts=counts, contact_ids=content.contact_ids, to_emails=content.to_emails,
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
