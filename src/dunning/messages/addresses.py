"""What is kept of an address beside the address itself: digests, by which it is suppressed and its domain is paced."""

from __future__ import annotations

import hashlib


def address_digest(address: str) -> bytes:
    """Return the digest under which an address is suppressed; case and spaces around it make no difference."""
    return hashlib.sha256(address.strip().casefold().encode()).digest()


def domain_key(address: str) -> str:
    """Return the key under which mails to the domain of an address are counted: half a digest, so that no tenant's customers can be read from it."""
    return hashlib.sha256(address.rpartition("@")[2].strip().casefold().encode()).hexdigest()[:32]
