"""Answers are judged one after another: guessing is shut out, and concurrent visitors never lower a grade."""

from __future__ import annotations

import asyncio
import datetime as dt

import httpx
import pytest

from dunning.evidence import store
from dunning_api.portal import nonces
from tests.conftest import KEYRING
from tests.evidence.conftest import answer, fields_of, post
from tests.evidence.rows import LAST_FOUR, Told

GUESSES = [f"{n:04}" for n in range(40)]


async def guess_all(client: httpx.AsyncClient, told: Told) -> list[int]:
    """Send forty wrong answers at once."""
    fields = fields_of((await client.get(told.path)).text)
    pages = await asyncio.gather(*(post(client, told, {**fields, "answer": text}) for text in GUESSES))
    return [page.status_code for page in pages]


async def test_of_forty_guesses_at_once_only_five_are_judged(anonymous: httpx.AsyncClient, told: Told) -> None:
    """Promises 6.2 rule 4, raced: the fifth wrong answer locks, whatever arrives beside it."""
    statuses = await guess_all(anonymous, told)
    assert sorted(set(statuses)) == [403, 429]
    assert statuses.count(403) == 4
    assert (await told.kinds()).count("wrong_answer") == 5
    assert await told.grade() == "fetched"


async def test_without_the_lock_on_the_row_more_would_be_judged(anonymous: httpx.AsyncClient, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above: read, decide, write without taking the link first."""

    async def no_lock(*_arguments: object) -> bool:
        return True

    monkeypatch.setattr(store, "lock_link", no_lock)
    await guess_all(anonymous, told)
    assert (await told.kinds()).count("wrong_answer") > 5


async def test_a_locked_door_takes_no_right_answer_and_says_until_when(anonymous: httpx.AsyncClient, told: Told) -> None:
    """Otherwise the lock would only slow guessing down."""
    fields = fields_of((await anonymous.get(told.path)).text)
    await guess_all(anonymous, told)
    page = await post(anonymous, told, {**fields, "answer": LAST_FOUR})
    assert page.status_code == 429
    assert "no answers for 60 minutes" in page.text
    assert 3_590 <= int(page.headers["retry-after"]) <= 3_600
    assert (await anonymous.get(told.path)).status_code == 429
    locked = await told.world.rows("select kind from event where kind = 'link.locked'")
    assert len(locked) == 1


async def test_after_the_hour_the_right_answer_is_taken_again(anonymous: httpx.AsyncClient, told: Told) -> None:
    """The lock runs by the database's clock; the test turns it back an hour."""
    await guess_all(anonymous, told)
    async with told.world.database.transaction(told.world.tenant_id) as session:
        await session.execute("update link set locked_until = locked_until - interval '1 hour' where link_id = $1", told.link_id)
    assert "4 tries left" in (await answer(anonymous, told, "0000")).text
    assert (await answer(anonymous, told, LAST_FOUR)).status_code == 200
    assert (await told.link())["tries_left"] == 5


async def test_moving_the_tenants_clock_does_not_open_a_locked_door(anonymous: httpx.AsyncClient, told: Told) -> None:
    """A settable clock must not be a way round the lock."""
    await guess_all(anonymous, told)
    await told.world.set_clock(dt.datetime(2026, 3, 20, tzinfo=dt.UTC))
    assert (await anonymous.get(told.path)).status_code == 429


async def test_who_has_the_page_open_can_confirm_while_someone_else_locks_the_door(anonymous: httpx.AsyncClient, told: Told) -> None:
    """A guesser must not take the confirmation from the reader."""
    form = fields_of((await answer(anonymous, told, LAST_FOUR)).text, "acknowledge")
    await guess_all(anonymous, told)
    assert (await post(anonymous, told, {**form, "name": "Anna", "role": "cfo"})).status_code == 200
    assert await told.grade() == "acknowledged"


async def test_concurrent_readers_scanners_and_guessers_never_lower_the_grade(anonymous: httpx.AsyncClient, told: Told) -> None:
    """Grades only rise, raced: visits, right answers and acknowledgements at once."""
    shown = await answer(anonymous, told, LAST_FOUR)
    form = fields_of(shown.text, "acknowledge")
    tasks = [post(anonymous, told, {**form, "name": f"Reader {n % 3}", "role": "cfo"}) for n in range(9)]
    tasks += [anonymous.get(told.path) for _ in range(15)]
    tasks += [answer(anonymous, told, LAST_FOUR) for _ in range(8)]
    pages = await asyncio.gather(*tasks)
    assert {page.status_code for page in pages} == {200}
    assert await told.grade() == "acknowledged"
    kinds = await told.kinds()
    assert kinds.count("acknowledged") == 3
    assert kinds.count("fetched") == 1
    assert kinds.count("opened") == 9
    assert kinds.count("read_confirmed") == 9
    assert (await told.link())["fetches"] == 1 + 15 + 8
    raised = await told.world.rows("select kind from event where subject_kind = 'link' order by event_id")
    assert [row["kind"] for row in raised] == ["link.fetched", "link.opened", "link.read_confirmed", "link.acknowledged"]


async def test_a_form_older_than_two_hours_is_asked_again_and_costs_no_try(anonymous: httpx.AsyncClient, told: Told) -> None:
    """Promises 6.2 rule 4: a same-page nonce. At its age, just younger, just older, and of the future."""
    at = await told.world.value("select clock_timestamp()")
    assert isinstance(at, dt.datetime)
    for age, status in ((dt.timedelta(minutes=119), 200), (dt.timedelta(minutes=121), 400), (-dt.timedelta(minutes=5), 400)):
        nonce = nonces.ask_nonce(KEYRING, told.link_id, at - age)
        page = await post(anonymous, told, {"form": "answer", "nonce": nonce, "answer": LAST_FOUR})
        assert page.status_code == status, age
    assert (await told.link())["tries_left"] == 5


async def test_a_form_of_another_link_is_not_taken(anonymous: httpx.AsyncClient, told: Told) -> None:
    """The nonce names its link."""
    from tests.evidence.rows import make_told

    other = await make_told(told.world)
    fields = fields_of((await anonymous.get(other.path)).text)
    assert (await post(anonymous, told, {**fields, "answer": LAST_FOUR})).status_code == 400
    assert await told.grade() == "fetched"


async def test_a_page_whose_connection_was_cut_counts_as_opened_only(app: object, told: Told, anonymous: httpx.AsyncClient) -> None:
    """Promises 6.3: `read_confirmed` needs the full body sent and the connection not cut."""
    fields = fields_of((await anonymous.get(told.path)).text)
    body = httpx.QueryParams({**fields, "answer": LAST_FOUR})
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        if not hasattr(receive, "given"):
            receive.given = True  # type: ignore[attr-defined]  # the one body of this request
            return {"type": "http.request", "body": str(body).encode(), "more_body": False}
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": told.path, "raw_path": told.path.encode(), "query_string": b"", "http_version": "1.1",
        "scheme": "http", "server": ("testserver", 80), "client": ("203.0.113.9", 5), "root_path": "", "asgi": {"version": "3.0"},
        "headers": [(b"content-type", b"application/x-www-form-urlencoded"), (b"host", b"testserver")], "state": {},
    }  # fmt: skip
    await app(scope, receive, send)  # type: ignore[operator]  # an ASGI application
    assert sent[0]["status"] == 200
    assert await told.grade() == "opened"
    assert await told.kinds() == ["fetched", "opened"]
