"""The token of a link: how it is written, read, put into an address, and masked in a text.

A token is derived (tenant id, link id, key id and a MAC), so that a resend renders the same address; the link's row revokes and counts.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from dunning.kit.ids import LinkId, TenantId
from dunning.kit.signing import TOKEN_OF_TWO_IDS, Keyring

PORTAL = "portal"
"""The `link_target` of a ledger whose links lead to the page of this service."""

MASK = "[link token]"
_PURPOSE = "link"
_IDS = 2
_TOKEN = re.compile(TOKEN_OF_TWO_IDS)


def token_of(keyring: Keyring, tenant_id: TenantId, link_id: LinkId, key_id: str) -> str:
    """Return the token of a link, signed by the key the link was minted with; the same link always gives the same token.

    Raises `KeyError` when that key has been removed from the ring: its links are dead then, and cannot be rendered again either.
    """
    return keyring.sign(_PURPOSE, tenant_id, link_id, key_id=key_id)


def read_token(keyring: Keyring, token: str) -> tuple[TenantId, LinkId] | None:
    """Return whose link a token names, or None when any part of it is not right."""
    ids = keyring.verify(_PURPOSE, token)
    return None if ids is None or len(ids) != _IDS else (TenantId(ids[0]), LinkId(ids[1]))


def url_of(public_url: str, link_target: str, token: str) -> str:
    """Return the address that stands in a mail: of the page of this service, or the company's own with `{token}` filled in."""
    if link_target == PORTAL:
        return f"{public_url.rstrip('/')}/c/{token}"
    return link_target.replace("{token}", quote(token, safe=""))


def mask(text: str) -> str:
    """Return a text with every token replaced, for bodies that people other than the recipient see. Log lines are masked by `kit.logs`."""
    return _TOKEN.sub(MASK, text)
