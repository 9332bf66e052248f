"""Look at everything an installation needs and say in one sentence each what is right and what to do about what is not."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import aiosmtplib
import asyncpg

from dunning.kit.bell import ArqBell
from dunning.kit.clock import SystemClock
from dunning.kit.database import AWAY
from dunning.kit.row_security import unsafe_parts
from dunning.kit.settings import Settings
from dunning.messages import sender_domain
from dunning.messages.name_service import txt_records
from dunning.messages.sender_domain import TxtRecords, Verdict, is_loopback, listed
from dunning_cli.installation import Installation

CLOCK_TOLERANCE = dt.timedelta(milliseconds=500)


@dataclass(frozen=True, slots=True)
class Finding:
    """One examined thing: `ok`, `warning` or `fault`, and what to do."""

    thing: str
    state: str
    sentence: str


async def examine(settings: Settings, servers: Installation) -> list[Finding]:
    """Examine database, roles, clock, doorbell, mail relay and settings."""
    findings = await _database(servers)
    findings.append(await _bell(servers.redis_url))
    findings.append(await _relay(settings))
    findings += await sender_domains(settings, txt_records)
    if settings.test_faults:
        findings.append(Finding("settings", "fault", "DUNNING_TEST_FAULTS is set: processes will be killed on purpose. Unset it."))
    if not servers.embedded and settings.link_keys is None:
        findings.append(
            Finding("link keys", "fault", "DUNNING_LINK_KEYS is not set, so each process would sign links with a key of its own. `keys link` makes one.")
        )
    if not servers.embedded and settings.public_url.startswith("http://") and "127.0.0.1" not in settings.public_url and "localhost" not in settings.public_url:
        findings.append(Finding("public url", "warning", "DUNNING_PUBLIC_URL is not https: links in mails would travel in clear."))
    return findings


async def sender_domains(settings: Settings, ask: TxtRecords) -> list[Finding]:
    """Look up SPF, DKIM and DMARC of the domains that the settings name; a fault only where mails wait for it."""
    if settings.smtp_host is None or is_loopback(settings.smtp_host) or settings.smtp_dns_checks == "off":
        return []
    domains = listed(settings.smtp_sender_domains)
    if not domains:
        return [Finding("sending domains", "warning", "DUNNING_SMTP_SENDER_DOMAINS names none, so SPF, DKIM and DMARC are looked up at the first mail only.")]
    states = {Verdict.OK: "ok", Verdict.UNKNOWN: "warning", Verdict.FAILS: "fault" if settings.smtp_dns_checks == "enforce" else "warning"}
    found = []
    for domain in domains:
        records = await sender_domain.examine(ask, domain.lower(), listed(settings.smtp_dkim_selectors))
        found += [Finding(f"{record.name} of {domain}", states[record.verdict], record.sentence) for record in records]
    return found


async def _database(servers: Installation) -> list[Finding]:
    try:
        connection = await asyncpg.connect(servers.database_url, timeout=10)
    except (*AWAY, asyncpg.PostgresError, TimeoutError) as error:
        return [Finding("database", "fault", f"It does not answer: {error}. Check DUNNING_DATABASE_URL, the server, and the password.")]
    try:
        version = await connection.fetchval("show server_version")
        findings = [Finding("database", "ok", f"PostgreSQL {version} answers.")]
        before = SystemClock().now()
        there = await connection.fetchval("select clock_timestamp()")
        after = SystemClock().now()
        offset = max(before - there, there - after, dt.timedelta(0))
        state = "ok" if offset <= CLOCK_TOLERANCE else "warning"
        findings.append(
            Finding("clock", state, f"Database and this machine differ by at most {offset.total_seconds() * 1000:.0f} ms; more than 500 wants NTP.")
        )
        if await connection.fetchval("select to_regclass('public.alembic_version') is null"):
            findings.append(Finding("schema", "fault", "The database is empty. Run `migrate`."))
        else:
            head = await connection.fetchval("select version_num from alembic_version")
            findings.append(Finding("schema", "ok", f"Migrated to {head}."))
            faults = await unsafe_parts(connection)
            findings += [Finding("roles", "fault", f"{fault}. Serve as a role that owns nothing; `roles` shows how.") for fault in faults]
            if not faults:
                findings.append(Finding("roles", "ok", "The serving role owns nothing, and row level security is forced on every tenant table."))
    finally:
        await connection.close()
    return findings


async def _bell(redis_url: str | None) -> Finding:
    if redis_url is None:
        return Finding("doorbell", "warning", "DUNNING_REDIS_URL is not set: work starts at the next poll instead of at once.")
    bell = ArqBell(redis_url)
    answers = await bell.answers()
    await bell.close()
    if answers:
        return Finding("doorbell", "ok", "Redis answers.")
    return Finding("doorbell", "warning", "Redis does not answer. Nothing is lost; work starts at the next poll. Check DUNNING_REDIS_URL.")


async def _relay(settings: Settings) -> Finding:
    if settings.smtp_host is None:
        return Finding("mail relay", "warning", "DUNNING_SMTP_HOST is not set: live tenants cannot send; test tenants use the sink.")
    client = aiosmtplib.SMTP(
        hostname=settings.smtp_host,
        port=settings.smtp_port,
        use_tls=settings.smtp_security == "tls",
        start_tls=settings.smtp_security == "starttls",
        timeout=20,
    )
    where = f"{settings.smtp_host}:{settings.smtp_port}"
    try:
        await client.connect()
        if settings.smtp_username and settings.smtp_password:
            await client.login(settings.smtp_username, settings.smtp_password.get_secret_value())
        await client.quit()
    except aiosmtplib.SMTPAuthenticationError as error:
        return Finding("mail relay", "fault", f"{where} refuses the login ({error.code}). Correct DUNNING_SMTP_USERNAME and DUNNING_SMTP_PASSWORD.")
    except (TimeoutError, aiosmtplib.SMTPException, OSError) as error:
        return Finding("mail relay", "fault", f"{where} does not answer: {error}. Check DUNNING_SMTP_HOST, DUNNING_SMTP_PORT and DUNNING_SMTP_SECURITY.")
    return Finding("mail relay", "ok", f"{where} answers" + (" and takes the login." if settings.smtp_username else "."))
