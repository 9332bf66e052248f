"""Which day it is in each ledger: lists that reach over several of them compare each row with the day of its own."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from dunning.collection import ledger_day_store
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession
from dunning.kit.errors import NotFound
from dunning.kit.ids import LedgerId, TenantId


@dataclass(frozen=True, slots=True)
class LedgerDays:
    """Ledgers with their currency and the day it is there, side by side, as statements take them."""

    ledger_ids: tuple[LedgerId, ...]
    todays: tuple[dt.date, ...]
    currencies: tuple[str, ...]

    @property
    def latest(self) -> dt.date:
        """The latest of the days; the end of all days where there is no ledger."""
        return max(self.todays, default=dt.date.max)


async def days_of(session: ReadSession, clock: Clock, *, tenant_id: TenantId, ledger_id: UUID | None) -> LedgerDays:
    """Return the day in one ledger, or in all of the tenant's; raise `NotFound` for an unknown one."""
    rows = await ledger_day_store.days_of(session, tenant_id, clock.now(), ledger_id)
    if ledger_id is not None and not rows:
        noun = "ledger"
        raise NotFound(noun)
    return LedgerDays(tuple(LedgerId(r["ledger_id"]) for r in rows), tuple(r["today"] for r in rows), tuple(r["currency"] for r in rows))
