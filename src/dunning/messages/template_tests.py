"""Test sends: a template as a real mail, to a colleague. No customer is told anything, nothing is claimed, no step is reached (B-28).

A test takes the way of all mails (outbox, pace, retries, the log), but it is fenced by the emergency stop and the list of suppressed addresses alone:
sending may be off, for that is when one wants to look first.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from dunning.events import due_work
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed
from dunning.kit.ids import ActionId, ClaimId, CustomerId, LedgerId, MessageId, TemplateId, TenantId, new_id
from dunning.messages import template_store, template_test_store
from dunning.messages.dispatch import relay_of
from dunning.messages.language import choose_language
from dunning.messages.preview import PreviewRefused, contents_to_show
from dunning.messages.rendering import CannotRender, Rendered, render
from dunning.messages.sample_claim import CONTACT_NAME, CRM_URL, sample_claim
from dunning.messages.template_store import Contents
from dunning.messages.template_test_store import NewTest
from dunning.messages.templates import CompiledTemplate
from dunning.tenancy import service as tenancy
from dunning.tenancy.service import Tenant

DEAD_LINK = "https://link.invalid/test-message"
"""Stands where a customer's own link would: nobody must be able to read in a customer's name from a test (RFC 2606 keeps the name dead)."""
DEAD_OPT_OUT = "https://link.invalid/test-opt-out"
MARKS: Mapping[str, str] = {"en": "[TEST]", "es": "[PRUEBA]", "fr": "[TEST]", "it": "[PROVA]"}
"""What stands before the subject of a test, by language."""


class NoInternalDomains(Malformed):
    """The tenant has not said which mail domains are its own."""

    code = "no_internal_domains"
    title = "No internal domains are set"


class NotInternal(Malformed):
    """A test goes to the tenant's own people alone."""

    code = "address_not_internal"
    title = "The address is not internal"


class TestsStopped(Conflict):
    """The emergency stop keeps back everything, tests too."""

    code = "emergency_stop"
    title = "The emergency stop is in force"


@dataclass(frozen=True, slots=True)
class ToldBy:
    """What a past action told: the content of its newest claim, of which ledger and customer."""

    ledger_id: LedgerId
    claim_id: ClaimId
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TestPorts:
    """What a test asks of the floors above."""

    customer_claim: Callable[[ReadSession, Clock, TenantId, CustomerId], Awaitable[Mapping[str, Any]]]
    ledger_of_customer: Callable[[ReadSession, TenantId, CustomerId], Awaitable[LedgerId]]
    told_by: Callable[[ReadSession, TenantId, ActionId], Awaitable[ToldBy]]
    creditor_of: Callable[[ReadSession, TenantId, LedgerId], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the template is shown with: one of a customer as it stands now, a past action, or the sample in the name of a ledger."""

    customer_id: CustomerId | None = None
    action_id: ActionId | None = None
    ledger_id: LedgerId | None = None


@dataclass(frozen=True, slots=True)
class _Subject:
    ledger_id: LedgerId
    claim: Mapping[str, Any]
    contact_name: str | None


async def send_test(
    session: Session,
    clock: Clock,
    ports: TestPorts,
    *,
    tenant_id: TenantId,
    actor: str,
    template_id: TemplateId,
    version: int | None,
    shown: Shown,
    language: str | None,
    content_mode: Literal["full", "link_only"],
    to_email: str,
    valid_hours: int,
) -> list[MessageId]:
    """Render a template and queue it to a colleague's address, a message a language; return the messages, in the order of the languages.

    `version` None is the draft; `language` None is the one that the reader would be written to in, `all` is every one of the template. Raises
    `NoInternalDomains` or `NotInternal` for the address, `TestsStopped`, `TemplateRefused` for a draft with faults, `PreviewRefused` where a value
    is missing, `NotFound` for an unknown template, version, customer, action or ledger. Nothing is queued then. Each call sends again.
    """
    tenant = await tenancy.tenant_of(session, tenant_id)
    _check_address(tenant, to_email)
    if tenant.stopped_at is not None:
        msg = "The emergency stop is in force: nothing is sent, tests neither. Lift it with PUT /v1/tenant/sending, then send the test again."
        raise TestsStopped(msg)
    contents = await contents_to_show(session, tenant_id=tenant_id, template_id=template_id, version=version)
    subject = await _subject_of(session, clock, ports, tenant_id, shown)
    now = clock.now()
    tests = [
        NewTest(
            message_id=MessageId(new_id()),
            ledger_id=subject.ledger_id,
            template_id=template_id,
            template_version=version,
            content_mode=content_mode,
            relay=relay_of(tenant),
            to_email=to_email,
            rendered=_rendered(template_id, version, contents, subject, spoken, content_mode),
            sender={name: subject.claim["ledger"].get(name) for name in ("sender_name", "sender_email", "reply_to")},
            not_before=now,
            valid_until=now + dt.timedelta(hours=valid_hours),
            shown_customer_id=shown.customer_id,
            shown_action_id=shown.action_id,
        )
        for spoken in _languages(contents, language, subject.claim)
    ]
    await template_test_store.insert_tests(session, tenant_id, tests, actor=actor)
    told = [
        NewEvent("message.test_queued", "message", test.message_id, None, {"template_id": template_id, "version": version, "language": test.rendered.language})
        for test in tests
    ]
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=told)
    await due_work.ring(session, tenant_id, "dispatch")
    return [test.message_id for test in tests]


def _check_address(tenant: Tenant, to_email: str) -> None:
    if not tenant.internal_domains:
        msg = 'Say first which mail domains are your company\'s own: PATCH /v1/tenant with {"internal_domains": ["example.com"]}. Tests are sent to them alone.'
        raise NoInternalDomains(msg, [{"field": "to", "message": "no internal domains are set"}])
    domain = to_email.rpartition("@")[2].lower()
    if domain not in tenant.internal_domains:
        known = ", ".join(tenant.internal_domains)
        msg = f"A test goes to your own people alone, and {domain} is none of your internal domains ({known}). Take another address, or PATCH /v1/tenant."
        raise NotInternal(msg, [{"field": "to", "message": f"expected an address at {known}"}])


async def _subject_of(session: ReadSession, clock: Clock, ports: TestPorts, tenant_id: TenantId, shown: Shown) -> _Subject:
    if shown.action_id is not None:
        told = await ports.told_by(session, tenant_id, shown.action_id)
        message = await template_store.primary_message_of_claim(session, tenant_id, told.claim_id)
        return _Subject(told.ledger_id, told.data, None if message is None else message["to_name"])
    if shown.customer_id is not None:
        claim = await ports.customer_claim(session, clock, tenant_id, shown.customer_id)
        return _Subject(await ports.ledger_of_customer(session, tenant_id, shown.customer_id), claim, None)
    if shown.ledger_id is None:
        msg = "Name a customer, a past action, or the ledger in whose name the sample is sent."
        raise Malformed(msg, [{"field": "ledger_id", "message": "expected one of customer_id, action_id and ledger_id"}])
    creditor = await ports.creditor_of(session, tenant_id, shown.ledger_id)
    sample = sample_claim(clock.now().date())
    return _Subject(shown.ledger_id, {**sample, "ledger": creditor}, CONTACT_NAME)


def _languages(contents: Contents, wished: str | None, claim: Mapping[str, Any]) -> list[str]:
    if wished == "all":
        return sorted(contents)
    return [choose_language(contents, contact=wished, customer=None if wished else claim["language"], ledger=None if wished else next(iter(contents)))]


def _rendered(template_id: TemplateId, version: int | None, contents: Contents, subject: _Subject, language: str, content_mode: Any) -> Rendered:
    compiled = CompiledTemplate(str(template_id), version or 0, contents)
    try:
        made = render(
            compiled,
            subject.claim,
            language,
            contact_name=subject.contact_name,
            link_url=DEAD_LINK,
            crm_url=CRM_URL,
            opt_out_url=DEAD_OPT_OUT,
            content_mode=content_mode,
        )
    except CannotRender as error:
        raise PreviewRefused(error.detail, language=error.facts.get("language"), placeholder=error.facts.get("placeholder")) from None
    return replace(made, subject=f"{MARKS.get(language, MARKS['en'])} {made.subject}")
