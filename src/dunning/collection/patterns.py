"""What a new action is made after: a step of a scenario, another action, a saved model, or nothing. The source is never changed by the copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dunning.collection import action_models, action_store, catalogue, terms
from dunning.collection.specific_rules import TIES, TITLE_CAP, Content, NewSpecific
from dunning.kit.database import ReadSession
from dunning.kit.errors import Conflict, Malformed, NotFound
from dunning.kit.ids import ActionId, ModelId, ScenarioId, TenantId
from dunning.scenarios.steps import Mode, Step, StepKind


class NothingToCopy(Conflict):
    """The source tells nobody and asks nobody for anything."""

    code = "nothing_to_copy"
    title = "The source has nothing to copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is copied: one of a model, an action, or a step of a scenario's version in force."""

    model_id: ModelId | None = None
    action_id: ActionId | None = None
    scenario_id: ScenarioId | None = None
    step_code: str | None = None


async def new_action(session: ReadSession, *, tenant_id: TenantId, source: Source | None, given: Mapping[str, Any], content: Mapping[str, Any]) -> NewSpecific:
    """Return the action to be made: what was given stands over what is copied, and a copy goes by itself only where that was given.

    Raises `NotFound` for an unknown source, `NothingToCopy`, and `Malformed` for terms that do not go with its kind.
    """
    pattern, traces = await _pattern(session, tenant_id, source) if source is not None else ({}, {})
    whole = Content.read({**pattern.get("content", {}), **content, **TIES})
    stated = terms.taken_over(pattern, whole.kind) | dict(given)
    terms.refuse(whole.kind, given, stated)
    if stated.get("afterwards") != "step":
        stated.pop("afterwards_step_code", None)
    title = (stated.pop("title", None) or pattern.get("title") or "").strip()[:TITLE_CAP]
    if not title:
        msg = "title: say in a few words what this action is; it stands in lists."
        raise Malformed(msg, [{"field": "title", "message": "expected a few words"}])
    return replace(NewSpecific(title=title, content=whole), **stated, **traces)


async def _pattern(session: ReadSession, tenant_id: TenantId, source: Source) -> tuple[dict[str, Any], dict[str, Any]]:
    if source.model_id is not None:
        model = await action_models.model_of(session, tenant_id=tenant_id, model_id=source.model_id)
        return {"title": model.name, **model.content}, {"model_id": source.model_id}
    if source.action_id is not None:
        return await _of_action(session, tenant_id, source.action_id), {"copied_from_action_id": source.action_id}
    return await _of_step(session, tenant_id, source), {}


async def _of_action(session: ReadSession, tenant_id: TenantId, action_id: ActionId) -> dict[str, Any]:
    action = await action_store.action_row(session, tenant_id, action_id)
    if action is None:
        noun = "action"
        raise NotFound(noun)
    if action["origin"] != "scenario":
        return {"title": action["title"], "content": action["content"], **{name: action[name] for name in terms.TERMS}}
    key = (str(action["scenario_id"]), action["scenario_version"])
    step = (await catalogue.load(session, tenant_id, [key]))[key].steps.get(action["step_code"])
    copied = _of(step) if step is not None else {"title": action["step_name"], "content": {}}
    if action["content"] is not None:
        copied["content"] = {**copied["content"], **action["content"]}
    return copied


async def _of_step(session: ReadSession, tenant_id: TenantId, source: Source) -> dict[str, Any]:
    version = await session.value("select published_version from scenario where tenant_id = $1 and scenario_id = $2", tenant_id, source.scenario_id)
    if version is None:
        noun = "published scenario"
        raise NotFound(noun)
    key = (str(source.scenario_id), version)
    step = (await catalogue.load(session, tenant_id, [key]))[key].steps.get(source.step_code or "")
    if step is None:
        noun = "step of this scenario"
        raise NotFound(noun)
    return _of(step)


def _of(step: Step) -> dict[str, Any]:
    notice = next((notice for notice in step.notices if notice.primary), None)
    if notice is None and step.task is None:
        msg = f"Step {step.code} has only operations; there is no message and no task to copy."
        raise NothingToCopy(msg)
    if notice is None and step.task is not None:
        content = Content(kind=StepKind.TASK.value, task_kind=step.task.kind.value, task_text=step.task.text, deadline_days=step.deadline_days)
        return {"title": step.name, "mode": Mode.MANUAL.value, "content": content.stored()}
    if notice is None:
        return {"title": step.name, "content": {}}
    content = Content(
        channel=notice.channel.value, audience=notice.audience.value, template=notice.template, content_mode=notice.content_mode.value,
        to_roles=notice.to_roles, copy_roles=notice.copy_roles, deadline_days=step.deadline_days,
    )  # fmt: skip
    return {"title": step.name, "mode": step.mode.value, "content": content.stored()}


async def stated_days(session: ReadSession, tenant_id: TenantId, action_id: ActionId) -> int | None:
    """Return how many days an action gives for payment, None where it states no deadline."""
    try:
        found: int | None = (await _of_action(session, tenant_id, action_id))["content"].get("deadline_days")
    except NothingToCopy:
        return None
    return found


def content_of(step: Step) -> dict[str, Any]:
    """Return what a step of a scenario says and asks, as the content of an action; raise `NothingToCopy` for one of operations alone."""
    return dict(_of(step)["content"])
