"""Errors with a stable code. A service raises one; the API maps its kind to a status once, as an RFC 9457 problem."""

from __future__ import annotations

from typing import Any, ClassVar


class DunningError(Exception):
    """What went wrong, for the person who reads it: `code` never changes, `detail` says what to do, `facts` are machine readable."""

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


class NotFound(DunningError):
    """The object does not exist for this caller; another tenant's object answers the same (404)."""

    code = "not_found"
    title = "Not found"

    def __init__(self, noun: str) -> None:
        super().__init__(f"No such {noun}. Check the id, and that it belongs to this tenant.")


class Malformed(DunningError):
    """The request cannot be understood or breaks a rule of form (422). `errors` lists field, message and what was expected."""

    code = "malformed"
    title = "The request is not well formed"

    def __init__(self, detail: str, errors: list[dict[str, Any]] | None = None, **facts: Any) -> None:
        super().__init__(detail, **facts)
        self.errors = errors or []


class Conflict(DunningError):
    """The request is well formed but the state of things forbids it (409)."""

    code = "conflict"
    title = "Conflict with the present state"


class PreconditionFailed(DunningError):
    """The object changed since the caller read it (412)."""

    code = "precondition_failed"
    title = "The object has changed"


class PreconditionRequired(DunningError):
    """The change must say which revision it was made on (428)."""

    code = "precondition_required"
    title = "A precondition is missing"


class Forbidden(DunningError):
    """The caller is known but may not do this (403)."""

    code = "forbidden"
    title = "Not allowed"


class Unauthenticated(DunningError):
    """The caller is not known (401)."""

    code = "unauthenticated"
    title = "No valid API key"


class Gone(DunningError):
    """What was asked for existed and is no longer to be had (410)."""

    code = "gone"
    title = "No longer available"


class TooManyTries(DunningError):
    """The caller must wait before trying again (429)."""

    code = "too_many_tries"
    title = "Too many tries"


class Unavailable(DunningError):
    """A server that is needed is away (503); nothing was done."""

    code = "unavailable"
    title = "Temporarily unavailable"
