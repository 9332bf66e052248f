"""Checks of a ledger's settings against what the world knows: currencies, zones, holidays, bank accounts, link templates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from stdnum import bic, iban

from dunning.kit import calendar
from dunning.kit.money import CURRENCIES

LOOPBACK = ("localhost", "127.0.0.1", "::1")
TOKEN = "{token}"  # noqa: S105  # the place of a token, not a secret
CUSTOMER = "{external_id}"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def faults_of(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what is wrong with given settings, each as field and message; absent settings are not looked at.

    `country` and `subdivision`, and the two sending times, are judged together: give both.
    """
    found: list[dict[str, str]] = []

    def fault(field: str, message: str) -> None:
        found.append({"field": field, "message": message})

    currency = values.get("currency")
    if currency is not None and currency not in CURRENCIES:
        fault("currency", f"{currency} is not an ISO 4217 code such as EUR")
    if "time_zone" in values and values["time_zone"] not in available_timezones():
        fault("time_zone", f"{values['time_zone']} is not an IANA time zone such as Europe/Rome")
    if "country" in values and not calendar.knows(values["country"], None):
        fault("country", f"no public holidays are known for {values['country']}: expected an ISO 3166-1 code such as IT")
    elif values.get("subdivision") and not calendar.knows(values["country"], values["subdivision"]):
        fault("subdivision", f"{values['subdivision']} is not a subdivision of {values['country']} with holidays of its own: leave it out")
    if values.get("send_from") and values.get("send_until") and values["send_from"] >= values["send_until"]:
        fault("send_until", "the window must end after it begins (send_from)")
    if "link_target" in values and (message := link_target_fault(values["link_target"])):
        fault("link_target", message)
    if values.get("crm_url") and (message := crm_url_fault(values["crm_url"])):
        fault("crm_url", message)
    for budget in ("contact_budget", "person_contact_budget"):
        if (values.get(budget) is None) != (values.get(f"{budget}_days") is None):
            fault(f"{budget}_days", f"goes with {budget}: state both, or neither")
    limits = values.get("message_limit") or []
    for n, limit in enumerate(limits):
        if limit["minor"] < 0:
            fault(f"message_limit.{n}.amount", "must not be negative")
        if any(limit["currency"] == other["currency"] for other in limits[:n]):
            fault(f"message_limit.{n}.currency", f"{limit['currency']} has a limit already: give one amount a currency")
    for n, account in enumerate(values.get("bank_accounts") or []):
        for field, message in _account_faults(account):
            fault(f"bank_accounts.{n}.{field}", message)
    return found


def link_target_fault(target: str) -> str | None:
    """Tell what is wrong with a link target: `portal`, or an https address with `{token}` in it."""
    if target == "portal":
        return None
    try:
        parts = urlsplit(target.replace(TOKEN, "token"))
        host = parts.hostname or ""
    except ValueError:
        return "is not an address: expected `portal` or one such as https://extranet.example/claims/{token}"
    if TOKEN not in target:
        return "must contain {token}, the place of the link's token"
    if target.count("{") != 1 or target.count("}") != 1:
        return "may contain {token} once and no other braces"
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK):
        return "must begin with https:// (http:// only for this machine)"
    if not host or TOKEN in (urlsplit(target).netloc):
        return "needs a host, and {token} must stand after it"
    return None


def crm_url_fault(url: str) -> str | None:
    """Tell what is wrong with the address of a customer in the company's own CRM: https, with `{external_id}` as its only placeholder."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return "is not an address: expected one such as https://crm.example/customers/{external_id}"
    unknown = sorted({name for name in _PLACEHOLDER.findall(url) if name != "external_id"})
    if unknown:
        return f"knows the placeholder {{external_id}} alone, not {', '.join(f'{{{name}}}' for name in unknown)}"
    if any(sign in url.replace(CUSTOMER, "") for sign in "{}"):
        return "has a brace that is no placeholder: expected {external_id} or none"
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK):
        return "must begin with https:// (http:// only for this machine)"
    if not host or CUSTOMER in parts.netloc:
        return "needs a host, and {external_id} must stand after it"
    return None


def _account_faults(account: Mapping[str, Any]) -> list[tuple[str, str]]:
    faults = []
    if not iban.is_valid(account["iban"]):
        faults.append(("iban", f"{account['iban']} is not a valid IBAN: check it for a typing mistake"))
    if account.get("bic") and not bic.is_valid(account["bic"]):
        faults.append(("bic", f"{account['bic']} is not a valid BIC"))
    if account["currency"] not in CURRENCIES:
        faults.append(("currency", f"{account['currency']} is not an ISO 4217 code such as EUR"))
    return faults


def compact_accounts(accounts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return bank accounts with IBAN and BIC as they are stored: without spaces, in capitals."""
    return [{**a, "iban": iban.compact(a["iban"]), "bic": bic.compact(a["bic"]) if a.get("bic") else None} for a in accounts]


def zone_fault(time_zone: str | None) -> str | None:
    """Tell what is wrong with a time zone."""
    if time_zone is None or time_zone in available_timezones():
        return None
    return f"{time_zone} is not an IANA time zone such as Europe/Rome"
