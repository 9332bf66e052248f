"""Saved models of actions: what people do again and again outside the scenario, to be copied and personalised."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection import terms as action_terms
from dunning.collection.specific_rules import Content
from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed, NotFound, PreconditionFailed
from dunning.kit.ids import ModelId, TenantId, new_id

PATTERN = ("title", *action_terms.TERMS)
"""What a model may say beside the content of its actions."""


class ModelCodeTaken(Conflict):
    """Another model of the tenant has this code."""

    code = "model_code_taken"
    title = "The code is taken"


@dataclass(frozen=True, slots=True)
class ActionModel:
    """A saved model. `content` is a pattern: title, mode, the content of the action, what follows; `version` counts its changes."""

    model_id: ModelId
    code: str
    name: str
    content: Mapping[str, Any]
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime


async def create_model(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    code: str,
    name: str,
    title: str | None,
    content: Mapping[str, Any],
    terms: Mapping[str, Any],
) -> ActionModel:
    """Save a model; raise `ModelCodeTaken` for a code in use, `Malformed` where it names one customer's people or its terms do not go with its kind."""
    model_id = ModelId(new_id())
    pattern = _pattern({}, title, content, terms)
    made = await session.execute(
        "insert into action_model (tenant_id, model_id, code, name, content) values ($1, $2, $3, $4, $5) on conflict (tenant_id, code) do nothing",
        tenant_id,
        model_id,
        code,
        name,
        pattern,
    )
    if not made:
        msg = f"There is a model {code} already. Change that one, or take another code."
        raise ModelCodeTaken(msg)
    await _tell(session, clock, tenant_id, actor, "action_model.created", model_id, {"code": code})
    return await model_of(session, tenant_id=tenant_id, model_id=model_id)


async def change_model(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    model_id: ModelId,
    expected_version: int | None,
    name: str | None,
    title: str | None,
    content: Mapping[str, Any] | None,
    terms: Mapping[str, Any],
) -> ActionModel:
    """Change name or pattern of a model; what is not given stays, a content that is given replaces the old one whole. Actions that were copied from it stay as they are.

    Raise `PreconditionFailed` when its version is another than `expected_version` (None: whatever it is). The same again changes nothing.
    """
    stored = await _locked(session, tenant_id, model_id)
    _refuse_stale(stored, expected_version)
    new_name, new_content = name or stored.name, _pattern(stored.content, title, content, terms)
    if (new_name, new_content) != (stored.name, dict(stored.content)):
        await session.execute(
            """update action_model set name = $3, content = $4, version = version + 1, updated_at = clock_timestamp()
                where tenant_id = $1 and model_id = $2""",
            tenant_id,
            model_id,
            new_name,
            new_content,
        )
        await _tell(session, clock, tenant_id, actor, "action_model.changed", model_id, {"version": stored.version + 1})
    return await model_of(session, tenant_id=tenant_id, model_id=model_id)


async def delete_model(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, model_id: ModelId, expected_version: int | None) -> None:
    """Delete a model; actions that were copied from it keep its id and stay as they are. Raise `NotFound` the second time."""
    stored = await _locked(session, tenant_id, model_id)
    _refuse_stale(stored, expected_version)
    await session.execute("delete from action_model where tenant_id = $1 and model_id = $2", tenant_id, model_id)
    await _tell(session, clock, tenant_id, actor, "action_model.deleted", model_id, {"code": stored.code})


async def model_of(session: ReadSession, *, tenant_id: TenantId, model_id: ModelId) -> ActionModel:
    """Return one model; raise `NotFound`."""
    return _model(await session.row(f"{_SELECT} and model_id = $2", tenant_id, model_id))


async def models_after(session: ReadSession, *, tenant_id: TenantId, code: str | None, after: UUID | None, limit: int) -> list[ActionModel]:
    """Return models in the order of their creation, all or the one of a code."""
    rows = await session.rows(
        f"{_SELECT} and ($2::text is null or code = $2) and ($3::uuid is null or model_id > $3) order by model_id limit $4", tenant_id, code, after, limit
    )
    return [_model(row) for row in rows]


_SELECT = "select model_id, code, name, content, version, created_at, updated_at from action_model where tenant_id = $1"


async def _locked(session: Session, tenant_id: TenantId, model_id: ModelId) -> ActionModel:
    return _model(await session.row(f"{_SELECT} and model_id = $2 for update", tenant_id, model_id))


def _pattern(stored: Mapping[str, Any], title: str | None, content: Mapping[str, Any] | None, terms: Mapping[str, Any]) -> dict[str, Any]:
    read = Content.read(stored.get("content", {}) if content is None else content)
    if read.contact_ids:
        msg = "content.contact_ids: a model is for any customer; name roles in to_roles."
        raise Malformed(msg, [{"field": "content.contact_ids", "message": "expected roles instead"}])
    given = {**stored, **terms, "title": title or stored.get("title")}
    # What a change leaves as it is was taken before; a new content has to go with the mode that stays.
    action_terms.refuse(read.kind, given if content is not None else terms, given)
    return {"content": read.stored(), **{part: given[part] for part in PATTERN if given.get(part) is not None}}


def _refuse_stale(stored: ActionModel, expected_version: int | None) -> None:
    if expected_version is not None and expected_version != stored.version:
        msg = f"The model has version {stored.version}, not {expected_version}. Read it again and repeat your change on it."
        raise PreconditionFailed(msg)


def _model(row: asyncpg.Record | None) -> ActionModel:
    if row is None:
        noun = "action model"
        raise NotFound(noun)
    return ActionModel(**dict(row))


async def _tell(session: Session, clock: Clock, tenant_id: TenantId, actor: str, kind: str, model_id: ModelId, data: Mapping[str, Any]) -> None:
    await events.record(session, clock, tenant_id=tenant_id, kind=kind, subject_kind="action_model", subject_id=model_id, actor=actor, data=data)
