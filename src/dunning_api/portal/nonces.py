"""What makes a form belong to the page it stands on: a sealed note of link, page and instant. Nothing is stored for it."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from dunning.kit.ids import LinkId, ReadingId
from dunning.kit.signing import Keyring

LIFE = dt.timedelta(hours=2)
_ASK = "portal.ask"
_ACKNOWLEDGE = "portal.acknowledge"
_REQUEST = "portal.request"
_ID = 16
_INSTANT = 8


def ask_nonce(keyring: Keyring, link_id: LinkId, at: dt.datetime) -> str:
    """Return the nonce of a question form made at an instant of the database's clock."""
    return keyring.seal(_ASK, link_id.bytes + _instant(at))


def is_ask_nonce(keyring: Keyring, nonce: str, link_id: LinkId, at: dt.datetime) -> bool:
    """Tell whether a question form belongs to this link and is not older than `LIFE`."""
    payload = keyring.unseal(_ASK, nonce)
    return payload is not None and len(payload) == _ID + _INSTANT and payload[:_ID] == link_id.bytes and _is_fresh(payload[_ID:], at)


def request_nonce(keyring: Keyring, link_id: LinkId, at: dt.datetime) -> str:
    """Return the nonce of the forms on a colleague's page, made at an instant of the database's clock."""
    return keyring.seal(_REQUEST, link_id.bytes + _instant(at))


def is_request_nonce(keyring: Keyring, nonce: str, link_id: LinkId, at: dt.datetime) -> bool:
    """Tell whether a colleague's form belongs to this link and is not older than `LIFE`."""
    payload = keyring.unseal(_REQUEST, nonce)
    return payload is not None and len(payload) == _ID + _INSTANT and payload[:_ID] == link_id.bytes and _is_fresh(payload[_ID:], at)


def acknowledge_nonce(keyring: Keyring, link_id: LinkId, opened_id: ReadingId, at: dt.datetime) -> str:
    """Return the nonce of the form at the end of a shown claim: it names the reading under which that page was recorded."""
    return keyring.seal(_ACKNOWLEDGE, link_id.bytes + opened_id.bytes + _instant(at))


def opened_by(keyring: Keyring, nonce: str, link_id: LinkId, at: dt.datetime) -> ReadingId | None:
    """Return the reading whose page an acknowledgement comes from, or None when it is not from a fresh page of this link."""
    payload = keyring.unseal(_ACKNOWLEDGE, nonce)
    if payload is None or len(payload) != 2 * _ID + _INSTANT or payload[:_ID] != link_id.bytes or not _is_fresh(payload[2 * _ID :], at):
        return None
    return ReadingId(UUID(bytes=payload[_ID : 2 * _ID]))


def _instant(at: dt.datetime) -> bytes:
    return int(at.timestamp()).to_bytes(_INSTANT, "big")


def _is_fresh(written: bytes, at: dt.datetime) -> bool:
    age = int(at.timestamp()) - int.from_bytes(written, "big")
    return 0 <= age <= LIFE.total_seconds()
