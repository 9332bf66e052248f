"""One message to one customer beside its scenario: from a template over all open items or chosen ones, looked at first, then sent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection import customer_claim, facts, freezing, own_words, sheet_store, specific, specific_store
from dunning.collection.composition import Dropped, cause_of
from dunning.collection.despatch import Outbound, Own
from dunning.collection.recipients import Recipient
from dunning.collection.specific_rules import AD_HOC, Content, NewSpecific, select, step_of
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, NotFound
from dunning.kit.ids import CustomerId, TenantId
from dunning.ledger.customer_state import lock_customers
from dunning.messages import template_store
from dunning.messages.language import choose_language
from dunning.messages.preview import HIDDEN_LINK, PreviewRefused
from dunning.messages.rendering import CannotRender, Rendered, render
from dunning.messages.templates import CompiledTemplate
from dunning.scenarios.steps import Mode


class NothingToTell(Conflict):
    """No chosen item may be shown to the customer now."""

    code = "nothing_to_tell"
    title = "There is nothing to tell"


@dataclass(frozen=True, slots=True)
class MessagePreview:
    """What a message would say now, to whom, and which of the chosen items it would leave out."""

    rendered: Rendered
    template: str
    recipients: Sequence[Recipient]
    totals: Sequence[tuple[str, int]]
    shown: int
    dropped: Sequence[Dropped]


async def send_message(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    customer_id: CustomerId,
    item_ids: Collection[UUID] | None,
    title: str | None,
    content: Content,
    counts_as_step: str | None,
    outbound: Outbound,
) -> asyncpg.Record:
    """Send one message about chosen open items, or all that are in no specific action, and return its ad hoc action.

    It stands beside the scenario: no step, no spacing, unless `counts_as_step` names the step that its items complete with it. Items that are held
    or excluded by their status are left out; with none left the action is cancelled and nothing is sent. Raises what making an action raises.
    """
    if not await lock_customers(session, tenant_id, [customer_id]):
        noun = "customer"
        raise NotFound(noun)
    chosen = item_ids if item_ids is not None else await _all_open(session, tenant_id, customer_id)
    new = message_of(content, title=title, counts_as_step=counts_as_step)
    return await specific.create(
        session, clock, tenant_id=tenant_id, actor=actor, customer_id=customer_id, item_ids=chosen, new=new, outbound=outbound
    )  # fmt: skip


def message_of(content: Content, *, origin: str = AD_HOC, title: str | None = None, counts_as_step: str | None = None) -> NewSpecific:
    """Return one message, sent now, as the action that it is."""
    return NewSpecific(
        title=title or content.subject or "Message to the customer", content=content, origin=origin, mode=Mode.AUTOMATIC.value, counts_as_step=counts_as_step
    )  # fmt: skip


async def preview_message(
    session: ReadSession,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    customer_id: CustomerId,
    item_ids: Collection[UUID] | None,
    content: Content,
    language: str | None,
    outbound: Outbound,
) -> MessagePreview:
    """Return what `send_message` would send now, writing nothing. Raises `NothingToTell`, and what it would raise."""
    scene = await specific.scene_of_customer(session, clock, tenant_id=tenant_id, actor=actor, customer_id=customer_id, outbound=outbound)
    own_words.refuse_recipients(scene, content)
    await own_words.check_contacts(session, scene, customer_id, content)
    code, texts = await own_words.texts_of(session, scene, content)
    chosen = item_ids if item_ids is not None else await _all_open(session, tenant_id, customer_id)
    known = {row["item_id"] for row in await specific_store.items_to_tie(session, tenant_id, customer_id, chosen)}
    if len(known) < len(set(chosen)):
        noun = "item of this customer"
        raise NotFound(noun)
    found, _ = await facts.facts_of(session, tenant_id, [customer_id], scene.today)
    step = step_of(content, origin=AD_HOC, title=content.subject or code, mode=Mode.AUTOMATIC.value)
    composed = select(found[0].position, scene.today.toordinal(), [str(item_id) for item_id in chosen], step, tells_customer=not content.is_internal)
    if composed.action is None:
        cause = cause_of(composed.dropped).replace("_", " ")
        msg = f"None of these items may be shown in a message now ({cause}). Choose others."
        raise NothingToTell(msg, reason=cause_of(composed.dropped))
    contacts = (await sheet_store.contacts_of(session, tenant_id, [customer_id]))[customer_id]
    reached = own_words.addressees(scene, contacts, content)
    sheet = (await sheet_store.customers_of(session, tenant_id, [customer_id]))[customer_id]
    theirs = None if content.is_internal else sheet.language
    spoken = language or choose_language(texts, contact=reached[0].language if reached else None, customer=theirs, ledger=scene.ledger.language)
    items = await sheet_store.items_of(session, tenant_id, [row.item_id for row in composed.action.rows])
    deadline_on = None if step.deadline_days is None else scene.today + dt.timedelta(days=step.deadline_days)
    heading = freezing.Heading(
        0, scene.today, deadline_on, content.content_mode, spoken, step, await customer_claim.creditor_of(session, tenant_id, scene.ledger.ledger_id),
        {"external_id": sheet.external_id, "name": sheet.name}, counts=False, by_steps=False,
    )  # fmt: skip
    own = Own(selection="internal" if content.is_internal else "customer", personal_subject=content.subject, personal_text=content.text)
    claim = freezing.freeze(heading, composed.action, {item_id: dict(row) for item_id, row in items.items()}, {}) | own.frozen()
    rendered = _rendered(code, texts, claim, spoken, reached[0].name if reached else None, content)
    return MessagePreview(rendered, code, reached, composed.action.totals, len(composed.action.rows), composed.dropped)


async def _all_open(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId) -> list[UUID]:
    found = await specific_store.open_item_ids(session, tenant_id, customer_id)
    if not found:
        owing = await specific_store.owing(session, tenant_id, [customer_id])
        if (why := specific.nothing_free(owing.get(customer_id))) is not None:
            raise why
    return found


def _rendered(code: str, texts: template_store.Contents, claim: Mapping[str, Any], language: str, contact_name: str | None, content: Content) -> Rendered:
    # Version 0 stays out of the cache of compiled versions: what is shipped has none.
    mode: Any = content.content_mode
    try:
        return render(CompiledTemplate(code, 0, texts), claim, language, contact_name=contact_name, link_url=HIDDEN_LINK, content_mode=mode)
    except CannotRender as error:
        raise PreviewRefused(error.detail, language=error.facts.get("language"), placeholder=error.facts.get("placeholder")) from None
