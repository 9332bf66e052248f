"""Asking the name service for TXT records."""

from __future__ import annotations

from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.resolver

ANSWER_SECONDS = 5.0


async def txt_records(name: str) -> Sequence[str] | None:
    """Return the TXT records of a name, none where it has none or does not exist, and None where nobody answered in time."""
    try:
        found = await dns.asyncresolver.resolve(name, "TXT", lifetime=ANSWER_SECONDS)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError):
        return None
    return [b"".join(record.strings).decode("utf-8", "replace") for record in found]
