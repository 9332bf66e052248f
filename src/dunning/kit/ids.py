"""Identifiers: UUIDv7 made in the application, one type an entity, so that a customer's id is never taken for an item's."""

from __future__ import annotations

from typing import NewType
from uuid import UUID

from uuid_utils.compat import uuid7

TenantId = NewType("TenantId", UUID)
KeyId = NewType("KeyId", UUID)
EventId = NewType("EventId", UUID)
LedgerId = NewType("LedgerId", UUID)
CustomerId = NewType("CustomerId", UUID)
ContactId = NewType("ContactId", UUID)
DocumentId = NewType("DocumentId", UUID)
ItemId = NewType("ItemId", UUID)
HoldId = NewType("HoldId", UUID)
ImportId = NewType("ImportId", UUID)
ReceiptId = NewType("ReceiptId", UUID)
AllocationId = NewType("AllocationId", UUID)
PaymentReturnId = NewType("PaymentReturnId", UUID)
ScenarioId = NewType("ScenarioId", UUID)
TemplateId = NewType("TemplateId", UUID)
RunId = NewType("RunId", UUID)
ActionId = NewType("ActionId", UUID)
ClaimId = NewType("ClaimId", UUID)
ActivityId = NewType("ActivityId", UUID)
MessageId = NewType("MessageId", UUID)
LinkId = NewType("LinkId", UUID)
ModelId = NewType("ModelId", UUID)
PersonId = NewType("PersonId", UUID)
ReadingId = NewType("ReadingId", UUID)
DisputeId = NewType("DisputeId", UUID)
PromiseId = NewType("PromiseId", UUID)
PlanId = NewType("PlanId", UUID)
BlockId = NewType("BlockId", UUID)
OverrideId = NewType("OverrideId", UUID)
AbsenceId = NewType("AbsenceId", UUID)
RuleId = NewType("RuleId", UUID)
AssignmentId = NewType("AssignmentId", UUID)
AttachmentId = NewType("AttachmentId", UUID)
TeamId = NewType("TeamId", UUID)


def new_id() -> UUID:
    """Return a new time-ordered id (RFC 9562 version 7)."""
    return uuid7()
