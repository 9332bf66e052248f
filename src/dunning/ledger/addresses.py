"""What is kept of a mail address beside the address itself."""

from __future__ import annotations

import hashlib


def address_digest(address: str) -> bytes:
    """Return the digest under which an address is suppressed or opted out; case and spaces around it make no difference."""
    return hashlib.sha256(address.strip().casefold().encode()).digest()
