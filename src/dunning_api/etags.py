"""Entity tags: the revision an editor has read, so that of two people editing at once the second is told instead of overwriting (RFC 9110, 13.1.1)."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Header, Response

from dunning.kit.errors import PreconditionFailed, PreconditionRequired

_TAG = re.compile(r'"(\d{1,9})"')

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=200,
        description="The `ETag` of the answer you edited, or `*` to overwrite whatever is there. Without it the answer is 428, with an older one 412.",
        examples=["*"],
    ),
]


def expected_revision(if_match: str | None) -> int | None:
    """Return the revision an `If-Match` header names, None for `*`; raise when it is missing or names nothing this service gave out."""
    if if_match is None:
        msg = "Send the header `If-Match` with the `ETag` of the answer you edited, or `*` to overwrite whatever is there."
        raise PreconditionRequired(msg)
    if if_match.strip() == "*":
        return None
    found = _TAG.fullmatch(if_match.strip())
    if found is None:
        msg = "The object has no such `ETag`. Read it again, repeat the change on what you read, and send the `ETag` as it came."
        raise PreconditionFailed(msg)
    return int(found[1])


def tag(response: Response, revision: int) -> None:
    """Put the revision of what is answered into the `ETag` header."""
    response.headers["ETag"] = f'"{revision}"'
