"""The token of a link: how it is written, read, put into an address, and kept out of logs.

A token is derived (tenant id, link id, key id and a MAC), so that a resend renders the same address; the link's row revokes and counts.
"""

from __future__ import annotations

import logging
import re
from urllib.parse import quote
from uuid import UUID

from dunning.kit.ids import LinkId, TenantId
from dunning.kit.signing import Keyring

PORTAL = "portal"
"""The `link_target` of a ledger whose links lead to the page of this service."""

MASK = "[link token]"
_PURPOSE = "link"
_IDS = 2
_DOT = r"(?:\.|%2[eE])"
# Key id, 32 bytes of ids and 20 bytes of MAC in base64url, whatever stands around them.
_TOKEN = re.compile(rf"[A-Za-z0-9]{{1,8}}{_DOT}[A-Za-z0-9_-]{{43}}{_DOT}[A-Za-z0-9_-]{{27}}")


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
    """Return a text with every token replaced, for logs and stored bodies."""
    return _TOKEN.sub(MASK, text)


class MaskTokens(logging.Filter):
    """A filter for log handlers: no record leaves with a token in its message, arguments or traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record in place and let it pass. Arguments keep their places, since access logs read them one by one."""
        record.msg = _masked(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(_masked(value) for value in record.args)
        elif record.args:
            record.args = {name: _masked(value) for name, value in record.args.items()}
        if record.exc_info and record.exc_info[0] is not None and not record.exc_text:
            # The formatter keeps a text that is already there, so the traceback is written here and masked.
            record.exc_text = mask(logging.Formatter().formatException(record.exc_info))
        return True


def _masked(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | UUID):
        return value
    text = value if isinstance(value, str) else str(value)
    hidden = mask(text)
    return value if hidden == text else hidden
