"""Reading the OpenAPI document: operations, their bodies, and where ids stand in them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

METHODS = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    spec: dict[str, Any]

    @property
    def name(self) -> str:
        """How it is called in messages."""
        return f"{self.method.upper()} {self.path}"

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """Path, query and header parameters."""
        return self.spec.get("parameters", [])

    @property
    def body_schema(self) -> dict[str, Any] | None:
        """The schema of a JSON body."""
        return self.spec.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")

    @property
    def other_body(self) -> tuple[str, dict[str, Any]] | None:
        """Media type and description of a body that is no JSON."""
        content = self.spec.get("requestBody", {}).get("content", {})
        return next(((media, found) for media, found in content.items() if media != "application/json"), None)


@dataclass(frozen=True)
class Slot:
    """A place in a request where an id stands: its name, where it is, and the way to it in the body."""

    place: str
    name: str
    way: tuple[str | int, ...] = ()


def operations(document: dict[str, Any]) -> list[Operation]:
    """Return all operations in the document's order."""
    return [Operation(method, path, spec) for path, methods in document["paths"].items() for method, spec in methods.items() if method in METHODS]


def takes_key(operation: Operation) -> bool:
    """Tell whether an operation declares an Idempotency-Key."""
    return any(p["in"] == "header" and p["name"] == "Idempotency-Key" for p in operation.parameters)


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def example_of(document: dict[str, Any], operation: Operation) -> Any:
    """Return a copy of the first example of a JSON body, or None."""
    if operation.body_schema is None:
        return None
    content = operation.spec["requestBody"]["content"]["application/json"]
    found = [content.get("example"), *[one.get("value") for one in content.get("examples", {}).values()]]
    schema = resolved(document, operation.body_schema)
    for part in (schema, *(resolved(document, one) for one in schema.get("anyOf", []))):
        found += part.get("examples", [])
    return next((deepcopy(one) for one in found if one is not None), None)


def is_id(document: dict[str, Any], schema: dict[str, Any]) -> bool:
    """Tell whether a value, or a value of a list, is a UUID."""
    schema = resolved(document, schema)
    if schema.get("format") == "uuid":
        return True
    parts = [*schema.get("anyOf", []), *schema.get("oneOf", []), *schema.get("allOf", [])]
    if "items" in schema:
        parts.append(schema["items"])
    return any(is_id(document, part) for part in parts)


def body_slots(
    document: dict[str, Any], schema: dict[str, Any], way: tuple[str | int, ...] = (), depth: int = 0
) -> Iterator[tuple[tuple[str | int, ...], str, bool]]:
    """Yield the way to each id of a body, its name, and whether it stands in a list."""
    schema = resolved(document, schema)
    if depth > 8:
        return
    for part in (*schema.get("anyOf", []), *schema.get("oneOf", []), *schema.get("allOf", [])):
        yield from body_slots(document, part, way, depth + 1)
    if schema.get("type") == "array" and "items" in schema:
        yield from body_slots(document, schema["items"], (*way, 0), depth + 1)
    for name, part in schema.get("properties", {}).items():
        whole = resolved(document, part)
        options = [resolved(document, one) for one in whole.get("anyOf", [])] or [whole]
        if any(one.get("format") == "uuid" for one in options):
            yield (*way, name), name, False
        elif any(one.get("type") == "array" and is_id(document, one) and not resolved(document, one["items"]).get("properties") for one in options):
            yield (*way, name, 0), name, True
        else:
            yield from body_slots(document, part, (*way, name), depth + 1)
