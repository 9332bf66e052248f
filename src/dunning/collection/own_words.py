"""What a person may write and whom a person may write to in one message, checked and frozen before the action is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from dunning.collection import specific_store
from dunning.collection.despatch import Scene
from dunning.collection.recipients import Recipient, addressed, told
from dunning.collection.specific_rules import TO_ROLES, Content
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed, NotFound
from dunning.kit.ids import CustomerId
from dunning.messages import template_store
from dunning.messages.personal import PERSONAL_TEXT, TEXT_CAP, faults_of, named_in
from dunning.messages.shipped import LINK_ONLY_CODE, shipped_templates
from dunning.messages.template_service import PublishedTemplates
from dunning.messages.templates import facts_of
from dunning.scenarios.steps import Channel, ContentMode, StepKind

OWN_TEMPLATE = "specific_action"
REQUEST_TEMPLATE = "internal-request"


class TemplateNotPublished(Conflict):
    """No message can be written with the template."""

    code = "template_not_published"
    title = "The template is not published"


class OutsideTheCompany(Malformed):
    """An internal message never leaves the company."""

    code = "address_outside_company"
    title = "The address is not one of the company's"


async def checked(session: Session, clock: Clock, scene: Scene, customer_id: CustomerId, content: Content) -> Content:
    """Return a content with its template frozen, or raise what its writer has to change.

    A shipped template that the tenant has none for is published on the way. Raises `TemplateNotPublished`, `OutsideTheCompany`, `NotFound` for a
    contact that is not the customer's, and `Malformed` for words that the template cannot show.
    """
    await check_contacts(session, scene, customer_id, content)
    return await frozen(session, clock, scene, content)


async def frozen(session: Session, clock: Clock, scene: Scene, content: Content) -> Content:
    """Return a content that names nobody's contacts with its template frozen, whoever it goes to. Raises and publishes what `checked` does."""
    if content.kind != StepKind.NOTICE:
        return content
    refuse_recipients(scene, content)
    if content.channel != Channel.EMAIL:
        return content
    code = template_code(content)
    published = await template_store.published_versions(session, scene.tenant_id, [code, LINK_ONLY_CODE])
    wanted = {code, LINK_ONLY_CODE} if content.content_mode == ContentMode.LINK_ONLY else {code}
    if missing := (wanted - published.keys()) & shipped_templates().keys():
        languages = scene.tenant.languages
        await PublishedTemplates().install(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, codes=missing, languages=languages)
        published = await template_store.published_versions(session, scene.tenant_id, [code, LINK_ONLY_CODE])
    if code not in published:
        raise not_published(code)
    frozen = replace(content, template=code, template_id=str(published[code][0]), template_version=published[code][1])
    refuse_words(frozen, {name: contents for name, (_, _, contents) in published.items()})
    return frozen


async def texts_of(session: ReadSession, scene: Scene, content: Content) -> tuple[str, template_store.Contents]:
    """Return the template that a message is written with and its texts: as published, or as the product ships it where the tenant has none yet.

    Raises `TemplateNotPublished`, and `Malformed` for words that the template cannot show.
    """
    code = template_code(content)
    published = await template_store.published_versions(session, scene.tenant_id, [code, LINK_ONLY_CODE])
    shipped = shipped_templates()
    texts: dict[str, template_store.Contents] = {}
    for name in (code, LINK_ONLY_CODE):
        if name in published:
            texts[name] = published[name][2]
        elif name in shipped:
            texts[name] = {language: {**parts} for language, parts in shipped[name].items() if language in scene.tenant.languages}
    if code not in texts:
        raise not_published(code)
    refuse_words(content, texts)
    if content.content_mode == ContentMode.LINK_ONLY and shows_details(texts[code]):
        code = LINK_ONLY_CODE
    return code, texts[code]


def template_code(content: Content) -> str:
    """Return the template that a message is written with: the one named, or the product's own for such messages."""
    return content.template or (REQUEST_TEMPLATE if content.is_internal else OWN_TEMPLATE)


def refuse_recipients(scene: Scene, content: Content) -> None:
    """Raise where the people who are named are not those whom such a message may reach."""
    if content.is_internal and content.channel != Channel.EMAIL:
        raise _refused("channel", "a notice to colleagues goes by e-mail")
    if content.to_emails and not content.is_internal:
        raise _refused("to_emails", "a customer is written to at its contacts: add a contact, and name it in contact_ids")
    if content.is_internal and not (content.to_emails or content.contact_ids or content.to_roles):
        raise _refused("to_emails", "say which colleagues are told: to_emails, contact_ids or to_roles")
    _check_domains(scene, content)


def addressees(scene: Scene, contacts: Sequence[Recipient], content: Content) -> list[Recipient]:
    """Return those of a customer's contacts, and of the company's people, whom a mail reaches; empty: nobody."""
    internal, domains = content.is_internal, scene.tenant.internal_domains
    if content.contact_ids or content.to_emails:
        return addressed(contacts, content.contact_ids, content.to_emails, internal=internal, own_domains=domains)
    return told(contacts, content.to_roles or TO_ROLES, internal=internal, own_domains=domains)


async def check_contacts(session: ReadSession, scene: Scene, customer_id: CustomerId, content: Content) -> None:
    """Raise where a named contact is not the customer's, or not of those whom such a message may reach."""
    if not content.contact_ids:
        return
    found = await specific_store.contacts_named(session, scene.tenant_id, customer_id, [UUID(one) for one in content.contact_ids])
    if len(found) < len(set(content.contact_ids)):
        noun = "contact of this customer"
        raise NotFound(noun)
    if any(row["internal"] is not content.is_internal for row in found):
        expected = "colleagues" if content.is_internal else "people of the customer"
        raise _refused("contact_ids", f"this message is for {expected}; one of the contacts is not")
    if content.channel == Channel.EMAIL and not any(row["email"] for row in found):
        raise _refused("contact_ids", "none of these contacts has an e-mail address")


def _check_domains(scene: Scene, content: Content) -> None:
    if not content.to_emails:
        return
    own = {domain.lower() for domain in scene.tenant.internal_domains}
    if not own:
        msg = "to_emails: the company has stated no domain of its own. Set internal_domains with PATCH /v1/tenant, or name internal contacts in contact_ids."
        raise OutsideTheCompany(msg, [{"field": "to_emails", "message": "the company has stated no domain of its own"}])
    outside = [place for place, email in enumerate(content.to_emails) if email.rsplit("@", 1)[-1].lower() not in own]
    if outside:
        expected = f"expected an address in {', '.join(sorted(own))}"
        msg = f"to_emails: {expected}."
        raise OutsideTheCompany(msg, [{"field": f"to_emails.{place}", "message": expected} for place in outside])


def refuse_words(content: Content, texts: Mapping[str, template_store.Contents]) -> None:
    """Raise where a person's own subject or text does not fit its template; `texts` holds that, and the one of mails of link only, by code."""
    code = template_code(content)
    link_only = content.content_mode == ContentMode.LINK_ONLY
    if link_only and shows_details(texts[code]):
        code = LINK_ONLY_CODE
        if code not in texts:
            raise not_published(code)
    errors = word_faults(code, texts[code], subject=content.subject, text=content.text, link_only=link_only)
    if errors:
        msg = f"{errors[0]['field']}: {errors[0]['message']}."
        raise Malformed(msg, errors)


def word_faults(code: str, texts: template_store.Contents, *, subject: str | None, text: str | None, link_only: bool) -> list[dict[str, str]]:
    """Return what of a person's own subject and text the template that the mail is written with cannot show, by field; empty: nothing."""
    errors = [
        {"field": field, "message": fault}
        for field, written in (("subject", subject), ("text", text))
        for fault in (faults_of(written, subject=field == "subject", link_only=link_only) if written else ())
    ]
    if text and PERSONAL_TEXT not in facts_of(texts).placeholders:
        errors.append({"field": "text", "message": f"the template {code} shows no text of your own: use {OWN_TEMPLATE}, or add {{{{personal_text}}}} to it"})
    return errors


def with_comment(content: Content, comment: str) -> Content:
    """Return a message to colleagues that says what was just written about the items; where that looks like a placeholder, its page alone says it."""
    text = comment[:TEXT_CAP]
    return content if faults_of(text, subject=False, link_only=False) or named_in(text) else replace(content, text=text)


def shows_details(contents: template_store.Contents) -> bool:
    """Tell whether a template shows what a mail of text and link only must not."""
    facts = facts_of(contents)
    return facts.has_item_rows or bool(facts.full_only)


def not_published(code: str) -> TemplateNotPublished:
    """Return the error of a template that nobody has published."""
    msg = f"There is no published template {code}. Publish it, name another one, or leave it out for {OWN_TEMPLATE}."
    return TemplateNotPublished(msg, template=code)


def _refused(field: str, message: str) -> Malformed:
    return Malformed(f"{field}: {message}.", [{"field": field, "message": message}])
