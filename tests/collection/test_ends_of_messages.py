"""What the end of a message means beyond its own state: courtesies that nobody decides about, and links that lead nowhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from dunning_worker.jobs.dispatch import dispatch_tenant
from tests.collection.stage import Stage, scenario, step
from tests.fakes.behaviours import by_local_part
from tests.fakes.relay import Relay
from tests.messages.workbench import smtp_to

COURTESY = scenario(step(1, "a", -3))
DEMAND = scenario(step(1, "a", 1))


@pytest.fixture
async def relay(stage: Stage) -> AsyncIterator[Relay]:
    """A relay whose answer the local part of the address names, in the place of the sink."""
    async with Relay(by_local_part) as relay:
        stage.world.transports = {"sink": smtp_to(relay.port, name="sink", reply_seconds=0.3)}
        yield relay


async def hours_later(stage: Stage, hours: float) -> str:
    """Let the reply have been lost so long ago, let the worker look, and return the state of the message."""
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute(
            "update message set uncertain_at = now() - make_interval(secs => $2), retry_at = now() where tenant_id = $1 and retry_at is not null",
            stage.tenant_id,
            hours * 3600,
        )
    await dispatch_tenant(stage.world, stage.tenant_id)
    return str(await stage.tenant.value("select state from message where tenant_id = $1", stage.tenant_id))


async def lost(stage: Stage, content: dict[str, object], days_overdue: int) -> UUID:
    """Send a message whose reply is lost, and return its item."""
    await stage.open(content)
    await stage.customer(emails=["accept-then-drop.1@c1.example"])
    item = await stage.invoice(days_overdue=days_overdue)
    await stage.launch(commit_at_once=True)
    await stage.settle()
    return item


async def test_a_courtesy_that_is_held_for_72_hours_counts_as_sent_but_is_no_proof(stage: Stage, relay: Relay) -> None:
    """Promises, "A step is done when": closed by policy, the step completes on that day, the claim does not count as told."""
    item = await lost(stage, COURTESY, -3)
    assert [await hours_later(stage, hours) for hours in (1, 72, 72.4, 72.6)] == ["held", "held", "held", "closed_unknown"]
    assert await stage.progress(item) == ["a#0 completed 2026-03-02"]
    (action,) = await stage.actions()
    assert (action["state"], (await stage.action(action["action_id"]))["claims"][0]["state"]) == ("completed", "issued")
    (told,) = await stage.tenant.rows("select data, actor from event where tenant_id = $1 and kind = 'message.closed_as_sent'", stage.tenant_id)
    assert (told["data"]["reason"], told["actor"]) == ("courtesy_held_72_hours", "worker")
    assert len(relay.accepted) == 1


async def test_a_demand_that_is_held_stays_with_a_person(stage: Stage, relay: Relay) -> None:
    """Promises 2.4: what may be proof is never closed by the clock."""
    item = await lost(stage, DEMAND, 1)
    assert [await hours_later(stage, hours) for hours in (1, 73, 1000)] == ["held", "held", "held"]
    assert await stage.progress(item) == ["a#0 pending"]
    assert len(relay.accepted) == 1


@pytest.mark.parametrize(("address", "reason"), [("rcpt-unknown.1@c1.example", "unknown_address"), ("ok.1@c1.example", None)])
async def test_the_link_in_a_mail_to_an_address_that_does_not_exist_is_dead(stage: Stage, relay: Relay, address: str, reason: str | None) -> None:
    """C-29: whoever takes the address over later finds nothing; the control's link lives."""
    del relay
    await stage.open(DEMAND)
    await stage.customer(emails=[address])
    await stage.invoice()
    await stage.launch(commit_at_once=True)
    await stage.settle()
    links = await stage.tenant.rows("select revoked_because from link where tenant_id = $1", stage.tenant_id)
    assert [link["revoked_because"] for link in links] == [reason]


async def test_the_link_in_a_mail_to_a_suppressed_address_is_dead(stage: Stage) -> None:
    """C-30: the message ends, and so does its link."""
    await stage.open(DEMAND)
    await stage.customer()
    await stage.invoice()
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute(
            "insert into suppression (tenant_id, channel, address_sha256, cause) values ($1, 'email', sha256('ap@c1.example'), 'complaint')", stage.tenant_id
        )
    await stage.launch(commit_at_once=True)
    await stage.settle()
    links = await stage.tenant.rows("select revoked_because from link where tenant_id = $1", stage.tenant_id)
    assert [link["revoked_because"] for link in links] == ["address_suppressed"]
