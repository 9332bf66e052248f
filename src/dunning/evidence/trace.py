"""What is kept about where a visit came from: context, never proof, and no more than tells a network from another.

Standard library only. No device is fingerprinted: the address is cut to its network, the program to the name of its family.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_KEPT_BITS: Mapping[int, int] = MappingProxyType({4: 24, 6: 48})
# The first that is named wins: most programs name others they resemble.
_FAMILIES = (
    ("bot", "declared bot"), ("crawler", "declared bot"), ("spider", "declared bot"), ("scan", "declared bot"), ("headless", "headless browser"),
    ("python", "script"), ("curl", "script"), ("wget", "script"), ("java/", "script"), ("go-http", "script"),
    ("edg/", "edge"), ("opr/", "opera"), ("firefox", "firefox"), ("chrome", "chrome"), ("safari", "safari"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trace:
    """The context of one visit: HTTP method, network such as `203.0.113.0/24`, family of the program."""

    method: str
    network: str
    program: str

    def as_data(self) -> dict[str, str]:
        """Return it as it is stored."""
        return {"method": self.method, "network": self.network, "program": self.program}


def trace_of(method: str, address: str | None, user_agent: str) -> Trace:
    """Reduce a visit to what is kept of it."""
    return Trace(method, network_of(address), program_of(user_agent))


def network_of(address: str | None) -> str:
    """Return the network of an address, /24 or /48; `unknown` for anything else."""
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    kept, cut = _KEPT_BITS[ip.version], ip.max_prefixlen - _KEPT_BITS[ip.version]
    return f"{type(ip)(int(ip) >> cut << cut)}/{kept}"


def program_of(user_agent: str) -> str:
    """Return the family a program says it belongs to."""
    said = user_agent.casefold()
    return next((family for mark, family in _FAMILIES if mark in said), "other" if said else "none given")
