"""The API process: one function wires it."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import pkgutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from starlette.routing import compile_path

import dunning_api.routes
from dunning.kit.bell import Bell
from dunning.kit.database import Database
from dunning.kit.settings import Settings
from dunning.kit.signing import Keyring
from dunning_api import health, idempotency, middleware, problems
from dunning_api.deps import KeyCache
from dunning_api.direct import DirectRoute
from dunning_api.groups import OPENAPI_TAGS
from dunning_api.idempotency import Router
from dunning_api.portal.landings import Landings
from dunning_api.portal.opt_out import router as opt_out_router
from dunning_api.portal.routes import LandingRoute
from dunning_api.portal.routes import router as portal_router
from dunning_api.queries import only_known_parameters

VERSION = "0.1.0"
DESCRIPTION = """
Receivables reminders, fair and provable. Push customers, invoices and payments; the worker decides what is due by the scenarios you publish,
sends it, and keeps graded evidence of each message.

**Begin here:** choose *Authorize*, paste an API key, then try `GET /v1/tenant`. Every example body is complete: put ids of your own in, and it runs.
Amounts are text (`{"amount": "1234.50", "currency": "EUR"}`), days are `YYYY-MM-DD`, instants are UTC. Errors are RFC 9457 problems with a stable `code`.
Lists answer `{data, next_cursor}`. Objects can be addressed by your own ids wherever a path says `external_id`.
"""


def create_app(database: Database | None, settings: Settings, keyring: Keyring, bell: Bell) -> FastAPI:
    """Build the application over an open database. `database` is None only where nothing is served: writing the OpenAPI file."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await app.state.bell.close()
        if app.state.database is not None:
            await app.state.database.close()

    app = FastAPI(
        title="dunning",
        version=VERSION,
        description=DESCRIPTION,
        openapi_tags=OPENAPI_TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        generate_unique_id_function=lambda route: route.name,
        telemetry=None,
    )
    app.state.database = database
    app.state.settings = settings
    app.state.keyring = keyring
    app.state.bell = bell
    app.state.key_cache = KeyCache()
    app.state.landings = None if database is None else Landings(database, bell)
    problems.install(app)
    idempotency.install(app)
    middleware.install(app, max_body_bytes=settings.max_body_bytes)
    # Each router stands directly in the application: one of their own for all of /v1 would be searched twice for every request.
    routes_of_nouns: list[problems.NounRoute] = []
    read_by_id: list[APIRoute] = []
    for module in sorted(pkgutil.iter_modules(dunning_api.routes.__path__), key=lambda m: m.name):
        nouns: Router = importlib.import_module(f"dunning_api.routes.{module.name}").router
        app.include_router(nouns, prefix="/v1", dependencies=[Depends(only_known_parameters)])
        for route in nouns.routes:
            if isinstance(route, APIRoute):
                read_by_id.append(route)
                path = f"/v1{route.path}"
                routes_of_nouns.append(problems.NounRoute(path, frozenset(route.methods or ()), compile_path(path)[0]))
    app.state.routes_of_nouns = routes_of_nouns
    app.router.routes[:0] = [DirectRoute("/v1", read_by_id), LandingRoute()]
    app.include_router(health.router)
    app.include_router(portal_router)
    app.include_router(opt_out_router)
    _serve_docs(app)
    _document_problems(app)
    _serve_contract(app)
    return app


def _serve_docs(app: FastAPI) -> None:
    """Serve the documentation page from files that come with a package, so that it works offline and under a strict policy."""
    spec = importlib.util.find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        return
    app.mount("/docs/static", StaticFiles(directory=Path(spec.origin).parent / "static"), name="docs_static")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="dunning API",
            swagger_js_url="/docs/static/swagger-ui-bundle.js",
            swagger_css_url="/docs/static/swagger-ui.css",
            swagger_favicon_url="data:,",
            swagger_ui_parameters={
                "persistAuthorization": True,
                "docExpansion": "none",
                "filter": True,
                "tryItOutEnabled": True,
                "operationsSorter": "alpha",
                "defaultModelsExpandDepth": -1,
            },
        )


def _document_problems(app: FastAPI) -> None:
    original = app.openapi

    def openapi() -> dict[str, Any]:
        schema = original()
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = problems.PROBLEM_SCHEMA
        # FastAPI documents its own error shape for 422; ours is a problem everywhere.
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # the documented way to extend the schema


def _serve_contract(app: FastAPI) -> None:
    """Serve the OpenAPI document, made at its first request and beside the loop: it takes seconds, for which all other requests would wait."""
    under_way = asyncio.Lock()
    made: list[bytes] = []

    @app.get("/openapi.json", include_in_schema=False)
    async def contract() -> Response:
        async with under_way:
            if not made:
                made.append(await asyncio.to_thread(lambda: json.dumps(app.openapi(), ensure_ascii=False).encode()))
        return Response(made[0], media_type="application/json")
