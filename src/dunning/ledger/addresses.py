"""Which mail addresses can be written to, and what is kept of one beside the address itself."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

import idna

_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


class InvalidAddress(ValueError):
    """An address that no mail can be sent to; its text says why."""


@lru_cache(maxsize=16_384)
def ascii_address(address: str) -> str:
    """Return a mail address as SMTP takes it: ASCII before the at sign, the domain in its IDNA form. Raises `InvalidAddress` otherwise.

    Quoted local parts, comments and address literals are refused: no system that dunning talks to needs them.
    """
    local, _, domain = address.rpartition("@")
    if len(local) > 64 or _LOCAL_PART.fullmatch(local) is None:
        msg = "the part before @ must be letters, digits and the usual signs, at most 64 of them"
        raise InvalidAddress(msg)
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            msg = "the domain is no valid internationalised name"
            raise InvalidAddress(msg) from error
    domain = domain.lower()
    if len(domain) > 253 or not domain or not all(_LABEL.fullmatch(label) for label in domain.split(".")):
        msg = "the domain is not a valid host name: letters, digits and hyphens between its points"
        raise InvalidAddress(msg)
    return f"{local}@{domain}"


def address_digest(address: str) -> bytes:
    """Return the digest under which an address is suppressed or opted out; case and spaces around it make no difference."""
    return hashlib.sha256(address.strip().casefold().encode()).digest()
