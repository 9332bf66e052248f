"""Which template and language a message is written in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from dunning.collection.recipients import Recipient
from dunning.kit.database import ReadSession
from dunning.kit.ids import TemplateId, TenantId
from dunning.messages import template_store
from dunning.messages.language import LanguageMissing, choose_language
from dunning.messages.shipped import LINK_ONLY_CODE
from dunning.messages.templates import facts_of

KEPT = 2000

Key = tuple[TemplateId, int]


@dataclass(frozen=True, slots=True)
class Wording:
    """Hold one template version: the languages it has, and whether it shows what a mail of link only must not."""

    template_id: TemplateId
    version: int
    languages: frozenset[str]
    shows_details: bool


_kept: OrderedDict[tuple[UUID, UUID, int], Wording] = OrderedDict()
"""Published template versions never change."""


async def load(session: ReadSession, tenant_id: TenantId, keys: Collection[Key]) -> dict[Key, Wording]:
    """Return what is known of template versions, reading only those this process has not seen."""
    found = {key: kept for key in keys if (kept := _kept.get((tenant_id, *key))) is not None}
    missing = [key for key in keys if key not in found]
    if missing:
        for key, contents in (await template_store.contents_of(session, tenant_id, missing)).items():
            found[key] = _kept[tenant_id, *key] = _wording(key, contents)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return found


async def link_wording(session: ReadSession, tenant_id: TenantId) -> Wording | None:
    """Return the tenant's template for mails of text and link only, or None: it has published none."""
    published = await template_store.published_versions(session, tenant_id, [LINK_ONLY_CODE])
    if LINK_ONLY_CODE not in published:
        return None
    template_id, version, contents = published[LINK_ONLY_CODE]
    return _wording((template_id, version), contents)


def _wording(key: Key, contents: template_store.Contents) -> Wording:
    facts = facts_of(contents)
    return Wording(key[0], key[1], facts.languages, facts.has_item_rows or bool(facts.full_only))


def language_for(wording: Wording, recipient: Recipient | None, *, customer: str | None, ledger: str) -> str | None:
    """Return the language of a whole message: the contact's, the customer's, the ledger's, as far as the template has it; None: it has none of them.

    Colleagues are written to in their own or the ledger's: what a customer speaks is no guide to what they do.
    """
    own = None if recipient is None else recipient.language
    try:
        return choose_language(wording.languages, contact=own, customer=None if recipient is not None and recipient.internal else customer, ledger=ledger)
    except LanguageMissing:
        return None


def frozen_version(template_versions: Mapping[str, tuple[UUID, int]], code: str) -> Key | None:
    """Return the template version that a published scenario froze for a code."""
    found = template_versions.get(code)
    return None if found is None else (TemplateId(found[0]), found[1])
