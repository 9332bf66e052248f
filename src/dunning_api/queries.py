"""What a query may hold is what its operation knows: a mistyped filter would otherwise widen what is asked, unseen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute
from pydantic.fields import FieldInfo

from dunning.kit.errors import Malformed
from dunning_api.deps import Caller, calling


class Known(NamedTuple):
    """The names of the query parameters of an operation, and those of them that may be given several times."""

    names: frozenset[str]
    repeatable: frozenset[str]


_known: dict[Callable[..., Any], Known] = {}


async def only_known_parameters(request: Request, _caller: Annotated[Caller, Depends(calling)]) -> None:
    """Raise `Malformed` where a query has a parameter that its operation does not know, one twice that it takes once, or a NUL, which no text has.

    The parameters that there are, are named. It depends on who calls only so that a missing key is told first.
    """
    given = request.query_params
    if not given:
        return
    route: APIRoute = request.scope["route"]
    known = _known.get(route.endpoint) or _known.setdefault(route.endpoint, _known_of(route))
    expected = f"expected one of {', '.join(sorted(known.names))}" if known.names else "this operation has none"
    errors = [(name, f"unknown; {expected}") for name in given if name not in known.names]
    errors += [(name, "expected once") for name in given if name in known.names - known.repeatable and len(given.getlist(name)) > 1]
    errors += [(name, "expected text without NUL characters") for name, text in given.multi_items() if "\0" in text and name in known.names]
    if errors:
        msg = "; ".join(f"query parameter {name[:100]}: {why}" for name, why in errors[:3]) + "."
        raise Malformed(msg, [{"field": f"query.{name[:100]}", "message": why} for name, why in errors[:20]])


def _known_of(route: APIRoute) -> Known:
    fields = [field for field in get_flat_params(route.dependant) if isinstance(field.field_info, Query)]
    return Known(frozenset(field.alias for field in fields), frozenset(field.alias for field in fields if _is_list(field.field_info)))


def _is_list(info: FieldInfo) -> bool:
    return "list[" in str(info.annotation) or "set[" in str(info.annotation)
