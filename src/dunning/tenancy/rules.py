"""API keys as text, and what a scope allows."""

from __future__ import annotations

import hmac
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
    "collection:write": "Start and edit runs, act on actions, write notes.",
    "send": "Let messages leave: commit runs, approve actions, resolve held messages, switch sending.",
    "links:resolve": "Resolve link tokens for the company's own extranet and vouch for the reader.",
    "admin": "Manage API keys, tenant settings, the emergency stop and the test clock.",
}


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
