"""The short way to what is read by id: routes that need nothing but their path and one reading `Work`; requests with a query go the long way.

Such a route is everything that a screen or an ERP asks a thousand times. The framework finds it by trying routers one after another and
then walks a tree of dependencies; here it is found by the words of its path, and its one dependency is opened in place. Everything else is
the route's own: its function, its declared parameters, its answer's schema, and the handlers of errors. What is not found here goes the long way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from inspect import isclass, signature
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fastapi import Request
from fastapi.dependencies.utils import request_params_to_args
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, TypeAdapter
from starlette.routing import BaseRoute, Match

from dunning_api import deps

if TYPE_CHECKING:
    from fastapi.routing import APIRoute
    from starlette.types import Receive, Scope, Send

_PLAIN_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NOUN = 2
"""Where the noun stands in the words of a path: after the empty one and `v1`."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One route that is answered in place. `words` holds the words of its path, None where a value stands; `names` those values' names."""

    words: tuple[str | None, ...]
    names: tuple[tuple[int, str], ...]
    route: APIRoute
    reading: deps.Reading
    work_name: str
    answer: TypeAdapter[Any]
    only_ids: bool

    def values(self, words: list[str]) -> dict[str, str] | None:
        """Return the values of a path with as many words, or None when it is not of this operation."""
        for own, word in zip(self.words, words, strict=True):
            if (own is None and not word) or (own is not None and own != word):
                return None
        return {name: words[place] for place, name in self.names}

    async def respond(self, request: Request, path_params: dict[str, str]) -> Response:
        """Call the route's function inside its reading transaction and write what it returns."""
        dependant = self.route.dependant
        caller = await deps.caller_of(request, deps.presented_key(request.headers.get("authorization")))
        tagged = Response()
        async with self.reading.work(request, caller) as work:
            values = self._read(path_params)
            if dependant.response_param_name is not None:
                values[dependant.response_param_name] = tagged
            found = await self.route.endpoint(**values, **{self.work_name: work})
        response = Response(self.answer.dump_json(found, by_alias=True), media_type="application/json")
        response.headers.raw.extend(pair for pair in tagged.headers.raw if pair[0] != b"content-length")
        return response

    def _read(self, path_params: dict[str, str]) -> dict[str, Any]:
        """Return the values of the path as the function takes them. An id in its usual form needs no more than to be read as one."""
        if self.only_ids and all(_PLAIN_ID.fullmatch(text) for text in path_params.values()):
            return {name: UUID(text) for name, text in path_params.items()}
        values, errors = request_params_to_args(self.route.dependant.path_params, path_params)
        if errors:
            raise RequestValidationError(errors)
        return values


class DirectRoute(BaseRoute):
    """Stands before all other routes and takes the requests of its operations."""

    def __init__(self, prefix: str, routes: Iterable[APIRoute]) -> None:
        known = list(routes)
        self._operations: dict[tuple[str, int, str], list[Operation]] = {}
        for route in known:
            operation = _operation(prefix, route)
            if operation is not None and not any(_meets(route, other) for other in known if other is not route):
                words = operation.words
                for method in route.methods or ():
                    self._operations.setdefault((method, len(words), words[_NOUN] or ""), []).append(operation)

    @property
    def operations(self) -> list[Operation]:
        """All operations that are answered in place."""
        return [operation for some in self._operations.values() for operation in some]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether a request is for one of the operations."""
        if scope["type"] != "http" or scope.get("root_path") or scope["query_string"]:
            return Match.NONE, {}
        words = scope["path"].split("/")
        if len(words) <= _NOUN:
            return Match.NONE, {}
        for operation in self._operations.get((scope["method"], len(words), words[_NOUN]), ()):
            values = operation.values(words)
            if values is not None:
                return Match.FULL, {"path_params": values, "route": operation.route, "endpoint": operation.route.endpoint, "dunning.operation": operation}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; errors go to the handlers around the application's router."""
        operation: Operation = scope["dunning.operation"]
        request = Request(scope, receive, send)
        response = await operation.respond(request, scope["path_params"])
        await response(scope, receive, send)


def _operation(prefix: str, route: APIRoute) -> Operation | None:
    """Return a route as an operation, or None where it asks for more than its path and one reading `Work`, or answers otherwise than with JSON."""
    asks = route.dependant
    if len(asks.dependencies) != 1 or not _has_defaults(route) or asks.header_params or asks.cookie_params or asks.body_params or asks.request_param_name:
        return None
    depends = asks.dependencies[0]
    reading = deps.READINGS.get(depends.call)
    if reading is None or depends.name is None or asks.background_tasks_param_name or asks.security_scopes_param_name:
        return None
    if route.status_code is not None or not (isclass(route.response_model) and issubclass(route.response_model, BaseModel)):
        return None
    if any(":" in word for word in route.path.split("/") if word.startswith("{")):
        return None
    words = tuple(None if word.startswith("{") else word for word in f"{prefix}{route.path}".split("/"))
    names = tuple((place, word[1:-1]) for place, word in enumerate(f"{prefix}{route.path}".split("/")) if word.startswith("{"))
    only_ids = all(field.field_info.annotation is UUID and field.name == field.alias for field in asks.path_params)
    return Operation(words, names, route, reading, depends.name, TypeAdapter(route.response_model), only_ids)


def _has_defaults(route: APIRoute) -> bool:
    """Tell whether a route's function gives each value of its query itself where the query does not."""
    own = signature(route.endpoint).parameters
    return all(own[field.name].default == field.default for field in route.dependant.query_params)


def _meets(route: APIRoute, other: APIRoute) -> bool:
    """Tell whether a path may be taken for either of two routes; then the order in which they are declared decides, the long way."""
    if not set(route.methods or ()) & set(other.methods or ()):
        return False
    ours, theirs = route.path.split("/"), other.path.split("/")
    for own, word in zip(ours, theirs, strict=False):
        if word.startswith("{") and ":" in word:
            return True
        if own != word and not own.startswith("{") and not word.startswith("{"):
            return False
    return len(ours) == len(theirs)
