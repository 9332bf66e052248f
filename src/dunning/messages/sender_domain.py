"""Whether the world can tell that a domain's mails are its own: SPF, DKIM and DMARC as its DNS states them. Pure but for the port it asks."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

TxtRecords = Callable[[str], Awaitable[Sequence[str] | None]]
"""Returns the TXT records of a name, none where it has none, and None where the name service gave no answer."""


class Verdict(StrEnum):
    """What was found. `unknown` is neither: nobody answered, or nobody said where to look."""

    OK = "ok"
    FAILS = "fails"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Record:
    """One of the three statements: `name` is SPF, DKIM or DMARC; the sentence says what is wrong and what to publish."""

    name: str
    verdict: Verdict
    sentence: str


async def examine(ask: TxtRecords, domain: str, selectors: Sequence[str]) -> list[Record]:
    """Look at the three statements of a sending domain. DKIM keys stand under names that only the signer knows: without a selector it is unknown."""
    spf = spf_of(domain, await ask(domain))
    keys = [(selector, await ask(f"{selector}._domainkey.{domain}")) for selector in selectors]
    dmarc: Record | None = None
    for name in dmarc_names(domain):
        dmarc = dmarc_of(domain, await ask(name))
        if dmarc.verdict is not Verdict.FAILS or dmarc.sentence != _no_dmarc(domain):
            break
    return [spf, dkim_of(domain, keys), *([dmarc] if dmarc else [])]


def spf_of(domain: str, texts: Sequence[str] | None) -> Record:
    """Judge the TXT records of a domain as SPF (RFC 7208): exactly one record, and not one that lets everybody send."""
    if texts is None:
        return _unknown("SPF", domain)
    found = [text for text in texts if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")]
    if not found:
        return Record("SPF", Verdict.FAILS, f"{domain} has no SPF record. Publish a TXT record `v=spf1 … -all` that names your relay.")
    if len(found) > 1:
        return Record("SPF", Verdict.FAILS, f"{domain} has {len(found)} SPF records, so receivers count none. Publish one.")
    if {"+all", "all"} & set(found[0].lower().split()):
        return Record("SPF", Verdict.FAILS, f"The SPF record of {domain} lets everybody send in its name. End it with `-all` or `~all`.")
    return Record("SPF", Verdict.OK, f"{domain} has one SPF record. Check that it names your relay: that cannot be seen from here.")


def dkim_of(domain: str, keys: Sequence[tuple[str, Sequence[str] | None]]) -> Record:
    """Judge the keys found under the relay's selectors (RFC 6376): each has one that is not revoked."""
    if not keys:
        return Record(
            "DKIM", Verdict.UNKNOWN, "No selector is set, so no key can be looked up. Set DUNNING_SMTP_DKIM_SELECTORS to those your relay signs with."
        )
    for selector, texts in keys:
        if texts is None:
            return _unknown("DKIM", domain)
        tags = [_tags(text) for text in texts]
        if not any(each.get("p") and each.get("v", "DKIM1") == "DKIM1" for each in tags):
            why = "is revoked" if any("p" in each for each in tags) else "does not exist"
            return Record(
                "DKIM", Verdict.FAILS, f"The key {selector}._domainkey.{domain} {why}. Publish the one your relay signs with, or correct the selector."
            )
    return Record("DKIM", Verdict.OK, f"The keys of {domain} are published.")


def dmarc_names(domain: str) -> list[str]:
    """Return the names under which a domain's DMARC policy may stand, its own first, then those of the domains above it (RFC 7489, 6.6.3)."""
    labels = domain.split(".")
    return [f"_dmarc.{'.'.join(labels[start:])}" for start in range(max(len(labels) - 1, 1))]


def dmarc_of(domain: str, texts: Sequence[str] | None) -> Record:
    """Judge TXT records as a DMARC policy: one of them, with `p=`."""
    if texts is None:
        return _unknown("DMARC", domain)
    policies = [tags for text in texts if (tags := _tags(text)).get("v") == "DMARC1"]
    if not policies:
        return Record("DMARC", Verdict.FAILS, _no_dmarc(domain))
    if len(policies) > 1 or policies[0].get("p", "").lower() not in {"none", "quarantine", "reject"}:
        return Record("DMARC", Verdict.FAILS, f"The DMARC policy of {domain} cannot be read. Publish one record with `p=none`, `p=quarantine` or `p=reject`.")
    return Record("DMARC", Verdict.OK, f"{domain} has a DMARC policy.")


def _no_dmarc(domain: str) -> str:
    return f"{domain} has no DMARC policy. Publish a TXT record `v=DMARC1; p=none` at _dmarc.{domain}; large providers refuse without one."


def _unknown(name: str, domain: str) -> Record:
    return Record(name, Verdict.UNKNOWN, f"The name service did not answer for {domain}. Check the resolver of this machine.")


def _tags(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(";"))
    return {key.strip(): value.strip() for key, _, value in pairs if key.strip()}


def is_loopback(host: str) -> bool:
    """Tell whether a relay is on this machine: a test relay or a forwarder, whose mails nobody outside judges by us."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def listed(text: str) -> list[str]:
    """Return the parts of a setting that are separated by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]
