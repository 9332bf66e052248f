"""The whole product under `kill -9` (issue "Done when"; promises D1 to D5): API, worker, Valkey and PostgreSQL die at random moments of one run.

The short form kills each once; `DUNNING_FAULTS=full` reminds 1,000 customers and kills each 20 times. `DUNNING_SEED` repeats a run.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from dunning.kit.database import AWAY, Database
from dunning_cli.embedded import EmbeddedPostgres
from tests.conftest import TenantWorld
from tests.faults.judge import Seen, WholeVerdict, judge, judge_resolved
from tests.faults.keepers import TARGETS, moments_of
from tests.faults.whole_run import Plan, run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(7200)]

FULL = os.environ.get("DUNNING_FAULTS") == "full"
SEED = int(os.environ.get("DUNNING_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
PLAN = Plan(mails=1000, kills=20, seed=SEED) if FULL else Plan(mails=150, kills=1, seed=SEED, delay_ms=30.0)


@pytest.fixture(scope="module")
def played() -> tuple[WholeVerdict, Seen]:
    """One run, played in a thread: it brings a loop and servers of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run, PLAN).result()


def test_kills_at_random_moments_of_a_run_lose_nothing_and_double_nothing(played: tuple[WholeVerdict, Seen]):
    """D1 to D5 of the whole: each owing customer has one mail, or its message is listed as held because nobody can know; no acknowledged write is gone."""
    verdict, _ = played
    print(verdict.line())
    assert not verdict.missed, f"kills that met no working process prove nothing: {verdict.missed}"
    assert verdict.spotless, (verdict.observed.get("folder"), verdict.unsound, verdict.notes)


def test_what_is_held_is_decided_by_the_relays_log_and_then_every_customer_has_one_mail(played: tuple[WholeVerdict, Seen]):
    """D2: `held` is a question that a person can answer; the answer neither loses nor doubles."""
    verdict, _ = played
    assert verdict.resolved == verdict.mails.held
    assert verdict.left_after_resolving == 0, verdict.notes


def test_the_checker_finds_a_mail_that_was_sent_twice_and_one_that_is_missing(played: tuple[WholeVerdict, Seen]):
    """The positive control: the same run with a doctored journal."""
    _, seen = played
    first, *rest = [mail for mail in seen.journal if mail.recipients[0] in seen.owing]
    twice = judge(replace(seen, journal=[*seen.journal, first]))
    assert twice.mails.duplicates == 1
    assert twice.reminded_twice == 1
    assert not twice.spotless
    missing = judge(replace(seen, journal=[mail for mail in seen.journal if mail is not rest[0]]))
    assert missing.unreminded == 1
    assert missing.mails.false_accepted == 1
    assert not missing.spotless
    judge_resolved(missing, replace(seen, journal=[mail for mail in seen.journal if mail is not rest[0]]))
    assert missing.left_after_resolving >= 1


def test_the_checker_finds_lost_writes_false_states_and_reminders_after_a_payment(played: tuple[WholeVerdict, Seen]):
    """The positive control of everything else that the checker promises to see."""
    _, seen = played
    address = next(mail.recipients[0] for mail in seen.journal if mail.recipients[0] in seen.owing)
    long_ago = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    assert judge(replace(seen, paid_at={**seen.paid_at, address: long_ago})).reminded_after_payment == 1
    assert judge(replace(seen, acknowledged=seen.acknowledged | {("receipts", "R-nobody")})).writes_lost == 1
    assert judge(replace(seen, readable={**seen.readable, next(iter(seen.acknowledged)): 2})).writes_doubled == 1
    assert judge(replace(seen, owing=seen.owing - {address})).strays == 1

    def with_state(state: str) -> WholeVerdict:
        return judge(replace(seen, messages=[replace(told, state=state) if told.to == address else told for told in seen.messages]))

    assert with_state("ready").lost >= 1
    assert with_state("cancelled").false == 1
    assert with_state("held").mails.wrongly_held == 1
    assert judge(replace(seen, kills=[], messages=[replace(t, state="held") if t.to == address else t for t in seen.messages])).mails.wrongly_held >= 1


def test_a_kill_that_never_met_its_process_fails_the_run(played: tuple[WholeVerdict, Seen]):
    """Promises 2.6: a fault that never came up is a failed test."""
    verdict, _ = played
    assert replace(verdict, hits={**verdict.hits, "worker": 0}).missed == {"worker": PLAN.kills}
    assert not replace(verdict, hits={}).spotless


def test_the_moments_of_the_kills_follow_from_the_seed_and_cover_the_run():
    """Promises 2.6: a run can be repeated by its seed."""
    for target in TARGETS:
        moments = moments_of(7, target, 20)
        assert moments == moments_of(7, target, 20) != moments_of(8, target, 20)
        assert len(moments) == 20
        assert moments == sorted(moments)
        assert moments[0] < 0.1
        assert 0.9 < moments[-1] < 1.0


async def test_a_server_that_says_goodbye_between_two_statements_counts_as_away(tenant: TenantWorld, database: Database, postgres: EmbeddedPostgres):
    """D4: the driver has read the farewell and not yet the end of the connection; the request answers "away", not "internal error"."""
    farewell = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
    with pytest.raises(AWAY):
        async with tenant.database.transaction(tenant.tenant_id) as session:
            session.connection._protocol.data_received(b"E" + (len(farewell) + 4).to_bytes(4) + farewell)
            await session.value("select 1")
    assert await tenant.value("select 1") == 1


async def test_an_error_in_a_transaction_is_told_as_it_is_although_the_server_went_away_with_it(tenant: TenantWorld):
    """D4: rolling back on a connection that is gone hides nothing."""
    with pytest.raises(LookupError, match="the real reason"):
        async with tenant.database.transaction(tenant.tenant_id) as session:
            pid = await session.value("select pg_backend_pid()")
            async with tenant.database.transaction(tenant.tenant_id) as other:
                await other.value("select pg_terminate_backend($1)", pid)
            with contextlib.suppress(*AWAY):
                await asyncio.sleep(0.3)
                await session.value("select 1")
            raise LookupError("the real reason")
