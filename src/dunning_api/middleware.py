"""What every response gets: a request id, security headers, a log line without secrets, and metrics."""

from __future__ import annotations

import re
import time

import structlog
from fastapi import FastAPI
from prometheus_client import Counter, Histogram
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dunning.kit.ids import new_id

log = structlog.get_logger()
REQUESTS = Counter("dunning_http_requests_total", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram("dunning_http_request_seconds", "Time from request to response.", ["route"])
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,80}")


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
        request_id = given if _REQUEST_ID.fullmatch(given) else str(new_id())
        started = time.monotonic()
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "no-referrer")
                if headers.get("content-type", "").startswith(("application/json", "application/problem+json")):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, sending)
            finally:
                route = getattr(scope.get("route"), "path", "unmatched")
                seconds = time.monotonic() - started
                REQUESTS.labels(scope["method"], route, status).inc()
                SECONDS.labels(route).observe(seconds)
                log.info("request.answered", method=scope["method"], route=route, status=status, milliseconds=round(seconds * 1000, 1))


def install(app: FastAPI) -> None:
    """Wrap the application."""
    app.add_middleware(RequestContext)
