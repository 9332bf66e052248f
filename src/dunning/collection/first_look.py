"""What a message to many customers would come to if it left now: told, told by a person instead, or not at all. Nothing is written.

It is the look that is taken before actions are made for many at once, and all that a dry run takes. Carrying out looks again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from dunning.collection import facts, sheet_store, specific_store
from dunning.collection.composition import Composition
from dunning.collection.despatch import Scene
from dunning.collection.own_words import addressees
from dunning.collection.sheet_store import CustomerSheet
from dunning.collection.specific_rules import Content, NewSpecific, select, step_of
from dunning.kit.database import ReadSession
from dunning.kit.ids import CustomerId
from dunning.messages import suppressions
from dunning.messages.addresses import address_digest
from dunning.messages.language import LanguageMissing, choose_language
from dunning.messages.template_store import Contents
from dunning.messages.templates import facts_of
from dunning.scenarios.rules import DEBIT
from dunning.scenarios.steps import StepKind

_KEPT_BACK = {
    "held": "Everything it owes is held.",
    "disputed": "Everything it owes is disputed.",
    "excluded_status": "Everything it owes has a status that excludes it.",
    "promised": "Everything it owes is promised, and the promise is not yet broken.",
    "kept_back": "Nothing it owes may be told now: it is held, disputed, excluded or promised.",
}


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why a customer is not told: `refused`, nothing is done for it; `by_hand`, its action becomes a task for somebody."""

    outcome: Literal["refused", "by_hand"]
    code: str
    detail: str


async def kept_back(session: ReadSession, scene: Scene, customer_ids: Collection[CustomerId], new: NewSpecific) -> dict[CustomerId, Hindrance]:
    """Return, of customers of one ledger, those of whose open items none may be told now, with the reason; the same number of statements however many."""
    if not customer_ids:
        return {}
    content, day = new.content, scene.today.toordinal()
    step = step_of(content, origin=new.origin, title=new.title, mode=new.mode)
    tells_customer = content.kind == StepKind.NOTICE and not content.is_internal
    found, _ = await facts.facts_of(session, scene.tenant_id, sorted(customer_ids), scene.today)
    dropped: dict[CustomerId, Composition] = {}
    for one in found:
        item_ids = [item.id for item in one.position.items if item.direction == DEBIT and item.open_minor > 0 and not item.specific_action]
        composed = select(one.position, day, item_ids, step, tells_customer=tells_customer)
        if composed.action is None:
            dropped[one.customer_id] = composed
    disputed = await specific_store.disputed_items(session, scene.tenant_id, dropped) if dropped else frozenset()
    return {customer_id: _because(composed, disputed) for customer_id, composed in dropped.items()}


def _because(composed: Composition, disputed: Collection[str]) -> Hindrance:
    reasons = {"disputed" if drop.reason == "excluded_status" and str(drop.item_id) in disputed else drop.reason for drop in composed.dropped}
    code = reasons.pop() if len(reasons) == 1 else "kept_back"
    return Hindrance("refused", code, _KEPT_BACK.get(code, _KEPT_BACK["kept_back"]))


async def unreached(
    session: ReadSession, scene: Scene, customer_ids: Sequence[CustomerId], content: Content, template: tuple[str, Contents]
) -> dict[CustomerId, Hindrance]:
    """Return, of customers of one ledger, those whom a mail with a template would not reach now, with the reason; the same number of statements however many."""
    if not customer_ids:
        return {}
    code, texts = template
    languages = facts_of(texts).languages
    contacts = await sheet_store.contacts_of(session, scene.tenant_id, customer_ids)
    sheets = await sheet_store.customers_of(session, scene.tenant_id, customer_ids)
    hindered: dict[CustomerId, Hindrance] = {}
    told: dict[CustomerId, set[bytes]] = {}
    for customer_id in customer_ids:
        reached = addressees(scene, contacts[customer_id], content)
        read = [one for one in reached if _reads(scene, sheets[customer_id], languages, one.language)]
        if not reached:
            hindered[customer_id] = Hindrance("by_hand", "no_address", "Nobody in the roles that are told has an e-mail address.")
        elif not read:
            hindered[customer_id] = Hindrance("by_hand", "no_language", f"The template {code} has no language that the customer reads.")
        else:
            told[customer_id] = {address_digest(one.email) for one in read if one.email}
    taken = await suppressions.suppressed_ones(session, scene.tenant_id, {digest for digests in told.values() for digest in digests}) if told else frozenset()
    for customer_id, digests in told.items():
        if digests <= taken:
            hindered[customer_id] = Hindrance("by_hand", "message_suppressed", "No address that is told takes mail: it bounced, complained or was blocked.")
    return hindered


def _reads(scene: Scene, sheet: CustomerSheet, languages: frozenset[str], spoken: str | None) -> bool:
    try:
        return bool(choose_language(languages, contact=spoken, customer=sheet.language, ledger=scene.ledger.language))
    except LanguageMissing:
        return False
