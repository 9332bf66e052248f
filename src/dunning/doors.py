"""The doors from messages to the folders above them, put together once for all shells."""

from __future__ import annotations

from functools import partial

import dunning.collection.disputes  # noqa: F401  # a dispute ends with its follow-up, in every process that ends actions
from dunning.collection.claims import claim_data
from dunning.collection.courtesies import courtesies
from dunning.collection.despatch import Outbound
from dunning.collection.fence import fence
from dunning.collection.outcomes import on_outcome
from dunning.evidence.links import link_urls
from dunning.kit.settings import Settings
from dunning.kit.signing import Keyring
from dunning.messages.opt_out_links import opt_out_url
from dunning.messages.ports import Ports


def product_ports(settings: Settings, keyring: Keyring) -> Ports:
    """Return the doors as the product has them: fence, outcomes and claims of the collection, links of the evidence."""
    return Ports(
        fence=fence,
        on_outcome=partial(on_outcome, outbound=Outbound.of(settings, keyring)),
        claim_data=claim_data,
        link_urls=partial(link_urls, keyring=keyring, public_url=settings.public_url),
        courtesies=courtesies,
        opt_out_url=partial(opt_out_url, keyring=keyring, public_url=settings.public_url),
    )
