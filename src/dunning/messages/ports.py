"""What dispatch asks of floors above it: passed in by the shell that runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from dunning.events import service as events
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


Fence = Callable[[Session, Clock, OutgoingMessage], Awaitable[Send | Stop]]
OnOutcome = Callable[[Session, Clock, OutgoingMessage, Outcome], Awaitable[None]]
LinkUrls = Callable[[ReadSession, TenantId, Sequence[MessageId]], Awaitable[Mapping[MessageId, str]]]
ClaimData = Callable[[ReadSession, TenantId, Sequence[ClaimId]], Awaitable[Mapping[ClaimId, ClaimRow]]]
FindEvidence = Callable[[OutgoingMessage, str], Awaitable[Evidence | None]]


async def no_evidence(message: OutgoingMessage, header_message_id: str) -> Evidence | None:
    """Know nothing: where no journal mailbox and no sent folder is read, a lost reply stays a question for a person."""
    del message, header_message_id
    return None


async def no_reaction(session: Session, clock: Clock, message: OutgoingMessage, outcome: Outcome) -> None:
    """Note on the feed that the collection could not react, so that a result that is known is recorded all the same."""
    await events.record(
        session,
        clock,
        tenant_id=message.tenant_id,
        kind="message.reaction_failed",
        subject_kind="message",
        subject_id=message.message_id,
        customer_id=message.customer_id,
        actor="worker",
        data={"outcome": outcome, "action_id": message.action_id},
    )


@dataclass(frozen=True, slots=True)
class Ports:
    """The four doors to higher floors, and the one to mailboxes that may prove what became of a mail.

    `fence` runs in the transaction that commits the message to be sent; `on_outcome` runs in the transaction that changes the message's
    state; `find_evidence` runs outside any transaction and is given the Message-ID.
    """

    fence: Fence
    on_outcome: OnOutcome
    link_urls: LinkUrls
    claim_data: ClaimData
    find_evidence: FindEvidence = no_evidence

    def without_reaction(self) -> Ports:
        """Return the same doors, but nobody who reacts to outcomes."""
        return replace(self, on_outcome=no_reaction)
