"""SPF, DKIM and DMARC of sending domains: what their records say, when they are asked for, and what a failure means (promises 9; C-32)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from dunning.kit.database import Database
from dunning.kit.settings import Settings
from dunning.messages.sender_domain import Verdict, dkim_of, dmarc_names, dmarc_of, examine, spf_of
from dunning_cli import doctor
from dunning_worker.jobs.dispatch import dispatch_tenant
from dunning_worker.sender_domains import SenderDomains
from dunning_worker.world import transports_of
from tests.conftest import make_tenant
from tests.fakes.behaviours import by_local_part
from tests.fakes.relay import Relay
from tests.messages.rows import SimplePorts, lay_ground, queue
from tests.messages.workbench import make_retries_due, smtp_to, world_with

SOUND = {
    "acme.example": ["v=spf1 include:relay.example -all", "something else"],
    "s1._domainkey.acme.example": ["v=DKIM1; k=rsa; p=MIIB"],
    "_dmarc.acme.example": ["v=DMARC1; p=none"],
}


class Names:
    """A name service without a network; None in the records is no answer."""

    def __init__(self, records: dict[str, list[str] | None]) -> None:
        self.records = records
        self.asked: Counter[str] = Counter()

    async def __call__(self, name: str) -> Sequence[str] | None:
        self.asked[name] += 1
        await asyncio.sleep(0)
        return self.records.get(name, [])


@pytest.mark.parametrize(
    ("texts", "verdict"),
    [
        (["v=spf1 mx -all"], Verdict.OK),
        (["v=spf1"], Verdict.OK),
        (["v=spf10 mx"], Verdict.FAILS),
        ([], Verdict.FAILS),
        (["v=spf1 mx -all", "v=spf1 a -all"], Verdict.FAILS),
        (["v=spf1 +all"], Verdict.FAILS),
        (None, Verdict.UNKNOWN),
    ],
)
def test_spf_is_one_record_that_does_not_let_everybody_send(texts: list[str] | None, verdict: Verdict):
    assert spf_of("acme.example", texts).verdict is verdict


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ([], Verdict.UNKNOWN),
        ([("s1", ["v=DKIM1; p=MIIB"])], Verdict.OK),
        ([("s1", ["k=rsa; p=MIIB"])], Verdict.OK),
        ([("s1", ["v=DKIM1; p="])], Verdict.FAILS),
        ([("s1", [])], Verdict.FAILS),
        ([("s1", ["v=DKIM1; p=MIIB"]), ("s2", [])], Verdict.FAILS),
        ([("s1", None)], Verdict.UNKNOWN),
    ],
)
def test_dkim_needs_its_selectors_and_a_key_under_each(keys: list[tuple[str, list[str] | None]], verdict: Verdict):
    assert dkim_of("acme.example", keys).verdict is verdict


@pytest.mark.parametrize(
    ("texts", "verdict"),
    [
        (["v=DMARC1; p=reject; rua=mailto:a@b.example"], Verdict.OK),
        (["v=DMARC1"], Verdict.FAILS),
        (["v=DMARC1; p=none", "v=DMARC1; p=reject"], Verdict.FAILS),
        ([], Verdict.FAILS),
        (None, Verdict.UNKNOWN),
    ],
)
def test_dmarc_is_one_policy(texts: list[str] | None, verdict: Verdict):
    assert dmarc_of("acme.example", texts).verdict is verdict


async def test_a_subdomain_is_covered_by_the_policy_of_the_domain_above_it():
    """RFC 7489, 6.6.3."""
    assert dmarc_names("ar.acme.example") == ["_dmarc.ar.acme.example", "_dmarc.acme.example"]
    records = await examine(Names(SOUND | {"ar.acme.example": ["v=spf1 -all"]}), "ar.acme.example", [])
    assert [record.verdict for record in records] == [Verdict.OK, Verdict.UNKNOWN, Verdict.OK]


async def test_a_domain_is_asked_about_once_however_many_mails_ask_and_silence_is_no_failure():
    names = Names(dict(SOUND))
    domains = SenderDomains(names, ["s1"])
    assert await asyncio.gather(*(domains.refusal("acme.example") for _ in range(20))) == [None] * 20
    assert set(names.asked.values()) == {1}
    silent = SenderDomains(Names({"acme.example": None, "_dmarc.acme.example": None}), [])
    assert await silent.refusal("acme.example") is None


@pytest.mark.parametrize(("checks", "state"), [("enforce", "retry_wait"), ("warn", "accepted"), ("off", "accepted")])
async def test_mails_of_a_domain_that_fails_wait_only_where_the_setting_says_so(database: Database, checks: str, state: str):
    """Promises 9: refused under `enforce`, with the reason in words, and sent by itself once the record is published."""
    async with database.across_tenants() as session:
        await session.execute("delete from relay_circuit where relay = 'smtp'")
        await session.execute("delete from relay_rate where relay = 'smtp'")
    tenant = await make_tenant(database, mode="live")
    names = Names({name: texts for name, texts in SOUND.items() if not name.startswith("_dmarc")})
    async with Relay(by_local_part) as relay:
        transport = smtp_to(relay.port)
        transport.dns_checks = checks  # type: ignore[assignment]  # one of the three words
        world = world_with(database, SimplePorts(), transport)
        world.sender_domains = SenderDomains(names, ["s1"])
        async with database.transaction(tenant.tenant_id) as session:
            (message_id,) = await queue(session, await lay_ground(session, tenant.tenant_id), ["ok.1@customer.example"], relay="smtp")
        await dispatch_tenant(world, tenant.tenant_id)
        (row,) = await tenant.rows("select * from message where message_id = $1", message_id)
        assert row["state"] == state
        if checks == "enforce":
            assert (row["reason"], row["failures"]) == ("sender_domain_fails", 0)
            assert "acme.example has no DMARC policy" in row["reply"]
            assert not relay.accepted
            world.sender_domains = SenderDomains(Names(dict(SOUND)), ["s1"])
            await make_retries_due(database, tenant.tenant_id)
            await dispatch_tenant(world, tenant.tenant_id)
        assert len(relay.accepted) == 1
        await asyncio.sleep(0.01)
        assert bool(names.asked) == (checks != "off")


async def test_doctor_shows_each_record_and_calls_a_failure_a_fault_only_where_mails_wait_for_it():
    settings = Settings(smtp_host="relay.acme.example", smtp_sender_domains="acme.example, other.example", smtp_dkim_selectors="s1")
    found = await doctor.sender_domains(settings, Names(dict(SOUND)))
    assert [finding.state for finding in found] == ["ok", "ok", "ok", "warning", "warning", "warning"]
    strict = await doctor.sender_domains(settings.model_copy(update={"smtp_dns_checks": "enforce"}), Names(dict(SOUND)))
    assert [finding.state for finding in strict] == ["ok", "ok", "ok", "fault", "fault", "fault"]
    assert await doctor.sender_domains(Settings(smtp_host="127.0.0.1", smtp_sender_domains="acme.example"), Names({})) == []


def test_a_relay_on_this_machine_and_the_sink_are_not_checked():
    assert transports_of(Settings(smtp_host="relay.acme.example"))["smtp"].dns_checks == "warn"
    assert transports_of(Settings(smtp_host="127.0.0.1"))["smtp"].dns_checks == "off"
    assert transports_of(Settings(smtp_host="localhost", sink_host="mail.example"))["sink"].dns_checks == "off"
