"""Keyset pages: a sealed cursor holds the last row's key, so that a page costs the same wherever it begins."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Query

from dunning.kit.errors import Malformed
from dunning.kit.signing import Keyring

LIMIT_MAX = 500

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Rows of one page.")]
Cursor = Annotated[str | None, Query(max_length=600, description="`next_cursor` of the page before; leave it out for the first page.")]


class WrongCursor(Malformed):
    """The cursor was not made by this list."""

    code = "wrong_cursor"
    title = "The cursor does not belong to this list"


def seal(keyring: Keyring, list_name: str, *key: Any) -> str:
    """Write the key of the last row of a page as a cursor."""
    return keyring.seal(f"cursor.{list_name}", json.dumps([str(part) for part in key], separators=(",", ":")).encode())


def unseal(keyring: Keyring, list_name: str, cursor: str | None, parts: int) -> list[str] | None:
    """Read a cursor of this list; None for the first page; raise `WrongCursor` for anything else."""
    if cursor is None:
        return None
    payload = keyring.unseal(f"cursor.{list_name}", cursor)
    key = json.loads(payload) if payload is not None else None
    if not isinstance(key, list) or len(key) != parts:
        msg = "cursor: take `next_cursor` of the page before as it is, with the same list."
        raise WrongCursor(msg)
    return key
