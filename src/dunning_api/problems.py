"""RFC 9457 problems: the one place where errors get a status."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from dunning.kit.database import AWAY
from dunning.kit.errors import (
    Conflict,
    DunningError,
    Forbidden,
    Gone,
    Malformed,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    TooManyTries,
    Unauthenticated,
    Unavailable,
)
from dunning.kit.money import MoneyError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class NounRoute:
    """A path of the API with some of its methods."""

    path: str
    methods: frozenset[str]
    pattern: re.Pattern[str]

    def matches(self, path: str) -> bool:
        """Tell whether a request's path is this one."""
        return self.pattern.fullmatch(path) is not None


STATUS_OF: tuple[tuple[type[DunningError], int], ...] = (
    (NotFound, 404),
    (Malformed, 422),
    (PreconditionFailed, 412),
    (PreconditionRequired, 428),
    (Conflict, 409),
    (Forbidden, 403),
    (Unauthenticated, 401),
    (Gone, 410),
    (TooManyTries, 429),
    (Unavailable, 503),
)

_MEDIA = "application/problem+json"
_MEANINGS = {
    400: "A header or parameter is missing or wrong.",
    401: "No valid API key was given.",
    403: "The API key, or the person it acts for, may not do this.",
    404: "No such object for this caller.",
    409: "The present state forbids it.",
    410: "It existed and is no longer available.",
    412: "The object changed since it was read.",
    413: "The body is too large.",
    422: "The request is not well formed.",
    428: "A precondition header is required.",
    429: "Too many tries; wait.",
    503: "The database is away; nothing was done.",
}

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong (RFC 9457). `code` is stable; `detail` is for people and says what to do.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:dunning:problem:not_found"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "examples": ["not_found"]},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
    "additionalProperties": True,
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documented problem responses of an operation: the given ones and those that every operation has."""
    return {
        status: {"description": _MEANINGS[status], "content": {_MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
        for status in sorted({400, 401, 403, 413, 422, 503, *statuses})
    }


def problem(status: int, code: str, title: str, detail: str, headers: dict[str, str] | None = None, **facts: Any) -> JSONResponse:
    """Build one problem response."""
    body = {"type": f"urn:dunning:problem:{code}", "title": title, "status": status, "code": code, "detail": detail, **facts}
    return JSONResponse(body, status_code=status, media_type=_MEDIA, headers=headers)


def status_of(error: DunningError) -> int:
    """Return the status of an error's kind."""
    return next((status for kind, status in STATUS_OF if isinstance(error, kind)), 500)


def _domain(_request: Request, error: Exception) -> Response:
    if not isinstance(error, DunningError):
        raise error
    status = status_of(error)
    facts = dict(error.facts)
    if isinstance(error, Malformed) and error.errors:
        facts["errors"] = error.errors
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return problem(status, error.code, error.title, error.detail, headers, **facts)


def _money(_request: Request, error: Exception) -> Response:
    return problem(422, "malformed", Malformed.title, str(error))


def _validation(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    methods = _methods_of_fixed(request)
    if methods and request.method not in methods:
        # The word in the path was taken for the id of another route, whose complaint about it would send the caller astray.
        return _http(request, HTTPException(405))
    errors = [{"field": _field(e["loc"]), "message": e["msg"]} for e in error.errors()]
    detail = "; ".join(f"{e['field']}: {e['message']}" for e in errors[:3]) or "The request could not be read."
    return problem(422, "malformed", Malformed.title, detail, errors=errors)


def _field(places: Sequence[str | int]) -> str:
    """Return where a value stands in the request, without the names of the validators that looked at it."""
    return ".".join(str(part) for part in places if "[" not in str(part))


def _methods_of_fixed(request: Request) -> set[str]:
    """Return the methods of the routes whose path is the request's to the letter."""
    return {method for route in request.app.state.routes_of_nouns if route.path == request.scope["path"] for method in route.methods}


def _allowed(request: Request) -> dict[str, str]:
    """Return the `Allow` header of a path with all its methods: the framework names only those of the first route that has it."""
    matching = [route for route in request.app.state.routes_of_nouns if route.matches(request.scope["path"])]
    fixed = [route for route in matching if "{" not in route.path]
    methods = {method for route in fixed or matching for method in route.methods}
    return {"Allow": ", ".join(sorted(methods))} if methods else {}


def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 400: "bad_request"}.get(error.status_code, "http_error")
    headers = dict(error.headers or {}) | (_allowed(request) if error.status_code == 405 else {})
    detail = str(error.detail)
    if error.status_code == 404 and detail == "Not Found":
        detail = "There is no such path. `/docs` and `/openapi.json` list all of them."
    elif error.status_code == 405:
        detail = f"This path takes {headers.get('allow') or headers.get('Allow') or 'other methods'}."
    return problem(error.status_code, code, str(error.detail), detail, headers)


def _away(_request: Request, error: Exception) -> Response:
    log.warning("database.away", error=type(error).__name__)
    detail = "The database is away. Nothing of this request was done, or it was done whole: repeat it with the same ids or Idempotency-Key."
    return problem(503, "unavailable", Unavailable.title, detail, {"Retry-After": "2"})


def _refused_by_database(_request: Request, error: Exception) -> Response:
    log.warning("database.refused", error=type(error).__name__, constraint=getattr(error, "constraint_name", None))
    detail = f"A rule of the database refuses this: {getattr(error, 'constraint_name', None) or 'see the log'}. Nothing was changed."
    return problem(409, "rule_of_the_database", Conflict.title, detail)


def _out_of_sight(_request: Request, error: Exception) -> Response:
    """Answer what the database refuses because the caller does not see the customer it is about; anything else that it refuses is a fault of ours."""
    if not (isinstance(error, asyncpg.InsufficientPrivilegeError) and "row-level security" in str(error)):
        return unexpected(error)
    log.info("database.out_of_sight")
    detail = "The person for whom the key acts does not look after the customer, or the whole ledger, that this is about. Nothing was changed."
    return problem(403, "out_of_sight", Forbidden.title, detail)


def _contended(_request: Request, error: Exception) -> Response:
    log.info("database.contended", error=type(error).__name__)
    return problem(409, "busy", Conflict.title, "Another request is changing the same objects. Repeat this one.", {"Retry-After": "1"})


def too_large() -> Response:
    """Answer a body that is larger than this path takes."""
    return problem(413, "too_large", "The body is too large", "Send less at once; large files go to `POST /v1/ledgers/{ledger_id}/imports`.")


def unexpected(error: Exception) -> Response:
    """Log an error that nobody foresaw and answer without its text, which can hold anything."""
    log.error("request.failed", exc_info=error)
    return problem(500, "internal", "Something went wrong", "An unexpected error was logged; nothing of this request was kept.")


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(DunningError, _domain)
    app.add_exception_handler(MoneyError, _money)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    for kind in AWAY:
        app.add_exception_handler(kind, _away)
    app.add_exception_handler(asyncpg.IntegrityConstraintViolationError, _refused_by_database)
    app.add_exception_handler(asyncpg.InsufficientPrivilegeError, _out_of_sight)
    for contended in (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
        app.add_exception_handler(contended, _contended)
