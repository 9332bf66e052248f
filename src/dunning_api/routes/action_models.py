"""Saved models of actions."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from dunning.collection import action_models
from dunning.kit.ids import ModelId
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.etags import IfMatch, expected_revision, tag
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.action_content import ActionModelCreate, ActionModelUpdate, stated
from dunning_api.schemas.actions import ActionModelOut
from dunning_api.schemas.base import Page

router = Router(tags=["actions"])


@router.post("/action-models", status_code=201, summary="Save an action model", responses=problems(409))
async def create_action_model(
    body: ActionModelCreate, work: Annotated[Work, writes("collection:write", repeatable=True)], response: Response
) -> ActionModelOut:
    """Save a pattern under a code: new actions copy it with `copy_from.model_id` and are personalised without changing it."""
    model = await action_models.create_model(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, code=body.code, name=body.name, title=body.title,
        content=stated(body.content), terms=body.given(),
    )  # fmt: skip
    tag(response, model.version)
    return ActionModelOut.of(model)


@router.get("/action-models", summary="List action models", responses=problems())
async def list_action_models(
    work: Annotated[Work, reads()],
    code: Annotated[str | None, Query(max_length=63, description="Only the model of this code.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[ActionModelOut]:
    """List saved models, oldest first."""
    key = paging.unseal(work.keyring, "action_models", cursor, 1)
    found = await action_models.models_after(work.session, tenant_id=work.tenant_id, code=code, after=UUID(key[0]) if key else None, limit=limit + 1)
    more = paging.seal(work.keyring, "action_models", found[limit - 1].model_id) if len(found) > limit else None
    return Page(data=[ActionModelOut.of(model) for model in found[:limit]], next_cursor=more)


@router.get("/action-models/{model_id}", summary="Get an action model", responses=problems(404))
async def get_action_model(model_id: UUID, work: Annotated[Work, reads()], response: Response) -> ActionModelOut:
    """Return one model with its pattern. Its `ETag` is for changing it."""
    model = await action_models.model_of(work.session, tenant_id=work.tenant_id, model_id=ModelId(model_id))
    tag(response, model.version)
    return ActionModelOut.of(model)


@router.patch("/action-models/{model_id}", summary="Change an action model", responses=problems(404, 412, 428))
async def update_action_model(
    model_id: UUID, body: ActionModelUpdate, work: Annotated[Work, writes("collection:write")], response: Response, if_match: IfMatch = None
) -> ActionModelOut:
    """Change a model's name or pattern; what is left out stays. Actions that were copied from it stay as they are."""
    model = await action_models.change_model(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, model_id=ModelId(model_id), expected_version=expected_revision(if_match),
        name=body.name, title=body.title, content=None if body.content is None else stated(body.content), terms=body.given(),
    )  # fmt: skip
    tag(response, model.version)
    return ActionModelOut.of(model)


@router.delete("/action-models/{model_id}", status_code=204, summary="Delete an action model", responses=problems(404, 412, 428))
async def delete_action_model(model_id: UUID, work: Annotated[Work, writes("collection:write")], if_match: IfMatch = None) -> None:
    """Delete a model; actions that were copied from it stay."""
    await action_models.delete_model(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, model_id=ModelId(model_id), expected_version=expected_revision(if_match)
    )
