"""A colleague's page: what is asked about which items, how they stand, and the forms to take charge and to reply."""

from __future__ import annotations

from dunning.collection import internal_requests
from dunning.collection.claims import claim_data
from dunning.collection.internal_requests import Request, Said
from dunning.evidence.rules import Door
from dunning.evidence.visits import Visit, visit_of
from dunning.messages.clean_text import clean_line, clean_paragraph
from dunning.messages.language import amount, short_date
from dunning_api.portal import nonces, pages
from dunning_api.portal.deps import Guest
from dunning_api.portal.request_words import RequestWords, request_words
from dunning_api.portal.response import PageResponse

TAKE_CHARGE, REPLY = "take_charge", "reply"
FORMS = frozenset({TAKE_CHARGE, REPLY})


async def request_page(coming: Guest, visit: Visit, language: str, *, notice: str | None = None, bad: bool = False) -> bytes | None:
    """Write the page of a question; None where the message asks none."""
    asked = await internal_requests.request_of(coming.session, tenant_id=coming.tenant_id, claim_id=visit.link.claim_id, message_id=visit.link.message_id)
    if asked is None:
        return None
    nonce = nonces.request_nonce(coming.keyring, coming.link_id, visit.at)
    return _page(asked, visit, language, nonce=nonce, notice=notice, bad=bad)


async def act(coming: Guest) -> PageResponse | None:
    """Do what the posted form says and show the page again; None where the form is stale, the link is closed, or nothing is asked behind it."""
    visit = await visit_of(coming.session, coming.clock, claim_data, tenant_id=coming.tenant_id, link_id=coming.link_id)
    if visit is None or visit.door is not Door.OPEN or visit.link.audience != "internal":
        return None
    if not nonces.is_request_nonce(coming.keyring, coming.form.get("nonce", ""), coming.link_id, visit.at):
        return None
    asked = await internal_requests.request_of(coming.session, tenant_id=coming.tenant_id, claim_id=visit.link.claim_id, message_id=visit.link.message_id)
    if asked is None:
        return None
    language = pages.language_of(coming.language, visit.language)
    words = request_words(language)
    notice, bad = await _done(coming, visit, asked, words)
    page = await request_page(coming, visit, language, notice=notice, bad=bad)
    return None if page is None else PageResponse(page, 422 if bad else 200, language=language)


async def _done(coming: Guest, visit: Visit, asked: Request, words: RequestWords) -> tuple[str, bool]:
    if coming.form.get("form") == TAKE_CHARGE:
        await internal_requests.take_charge(coming.session, coming.clock, tenant_id=coming.tenant_id, request=asked, message_id=visit.link.message_id)
        return words.taken_now, False
    text = clean_paragraph(coming.form.get("text", ""), cap=internal_requests.REPLY_CAP)
    if not text:
        return words.reply_missing, True
    await internal_requests.reply(coming.session, coming.clock, tenant_id=coming.tenant_id, request=asked, message_id=visit.link.message_id, text=text)
    return words.replied, False


def _page(asked: Request, visit: Visit, language: str, *, nonce: str, notice: str | None, bad: bool) -> bytes:
    words = request_words(language)
    items = [
        {
            "number": clean_line(item.number),
            "due_on": short_date(item.due_on, language),
            "open": amount(item.open_minor, item.currency, language),
            "status": clean_line(item.status or "") or words.no_status,
        }
        for item in asked.items
    ]
    heading = words.heading.replace("{customer}", clean_line(asked.customer_name))
    return pages.page_of(
        "request.html",
        language,
        title=heading,
        heading=heading,
        sender=clean_line(visit.sender.name),
        said=words,
        asked=clean_paragraph(asked.text or "").splitlines(),
        taken=_taken(asked, words),
        take=None if asked.is_taken_by_reader else words.take_over if asked.taken_by else words.take,
        items=items,
        comments=_comments(asked, language),
        nonce=nonce,
        notice=notice,
        bad=bad,
        crm_url=visit.crm_url,
    )


def _taken(asked: Request, words: RequestWords) -> str:
    if asked.taken_by is None:
        return words.not_taken
    return words.taken_by_you if asked.is_taken_by_reader else words.taken.replace("{name}", clean_line(asked.taken_by))


def _comments(asked: Request, language: str) -> list[dict[str, object]]:
    """Return what was said, each once with the documents that it was said about: one comment on many items is kept on each of them."""
    numbers: dict[Said, list[str]] = {}
    for item in asked.items:
        for said in item.comments:
            numbers.setdefault(said, []).append(clean_line(item.number))
    return [
        {"author": clean_line(said.author), "on": short_date(said.on, language), "numbers": ", ".join(about), "lines": clean_paragraph(said.text).splitlines()}
        for said, about in numbers.items()
    ]
