"""Dispatch over a real SMTP conversation: what each answer of the relay makes of a message (promises 2.4, 2.5; S0-18, C-01, C-28, C-29, C-34)."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from dunning.kit.database import Database
from dunning.kit.ids import new_id
from dunning.messages import relay_store
from dunning.tenancy import service as tenancy
from dunning_worker.jobs.dispatch import dispatch_tenant, drain_tenant
from tests.conftest import TenantWorld, make_tenant
from tests.fakes.behaviours import by_local_part, first_times
from tests.fakes.relay import Relay
from tests.messages.rows import Ground, SimplePorts, lay_ground, queue, states
from tests.messages.workbench import end_rest, make_retries_due, smtp_to, world_with


@pytest.fixture
async def live(database: Database) -> TenantWorld:
    return await make_tenant(database, mode="live")


@pytest.fixture
async def relay_name(database: Database) -> str:
    """Relays are shared by all tenants of a database, so each test resumes it first."""
    async with database.across_tenants() as session:
        await session.execute("delete from relay_circuit where relay = 'smtp'")
        await session.execute("delete from relay_rate where relay = 'smtp'")
    return "smtp"


async def ground_of(tenant: TenantWorld, **kwargs) -> Ground:
    async with tenant.database.transaction(tenant.tenant_id) as session:
        return await lay_ground(session, tenant.tenant_id, **kwargs)


async def queued(tenant: TenantWorld, ground: Ground, *addresses: str, **kwargs) -> list:
    async with tenant.database.transaction(tenant.tenant_id) as session:
        return await queue(session, ground, addresses, **kwargs)


async def row_of(tenant: TenantWorld, message_id) -> dict:
    (row,) = await tenant.rows("select * from message where message_id = $1", message_id)
    return row


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    async with Relay(by_local_part, stall_seconds=3.0) as relay:
        yield relay


async def test_every_queued_message_is_accepted_once_and_the_collection_is_told(tenant: TenantWorld):
    """D1: the sink of test mode takes each message once, and a second visit finds nothing to do."""
    doors = SimplePorts()
    world = world_with(tenant.database, doors)
    ground = await ground_of(tenant)
    ids = await queued(tenant, ground, *(f"ok.{i}@acme.example" for i in range(45)))
    assert await drain_tenant(world, tenant.tenant_id) == 45
    assert Counter((await states(tenant.database, tenant.tenant_id)).values()) == {"accepted": 45}
    assert sorted(doors.outcomes) == sorted((i, "accepted", None) for i in ids)
    assert await drain_tenant(world, tenant.tenant_id) == 0
    (row,) = await tenant.rows("select m.*, a.subject from message m join message_address a using (tenant_id, message_id) where message_id = $1", ids[0])
    assert row["subject"] == "Reminder C-000123"
    assert row["accepted_on"] == dt.date(2026, 3, 2)
    history = await tenant.rows("select to_state from message_event where message_id = $1 order by recorded_at, message_event_id", ids[0])
    assert [h["to_state"] for h in history] == ["ready", "leased", "committing", "accepted"]


async def test_the_mail_at_the_relay_is_the_mail_whose_digest_was_stored(live: TenantWorld, relay: Relay, relay_name: str):
    """C-44: the stored digest is of the very bytes that left."""
    import hashlib

    world = world_with(live.database, SimplePorts(), smtp_to(relay.port))
    ground = await ground_of(live)
    (message_id,) = await queued(live, ground, "ok.1@acme.example", relay="smtp")
    await drain_tenant(world, live.tenant_id)
    row = await row_of(live, message_id)
    assert row["state"] == "accepted"
    (mail,) = relay.accepted
    assert mail.recipients == ("ok.1@acme.example",)
    assert f"<m.{message_id}@acme.example>" == mail.message_id
    (content,) = relay.contents[mail.message_id]
    assert hashlib.sha256(content).digest() == row["mime_sha256"]


EXPECTED = {
    "ok": ("accepted", None),
    "greylist": ("retry_wait", "greylisted"),
    "rcpt-unknown": ("rejected", "unknown_address"),
    "rcpt-policy": ("parked", "refused_by_policy"),
    "mailbox-full": ("retry_wait", "mailbox_full"),
    "data-554": ("parked", "refused_by_relay"),
    "dot-452": ("retry_wait", "temporary"),
    "dot-554": ("rejected", "refused"),
    "drop-at-data": ("uncertain", "reply_lost"),
    "drop-mid-body": ("uncertain", "reply_lost"),
    "drop-after-dot": ("uncertain", "reply_lost"),
    "accept-then-drop": ("uncertain", "reply_lost"),
    "accept-then-stall": ("uncertain", "reply_lost"),
}


@pytest.mark.parametrize("behaviour", EXPECTED)
async def test_each_answer_of_the_relay_has_its_own_end(live: TenantWorld, relay: Relay, relay_name: str, behaviour: str):
    """Promises 2.4 and 2.5, and the header's D2: from DATA on a lost reply is uncertain, never guessed."""
    doors = SimplePorts()
    world = world_with(live.database, doors, smtp_to(relay.port, reply_seconds=0.5), evidence_window_seconds=1800)
    ground = await ground_of(live)
    (message_id,) = await queued(live, ground, f"{behaviour}.1@acme.example", relay="smtp")
    await dispatch_tenant(world, live.tenant_id)
    row = await row_of(live, message_id)
    assert (row["state"], row["reason"]) == EXPECTED[behaviour]
    accepted_by_relay = {m.message_id for m in relay.accepted}
    if row["state"] in {"retry_wait", "rejected", "parked"}:
        assert not accepted_by_relay, "what is said to be unsent must not have been taken"


async def test_an_unknown_address_is_suppressed_and_nothing_more_is_sent_to_it(live: TenantWorld, relay: Relay, relay_name: str):
    """C-29, C-30: a hard refusal ends the address for all later messages, each of which ends too."""
    doors = SimplePorts()
    world = world_with(live.database, doors, smtp_to(relay.port))
    ground = await ground_of(live)
    await queued(live, ground, "rcpt-unknown.1@acme.example", relay="smtp")
    await drain_tenant(world, live.tenant_id)
    (second,) = await queued(live, ground, "RCPT-unknown.1@acme.example", relay="smtp")
    await drain_tenant(world, live.tenant_id)
    assert (await row_of(live, second))["state"] == "suppressed"
    assert doors.outcomes[-1] == (second, "suppressed", "address_suppressed")
    assert len(doors.fences) == 0


async def test_an_address_suppressed_between_claim_and_fence_gets_nothing(live: TenantWorld, relay: Relay, relay_name: str):
    """Promises 9: the list is read at the claim and again in the fence."""
    from dunning.messages import suppressions
    from dunning.messages.addresses import address_digest

    doors = SimplePorts()
    world = world_with(live.database, doors, smtp_to(relay.port))
    ground = await ground_of(live)
    (message_id,) = await queued(live, ground, "ok.1@acme.example", relay="smtp")
    let_pass = doors.fence

    async def complains_meanwhile(session, clock, messages, *, waits):
        await suppressions.suppress(
            session, live.tenant_id, channel="email", address_sha256=address_digest("ok.1@acme.example"), cause="complaint", message_id=None
        )
        return await let_pass(session, clock, messages, waits=waits)

    from dataclasses import replace

    world.ports = replace(world.ports, fence=complains_meanwhile)
    await drain_tenant(world, live.tenant_id)
    assert (await row_of(live, message_id))["state"] == "suppressed"
    assert not relay.accepted
    assert doors.outcomes == [(message_id, "suppressed", "address_suppressed")]


@pytest.mark.parametrize("behaviour", ["greylist", "dot-452", "mailbox-full"])
async def test_a_temporary_refusal_is_tried_again_and_then_accepted_once(live: TenantWorld, relay_name: str, behaviour: str):
    """D1: a retry after a certain refusal makes one mail."""
    async with Relay(first_times(by_local_part, 1)) as relay:
        world = world_with(live.database, SimplePorts(), smtp_to(relay.port))
        ground = await ground_of(live)
        (message_id,) = await queued(live, ground, f"{behaviour}.1@acme.example", relay="smtp")
        await drain_tenant(world, live.tenant_id)
        assert (await row_of(live, message_id))["state"] == "retry_wait"
        assert await drain_tenant(world, live.tenant_id) == 0, "not before its time"
        await make_retries_due(live.database, live.tenant_id)
        await drain_tenant(world, live.tenant_id)
        assert (await row_of(live, message_id))["state"] == "accepted"
        assert len(relay.accepted) == 1


async def test_a_lost_reply_is_held_after_the_window_and_never_sent_again(live: TenantWorld, relay: Relay, relay_name: str):
    """D2: what cannot be known is listed, not guessed."""
    doors = SimplePorts()
    world = world_with(live.database, doors, smtp_to(relay.port), evidence_window_seconds=1)
    ground = await ground_of(live)
    (message_id,) = await queued(live, ground, "accept-then-drop.1@acme.example", relay="smtp")
    await drain_tenant(world, live.tenant_id)
    async with live.database.transaction(live.tenant_id) as session:
        await session.execute("update message set uncertain_at = now() - interval '1 hour', retry_at = now() where message_id = $1", message_id)
    await drain_tenant(world, live.tenant_id)
    assert (await row_of(live, message_id))["state"] == "held"
    assert doors.outcomes[-1] == (message_id, "held", "reply_lost")
    await drain_tenant(world, live.tenant_id)
    assert len(relay.accepted) == 1


async def test_a_relay_that_does_not_answer_rests_and_costs_no_message_its_tries(live: TenantWorld, relay_name: str):
    """Promises 2.5: a dead relay is the relay's failure, 1, 2, 5, 10 and 15 minutes."""
    world = world_with(live.database, SimplePorts(), smtp_to(1))
    ground = await ground_of(live)
    (message_id,) = await queued(live, ground, "ok.1@acme.example", relay="smtp")
    waits = []
    for _ in range(6):
        await dispatch_tenant(world, live.tenant_id)
        async with live.database.across_tenants() as session:
            (circuit,) = await relay_store.circuits_of(session, ["smtp"])
            waits.append(round((await session.value("select extract(epoch from closed_until - now())::float8 from relay_circuit where relay = 'smtp'")) / 60))
        assert circuit["resting"]
        assert await dispatch_tenant(world, live.tenant_id) == 0, "nothing is claimed while it rests"
        await end_rest(live.database, "smtp")
    assert waits == [1, 2, 5, 10, 15, 15]
    row = await row_of(live, message_id)
    assert (row["state"], row["failures"]) == ("ready", 0)


async def test_a_refused_login_suspends_the_relay_until_a_person_resumes_it(live: TenantWorld, relay_name: str):
    """Promises 2.5: no retry, because providers lock accounts."""
    async with Relay(credentials={"dunning": "right"}) as relay:
        world = world_with(live.database, SimplePorts(), smtp_to(relay.port, username="dunning", password="wrong"))
        ground = await ground_of(live)
        (message_id,) = await queued(live, ground, "ok.1@acme.example", relay="smtp")
        await dispatch_tenant(world, live.tenant_id)
        connections = relay.connections
        await dispatch_tenant(world, live.tenant_id)
        assert relay.connections == connections
        async with live.database.across_tenants() as session:
            (circuit,) = await relay_store.circuits_of(session, ["smtp"])
            assert circuit["suspended"] and circuit["reason"].startswith("login_refused: 535")
            await relay_store.resume(session, ["smtp"])
        world = world_with(live.database, SimplePorts(), smtp_to(relay.port, username="dunning", password="right"))
        await drain_tenant(world, live.tenant_id)
        assert (await row_of(live, message_id))["state"] == "accepted"


async def test_three_refusals_by_policy_stop_the_queue_of_that_tenant_alone(live: TenantWorld, database: Database, relay: Relay, relay_name: str):
    """Promises 2.5: going on would ruin the sender's name with the provider."""
    world = world_with(database, SimplePorts(), smtp_to(relay.port))
    ground = await ground_of(live)
    await queued(live, ground, *(f"rcpt-policy.{i}@acme.example" for i in range(5)), relay="smtp")
    for _ in range(6):
        await dispatch_tenant(world, live.tenant_id)
    assert Counter((await states(database, live.tenant_id)).values()) == {"parked": 3, "ready": 2}
    neighbour = await make_tenant(database, mode="live")
    await queued(neighbour, await ground_of(neighbour), "ok.1@acme.example", relay="smtp")
    await drain_tenant(world, neighbour.tenant_id)
    assert Counter((await states(database, neighbour.tenant_id)).values()) == {"accepted": 1}


async def test_a_failed_fence_withdraws_the_mail_and_the_connection_serves_the_next(live: TenantWorld, relay: Relay, relay_name: str):
    """C-04: settled just before the send; RSET, and the same connection goes on."""
    doors = SimplePorts()
    world = world_with(live.database, doors, smtp_to(relay.port))
    ground = await ground_of(live)
    ids = await queued(live, ground, *(f"ok.{i}@acme.example" for i in range(4)), relay="smtp")
    doors.stops[ids[1]] = "settled"
    await drain_tenant(world, live.tenant_id)
    row = await row_of(live, ids[1])
    assert (row["state"], row["reason"]) == ("cancelled", "settled")
    assert (ids[1], "cancelled", "settled") in doors.outcomes
    assert len(relay.accepted) == 3
    assert relay.resets >= 1
    assert relay.connections == 1


async def test_a_connection_is_replaced_after_its_mails_and_when_the_relay_closes_it(live: TenantWorld, relay: Relay, relay_name: str):
    transport = smtp_to(relay.port, mails=2)
    world = world_with(live.database, SimplePorts(), transport)
    ground = await ground_of(live)
    for turn in range(4):
        await queued(live, ground, f"ok.{turn}@acme.example", relay="smtp")
        await drain_tenant(world, live.tenant_id)
    assert relay.connections == 2
    await queued(live, ground, "ok.8@acme.example", relay="smtp")
    await drain_tenant(world, live.tenant_id)
    for writer in list(relay._writers):
        writer.transport.abort()
    await queued(live, ground, "ok.9@acme.example", relay="smtp")
    await drain_tenant(world, live.tenant_id)
    assert len(relay.accepted) == 6
    async with live.database.across_tenants() as session:
        assert not await relay_store.circuits_of(session, ["smtp"]), "an idle connection that the relay closed says nothing about the relay"


async def test_no_transaction_is_open_while_the_relay_is_spoken_to(live: TenantWorld, database: Database, relay_name: str):
    """Architecture 8: a connection to the database is never held during network talk: whatever is open when it begins, such as the last mail's
    result, ends while the relay takes its time. The control holds one and is seen."""
    seen: list[int] = []

    async def least_open_during(talk):
        talking = asyncio.create_task(talk)
        least = await open_transactions()
        while least and not talking.done():
            least = min(least, await open_transactions())
        seen.append(least)
        return await talking

    async def open_transactions() -> int:
        async with database.across_tenants() as session:
            return await session.value(
                "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state like 'idle in transaction%'"
            )

    async with Relay(by_local_part, delay_seconds=0.1) as relay:
        transport = smtp_to(relay.port)
        from dunning.messages.smtp import SmtpConnection

        offer, deliver = SmtpConnection.offer, SmtpConnection.deliver

        async def watched_offer(self, sender, recipient):
            return await least_open_during(offer(self, sender, recipient))

        async def watched_deliver(self, mime):
            return await least_open_during(deliver(self, mime))

        SmtpConnection.offer, SmtpConnection.deliver = watched_offer, watched_deliver
        try:
            world = world_with(database, SimplePorts(), transport)
            ground = await ground_of(live)
            await queued(live, ground, *(f"ok.{i}@acme.example" for i in range(5)), relay="smtp")
            await drain_tenant(world, live.tenant_id)
            assert seen == [0] * 10
            async with database.transaction(live.tenant_id) as session:
                await session.value("select 1")
                await least_open_during(asyncio.sleep(0.1))
                assert seen[-1] == 1, "the control"
        finally:
            SmtpConnection.offer, SmtpConnection.deliver = offer, deliver


async def test_a_message_outside_its_readers_hours_waits_for_the_opening(tenant: TenantWorld):
    """C-10: windows are local to the reader and checked at claim, so that a retry in the evening waits for the morning."""
    world = world_with(tenant.database, SimplePorts())
    ground = await ground_of(tenant, send_from="08:00", send_until="19:00", time_zone="America/New_York")
    (message_id,) = await queued(tenant, ground, "ok.1@acme.example")
    await drain_tenant(world, tenant.tenant_id)
    row = await row_of(tenant, message_id)
    assert row["state"] == "ready"
    assert row["not_before"] == dt.datetime(2026, 3, 2, 13, 0, tzinfo=dt.UTC)
    await tenant.set_clock(dt.datetime(2026, 3, 2, 13, 0, tzinfo=dt.UTC))
    await drain_tenant(world, tenant.tenant_id)
    assert (await row_of(tenant, message_id))["state"] == "accepted"


@pytest.mark.parametrize(("hours", "state"), [(47, "accepted"), (48, "expired"), (49, "expired")])
async def test_a_message_is_sent_below_its_validity_and_expires_at_it(tenant: TenantWorld, hours: int, state: str):
    """Promises 2.4: an old reminder is not sent; the next step decides anew."""
    doors = SimplePorts()
    world = world_with(tenant.database, doors)
    ground = await ground_of(tenant)
    (message_id,) = await queued(tenant, ground, "ok.1@acme.example")
    await tenant.set_clock(dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC) + dt.timedelta(hours=hours))
    await drain_tenant(world, tenant.tenant_id)
    assert (await row_of(tenant, message_id))["state"] == state
    assert doors.outcomes == [(message_id, state, "valid_until_passed" if state == "expired" else None)]


async def test_switching_sending_off_cancels_what_is_queued_and_on_releases_nothing_old(tenant: TenantWorld):
    """C-27, D-21: also when it is switched on again before the worker looked."""
    doors = SimplePorts()
    world = world_with(tenant.database, doors)
    ground = await ground_of(tenant)
    (message_id,) = await queued(tenant, ground, "ok.1@acme.example")
    clock = await tenant.clock()
    for enabled in (False, True):
        async with tenant.database.transaction(tenant.tenant_id) as session:
            await tenancy.switch_sending(session, clock, tenant_id=tenant.tenant_id, actor="test", enabled=enabled)
    await drain_tenant(world, tenant.tenant_id)
    assert (await row_of(tenant, message_id))["state"] == "cancelled"
    (new,) = await queued(tenant, ground, "ok.2@acme.example")
    await drain_tenant(world, tenant.tenant_id)
    assert (await row_of(tenant, new))["state"] == "accepted"


async def test_a_message_that_cannot_be_written_is_parked_for_a_person(tenant: TenantWorld):
    """Promises 2.3 rule 10: it never vanishes, and its neighbours go on."""
    doors = SimplePorts()
    world = world_with(tenant.database, doors)
    ground = await ground_of(tenant)
    (bad,) = await queued(tenant, ground, "ok.1@acme.example", claim_changes={"claim_no": ""})
    (good,) = await queued(tenant, ground, "ok.2@acme.example")
    await drain_tenant(world, tenant.tenant_id)
    assert (await row_of(tenant, bad))["state"] == "parked"
    assert "claim_number" in (await row_of(tenant, bad))["reply"]
    assert (await row_of(tenant, good))["state"] == "accepted"


async def test_queueing_the_same_message_twice_queues_it_once(tenant: TenantWorld):
    """C-01: one live or successful message an action, notice, recipient and channel; after a cancellation there may be another."""
    from dataclasses import replace

    from tests.messages import rows

    ground = await ground_of(tenant)
    captured = []
    original = rows.queue_messages

    async def capture(session, tenant_id, messages, **kwargs):
        captured.extend(messages)
        return await original(session, tenant_id, messages, **kwargs)

    rows.queue_messages = capture
    try:
        await queued(tenant, ground, "ok.1@acme.example")
    finally:
        rows.queue_messages = original
    again = replace(captured[0], message_id=new_id())
    async with tenant.database.transaction(tenant.tenant_id) as session:
        assert await original(session, tenant.tenant_id, [again]) == []
        await session.execute("update message set state = 'cancelled' where message_id = $1", captured[0].message_id)
        assert await original(session, tenant.tenant_id, [again]) == [again.message_id]


async def test_a_result_is_recorded_even_when_the_collection_fails_to_react_to_it(live: TenantWorld, relay: Relay, relay_name: str):
    """D2: a fault above must not turn a reply that was read into a question for a person; the feed tells what is left to do."""
    from dunning_worker.world import World

    doors = SimplePorts()
    world: World = world_with(live.database, doors, smtp_to(relay.port))
    from dataclasses import replace

    async def broken(session, clock, messages, outcome):
        await session.execute("select 1 / 0")

    world.ports = replace(world.ports, on_outcome=broken)
    ground = await ground_of(live)
    sent, refused = await queued(live, ground, "ok.1@acme.example", "rcpt-unknown.1@acme.example", relay="smtp")
    await drain_tenant(world, live.tenant_id)
    ends = await states(live.database, live.tenant_id)
    assert (ends[sent], ends[refused]) == ("accepted", "rejected")
    told = await live.rows("select data from event where kind = 'message.reaction_failed' order by event_id")
    assert sorted(row["data"]["outcome"] for row in told) == ["accepted", "rejected"]
