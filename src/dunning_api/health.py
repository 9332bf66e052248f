"""Health and metrics of the API process."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from dunning.events import due_work
from dunning.kit.database import AWAY

router = APIRouter(tags=["health"])


@router.get("/livez", summary="Is the process alive", include_in_schema=False)
async def livez() -> dict[str, str]:
    """Answer as long as the process can answer at all."""
    return {"status": "alive"}


@router.get("/readyz", summary="Can the process serve", include_in_schema=False)
async def readyz(request: Request) -> Response:
    """Answer 200 when the database answers and is migrated; Redis being away is told but is no reason to stop serving."""
    state = request.app.state
    try:
        async with state.database.across_tenants() as session:
            head = await session.value("select version_num from alembic_version")
            lag = await due_work.oldest_seconds(session)
    except AWAY as error:
        return JSONResponse({"status": "not ready", "database": type(error).__name__}, status_code=503)
    return JSONResponse({"status": "ready", "migration": head, "doorbell": "answers" if await state.bell.answers() else "away", "oldest_due_seconds": lag})


@router.get("/metrics", summary="Metrics for Prometheus", include_in_schema=False)
async def metrics() -> Response:
    """Answer the process's metrics in the Prometheus text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
