"""What every response gets: a request id, security headers, a log line without secrets, and metrics."""

from __future__ import annotations

import re
import time
from functools import lru_cache

import structlog
from fastapi import FastAPI
from prometheus_client import Counter, Histogram
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dunning.kit.ids import new_id
from dunning_api.problems import too_large, unexpected

log = structlog.get_logger()
REQUESTS = Counter("dunning_http_requests_total", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram("dunning_http_request_seconds", "Time from request to response.", ["route"])
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,80}")


class _Answer:
    """What is sent for one request: every response gets the headers, and a refused size becomes a problem like every other error."""

    __slots__ = ("_receive", "_replaced", "_request_id", "_scope", "_send", "status")

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._request_id = request_id
        self._replaced = False
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start" and message["status"] == 413 and not _media_of(message).startswith(b"application/problem+json"):
            self._replaced = True
            await too_large()(self._scope, self._receive, self._pass_on)
        elif not self._replaced:
            await self._pass_on(message)

    async def _pass_on(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = [(name, value) for name, value in message["headers"] if name != b"x-request-id"]
            present = {name for name, _ in own}
            own.append((b"x-request-id", self._request_id.encode("latin-1")))
            own += [pair for pair in _ALWAYS if pair[0] not in present]
            if b"cache-control" not in present and _media_of(message).startswith(_NOT_STORED):
                own.append((b"cache-control", b"no-store"))
            message["headers"] = own
        await self._send(message)


_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
_NOT_STORED = (b"application/json", b"application/problem+json")


def _media_of(message: Message) -> bytes:
    return next((value for name, value in message["headers"] if name == b"content-type"), b"")


@lru_cache(maxsize=4096)
def _measures(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Return the counter and the histogram of a route, which are found once: looking them up costs more than counting."""
    return REQUESTS.labels(method, route, status), SECONDS.labels(route)


class RequestContext:
    """Give each request an id, count it, and log it by its route, never by its path: a path can hold a link's token."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"x-request-id"), "")
        request_id = given if given and _REQUEST_ID.fullmatch(given) else str(new_id())
        started = time.monotonic()
        answer = _Answer(scope, receive, send, request_id)
        bound = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self.app(scope, receive, answer.send)
        except Exception as error:
            if answer.status is not None:
                raise
            # Past this point the framework would answer without the headers below.
            await unexpected(error)(scope, receive, answer.send)
        finally:
            status = answer.status or 500
            route = getattr(scope.get("route"), "path", "unmatched")
            seconds = time.monotonic() - started
            count, duration = _measures(scope["method"], route, status)
            count.inc()
            duration.observe(seconds)
            log.info("request.answered", method=scope["method"], route=route, status=status, milliseconds=round(seconds * 1000, 1))
            structlog.contextvars.reset_contextvars(**bound)


def install(app: FastAPI, *, max_body_bytes: int) -> None:
    """Wrap the application; a route may set a larger `max_body_size` of its own."""
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=max_body_bytes)
    app.add_middleware(RequestContext)
