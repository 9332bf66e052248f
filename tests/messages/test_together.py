"""Several mails at once: shared fences and results, the feed of claimed messages, two mails a recipient domain, an envelope sender a message."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from dunning.kit import database as kit_database
from dunning.kit.database import Database
from dunning.kit.errors import Unavailable
from dunning.kit.settings import Settings
from dunning.messages import suppressions
from dunning.messages.addresses import address_digest
from dunning.messages.rules import envelope_sender
from dunning_worker.jobs.dispatch import dispatch_tenant, drain_tenant
from dunning_worker.together import Together
from dunning_worker.world import transports_of
from tests.conftest import TenantWorld, make_tenant
from tests.fakes.behaviours import by_local_part
from tests.fakes.relay import Relay
from tests.messages.rows import SimplePorts, lay_ground, queue, states
from tests.messages.workbench import smtp_to, world_with


@pytest.fixture
async def live(database: Database) -> AsyncIterator[TenantWorld]:
    async with database.across_tenants() as session:
        await session.execute("delete from relay_circuit where relay = 'smtp'")
        await session.execute("delete from relay_rate where relay = 'smtp'")
    yield await make_tenant(database, mode="live")


async def queued(tenant: TenantWorld, addresses: Sequence[str]) -> list:
    async with tenant.database.transaction(tenant.tenant_id) as session:
        return await queue(session, await lay_ground(session, tenant.tenant_id), addresses, relay="smtp")


async def test_what_is_asked_while_a_group_is_under_way_makes_up_the_next_and_nobody_waits_for_a_timer():
    """Performance 9: the first question begins at once; the others share the next group, at most so many of them."""
    groups: list[list[int]] = []
    open_gate = asyncio.Event()

    async def answer(questions: Sequence[int]) -> list[int]:
        groups.append(list(questions))
        await open_gate.wait()
        return [-question for question in questions]

    together: Together[int, int] = Together(answer, 3)
    first = asyncio.create_task(together.ask(0))
    await asyncio.sleep(0.01)
    rest = [asyncio.create_task(together.ask(n)) for n in range(1, 6)]
    await asyncio.sleep(0.01)
    assert groups == [[0]]
    open_gate.set()
    assert await asyncio.gather(first, *rest) == [0, -1, -2, -3, -4, -5]
    assert groups == [[0], [1, 2, 3], [4, 5]]
    assert await together.ask(7) == -7, "it begins anew after a rest"


async def test_an_error_goes_to_everyone_of_its_group_and_the_next_group_goes_on():
    async def answer(questions: Sequence[int]) -> list[int]:
        if 0 in questions:
            raise ValueError("no")
        return list(questions)

    together: Together[int, int] = Together(answer, 2)
    found = await asyncio.gather(*(together.ask(n) for n in range(4)), return_exceptions=True)
    assert [type(result).__name__ for result in found] == ["ValueError", "ValueError", "int", "int"]


async def test_many_connections_share_their_transactions(live: TenantWorld):
    """Performance 3, 9: a mail costs a few statements, not twenty, and each message has its own line of history all the same."""
    statements: list[str] = []
    async with Relay(by_local_part, delay_seconds=0.01) as relay:
        world = world_with(live.database, SimplePorts(), smtp_to(relay.port, connections=10))
        ids = await queued(live, [f"ok.{n}@d{n}.example" for n in range(60)])
        token = kit_database.statement_log.set(statements)
        try:
            await drain_tenant(world, live.tenant_id)
        finally:
            kit_database.statement_log.reset(token)
        assert len(relay.accepted) == 60
        assert relay.connections == 10
    assert Counter((await states(live.database, live.tenant_id)).values()) == {"accepted": 60}
    # Alone, a mail takes at least nine statements after its claim.
    assert len(statements) < 60 * 5
    (lines,) = await live.rows("select count(*) as n, count(distinct message_id) as messages from message_event where to_state = 'accepted'")
    assert (lines["n"], lines["messages"]) == (60, 60)
    assert len(ids) == 60


async def test_one_of_a_group_that_is_stopped_or_suppressed_stops_no_other(live: TenantWorld):
    """C-04, C-29: the shared fence lets pass what may; the others look alone and end with their own reasons."""
    doors = SimplePorts()
    async with Relay(by_local_part, delay_seconds=0.01) as relay:
        world = world_with(live.database, doors, smtp_to(relay.port, connections=5))
        ids = await queued(live, [f"ok.{n}@d{n}.example" for n in range(20)])
        doors.stops[ids[3]] = "settled"
        let_pass = doors.fence

        async def complains_meanwhile(session, clock, messages, *, waits):
            if any(message.message_id == ids[7] for message in messages):
                await suppressions.suppress(
                    session, live.tenant_id, channel="email", address_sha256=address_digest("ok.7@d7.example"), cause="complaint", message_id=None
                )
            return await let_pass(session, clock, messages, waits=waits)

        world.ports = replace(world.ports, fence=complains_meanwhile)
        await drain_tenant(world, live.tenant_id)
        assert len(relay.accepted) == 18
    ends = await states(live.database, live.tenant_id)
    assert (ends[ids[3]], ends[ids[7]]) == ("cancelled", "suppressed")
    assert Counter(ends.values()) == {"accepted": 18, "cancelled": 1, "suppressed": 1}


async def test_a_customer_whose_facts_are_being_changed_keeps_only_its_own_message_waiting(live: TenantWorld):
    """D5: the shared fence waits for nobody; the message of a locked customer waits alone and goes once the change is committed."""
    doors = SimplePorts()
    async with Relay(by_local_part, delay_seconds=0.01) as relay:
        world = world_with(live.database, doors, smtp_to(relay.port, connections=5))
        ids = await queued(live, [f"ok.{n}@d{n}.example" for n in range(10)])
        async with live.database.transaction(live.tenant_id) as importing:
            await importing.value(
                "select 1 from customer_state where tenant_id = $1 and customer_id = (select customer_id from message where message_id = $2) for update",
                live.tenant_id,
                ids[0],
            )
            sending = asyncio.create_task(drain_tenant(world, live.tenant_id))
            until = asyncio.get_running_loop().time() + 10
            while len(relay.accepted) < 9 and asyncio.get_running_loop().time() < until:
                await asyncio.sleep(0.02)
            assert len(relay.accepted) == 9
        await sending
        assert len(relay.accepted) == 10


@pytest.mark.parametrize(("limit", "most"), [(2, 2), (0, 6)])
async def test_no_more_than_two_mails_to_a_domain_are_under_way_at_once(live: TenantWorld, limit: int, most: int):
    """Promises 9: two connections a recipient domain, while other domains go on; the control without a limit uses all six."""
    under_way: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    async with Relay(by_local_part, delay_seconds=0.02) as relay:
        transport = smtp_to(relay.port, connections=6)
        transport.per_domain = limit
        world = world_with(live.database, SimplePorts(), transport)
        lend = transport.lend

        class Counting:
            """A connection that notes to whom it is talking."""

            def __init__(self, inner) -> None:
                self._inner = inner

            def __getattr__(self, name: str):
                return getattr(self._inner, name)

            async def offer(self, sender: str, recipient: str) -> None:
                self.domain = recipient.rpartition("@")[2]
                under_way[self.domain] += 1
                seen[self.domain] = max(seen[self.domain], under_way[self.domain])
                await self._inner.offer(sender, recipient)

            async def deliver(self, mime: bytes):
                try:
                    return await self._inner.deliver(mime)
                finally:
                    under_way[self.domain] -= 1

        from contextlib import asynccontextmanager

        @asynccontextmanager
        async def counted():
            async with lend() as connection:
                yield Counting(connection)

        transport.lend = counted  # type: ignore[method-assign]  # a transport that is watched
        await queued(live, [*(f"ok.{n}@big.example" for n in range(18)), *(f"ok.{n}@small{n}.example" for n in range(4))])
        await drain_tenant(world, live.tenant_id)
        assert len(relay.accepted) == 22
    assert seen["big.example"] == most


def test_the_limits_of_a_domain_and_the_bounce_domain_are_settings_of_the_relay_and_the_sink_has_none():
    relays = transports_of(Settings(smtp_host="relay.acme.example", smtp_bounce_domain="Bounces.Acme.example", sink_host="127.0.0.1"))
    assert (relays["smtp"].per_domain, relays["smtp"].bounce_domain) == (2, "bounces.acme.example")
    assert (relays["sink"].per_domain, relays["sink"].bounce_domain) == (0, None)
    with pytest.raises(Unavailable, match="DUNNING_SMTP_BOUNCE_DOMAIN"):
        transports_of(Settings(smtp_host="relay.acme.example", smtp_bounce_domain="not a domain"))


@pytest.mark.parametrize(
    ("channel", "domain", "sender"), [("email", "b.example", "bounces+m1@b.example"), ("email", None, "ar@a.example"), ("pec", "b.example", "ar@a.example")]
)
def test_the_envelope_names_the_message_where_bounces_are_taken_and_never_in_certified_mail(channel: str, domain: str | None, sender: str):
    """Promises 2.3 rule 8."""
    assert envelope_sender("m1", channel, "ar@a.example", domain) == sender


async def test_all_attempts_of_a_message_have_the_same_envelope_sender_of_its_own(live: TenantWorld):
    """Promises 2.3 rule 8: greylists key on client, sender and recipient."""
    from tests.messages.workbench import make_retries_due

    said: list[str] = []
    from tests.fakes.behaviours import first_times

    async with Relay(first_times(by_local_part, 1)) as relay:
        transport = smtp_to(relay.port)
        transport.bounce_domain = "bounces.acme.example"
        from dunning.messages.smtp import SmtpConnection

        offer = SmtpConnection.offer

        async def heard(self, sender, recipient):
            said.append(sender)
            return await offer(self, sender, recipient)

        SmtpConnection.offer = heard  # type: ignore[method-assign]  # put back below
        try:
            world = world_with(live.database, SimplePorts(), transport)
            first, second = await queued(live, ["greylist.1@acme.example", "ok.2@acme.example"])
            await dispatch_tenant(world, live.tenant_id)
            await make_retries_due(live.database, live.tenant_id)
            await drain_tenant(world, live.tenant_id)
        finally:
            SmtpConnection.offer = offer  # type: ignore[method-assign]
        assert len(relay.accepted) == 2
    assert Counter(said) == {f"bounces+{first}@bounces.acme.example": 2, f"bounces+{second}@bounces.acme.example": 1}


async def test_two_companies_that_write_to_one_domain_over_few_connections_never_wait_for_each_other(database: Database, live: TenantWorld):
    """A message that has its place at a domain waits for a connection; a connection is never kept by a lane that waits for such a place."""
    other = await make_tenant(database, mode="live")
    async with Relay(by_local_part, delay_seconds=0.002) as relay:
        transport = smtp_to(relay.port, connections=3)
        transport.per_domain = 1
        world = world_with(database, SimplePorts(), transport)
        for tenant in (live, other):
            await queued(tenant, [f"ok.{n}@{'big' if n % 3 else 'small'}.example" for n in range(24)])
        await asyncio.wait_for(asyncio.gather(*(drain_tenant(world, tenant.tenant_id) for tenant in (live, other))), 60)
        assert len(relay.accepted) == 48
