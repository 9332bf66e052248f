"""Repeated requests: the answer is stored in the transaction of its effect and given again (draft-ietf-httpapi-idempotency-key-header)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import asyncpg
from fastapi import APIRouter, FastAPI, Header, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from dunning.kit.errors import Conflict, Malformed

if TYPE_CHECKING:
    from dunning_api.deps import Work

_TERMS: dict[str, Any] = {
    "alias": "Idempotency-Key",
    "min_length": 8,
    "max_length": 200,
    "pattern": r"^[\x21-\x7e]+$",
    "description": "A fresh key for each intended effect, such as a UUID. Repeating a request with its key repeats the first answer and does nothing else.",
    "examples": ["7d1f6c1e-5a0b-4c5e-9d57-2f6f1c0e8a11"],
}
HEADER: Any = Header(**_TERMS)
OPTIONAL_HEADER: Any = Header(None, **_TERMS)
TWIN_WAIT = "5s"
_WORDS, _WORDS_OF = "dunning.path_words", "dunning.path_words_of"


class KeyReused(Malformed):
    """The key was used with another request."""

    code = "idempotency_key_reused"
    title = "The Idempotency-Key belongs to another request"


class TwinRunning(Conflict):
    """The first request with this key has not finished."""

    code = "twin_running"
    title = "The same request is still running"


class Replay(Exception):  # not an error: the stored answer of the first request
    """Ends a repeated request with the stored answer."""

    def __init__(self, response: Response) -> None:
        super().__init__("replayed")
        self.response = response


async def begin(work: Work) -> None:
    """Claim the key in the effect's transaction; raise `Replay` when it was answered before. A twin waits 5 s for the first."""
    request = work.request
    key = request.headers["Idempotency-Key"]
    route = f"{request.method} {request.url.path}?{request.url.query}"
    # An answer shows what one person sees: whoever acts for another with the same key asks something else.
    whose = "" if work.person_id is None else str(work.person_id)
    digest = hashlib.sha256(whose.encode() + await request.body()).digest()
    session = work.session
    await session.execute(f"set local lock_timeout = '{TWIN_WAIT}'")
    try:
        mine = await session.execute(
            """insert into idempotency_key (tenant_id, key_id, route, key, request_sha256, expires_at)
               values ($1, $2, $3, $4, $5, now() + make_interval(days => $6)) on conflict do nothing""",
            work.tenant_id,
            work.key_id,
            route,
            key,
            digest,
            work.settings.idempotency_days,
        )
    except asyncpg.LockNotAvailableError:
        msg = "The first request with this Idempotency-Key is still running. Repeat in a moment."
        raise TwinRunning(msg) from None
    await session.execute("set local lock_timeout = default")
    if mine:
        request.state.idempotent = (work, route, key)
        await _forget_expired(work)
        return
    row = await session.row(
        "select request_sha256, status, body, headers from idempotency_key where tenant_id = $1 and key_id = $2 and route = $3 and key = $4",
        work.tenant_id,
        work.key_id,
        route,
        key,
    )
    if row is None or row["status"] is None:
        msg = "The first request with this Idempotency-Key is still running. Repeat in a moment."
        raise TwinRunning(msg)
    if row["request_sha256"] != digest:
        msg = "This Idempotency-Key was used with another body. Take a fresh key for a new effect."
        raise KeyReused(msg)
    raise Replay(Response(row["body"], row["status"], headers={**row["headers"], "Idempotency-Replayed": "true"}))


async def _forget_expired(work: Work) -> None:
    """Delete a few answers whose days are over: each new key takes more away than it adds."""
    await work.session.execute(
        """delete from idempotency_key where (tenant_id, key_id, route, key) in (
             select tenant_id, key_id, route, key from idempotency_key where tenant_id = $1 and expires_at < now() order by expires_at limit 3
                for update skip locked)""",
        work.tenant_id,
    )


async def _remember(work: Work, route: str, key: str, response: Response) -> None:
    kept = {name: value for name, value in response.headers.items() if name in {"content-type", "location", "etag"}}
    await work.session.execute(
        "update idempotency_key set status = $5, body = $6, headers = $7 where tenant_id = $1 and key_id = $2 and route = $3 and key = $4",
        work.tenant_id,
        work.key_id,
        route,
        key,
        response.status_code,
        bytes(response.body),
        kept,
    )


class Route(APIRoute):
    """A route whose answer, when its request carried an Idempotency-Key, is stored before the transaction commits."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            response = await inner(request)
            claimed = getattr(request.state, "idempotent", None)
            if claimed is not None:
                work, route, key = claimed
                await _remember(work, route, key, response)
            return response

        return handle


class Router(APIRouter):
    """The router of every noun; one that shares no path with a request is passed over without trying its routes one by one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(route_class=Route, **options)
        self._paths: tuple[int, frozenset[frozenset[str]]] = (0, frozenset())

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether a route of this router takes a request."""
        if scope["type"] == "http":
            paths = self._fixed_words()
            words = scope.get(_WORDS)
            if words is None or scope[_WORDS_OF] != scope["path"]:
                scope[_WORDS_OF], words = scope["path"], frozenset(scope["path"].split("/"))
                scope[_WORDS] = words
            if paths and not any(path <= words for path in paths):
                return Match.NONE, {}
        return super().matches(scope)

    def _fixed_words(self) -> frozenset[frozenset[str]]:
        """Return, a path, the words that a request to it must contain; nothing where another router is included, whose paths are its own."""
        counted, paths = self._paths
        if counted != len(self.routes):
            own = [getattr(route, "path", None) for route in self.routes]
            known = all(path is not None for path in own)
            paths = frozenset(frozenset(word for word in path.split("/") if "{" not in word) for path in own if path is not None) if known else frozenset()
            self._paths = (len(self.routes), paths)
        return paths


def install(app: FastAPI) -> None:
    """Answer repeated requests with what was stored."""

    def replay(_request: Request, error: Exception) -> Response:
        if isinstance(error, Replay):
            return error.response
        raise error

    app.add_exception_handler(Replay, replay)
