"""What is kept about where a visit came from: context, never proof, and no more than tells a network from another.

Standard library only. No device is fingerprinted: the address is cut to its network, the program to the name of its family.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from socket import AF_INET, AF_INET6, inet_pton

_MAPPED = bytes(10) + b"\xff\xff"
"""What an IPv4 address begins with where it is written as one of IPv6."""
_IPV4 = 4
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
    written = (address or "").partition("%")[0]
    try:
        octets = inet_pton(AF_INET6 if ":" in written else AF_INET, written).removeprefix(_MAPPED)
    except (OSError, ValueError):
        return "unknown"
    if len(octets) == _IPV4:
        return f"{octets[0]}.{octets[1]}.{octets[2]}.0/24"
    return f"{IPv6Address(octets[:6] + bytes(10))}/48"


def program_of(user_agent: str) -> str:
    """Return the family a program says it belongs to."""
    said = user_agent.casefold()
    return next((family for mark, family in _FAMILIES if mark in said), "other" if said else "none given")
