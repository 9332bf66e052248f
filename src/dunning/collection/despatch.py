"""From composed actions to what is told: numbered claims, messages to people, links, or a task for somebody where nobody can be reached."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg

from dunning.collection import contact_budget, freezing, sheet_store, wording
from dunning.collection.catalogue import Published
from dunning.collection.claims import NewClaim
from dunning.collection.contact_budget import CONTACT_BUDGET, People
from dunning.collection.recipients import Recipient, addressed, copied, told, wanting
from dunning.collection.sheet_store import CustomerSheet
from dunning.collection.wording import Wording
from dunning.evidence.links import NewLink
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import Session
from dunning.kit.ids import ActionId, ClaimId, ContactId, CustomerId, LinkId, MessageId, TenantId, new_id
from dunning.kit.settings import Settings
from dunning.kit.signing import Keyring
from dunning.ledger.ledger_store import Ledger
from dunning.messages.opt_out_links import KEY_OF_CLAIM
from dunning.messages.queue import NewMessage
from dunning.messages.shipped import LINK_ONLY_CODE
from dunning.messages.windows import SendWindow, next_opening, worth_sending_until
from dunning.scenarios.rules import Action, Id
from dunning.scenarios.steps import Audience, Channel, ContentMode, Notice, Step, StepKind
from dunning.tenancy import people_store
from dunning.tenancy.service import Tenant

OPTED_OUT = "opted_out"
"""Why a step before the due date is passed over: everybody it would tell has opted out."""


@dataclass(frozen=True, slots=True)
class Outbound:
    """Hold the settings of what leaves: which key signs links and how long, how long a message may wait once its window opens."""

    link_key_id: str
    link_valid_days: int
    message_valid_hours: int

    @classmethod
    def of(cls, settings: Settings, keyring: Keyring) -> Outbound:
        """Take what is needed from the settings of a process."""
        return cls(keyring.newest, settings.link_valid_days, settings.message_valid_hours)


@dataclass(frozen=True, slots=True)
class Scene:
    """Hold what all actions of one batch share."""

    tenant: Tenant
    ledger: Ledger
    outbound: Outbound
    today: dt.date
    actor: str

    @property
    def tenant_id(self) -> TenantId:
        """The tenant."""
        return self.tenant.tenant_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """Hold what is an action's own beside what its step says: whom it names, the writer's words, and whether its claim asks for chosen items only.

    `selection` is `customer` or `internal` where the claim shows exactly the chosen items; `counts` tells whether it is one more reminder, and
    `counts_again` whether telling it raises the reminders of its items although its action was complete before. `within_budget` tells whether the
    contact budget of people keeps and counts it.
    """

    selection: str | None = None
    counts: bool = True
    counts_again: bool = False
    within_budget: bool = True
    contact_ids: tuple[str, ...] = ()
    to_emails: tuple[str, ...] = ()
    personal_subject: str | None = None
    personal_text: str | None = None

    def frozen(self) -> dict[str, str | bool]:
        """Return what a claim freezes of it."""
        words = {"selection": self.selection, "personal_subject": self.personal_subject, "personal_text": self.personal_text}
        return {name: value for name, value in words.items() if value is not None} | ({"counts_again": True} if self.counts_again else {})


@dataclass(frozen=True, slots=True)
class Again:
    """Hold what is told a second time: the message that is repeated, and its claim where nothing in it has changed."""

    resend_of: MessageId
    claim_id: ClaimId | None


@dataclass(frozen=True, slots=True)
class Going:
    """Hold one composed action that is carried out now. `replaces_id` names the claim that its new one takes the place of."""

    action_id: ActionId
    customer_id: CustomerId
    action: Action
    info_net_minor: Mapping[str, int]
    published: Published
    facts_version: int
    content_mode: str | None = None
    replaces_id: ClaimId | None = None
    own: Own | None = None
    again: Again | None = None

    @property
    def step(self) -> Step:
        """The step that gives the text."""
        return self.published.steps[self.action.step_code]


@dataclass(frozen=True, slots=True)
class Standing:
    """Hold how an action stands once it was carried out."""

    state: str
    reason: str | None = None
    task_kind: str | None = None
    task_text: str | None = None
    deadline_on: dt.date | None = None
    content_mode: str | None = None
    put_off_to: dt.date | None = None
    """With `cancelled`: nothing is passed over, because it may be told on this day."""


@dataclass(slots=True)
class Despatch:
    """Collect what a batch writes."""

    standings: dict[ActionId, Standing] = field(default_factory=dict)
    claims: list[NewClaim] = field(default_factory=list)
    messages: list[NewMessage] = field(default_factory=list)
    links: list[NewLink] = field(default_factory=list)


async def prepare(session: Session, clock: Clock, scene: Scene, goings: Sequence[Going], *, numbers_from: int | None = None) -> Despatch:
    """Decide what each action tells whom; nothing is written yet.

    Claim numbers are taken here unless the caller has taken as many as there are notices and gives the first: the ledger's counter is locked
    until the transaction ends, and batches that go out side by side would wait for each other on it.
    """
    notices = [going for going in goings if going.step.kind is StepKind.NOTICE]
    made = Despatch()
    for going in goings:
        if going.step.kind is not StepKind.NOTICE:
            made.standings[going.action_id] = _task(going, scene.today)
    if notices:
        desk = _Desk(session, clock, scene, notices, made)
        await desk.read()
        if numbers_from is None:
            numbers_from = await sheet_store.take_numbers(session, scene.tenant_id, scene.ledger.ledger_id, "claim", len(notices))
        desk.write(numbers_from)
    return made


def _task(going: Going, today: dt.date) -> Standing:
    step = going.step
    deadline_on = None if step.deadline_days is None else today + dt.timedelta(days=step.deadline_days)
    if step.task is None:
        return Standing("completed")
    return Standing("waiting", task_kind=step.task.kind.value, task_text=step.task.text, deadline_on=deadline_on)


class _Desk:
    """Write the letters of one batch."""

    def __init__(self, session: Session, clock: Clock, scene: Scene, goings: Sequence[Going], made: Despatch) -> None:
        self.session = session
        self.now = clock.now()
        self.scene = scene
        self.goings = goings
        self.made = made
        self.sheets: Mapping[CustomerId, CustomerSheet] = {}
        self.contacts: Mapping[CustomerId, list[Recipient]] = {}
        self.items: Mapping[str, asyncpg.Record] = {}
        self.wordings: dict[wording.Key, Wording] = {}
        self.link_wording: Wording | None = None
        self.people: People | None = None
        self.colleagues: Mapping[str, tuple[str, str | None]] = {}

    async def read(self) -> None:
        """Read what the letters show."""
        scene, session = self.scene, self.session
        customer_ids = {going.customer_id for going in self.goings}
        self.sheets = await sheet_store.customers_of(session, scene.tenant_id, customer_ids)
        self.contacts = await sheet_store.contacts_of(session, scene.tenant_id, customer_ids)
        self.items = await sheet_store.items_of(session, scene.tenant_id, {i for going in self.goings for i in _shown(going.action)})
        keys = {
            key
            for going in self.goings
            for notice in going.step.notices
            for code in notice.templates
            if (key := wording.frozen_version(going.published.template_versions, code)) is not None
        }
        self.wordings = await wording.load(session, scene.tenant_id, keys)
        if any(_mode(going, notice) == ContentMode.LINK_ONLY for going in self.goings for notice in going.step.notices):
            self.link_wording = await wording.link_wording(session, scene.tenant_id)
        if typed := {email for going in self.goings if going.own is not None for email in going.own.to_emails}:
            self.colleagues = await people_store.greeted_at(session, scene.tenant_id, typed)
        emails = {one.email for of_customer in self.contacts.values() for one in of_customer if one.email and not one.internal}
        self.people = await contact_budget.people_to_write_to(session, scene.tenant_id, scene.ledger, emails, scene.today)

    def write(self, numbers_from: int) -> None:
        """Write each letter under its number."""
        for number, going in enumerate(self.goings, numbers_from):
            self._write_one(going, number)

    def _write_one(self, going: Going, number: int) -> None:
        scene, sheet, step = self.scene, self.sheets[going.customer_id], going.step
        primary = next(notice for notice in step.notices if notice.primary)
        told_before = None if going.again is None else going.again.claim_id
        claim_id = told_before or ClaimId(new_id())
        opening, not_before, valid_until = self._times(sheet)
        receivers, standing = self._receivers(going, primary, sheet)
        if standing.state == "cancelled":
            # Nobody is told anything, so there is no claim: the step is passed over, or put off, with its reason.
            self.made.standings[going.action_id] = standing
            return
        language = receivers[0][1] if receivers else (sheet.language or scene.ledger.language)
        send_day = local_date(opening, sheet.time_zone)
        deadline_on = None if step.deadline_days is None else send_day + dt.timedelta(days=step.deadline_days)
        mode = _mode(going, primary)
        own = going.own
        heading = freezing.Heading(
            number, scene.today, deadline_on, mode, language, step, _ledger_part(scene.ledger, primary), {"external_id": sheet.external_id, "name": sheet.name},
            counts=own is None or own.counts, by_steps=own is None or own.selection is None,
        )  # fmt: skip
        data = freezing.freeze(heading, going.action, self.items, going.info_net_minor) | ({} if own is None else own.frozen())
        if primary.template_when_covered is not None:
            data["template_variant"] = "covered" if sheet.is_covered(scene.today) else "standard"
        if step.is_courtesy:
            data[KEY_OF_CLAIM] = scene.outbound.link_key_id
        if told_before is None:
            self.made.claims.append(
                NewClaim(
                    claim_id, going.customer_id, going.action_id, number, going.replaces_id, language, mode, data, going.facts_version, deadline_on,
                    scene.today,
                )
            )  # fmt: skip
        self.made.standings[going.action_id] = Standing(standing.state, standing.reason, standing.task_kind, standing.task_text, deadline_on, mode)
        if not receivers:
            return
        readers: list[Recipient] = []
        for notice in [primary] if going.again is not None else step.notices:
            chosen = receivers if notice is primary else self._receivers(going, notice, sheet)[0]
            for recipient, spoken, version in chosen:
                self._add(going, notice, claim_id, recipient, spoken, version, not_before, valid_until, is_copy=False)
            readers += [recipient for recipient, _, _ in chosen if not recipient.internal]
            if notice.copy_roles and going.again is None:
                for recipient in copied(self.contacts[going.customer_id], notice.copy_roles, own_domains=scene.tenant.internal_domains):
                    self._add_copy(going, notice, claim_id, recipient, sheet, not_before, valid_until)
        if self.people is not None and _is_budgeted(going):
            self.people.note(readers, scene.today)

    def _times(self, sheet: CustomerSheet) -> tuple[dt.datetime, dt.datetime, dt.datetime]:
        ledger = self.scene.ledger
        window = SendWindow(
            sheet.time_zone, dt.time.fromisoformat(ledger.send_from), dt.time.fromisoformat(ledger.send_until), ledger.send_on_closed_days,
            sheet.country, sheet.subdivision,
        )  # fmt: skip
        opening = next_opening(window, self.now)
        not_before = opening + dt.timedelta(seconds=ledger.undo_seconds)
        return opening, not_before, worth_sending_until(window, opening, self.scene.outbound.message_valid_hours)

    def _wording(self, going: Going, notice: Notice) -> Wording | None:
        covered = self.sheets[going.customer_id].is_covered(self.scene.today)
        key = wording.frozen_version(going.published.template_versions, notice.template_for(covered=covered))
        found = None if key is None else self.wordings.get(key)
        if found is not None and found.shows_details and _mode(going, notice) == ContentMode.LINK_ONLY:
            return self.link_wording
        return found

    def _receivers(self, going: Going, notice: Notice, sheet: CustomerSheet) -> tuple[list[tuple[Recipient, str, Wording]], Standing]:
        """Return who gets a notice, each with language and template version; where nobody can, the task that takes its place."""
        if notice.channel is not Channel.EMAIL:
            return [], Standing("waiting", f"by_{notice.channel.value}", notice.channel.value, _by_hand_text(notice.channel, going.step))
        internal = notice.audience is Audience.INTERNAL
        contacts, domains = self.contacts[going.customer_id], self.scene.tenant.internal_domains
        named = going.own is not None and notice.primary and (going.own.contact_ids or going.own.to_emails)
        if going.own is not None and named:
            found = addressed(contacts, going.own.contact_ids, going.own.to_emails, internal=internal, own_domains=domains, colleagues=self.colleagues)
        else:
            found = told(contacts, notice.to_roles, internal=internal, own_domains=domains)
        instead = notice.fallback[0] if notice.fallback else Channel.LETTER
        if not found:
            where = "of the people who were chosen" if named else f"in the roles {', '.join(notice.to_roles)}"
            text = f"No e-mail address {where}. {_by_hand_text(instead, going.step)} Or add a contact and retry."
            return [], Standing("waiting", "no_address", instead.value, text)
        if going.step.is_courtesy and not internal:
            found = wanting(found)
            if not found:
                return [], Standing("cancelled", OPTED_OUT)
        if self.people is not None and not internal and _is_budgeted(going):
            wanted, found = found, [recipient for recipient in found if self.people.may_be_told(recipient, self.scene.today)]
            if not found:
                return [], Standing("cancelled", CONTACT_BUDGET, put_off_to=self.people.first_free(wanted))
        version = self._wording(going, notice)
        if version is None:
            text = f"No template for a mail of text and link only: publish the template {LINK_ONLY_CODE}, then retry. {_by_hand_text(instead, going.step)}"
            return [], Standing("waiting", "no_template", instead.value, text)
        spoken = [
            (recipient, language, version)
            for recipient in found
            if (language := wording.language_for(version, recipient, customer=sheet.language, ledger=self.scene.ledger.language)) is not None
        ]
        if not spoken:
            text = (
                f"The template {notice.template} has no language that the customer reads: add it and publish, then retry. {_by_hand_text(instead, going.step)}"
            )
            return [], Standing("waiting", "no_language", instead.value, text)
        return spoken, Standing("executed")

    def _add_copy(
        self, going: Going, notice: Notice, claim_id: ClaimId, recipient: Recipient, sheet: CustomerSheet, not_before: dt.datetime, valid_until: dt.datetime
    ) -> None:
        version = self._wording(going, notice)
        if version is None:
            return
        language = wording.language_for(version, recipient, customer=sheet.language, ledger=self.scene.ledger.language)
        if language is not None:
            self._add(going, notice, claim_id, recipient, language, version, not_before, valid_until, is_copy=True)

    def _add(
        self,
        going: Going,
        notice: Notice,
        claim_id: ClaimId,
        recipient: Recipient,
        language: str,
        version: Wording,
        not_before: dt.datetime,
        valid_until: dt.datetime,
        *,
        is_copy: bool,
    ) -> None:
        scene = self.scene
        message_id = MessageId(new_id())
        audience = "internal" if is_copy else notice.audience.value
        self.made.messages.append(
            NewMessage(
                message_id=message_id,
                ledger_id=scene.ledger.ledger_id,
                customer_id=going.customer_id,
                action_id=going.action_id,
                claim_id=claim_id,
                notice=notice.code,
                channel=notice.channel.value,
                recipient_key=recipient.key,
                audience=audience,
                is_primary=notice.primary and not is_copy,
                is_copy=is_copy,
                contact_id=None if recipient.typed else ContactId(recipient.contact_id),
                language=language,
                template_id=version.template_id,
                template_version=version.version,
                content_mode=_mode(going, notice),
                relay="smtp" if scene.tenant.mode == "live" else "sink",
                to_email=recipient.email or "",
                to_name=recipient.name,
                not_before=not_before,
                valid_until=valid_until,
                resend_of=None if going.again is None else going.again.resend_of,
                header_domain=scene.ledger.sender_email.rsplit("@", 1)[-1],
            )
        )
        self.made.links.append(
            NewLink(
                link_id=LinkId(new_id()),
                ledger_id=scene.ledger.ledger_id,
                customer_id=going.customer_id,
                claim_id=claim_id,
                message_id=message_id,
                key_id=scene.outbound.link_key_id,
                audience=audience,
                challenge=scene.ledger.challenge,
                expires_at=not_before + dt.timedelta(days=scene.outbound.link_valid_days),
            )
        )


def _mode(going: Going, notice: Notice) -> str:
    """Return what a mail holds: what was chosen at launch wins over the step's."""
    return going.content_mode or notice.content_mode.value


def _is_budgeted(going: Going) -> bool:
    """Tell whether the contact budget of people keeps and counts what is told: not what is told again, nor what is ad hoc or was let beyond it."""
    return going.again is None and (going.own is None or going.own.within_budget)


def _shown(action: Action) -> list[Id]:
    return [*[row.item_id for row in action.rows], *action.info, *action.not_due, *action.credits]


def _by_hand_text(channel: Channel, step: Step) -> str:
    names = {"pec": "certified e-mail (PEC)", "sms": "text message", "registered_letter": "registered letter", "call": "phone", "counsel": "counsel"}
    return f"Tell the customer by {names.get(channel.value, channel.value)}: {step.name}."


def _ledger_part(ledger: Ledger, notice: Notice) -> dict[str, object]:
    return {
        "name": ledger.name,
        "country": ledger.country,
        "sender_name": notice.sender_name or ledger.sender_name,
        "sender_email": ledger.sender_email,
        "reply_to": notice.reply_to or ledger.reply_to,
        "bank_accounts": [{name: account.get(name) for name in ("beneficiary", "iban", "bic", "bank_name", "currency")} for account in ledger.bank_accounts],
    }
