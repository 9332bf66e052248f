"""What dispatch asks of floors above it: passed in by the shell that runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActionId, ClaimId, CustomerId, LedgerId, MessageId, TenantId

Outcome = Literal["accepted", "rejected", "suppressed", "expired", "parked", "held", "cancelled", "closed_as_sent"]


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message as the ports see it. `claim_revision` is the revision that was rendered; `reason` says why, where an outcome has a reason."""

    tenant_id: TenantId
    message_id: MessageId
    ledger_id: LedgerId
    customer_id: CustomerId
    action_id: ActionId
    claim_id: ClaimId
    notice: str
    channel: str
    recipient_key: str
    audience: str
    is_primary: bool
    is_copy: bool
    resend_of: MessageId | None
    claim_revision: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """The fence lets the message pass."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The fence keeps the message back, for a reason such as `amounts_changed`, `settled`, `held`, `disputed`, `sending_off`, `stopped` or `claim_void`."""

    reason: str


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A frozen claim: what its messages say, the revision they must still have at the fence, and whether it is void."""

    data: Mapping[str, Any]
    revision: int
    state: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Proof about a message whose reply was lost: `sent` says which way, `source` names where it was found (journal, sent_folder, receipt, …)."""

    sent: bool
    source: str
    provider_id: str | None = None


class Fence(Protocol):
    """The last look at messages of one tenant, in the transaction that commits them to be sent."""

    async def __call__(self, session: Session, clock: Clock, messages: Sequence[OutgoingMessage], *, waits: bool) -> Mapping[MessageId, Send | Stop]:
        """Say of each message whether it may go.

        Without `waits`, a message whose facts somebody is changing at this moment is missing from the answer; it is asked about again, alone.
        """
        ...


OnOutcome = Callable[[Session, Clock, Sequence[OutgoingMessage], Outcome], Awaitable[None]]
LinkUrls = Callable[[ReadSession, TenantId, Sequence[MessageId]], Awaitable[Mapping[MessageId, str]]]
ClaimData = Callable[[ReadSession, TenantId, Sequence[ClaimId]], Awaitable[Mapping[ClaimId, ClaimRow]]]
OptOutUrl = Callable[[TenantId, MessageId, str], str | None]
Courtesies = Callable[[ReadSession, TenantId, Sequence[MessageId]], Awaitable[Collection[MessageId]]]
FindEvidence = Callable[[OutgoingMessage, str], Awaitable[Evidence | None]]


def no_opt_out(tenant_id: TenantId, message_id: MessageId, key_id: str) -> str | None:
    """Offer no opt-out."""
    del tenant_id, message_id, key_id
    return None


async def no_courtesies(session: ReadSession, tenant_id: TenantId, message_ids: Sequence[MessageId]) -> Collection[MessageId]:
    """Know none: whatever is held stays with a person."""
    del session, tenant_id, message_ids
    return ()


async def no_evidence(message: OutgoingMessage, header_message_id: str) -> Evidence | None:
    """Know nothing: where no journal mailbox and no sent folder is read, a lost reply stays a question for a person."""
    del message, header_message_id
    return None


async def no_reaction(session: Session, clock: Clock, messages: Sequence[OutgoingMessage], outcome: Outcome) -> None:
    """Note on the feed that the collection could not react, so that a result that is known is recorded all the same."""
    failed = [NewEvent("message.reaction_failed", "message", m.message_id, m.customer_id, {"outcome": outcome, "action_id": m.action_id}) for m in messages]
    if failed:
        await events.record_many(session, clock, tenant_id=messages[0].tenant_id, actor="worker", events=failed)


@dataclass(frozen=True, slots=True)
class Ports:
    """The four doors to higher floors, and the one to mailboxes that may prove what became of a mail.

    `fence` runs in the transaction that commits messages to be sent; `on_outcome` runs in the transaction that changes the messages'
    state, all of one tenant and with the same end, with their customers' state rows locked where that end is `accepted`; `find_evidence` runs
    outside any transaction and is given the Message-ID; `courtesies` tells which messages are no more than a service to their reader.
    """

    fence: Fence
    on_outcome: OnOutcome
    link_urls: LinkUrls
    claim_data: ClaimData
    find_evidence: FindEvidence = no_evidence
    courtesies: Courtesies = no_courtesies
    opt_out_url: OptOutUrl = no_opt_out

    def without_reaction(self) -> Ports:
        """Return the same doors, but nobody who reacts to outcomes."""
        return replace(self, on_outcome=no_reaction)
