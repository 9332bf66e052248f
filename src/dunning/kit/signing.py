"""Signed tokens: a message authentication code by a rotating key over a few ids, and checksummed random secrets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

MAC_BYTES = 20
_ID_BYTES = 16
_DOT = r"(?:\.|%2[eE])"
TOKEN_OF_TWO_IDS = rf"[A-Za-z0-9]{{1,8}}{_DOT}[A-Za-z0-9_-]{{43}}{_DOT}[A-Za-z0-9_-]{{27}}"
"""The shape of what `Keyring.sign` makes of two ids, as a regular expression, so that texts can be searched for it; percent-encoded too."""


def b64(data: bytes) -> str:
    """Write bytes as unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Read unpadded base64url strictly; raise `ValueError` on anything else."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    # Whatever the decoder took for another letter or passed over is written otherwise by the encoder.
    if b64(data) != text:
        msg = "not canonical base64url"
        raise ValueError(msg)
    return data


@dataclass(frozen=True, slots=True)
class Keyring:
    """Signing keys by id; `newest` signs, all verify."""

    newest: str
    keys: Mapping[str, bytes]

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """Read `id:hex,id:hex`, newest first; raise `ValueError` with what is wrong."""
        keys: dict[str, bytes] = {}
        for pair in text.split(","):
            key_id, _, key_hex = pair.strip().partition(":")
            if not key_id.isalnum() or len(key_id) > 8:
                msg = "a key id is one to eight letters or digits, before a colon"
                raise ValueError(msg)
            key = bytes.fromhex(key_hex)
            if len(key) < 32:
                msg = f"signing key {key_id} is shorter than 32 bytes"
                raise ValueError(msg)
            keys[key_id] = key
        return cls(newest=next(iter(keys)), keys=keys)

    @staticmethod
    def generate(key_id: str) -> str:
        """Return the text of a ring with one fresh key."""
        return f"{key_id}:{secrets.token_hex(32)}"

    def sign(self, purpose: str, *ids: UUID, key_id: str | None = None) -> str:
        """Return a token over ids: `key.payload.mac`, URL safe. The same ids and key give the same token."""
        chosen = key_id or self.newest
        payload = b"".join(i.bytes for i in ids)
        return f"{chosen}.{b64(payload)}.{b64(self._mac(chosen, purpose, payload))}"

    def verify(self, purpose: str, token: str) -> tuple[UUID, ...] | None:
        """Return the ids of a token made by `sign` for the same purpose, or None when anything about it is not right."""
        try:
            key_id, payload_text, mac_text = token.split(".")
            payload, mac = unb64(payload_text), unb64(mac_text)
        except ValueError:
            return None
        if key_id not in self.keys or not payload or len(payload) % _ID_BYTES:
            return None
        if not hmac.compare_digest(mac, self._mac(key_id, purpose, payload)):
            return None
        return tuple(UUID(bytes=payload[i : i + _ID_BYTES]) for i in range(0, len(payload), _ID_BYTES))

    def seal(self, purpose: str, payload: bytes) -> str:
        """Return a token over bytes, such as the cursor of a list."""
        return f"{self.newest}.{b64(payload)}.{b64(self._mac(self.newest, purpose, payload))}"

    def unseal(self, purpose: str, token: str) -> bytes | None:
        """Return the bytes of a token made by `seal`, or None."""
        try:
            key_id, payload_text, mac_text = token.split(".")
            payload, mac = unb64(payload_text), unb64(mac_text)
        except ValueError:
            return None
        if key_id not in self.keys or not hmac.compare_digest(mac, self._mac(key_id, purpose, payload)):
            return None
        return payload

    def _mac(self, key_id: str, purpose: str, payload: bytes) -> bytes:
        message = b"\0".join((b"dunning", purpose.encode(), key_id.encode(), payload))
        return hmac.digest(self.keys[key_id], message, "sha256")[:MAC_BYTES]


def checksum(text: str) -> str:
    """Return six characters by which a mistyped or truncated secret is told before any look-up."""
    return b64(zlib.crc32(text.encode()).to_bytes(4, "big"))


def random_secret() -> str:
    """Return 256 random bits as 43 URL-safe characters."""
    return b64(secrets.token_bytes(32))


def sha256(text: str) -> bytes:
    """Digest of a high-entropy secret or of content; such secrets need no slow hash."""
    return hashlib.sha256(text.encode()).digest()
