"""Reading what a run has left behind: through the API as its users do, and for the histories of messages in one statement."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import time
from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from dunning.kit.database import AWAY, Database
from dunning.kit.errors import Unavailable
from dunning.kit.ids import TenantId
from tests.faults.erp import Erp
from tests.faults.judge import Told

ONCE = ("customer.created", "document.created", "receipt.recorded", "run.committed", "action.executed", "message.accepted")
"""Events that may happen to one subject once only."""


@dataclass(frozen=True, slots=True)
class Observer:
    """Reads one ledger of one tenant."""

    erp: Erp
    database: Database
    tenant_id: TenantId
    ledger_id: str

    async def come_to_rest(self, seconds: float) -> list[str]:
        """Wait until every message and action has come to an end and the feed has numbered everything; return what had not."""
        until = time.monotonic() + seconds
        sql = """select (select count(*) from message where tenant_id = $1
                          and state in ('ready', 'leased', 'committing', 'retry_wait', 'uncertain'))
                      + (select count(*) from action where tenant_id = $1 and state = 'scheduled')
                      + (select count(*) from event where tenant_id = $1 and seq is null)"""
        left = -1
        while left and time.monotonic() < until:
            with contextlib.suppress(*AWAY):
                async with self.database.reading(self.tenant_id) as session:
                    left = await session.value(sql, self.tenant_id)
            await asyncio.sleep(0.2)
        return [f"{left} messages, actions or events had not come to an end"] if left else []

    async def readable(self) -> Counter[tuple[str, str]]:
        """Return how often each thing that can be acknowledged is there, as (kind, id)."""
        found: Counter[tuple[str, str]] = Counter()
        for kind in ("customers", "documents", "receipts"):
            found.update((kind, row["external_id"]) for row in await self.erp.all(f"/ledgers/{self.ledger_id}/{kind}"))
        found.update(("imports", row["import_id"]) for row in await self.erp.all(f"/ledgers/{self.ledger_id}/imports"))
        found.update(("runs", row["run_id"]) for row in await self.erp.all("/runs"))
        return found

    async def unsound(self) -> list[str]:
        """Ask the product itself: invariants, the run's own verification, and a feed without gaps in which nothing happened twice."""
        found = [f"{v['check']}: {v['subject']} {v['detail']}" for v in (await self.erp.get("/health/invariants"))["violations"]]
        runs = await self.erp.all("/runs", ledger=self.ledger_id)
        if len(runs) != 1:
            found.append(f"one run was launched and {len(runs)} are there")
        for run in runs:
            verified = await self.erp.call("POST", f"/runs/{run['run_id']}/verify")
            if not verified["agrees"]:
                found.append(f"run {run['run_id']} decides differently when it is verified: {verified['differences_count']} customers")
            if run["counts"]["failed"]:
                found.append(f"run {run['run_id']} failed for {run['counts']['failed']} customers")
        feed = await self.erp.feed()
        if [event["seq"] for event in feed] != list(range(1, len(feed) + 1)):
            found.append("the numbers of the feed have gaps or repeat")
        happened = Counter((event["kind"], event["subject_id"]) for event in feed if event["kind"] in ONCE)
        found += [f"{kind} of {subject} is in the feed {count} times" for (kind, subject), count in happened.items() if count > 1]
        listed = await self.erp.all("/messages", ledger=self.ledger_id)
        found += [
            f"message {row['message_id']} is accepted and the feed does not say so"
            for row in listed
            if row["state"] == "accepted" and not happened["message.accepted", row["message_id"]]
        ]
        return found

    async def messages(self) -> list[Told]:
        """Return every message as it is listed, with when it last passed its fence and when its reply was given up."""
        async with self.database.reading(self.tenant_id) as session:
            events = await session.rows(
                "select message_id, to_state, recorded_at from message_event where tenant_id = $1 order by message_id, recorded_at, message_event_id",
                self.tenant_id,
            )
        fenced: dict[UUID, dt.datetime] = {}
        lost: dict[UUID, dt.datetime] = {}
        for event in events:
            if event["to_state"] == "committing":
                fenced[event["message_id"]] = event["recorded_at"]
                lost.pop(event["message_id"], None)
            elif event["to_state"] == "uncertain":
                lost[event["message_id"]] = event["recorded_at"]
        listed = [(UUID(row["message_id"]), row) for row in await self.erp.all("/messages", ledger=self.ledger_id)]
        return [Told(message_id, row["to"]["email"], row["state"], fenced.get(message_id), lost.get(message_id)) for message_id, row in listed]


async def connected(url: str) -> Database:
    """Connect to the database as soon as it is there."""
    while True:
        try:
            return await Database.connect(url, size=2, name="observer")
        except Unavailable:
            await asyncio.sleep(0.2)
