"""What the states of a message say about its sending, in words with what they do not prove. Standard library and grades only."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dunning.evidence.rules import Meaning

STATES: Mapping[str, Meaning] = MappingProxyType(
    {
        "ready": Meaning("Queued for sending", "Nothing has left yet."),
        "leased": Meaning("Taken up by a sender", "Nothing has left yet."),
        "retry_wait": Meaning("Put off; it will be tried again", "The mail server did not take it; nothing was delivered by this attempt."),
        "committing": Meaning("Checked once more and being handed to the mail server", "Whether it was taken is not known yet."),
        "accepted": Meaning(
            "Accepted by the sending mail server",
            "Acceptance by the sender's server is not delivery into the recipient's mailbox, and not reading.",
        ),
        "uncertain": Meaning("Handed over, but the mail server's answer was lost", "It may or may not have been sent; it is not sent again by itself."),
        "held": Meaning("Held for a person, because its fate is not known", "This is no proof of sending."),
        "parked": Meaning("Stopped by a fault of the mailbox or the content", "It was not sent."),
        "rejected": Meaning("Refused by the mail server", "It was not delivered to this address."),
        "suppressed": Meaning("Not sent: the address is known to fail", "It was not sent."),
        "expired": Meaning("Not sent in time", "It was not sent."),
        "cancelled": Meaning("Cancelled before sending", "It was not sent."),
        "closed_unknown": Meaning("Closed by a person without knowing its fate", "Never counted as proof of sending."),
    }
)
DELIVERY: Mapping[str, Meaning] = MappingProxyType(
    {
        "none": Meaning("No report about the delivery", "Most mail servers report nothing when all goes well."),
        "delayed": Meaning("The recipient's mail server reported a delay", "It may still be delivered."),
        "delivered": Meaning("The recipient's mail server reported delivery", "Delivery into the mailbox is not reading."),
        "failed": Meaning("The recipient's mail server reported failure", "It did not reach this address."),
    }
)

NOT_QUALIFIED = (
    "These are dated records of an electronic reminder service. It is not a qualified electronic registered delivery service under Regulation (EU)"
    " No 910/2014, and no presumption of article 43(2) is claimed. What the records prove is for a court to judge; have a lawyer check their use."
)
