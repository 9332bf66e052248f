"""One message to one customer beside its scenario: from a template over all open items or chosen ones, looked at first, then sent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection import customer_claim, facts, freezing, own_words, reaching, sheet_store, specific, specific_store
from dunning.collection.composition import Dropped, cause_of
from dunning.collection.despatch import Outbound, Own, Scene
from dunning.collection.recipients import Recipient
from dunning.collection.sheet_store import CustomerSheet
from dunning.collection.specific_rules import AD_HOC, Content, NewSpecific, select, step_of
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, NotFound
from dunning.kit.ids import CustomerId, TenantId
from dunning.ledger.customer_state import lock_customers
from dunning.messages import template_store
from dunning.messages.language import LanguageMissing, choose_language
from dunning.messages.personal import named_in
from dunning.messages.preview import HIDDEN_LINK, PreviewRefused
from dunning.messages.rendering import CannotRender, Rendered, render
from dunning.messages.templates import CompiledTemplate
from dunning.scenarios.rules import Action
from dunning.scenarios.steps import Mode, Step


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
    or excluded by their status are left out. What `preview_message` refuses is refused with the same problem, but for a customer whom no mail reaches
    in a language of its own: telling it becomes somebody's task. Raises too what making an action raises.
    """
    if not await lock_customers(session, tenant_id, [customer_id]):
        noun = "customer"
        raise NotFound(noun)
    scene = await specific.scene_of_customer(session, clock, tenant_id=tenant_id, actor=actor, customer_id=customer_id, outbound=outbound)
    look = await _looked_at(session, scene, customer_id, item_ids, content, counts_as_step)
    if look.reached:
        # Whom no language reaches is told by somebody: the action becomes a task.
        with suppress(LanguageMissing):
            _rendered(look, look.language(None))
    new = message_of(content, title=title, counts_as_step=counts_as_step)
    return await specific.create(
        session, clock, tenant_id=tenant_id, actor=actor, customer_id=customer_id, item_ids=look.chosen, new=new, outbound=outbound
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
    counts_as_step: str | None,
    language: str | None,
    outbound: Outbound,
) -> MessagePreview:
    """Return what `send_message` would send now, writing nothing.

    Raises `NotFound`, `Malformed` for recipients and words, `ItemNotOpen`, `NothingToTell`, `PreviewRefused` for a value that is missing, what stands
    against the step that is to be completed, and `LanguageMissing`.
    """
    scene = await specific.scene_of_customer(session, clock, tenant_id=tenant_id, actor=actor, customer_id=customer_id, outbound=outbound)
    look = await _looked_at(session, scene, customer_id, item_ids, content, counts_as_step)
    rendered = _rendered(look, look.language(language))
    return MessagePreview(rendered, look.code, look.reached, look.action.totals, len(look.action.rows), look.dropped)


@dataclass(frozen=True, slots=True)
class _Look:
    """A message that nothing stands against but, it may be, that it cannot be written."""

    scene: Scene
    content: Content
    chosen: Sequence[UUID]
    code: str
    texts: template_store.Contents
    step: Step
    action: Action
    dropped: Sequence[Dropped]
    reached: Sequence[Recipient]
    sheet: CustomerSheet
    creditor: Mapping[str, Any]
    items: Mapping[str, Mapping[str, Any]]

    def language(self, wanted: str | None) -> str:
        """Return the language that it is written in; raise `LanguageMissing`."""
        theirs = None if self.content.is_internal else self.sheet.language
        first = self.reached[0].language if self.reached else None
        return wanted or choose_language(self.texts, contact=first, customer=theirs, ledger=self.scene.ledger.language)


async def _looked_at(
    session: ReadSession, scene: Scene, customer_id: CustomerId, item_ids: Collection[UUID] | None, content: Content, counts_as_step: str | None
) -> _Look:
    """Return a message as it would be now, or raise what stands against it: the one look before it is shown and before it is sent."""
    tenant_id = scene.tenant_id
    own_words.refuse_recipients(scene, content)
    await own_words.check_contacts(session, scene, customer_id, content)
    code, texts = await own_words.texts_of(session, scene, content)
    chosen = item_ids if item_ids is not None else await _all_open(session, tenant_id, customer_id)
    await specific.items_to_tell(session, scene, customer_id, chosen, AD_HOC)
    if counts_as_step is not None:
        await reaching.check_completion(session, scene, customer_id, chosen, counts_as_step)
    found, _ = await facts.facts_of(session, tenant_id, [customer_id], scene.today)
    step = step_of(content, origin=AD_HOC, title=content.subject or code, mode=Mode.AUTOMATIC.value)
    composed = select(found[0].position, scene.today.toordinal(), [str(item_id) for item_id in chosen], step, tells_customer=not content.is_internal)
    if composed.action is None:
        cause = cause_of(composed.dropped).replace("_", " ")
        msg = f"None of these items may be shown in a message now ({cause}). Choose others."
        raise NothingToTell(msg, reason=cause_of(composed.dropped))
    contacts = (await sheet_store.contacts_of(session, tenant_id, [customer_id]))[customer_id]
    items = await sheet_store.items_of(session, tenant_id, [row.item_id for row in composed.action.rows])
    return _Look(
        scene, content, list(chosen), code, texts, step, composed.action, composed.dropped, own_words.addressees(scene, contacts, content),
        (await sheet_store.customers_of(session, tenant_id, [customer_id]))[customer_id],
        await customer_claim.creditor_of(session, tenant_id, scene.ledger.ledger_id), {item_id: dict(row) for item_id, row in items.items()},
    )  # fmt: skip


async def _all_open(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId) -> list[UUID]:
    found = await specific_store.open_item_ids(session, tenant_id, customer_id)
    if not found:
        owing = await specific_store.owing(session, tenant_id, [customer_id])
        if (why := specific.nothing_free(owing.get(customer_id))) is not None:
            raise why
    return found


def _rendered(look: _Look, language: str) -> Rendered:
    content, today = look.content, look.scene.today
    deadline_on = None if look.step.deadline_days is None else today + dt.timedelta(days=look.step.deadline_days)
    heading = freezing.Heading(
        0, today, deadline_on, content.content_mode, language, look.step, look.creditor, {"external_id": look.sheet.external_id, "name": look.sheet.name},
        counts=False, by_steps=False,
    )  # fmt: skip
    own = Own(selection="internal" if content.is_internal else "customer", personal_subject=content.subject, personal_text=content.text)
    claim = freezing.freeze(heading, look.action, look.items, {}) | own.frozen()
    mode: Any = content.content_mode
    try:
        # Version 0 stays out of the cache of compiled versions: what is shipped has none.
        return render(
            CompiledTemplate(look.code, 0, look.texts), claim, language, contact_name=look.reached[0].name if look.reached else None,
            link_url=HIDDEN_LINK, content_mode=mode,
        )  # fmt: skip
    except CannotRender as error:
        placeholder = error.facts.get("placeholder")
        field = next((name for name in ("subject", "text") if placeholder in named_in(getattr(content, name) or "")), "template")
        errors = [{"field": field, "message": error.detail}]
        raise PreviewRefused(error.detail, errors, language=error.facts.get("language"), placeholder=placeholder) from None
