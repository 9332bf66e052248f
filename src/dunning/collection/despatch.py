"""From composed actions to what is told: numbered claims, messages to people, links, or a task for somebody where nobody can be reached."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from dunning.collection import freezing, sheet_store, wording
from dunning.collection.catalogue import Published
from dunning.collection.claims import NewClaim
from dunning.collection.recipients import Recipient, copied, told
from dunning.collection.sheet_store import CustomerSheet
from dunning.collection.wording import Wording
from dunning.evidence.links import NewLink
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import Session
from dunning.kit.ids import ActionId, ClaimId, ContactId, CustomerId, LinkId, MessageId, TenantId, new_id
from dunning.kit.settings import Settings
from dunning.kit.signing import Keyring
from dunning.ledger.ledger_store import Ledger
from dunning.messages.queue import NewMessage
from dunning.messages.windows import SendWindow, next_opening
from dunning.scenarios.rules import Action
from dunning.scenarios.steps import Audience, Channel, ContentMode, Notice, Step, StepKind
from dunning.tenancy.service import Tenant


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


@dataclass(frozen=True, slots=True)
class Going:
    """Hold one composed action that is carried out now. `replaces_id` names the void claim that its new one takes the place of."""

    action_id: ActionId
    customer_id: CustomerId
    action: Action
    info_net_minor: Mapping[str, int]
    published: Published
    facts_version: int
    content_mode: str | None = None
    replaces_id: ClaimId | None = None

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


@dataclass(slots=True)
class Despatch:
    """Collect what a batch writes."""

    standings: dict[ActionId, Standing] = field(default_factory=dict)
    claims: list[NewClaim] = field(default_factory=list)
    messages: list[NewMessage] = field(default_factory=list)
    links: list[NewLink] = field(default_factory=list)


async def prepare(session: Session, clock: Clock, scene: Scene, goings: Sequence[Going]) -> Despatch:
    """Decide what each action tells whom; claim numbers are taken, nothing else is written yet."""
    notices = [going for going in goings if going.step.kind is StepKind.NOTICE]
    made = Despatch()
    for going in goings:
        if going.step.kind is not StepKind.NOTICE:
            made.standings[going.action_id] = _task(going, scene.today)
    if notices:
        await _Desk(session, clock, scene, notices, made).write()
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

    async def write(self) -> None:
        """Read what the letters show, then write each."""
        scene, session = self.scene, self.session
        customer_ids = {going.customer_id for going in self.goings}
        self.sheets = await sheet_store.customers_of(session, scene.tenant_id, customer_ids)
        self.contacts = await sheet_store.contacts_of(session, scene.tenant_id, customer_ids)
        self.items = await sheet_store.items_of(session, scene.tenant_id, sorted({i for going in self.goings for i in _shown(going.action)}))
        keys = {
            key
            for going in self.goings
            for notice in going.step.notices
            if (key := wording.frozen_version(going.published.template_versions, notice.template)) is not None
        }
        self.wordings = await wording.load(session, scene.tenant_id, keys)
        if any(_mode(going, notice) == ContentMode.LINK_ONLY for going in self.goings for notice in going.step.notices):
            self.link_wording = await wording.link_wording(session, scene.tenant_id)
        first = await sheet_store.take_numbers(session, scene.tenant_id, scene.ledger.ledger_id, "claim", len(self.goings))
        for number, going in enumerate(self.goings, first):
            self._write_one(going, number)

    def _write_one(self, going: Going, number: int) -> None:
        scene, sheet, step = self.scene, self.sheets[going.customer_id], going.step
        primary = next(notice for notice in step.notices if notice.primary)
        claim_id = ClaimId(new_id())
        opening, not_before, valid_until = self._times(sheet)
        receivers, standing = self._receivers(going, primary, sheet)
        language = receivers[0][1] if receivers else (sheet.language or scene.ledger.language)
        send_day = local_date(opening, sheet.time_zone)
        deadline_on = None if step.deadline_days is None else send_day + dt.timedelta(days=step.deadline_days)
        mode = _mode(going, primary)
        heading = freezing.Heading(
            number, scene.today, deadline_on, mode, language, step, _ledger_part(scene.ledger), {"external_id": sheet.external_id, "name": sheet.name}
        )
        data = freezing.freeze(heading, going.action, self.items, going.info_net_minor)
        self.made.claims.append(
            NewClaim(
                claim_id, going.customer_id, going.action_id, number, going.replaces_id, language, mode, data, going.facts_version, deadline_on, scene.today
            )
        )
        self.made.standings[going.action_id] = Standing(standing.state, standing.reason, standing.task_kind, standing.task_text, deadline_on, mode)
        if not receivers:
            return
        for notice in step.notices:
            chosen = receivers if notice is primary else self._receivers(going, notice, sheet)[0]
            for recipient, spoken, version in chosen:
                self._add(going, notice, claim_id, recipient, spoken, version, not_before, valid_until, is_copy=False)
            if notice.copy_roles:
                for recipient in copied(self.contacts[going.customer_id], notice.copy_roles, own_domains=scene.tenant.internal_domains):
                    self._add_copy(going, notice, claim_id, recipient, sheet, not_before, valid_until)

    def _times(self, sheet: CustomerSheet) -> tuple[dt.datetime, dt.datetime, dt.datetime]:
        ledger = self.scene.ledger
        window = SendWindow(
            sheet.time_zone, dt.time.fromisoformat(ledger.send_from), dt.time.fromisoformat(ledger.send_until), ledger.send_on_closed_days,
            sheet.country, sheet.subdivision,
        )  # fmt: skip
        opening = next_opening(window, self.now)
        not_before = opening + dt.timedelta(seconds=ledger.undo_seconds)
        return opening, not_before, opening + dt.timedelta(hours=self.scene.outbound.message_valid_hours)

    def _wording(self, going: Going, notice: Notice) -> Wording | None:
        key = wording.frozen_version(going.published.template_versions, notice.template)
        found = None if key is None else self.wordings.get(key)
        if found is not None and found.shows_details and _mode(going, notice) == ContentMode.LINK_ONLY:
            return self.link_wording
        return found

    def _receivers(self, going: Going, notice: Notice, sheet: CustomerSheet) -> tuple[list[tuple[Recipient, str, Wording]], Standing]:
        """Return who gets a notice, each with language and template version; where nobody can, the task that takes its place."""
        if notice.channel is not Channel.EMAIL:
            return [], Standing("waiting", f"by_{notice.channel.value}", notice.channel.value, _by_hand_text(notice.channel, going.step))
        internal = notice.audience is Audience.INTERNAL
        found = told(self.contacts[going.customer_id], notice.to_roles, internal=internal, own_domains=self.scene.tenant.internal_domains)
        instead = notice.fallback[0] if notice.fallback else Channel.LETTER
        if not found:
            text = f"No e-mail address in the roles {', '.join(notice.to_roles)}. {_by_hand_text(instead, going.step)} Or add a contact and retry."
            return [], Standing("waiting", "no_address", instead.value, text)
        version = self._wording(going, notice)
        if version is None:
            text = (
                f"No template for a mail of text and link only: publish the template {wording.LINK_TEMPLATE}, then retry. {_by_hand_text(instead, going.step)}"
            )
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
                recipient_key=str(recipient.contact_id),
                audience=audience,
                is_primary=notice.primary and not is_copy,
                is_copy=is_copy,
                contact_id=ContactId(recipient.contact_id),
                language=language,
                template_id=version.template_id,
                template_version=version.version,
                content_mode=_mode(going, notice),
                relay="smtp" if scene.tenant.mode == "live" else "sink",
                to_email=recipient.email or "",
                to_name=recipient.name,
                not_before=not_before,
                valid_until=valid_until,
                resend_of=None,
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


def _shown(action: Action) -> list[UUID]:
    ids = [row.item_id for row in action.rows]
    return [UUID(str(item_id)) for item_id in (*ids, *action.info, *action.not_due, *action.credits)]


def _by_hand_text(channel: Channel, step: Step) -> str:
    names = {"pec": "certified e-mail (PEC)", "sms": "text message", "registered_letter": "registered letter", "call": "phone", "counsel": "counsel"}
    return f"Tell the customer by {names.get(channel.value, channel.value)}: {step.name}."


def _ledger_part(ledger: Ledger) -> dict[str, object]:
    return {
        "name": ledger.name,
        "country": ledger.country,
        "sender_name": ledger.sender_name,
        "sender_email": ledger.sender_email,
        "reply_to": ledger.reply_to,
        "bank_accounts": [{name: account.get(name) for name in ("beneficiary", "iban", "bic", "bank_name", "currency")} for account in ledger.bank_accounts],
    }
