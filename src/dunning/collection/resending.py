"""Telling again what an action has told: to the same people or others of the customer, on facts as they are now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection import (
    action_store,
    catalogue,
    composition,
    despatch,
    execute,
    facts,
    last_look,
    own_words,
    resend_store,
    scenes,
    specific_store,
    wording,
)
from dunning.collection.catalogue import Catalogue
from dunning.collection.composition import Choice, Composition
from dunning.collection.despatch import Again, Despatch, Going, Outbound, Own, Scene
from dunning.collection.facts import CustomerFacts
from dunning.collection.operations import Effects
from dunning.collection.rules import one_a_customer
from dunning.collection.specific import SendingOff
from dunning.collection.specific_rules import Content, select
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.evidence.links import revoke_links_of_claims
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, NotFound
from dunning.kit.ids import ActionId, ClaimId, CustomerId, LedgerId, TenantId
from dunning.ledger.customer_state import lock_customers
from dunning.messages import template_store
from dunning.messages.ports import OutgoingMessage
from dunning.messages.shipped import LINK_ONLY_CODE
from dunning.scenarios.rules import DEBIT
from dunning.scenarios.steps import ContentMode


class NothingToResend(Conflict):
    """Of this action nothing can be told again."""

    code = "nothing_to_resend"
    title = "There is nothing to send again"


_WHY = {
    "not_told": "No message of this action has been accepted, so there is nothing to repeat. Retry it, or run it now.",
    "under_way": "A message of this action is still on its way. Wait for its outcome.",
    "settled": "Everything that this action asked for is settled.",
    "covered_by_credit": "Credits cover everything that this action asked for.",
    "held": "Everything that this action asked for is held.",
    "no_address": "None of the people who would be told has an e-mail address.",
}
_OTHERWISE = "What this action asked for cannot be told now ({reason})."


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """How something is told again: to which contacts of the customer, with what content, and whether it counts as one more reminder."""

    contact_ids: tuple[UUID, ...] = ()
    content_mode: str | None = None
    counts_as_reminder: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an action is not told again; `field` is what of the request stands against it, and `because` says how."""

    reason: str
    field: str | None = None
    because: str | None = None

    @property
    def detail(self) -> str:
        """The reason in words."""
        if self.field is not None:
            return f"{self.field}: {self.because}."
        return _WHY.get(self.reason, _OTHERWISE.format(reason=self.reason.replace("_", " ")))


async def resend_action(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, action_id: ActionId, repeat: Repeat, outbound: Outbound
) -> asyncpg.Record:
    """Tell again what an action has told, and return the action; its new messages name the first in `resend_of`.

    Rows that are settled, held or covered by now drop out. Where amounts have changed a new claim replaces the old one; the count of reminders
    rises only where that was asked for. Raises `NotFound`, `SendingOff`, and `NothingToResend`, also where the content mode that was asked for cannot
    show the words that somebody has written for it.
    """
    seen = await action_store.action_row(session, tenant_id, action_id)
    if seen is None:
        noun = "action"
        raise NotFound(noun)
    await lock_customers(session, tenant_id, [seen["customer_id"]])
    if repeat.contact_ids:
        known = await specific_store.contacts_named(session, tenant_id, CustomerId(seen["customer_id"]), repeat.contact_ids)
        if len(known) < len(set(repeat.contact_ids)):
            noun = "contact of this customer"
            raise NotFound(noun)
    scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=LedgerId(seen["ledger_id"]), outbound=outbound, actor=actor)
    refused = (await resend_many(session, clock, scene, [seen], repeat))[action_id]
    if refused is not None:
        errors = {} if refused.field is None else {"errors": [{"field": refused.field, "message": refused.because}]}
        raise NothingToResend(refused.detail, reason=refused.reason, **errors)
    return await action_store.action_row(session, tenant_id, action_id) or seen


async def resend_many(session: Session, clock: Clock, scene: Scene, actions: Sequence[asyncpg.Record], repeat: Repeat) -> dict[ActionId, Refused | None]:
    """Tell again what some actions of one ledger have told, and return of each why it is not, or None.

    The number of statements does not grow with the customers. The caller holds their locks.
    """
    goings, answers = await _looked_at(session, scene, actions, repeat)
    await _send(session, clock, scene, goings, answers)
    return answers


async def refusals(session: Session, clock: Clock, scene: Scene, actions: Sequence[asyncpg.Record], repeat: Repeat) -> dict[ActionId, Refused | None]:
    """Return of each of some actions of one ledger why it would not be told again now, or None; the look of `resend_many`, and nothing is written."""
    goings, answers = await _looked_at(session, scene, actions, repeat)
    # A first number of the caller's own: none is taken from the ledger.
    return answers | _unready(goings, await despatch.prepare(session, clock, scene, goings, numbers_from=1))


async def _looked_at(session: Session, scene: Scene, actions: Sequence[asyncpg.Record], repeat: Repeat) -> tuple[list[Going], dict[ActionId, Refused | None]]:
    if not scene.tenant.may_send:
        msg = "Sending is off or stopped. Switch it on with PUT /v1/tenant/sending, then send again."
        raise SendingOff(msg)
    tenant_id = scene.tenant_id
    ids = [ActionId(action["action_id"]) for action in actions]
    told = await resend_store.last_told(session, tenant_id, ids)
    under_way = await resend_store.with_resends_under_way(session, tenant_id, ids)
    now: dict[ActionId, CustomerFacts] = {}
    for turn in one_a_customer(actions):
        of_customer = {CustomerId(action["customer_id"]): ActionId(action["action_id"]) for action in turn}
        found, _ = await facts.facts_of(session, tenant_id, list(of_customer), scene.today, but_for=of_customer)
        now |= {of_customer[one.customer_id]: one for one in found}
    versions = {(str(a["scenario_id"]), a["scenario_version"]) for a in actions if a["origin"] == "scenario"}
    known = await catalogue.load(session, tenant_id, versions)
    answers: dict[ActionId, Refused | None] = {}
    goings: list[Going] = []
    for action, action_id in zip(actions, ids, strict=True):
        before = told.get(action_id)
        if before is None or action_id in under_way:
            answers[action_id] = Refused("not_told" if before is None else "under_way")
            continue
        made = _going(scene, known, action, before, now[action_id], repeat)
        if isinstance(made, Going):
            goings.append(made)
        answers[action_id] = None if isinstance(made, Going) else made
    answers |= (unshown := await _unshown(session, tenant_id, goings, repeat))
    return [going for going in goings if going.action_id not in unshown], answers


async def _unshown(session: ReadSession, tenant_id: TenantId, goings: Sequence[Going], repeat: Repeat) -> dict[ActionId, Refused]:
    """Return the actions whose own words the content mode that is asked for cannot show; none where they are told as before."""
    written: dict[ActionId, tuple[Own, str, wording.Key]] = {}
    for going in goings:
        if repeat.content_mode is None or going.own is None or not (going.own.personal_subject or going.own.personal_text):
            continue
        template = next(notice for notice in going.step.notices if notice.primary).template
        if (key := wording.frozen_version(going.published.template_versions, template)) is not None:
            written[going.action_id] = going.own, template, key
    if not written:
        return {}
    texts = await template_store.contents_of(session, tenant_id, {key for _, _, key in written.values()})
    link_only = repeat.content_mode == ContentMode.LINK_ONLY
    of_links = (await template_store.published_versions(session, tenant_id, [LINK_ONLY_CODE])).get(LINK_ONLY_CODE)
    refused: dict[ActionId, Refused] = {}
    for action_id, (own, template, key) in written.items():
        code, shown = template, texts[key]
        if link_only and own_words.shows_details(shown):
            if of_links is None:
                continue  # told as what it is: nothing to write such a mail with
            code, shown = LINK_ONLY_CODE, of_links[2]
        faults = own_words.word_faults(code, shown, subject=own.personal_subject, text=own.personal_text, link_only=link_only)
        if faults:
            why = f"{repeat.content_mode} cannot show the {faults[0]['field']} that was written for this message ({faults[0]['message']})"
            refused[action_id] = Refused("own_words", "content_mode", f"{why}; leave it out to send the message as before, or write another one")
    return refused


def _going(scene: Scene, known: Catalogue, action: asyncpg.Record, before: asyncpg.Record, now: CustomerFacts, repeat: Repeat) -> Going | Refused:
    data = before["data"]
    own = Own(
        selection=data.get("selection"), counts=repeat.counts_as_reminder, counts_again=repeat.counts_as_reminder,
        contact_ids=tuple(str(one) for one in repeat.contact_ids), personal_subject=data.get("personal_subject"), personal_text=data.get("personal_text"),
    )  # fmt: skip
    candidates = {row["item_id"]: row for block in data["blocks"] for row in block["rows"] if row["section"] == "candidate"}
    day = scene.today.toordinal()
    if action["origin"] == "scenario":
        published = known[str(action["scenario_id"]), action["scenario_version"]]
        if action["content"] is not None:
            published = last_look.changed(published, data["step"]["code"], Content.read(action["content"]))
        composed = _composed(now, published.compiled, day, action, candidates)
    else:
        published = last_look.own_version(action)
        content = Content.read(action["content"] or {})
        if not own.contact_ids:
            own = replace(own, contact_ids=content.contact_ids, to_emails=content.to_emails)
        composed = select(now.position, day, list(candidates), published.steps[action["origin"]], tells_customer=not content.is_internal)
    if composed.action is None:
        return Refused(composition.cause_of(composed.dropped))
    same = not repeat.counts_as_reminder and _is_same(now, composed, data)
    return Going(
        ActionId(action["action_id"]), CustomerId(action["customer_id"]), composed.action, composed.info_net_minor, published, now.facts_version,
        content_mode=repeat.content_mode or before["content_mode"], replaces_id=ClaimId(before["claim_id"]), own=own,
        again=Again(before["first_id"], ClaimId(before["claim_id"]) if same else None),
    )  # fmt: skip


def _composed(now: CustomerFacts, compiled: Any, day: int, action: asyncpg.Record, candidates: Mapping[str, Mapping[str, Any]]) -> Composition:
    episodes = {str(item.id): item.episode for item in now.position.items if item.direction == DEBIT}
    choices = [
        Choice(item_id, episodes.get(item_id, 0), action["scenario_version"], row["step_code"], 0, None) for item_id, row in candidates.items()
    ]  # fmt: skip
    return composition.compose(
        now.position, compiled, day, choices, scenario_id=str(action["scenario_id"]), version=action["scenario_version"],
        document_id=None if action["document_id"] is None else str(action["document_id"]),
    )  # fmt: skip


def _is_same(now: CustomerFacts, composed: Composition, data: Mapping[str, Any]) -> bool:
    """Tell whether a claim shows just what would be shown now: the same rows with the same open amounts."""
    action = composed.action
    if action is None:
        return False
    still_open = {str(item.id): item.open_minor for item in now.position.items}
    ids = [str(item_id) for item_id in (*[row.item_id for row in action.rows], *action.info, *action.not_due, *action.credits)]
    shown = {row["item_id"]: row["open_minor"] for block in data["blocks"] for row in block["rows"]}
    return shown == {item_id: still_open.get(item_id, 0) for item_id in ids}


async def _send(session: Session, clock: Clock, scene: Scene, goings: Sequence[Going], answers: dict[ActionId, Refused | None]) -> None:
    made = await despatch.prepare(session, clock, scene, goings)
    answers |= _unready(goings, made)
    gone = {action_id for action_id, refused in answers.items() if refused is not None}
    made.claims = [claim for claim in made.claims if claim.action_id not in gone]
    await execute.write_despatch(session, clock, scene, made, effects := Effects())
    resent = [
        NewEvent("action.resent", "action", going.action_id, going.customer_id, {"new_claim": going.again is not None and going.again.claim_id is None})
        for going in goings
        if going.action_id not in gone
    ]
    await events.record_many(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, events=[*resent, *effects.events])


def _unready(goings: Sequence[Going], made: Despatch) -> dict[ActionId, Refused]:
    standings = {going.action_id: made.standings[going.action_id] for going in goings}
    return {action_id: Refused(one.reason or one.state) for action_id, one in standings.items() if one.state != "executed"}


async def told_again(session: Session, clock: Clock, messages: Sequence[OutgoingMessage], *, told: bool) -> None:
    """Note that claims which were told by repeated messages have been told; a second call changes nothing."""
    if not told:
        return
    tenant_id = messages[0].tenant_id
    zone = await session.value("select time_zone from ledger where tenant_id = $1 and ledger_id = $2", tenant_id, messages[0].ledger_id)
    rows = await resend_store.tell_claims(session, tenant_id, [m.claim_id for m in messages], clock.now(), local_date(clock.now(), zone))
    made = [NewEvent("claim.told", "claim", row["claim_id"], CustomerId(row["customer_id"]), {"action_id": row["action_id"]}) for row in rows]
    await events.record_many(session, clock, tenant_id=tenant_id, actor="dispatch", events=made)


async def not_told_again(session: Session, clock: Clock, message: OutgoingMessage) -> None:
    """Make the new claim of a repeated message void that did not arrive; the one that was told before stays told."""
    reason = message.reason or "not_sent"
    if await resend_store.void_unheard(session, message.tenant_id, message.claim_id, message.message_id, reason):
        await revoke_links_of_claims(session, clock, tenant_id=message.tenant_id, actor="dispatch", claim_ids=[message.claim_id], reason=reason)
        await events.record(
            session, clock, tenant_id=message.tenant_id, kind="claim.voided", subject_kind="claim", subject_id=message.claim_id, actor="dispatch",
            customer_id=message.customer_id, data={"reason": reason},
        )  # fmt: skip
