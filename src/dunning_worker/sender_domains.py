"""What this worker knows about the domains it sends for: looked up before their first mail, and again each day."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from dunning.kit.logs import logger
from dunning.messages.sender_domain import Record, TxtRecords, Verdict, examine
from dunning_worker import metrics

KEPT_SECONDS = 24 * 3600.0
KEPT_AFTER_TROUBLE_SECONDS = 3600.0
"""What fails, or was not answered, is looked up again sooner: somebody may be mending it."""
RECORDS = ("SPF", "DKIM", "DMARC")

log = logger("sender_domains")


@dataclass(frozen=True, slots=True)
class _Known:
    records: Sequence[Record]
    until: float


class SenderDomains:
    """Keeps the findings of one process. One look-up a domain is under way at a time, however many mails ask."""

    def __init__(self, ask: TxtRecords, selectors: Sequence[str] = ()) -> None:
        self._ask = ask
        self._selectors = selectors
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, asyncio.Task[Sequence[Record]]] = {}

    async def records_of(self, domain: str) -> Sequence[Record]:
        """Return what is known of a domain; ask first where nothing is, or where it is a day old."""
        known = self._known.get(domain)
        return known.records if known is not None and known.until > time.monotonic() else await asyncio.shield(self._look(domain))

    def look(self, domain: str) -> None:
        """Have a domain looked up where nothing recent is known, without waiting for the answer."""
        known = self._known.get(domain)
        if known is None or known.until <= time.monotonic():
            self._look(domain)

    async def look_again(self) -> None:
        """Look up what has become old among the domains seen so far."""
        for domain in list(self._known):
            await self.records_of(domain)

    async def refusal(self, domain: str) -> str | None:
        """Return what is wrong with a domain in one text, or None. What is unknown is not wrong."""
        wrong = [record.sentence for record in await self.records_of(domain) if record.verdict is Verdict.FAILS]
        return " ".join(wrong) or None

    def _look(self, domain: str) -> asyncio.Task[Sequence[Record]]:
        if domain not in self._asking:
            self._asking[domain] = asyncio.create_task(self._examine(domain))
        return self._asking[domain]

    async def _examine(self, domain: str) -> Sequence[Record]:
        try:
            records = await examine(self._ask, domain, self._selectors)
            fine = all(record.verdict is not Verdict.FAILS and "did not answer" not in record.sentence for record in records)
            self._known[domain] = _Known(records, time.monotonic() + (KEPT_SECONDS if fine else KEPT_AFTER_TROUBLE_SECONDS))
            for record in records:
                if record.verdict is Verdict.FAILS:
                    log.warning("sender_domain.fails", record=record.name, domain=domain, todo=record.sentence)
            for name in RECORDS:
                failing = sum(r.name == name and r.verdict is Verdict.FAILS for known in self._known.values() for r in known.records)
                metrics.SENDER_DOMAINS_FAILING.labels(name).set(failing)
            return records
        finally:
            del self._asking[domain]
