"""What is kept of an address beside the address itself: digests, by which it is suppressed and its domain is paced."""

from __future__ import annotations

import hashlib

from dunning.ledger.addresses import address_digest

__all__ = ["address_digest", "domain_key"]


def domain_key(address: str) -> str:
    """Return the key under which mails to the domain of an address are counted: half a digest, so that no tenant's customers can be read from it."""
    return hashlib.sha256(address.rpartition("@")[2].strip().casefold().encode()).hexdigest()[:32]
