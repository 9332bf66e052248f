"""API keys as text, what a scope allows, and what people may do and see by their role."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from dunning.kit.ids import KeyId, TenantId
from dunning.kit.signing import b64, checksum, random_secret, unb64

Mode = Literal["live", "test"]
SCOPES: dict[str, str] = {
    "read": "Read everything of the tenant.",
    "ledger:write": "Push ledgers, customers, documents, holds and imports.",
    "receipts:write": "Push receipts, allocations, reversals and payment returns.",
    "scenarios:write": "Edit and publish scenarios and templates.",
    "collection:write": "Start and edit runs, act on actions, agree with customers; holds `notes:write`.",
    "notes:write": "Write comments, notes, activities and attachments.",
    "people:write": "Manage people, teams, assignment rules, assignments and absences.",
    "send": "Let messages leave: commit runs, approve actions, resolve held messages, switch sending.",
    "budget:override": "Contact a customer beyond the ledger's contact budget, where a request says so.",
    "links:resolve": "Resolve link tokens for the company's own extranet and vouch for the reader.",
    "act_for": "Act for a person named in the header `Dunning-Person`, with that person's rights and name.",
    "admin": "Manage API keys, tenant settings, the emergency stop and the test clock.",
}
IMPLIED: dict[str, frozenset[str]] = {"collection:write": frozenset({"notes:write"})}
"""Scopes that come with another one."""

Role = Literal["admin", "manager", "collector", "account_manager", "counsel", "operator", "viewer"]
Sees = Literal["all", "team", "own", "nothing"]


@dataclass(frozen=True, slots=True)
class Rights:
    """What a role allows, and how far its people see unless they are given another sight."""

    scopes: frozenset[str]
    sees: Sees


RIGHTS: dict[Role, Rights] = {
    "admin": Rights(frozenset(SCOPES), "all"),
    "manager": Rights(frozenset({"read", "notes:write", "collection:write", "send", "people:write", "budget:override"}), "all"),
    "collector": Rights(frozenset({"read", "notes:write", "collection:write", "send"}), "team"),
    "account_manager": Rights(frozenset({"read", "notes:write"}), "own"),
    "counsel": Rights(frozenset({"read", "notes:write"}), "nothing"),
    "operator": Rights(frozenset({"read", "ledger:write", "receipts:write", "scenarios:write"}), "all"),
    "viewer": Rights(frozenset({"read"}), "all"),
}
SEES_ALL: frozenset[Role] = frozenset({"admin"})
"""Roles whose people always see everything: what they manage has no customer."""


def with_implied(scopes: Iterable[str]) -> frozenset[str]:
    """Return scopes with those that come with them."""
    given = frozenset(scopes)
    return given.union(*(IMPLIED.get(scope, frozenset()) for scope in given))


def scopes_of(role: Role, key_scopes: Iterable[str]) -> frozenset[str]:
    """Return what a key may do for a person: no more than the key, and no more than the person."""
    return with_implied(key_scopes) & RIGHTS[role].scopes


def may_do_the_work_of(role: Role, other: Role) -> bool:
    """Tell whether somebody of one role may do everything that the other one's people may."""
    return RIGHTS[role].scopes >= RIGHTS[other].scopes


@dataclass(frozen=True, slots=True)
class KeyText:
    """The parts of a presented API key."""

    mode: Mode
    tenant_id: TenantId
    key_id: KeyId
    secret: str


def compose_key(mode: Mode, tenant_id: TenantId, key_id: KeyId) -> tuple[str, str]:
    """Return a fresh key as `(text shown once, secret to be hashed)`.

    The text is `ar_live_` or `ar_test_`, 43 characters naming tenant and key, the 256-bit secret, and a checksum by which secret scanners and
    typing errors are told without a look-up.
    """
    secret = random_secret()
    body = f"ar_{mode}_{b64(tenant_id.bytes + key_id.bytes)}.{secret}"
    return f"{body}.{checksum(body)}", secret


def read_key(text: str) -> KeyText | None:
    """Take a presented key apart; None when it is not one of ours or was mistyped."""
    body, _, check = text.rpartition(".")
    if not text.isascii() or not hmac.compare_digest(check, checksum(body)):
        return None
    head, _, secret = body.partition(".")
    prefix, mode, ids = [*head.split("_", 2), "", ""][:3]
    try:
        raw = unb64(ids)
    except ValueError:
        return None
    if prefix != "ar" or len(raw) != 32 or len(secret) != 43:
        return None
    known: Mode | None = {"live": "live", "test": "test"}.get(mode)  # type: ignore[assignment]  # the values are the two modes
    return KeyText(known, TenantId(UUID(bytes=raw[:16])), KeyId(UUID(bytes=raw[16:])), secret) if known else None
