"""A worker that is told to stop, several workers at once, and the pace that all of them keep together (S0-13, C-02, C-31; promises 2.3, 9)."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
import time
from collections import Counter

import pytest

from dunning.kit.database import Database
from dunning.messages import store
from dunning.messages.relays import pace_of
from dunning_cli.embedded import EmbeddedPostgres
from tests.conftest import make_tenant
from tests.fakes.behaviours import by_local_part
from tests.fakes.relay import Relay
from tests.faults.checker import check
from tests.faults.child import Orders, ended, start
from tests.faults.test_crash_matrix import shared_relay_anew
from tests.messages.rows import lay_ground, queue, states

pytestmark = pytest.mark.faults


async def test_a_stopping_worker_finishes_the_mail_past_its_fence_and_gives_the_rest_back(database: Database, postgres: EmbeddedPostgres):
    """Promises 2.3 rule 11: SIGTERM during the relay's slow last reply."""
    await shared_relay_anew(database)
    tenant = await make_tenant(database, mode="live")
    async with Relay(by_local_part, stall_seconds=1.5) as relay:
        async with database.transaction(tenant.tenant_id) as session:
            ground = await lay_ground(session, tenant.tenant_id)
            ids = await queue(session, ground, ["accept-then-stall.0@d.example", *(f"ok.{n}@d.example" for n in range(5))], relay="smtp")
        process = start(Orders(postgres.app_url(), tenant.tenant_id, relay.port, reply_seconds=10, until_stopped=True))
        until = time.monotonic() + 20
        while not relay.accepted and time.monotonic() < until:
            await asyncio.sleep(0.02)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGTERM)
        assert await ended(process) == 0
        ends = await states(database, tenant.tenant_id)
        assert ends[ids[0]] == "accepted"
        assert Counter(ends.values()) == {"accepted": 1, "ready": 5}
        assert len(relay.accepted) == 1


async def test_two_workers_at_once_share_the_queue_and_send_each_message_once(database: Database, postgres: EmbeddedPostgres):
    """C-02: claims in one statement; two real processes, 200 messages."""
    await shared_relay_anew(database)
    tenant = await make_tenant(database, mode="live")
    async with Relay(by_local_part, delay_seconds=0.001) as relay:
        async with database.transaction(tenant.tenant_id) as session:
            ids = await queue(session, await lay_ground(session, tenant.tenant_id), [f"ok.{n}@d.example" for n in range(200)], relay="smtp")
        children = [start(Orders(postgres.app_url(), tenant.tenant_id, relay.port, reply_seconds=5)) for _ in range(2)]
        assert [await ended(child) for child in children] == [0, 0]
        verdict = check(ids, await states(database, tenant.tenant_id), relay.accepted, ())
        print(verdict.line("two workers"))
        assert verdict.spotless, verdict.notes
        assert len({mail.connection_no for mail in relay.accepted}) >= 2, "both took part"


async def test_claims_made_at_once_share_no_message_and_reading_first_would(database: Database):
    """C-02: and the control, which reads and then writes, does share."""
    tenant = await make_tenant(database)
    async with database.transaction(tenant.tenant_id) as session:
        await queue(session, await lay_ground(session, tenant.tenant_id), [f"ok.{n}@d.example" for n in range(60)])
    now = (await tenant.clock()).now()

    async def claim() -> list:
        async with database.transaction(tenant.tenant_id) as session:
            rows = await store.claim_due(session, tenant.tenant_id, "sink", now=now, limit=20, lease_seconds=60, pace=pace_of(0), actor="test")
            await asyncio.sleep(0.05)
            return [row["message_id"] for row in rows]

    async def read_then_write() -> list:
        async with database.transaction(tenant.tenant_id) as session:
            rows = await session.rows("select message_id from message where tenant_id = $1 order by message_id limit 20", tenant.tenant_id)
            await asyncio.sleep(0.05)
            return [row["message_id"] for row in rows]

    claimed = [m for part in await asyncio.gather(claim(), claim(), claim()) for m in part]
    assert len(claimed) == len(set(claimed)) == 60
    shared = [m for part in await asyncio.gather(read_then_write(), read_then_write()) for m in part]
    assert len(set(shared)) < len(shared), "the control"


async def test_no_domain_gets_more_than_its_rate_in_any_window_over_all_workers(database: Database, postgres: EmbeddedPostgres):
    """C-31: two workers, three domains; the window slides, it is not a calendar minute. The control without a rate exceeds it."""
    window, rate = 2.0, 5

    async def most_in_a_window(limit: int) -> int:
        await shared_relay_anew(database)
        async with database.across_tenants() as session:
            await session.execute("delete from relay_rate where relay = 'smtp'")
        tenant = await make_tenant(database, mode="live")
        async with Relay(by_local_part) as relay:
            async with database.transaction(tenant.tenant_id) as session:
                await queue(session, await lay_ground(session, tenant.tenant_id), [f"ok.{n}@d{n % 3}.example" for n in range(36)], relay="smtp")
            children = [start(Orders(postgres.app_url(), tenant.tenant_id, relay.port, reply_seconds=5, rate=limit, window_seconds=window)) for _ in range(2)]
            assert [await ended(child) for child in children] == [0, 0]
            assert len(relay.accepted) == 36
            most = 0
            for domain in range(3):
                times = sorted(dt.datetime.fromisoformat(m.at) for m in relay.accepted if m.recipients[0].endswith(f"@d{domain}.example"))
                for begin in times:
                    most = max(most, sum(begin <= at < begin + dt.timedelta(seconds=window) for at in times))
            return most

    assert await most_in_a_window(rate) <= rate
    assert await most_in_a_window(0) > rate, "the control"
