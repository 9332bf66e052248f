"""What is answered in place is answered as the framework would; and what a request may cost."""

import asyncio
import contextlib

import pytest

from dunning.kit.bell import NullBell
from dunning.kit.database import Database, statement_log
from dunning.kit.ids import new_id
from dunning_api.app import create_app
from dunning_api.direct import DirectRoute
from tests.api.twins import make_twin
from tests.conftest import KEYRING, client_of, make_tenant
from tests.ledger.books import make_ledger

ASIDE = {"x-request-id", "date"}


def direct_of(app):
    return next(route for route in app.router.routes if isinstance(route, DirectRoute))


@pytest.fixture(scope="module")
async def long_way(database, settings):
    """The same application with nothing answered in place."""
    app = create_app(database, settings, KEYRING, NullBell())
    app.router.routes.remove(direct_of(app))
    return app


async def both(app, long_way, key, path, **options):
    answers = []
    for one in (app, long_way):
        async with client_of(one, key) as client:
            answer = await client.get(path, **options)
            answers.append((answer.status_code, {n: v for n, v in answer.headers.items() if n not in ASIDE}, answer.text))
    return answers


async def test_every_operation_answers_as_it_does_the_long_way(app, long_way, database, settings):
    """Status, headers with their ETags, and every byte: for what is there, what is not, what is no id, and for callers who may not."""
    twin = await make_twin(app, database, settings)
    operations = direct_of(app).operations
    assert len(operations) >= 15
    seen = set()
    for operation in operations:
        own = [twin.ids.get(name.removesuffix("_id"), "1") if place in dict(operation.names) else "" for place, name in operation.names]
        for values in (own, [str(new_id()) for _ in own], ["no-id" for _ in own], [value.upper() for value in own]):
            words = list(operation.words)
            for (place, _), value in zip(operation.names, values, strict=True):
                words[place] = value
            path = "/".join(words)
            direct, long = await both(app, long_way, twin.tenant.api_key, path)
            if values is own and direct[0] == 200 and "invariants" in path:
                continue  # tells the instant at which it looked
            assert direct == long, path
            seen.add(direct[0])
    assert {200, 404, 422} <= seen


async def test_callers_are_asked_for_their_key_and_scope_in_place_too(app, long_way, tenant, api):
    limited = (await api.post("/v1/api-keys", json={"name": "erp", "scopes": ["ledger:write"]})).json()["api_key"]
    path = f"/v1/items/{new_id()}"
    for key, status in ((None, 401), ("ar_live_x", 401), (limited, 403), (tenant.api_key, 404)):
        direct, long = await both(app, long_way, key, path)
        assert direct == long
        assert direct[0] == status
    for header in ("Basic abc", "Bearer", f"bearer {tenant.api_key}", f"Bearer  {tenant.api_key}"):
        direct, long = await both(app, long_way, None, path, headers={"Authorization": header})
        assert direct == long


async def test_other_methods_and_paths_go_the_long_way(api, app):
    assert (await api.delete(f"/v1/items/{new_id()}")).status_code == 405
    assert (await api.get("/v1/items/")).status_code in {307, 404}
    assert (await api.get("/v1/templates/placeholders")).status_code == 200
    assert (await api.get("/nothing/at/all")).status_code == 404


@contextlib.contextmanager
def costs(monkeypatch):
    """Collect the statements of what happens inside, with `begin` for each transaction."""
    log = []
    token = statement_log.set(log)
    opened = Database._open

    def counted(self, tenant_id, begin, *more):
        log.append("begin")
        return opened(self, tenant_id, begin, *more)

    monkeypatch.setattr(Database, "_open", counted)
    try:
        yield log
    finally:
        statement_log.reset(token)
        monkeypatch.setattr(Database, "_open", opened)


async def live(app, database):
    """A live tenant's client: its key is looked up once for half a second."""
    return client_of(app, (await make_tenant(database, mode="live")).api_key)


async def test_reading_an_item_by_its_id_is_one_round_trip(app, database, monkeypatch):
    """P1: one statement, which names its tenant itself; no transaction around it."""
    async with await live(app, database) as api:
        books = await make_ledger(api)
        await books.customer("C-1")
        document = await books.invoice("INV-1")
        path = f"/v1/items/{document['items'][0]['item_id']}"
        await api.get(path)
        with costs(monkeypatch) as log:
            assert (await api.get(path)).status_code == 200
    assert [word.split()[0] for word in log] == ["select"]


async def test_changing_a_customer_is_seven_statements(app, database, monkeypatch):
    """P1: ledger, present content with its lock, version and new content, blocks, facts, event, answer."""
    async with await live(app, database) as api:
        books = await make_ledger(api)
        await books.customer("C-1", name="One")
        with costs(monkeypatch) as log:
            assert (await books.customer("C-1", name="Two"))["version"] == 2
        assert len(log) <= 8, log
        with costs(monkeypatch) as log:
            assert (await books.customer("C-1", name="Two"))["version"] == 2
        assert len(log) <= 4, log


async def test_two_who_change_one_customer_at_once_make_two_versions_and_two_who_say_the_same_make_one(app, database, tenant, api):
    """M3: the second sees what the first wrote."""
    books = await make_ledger(api)
    await books.customer("C-1", name="One")
    put = [api.put(f"{books.path}/customers/C-1", json={"name": name}) for name in ("Two", "Three", "Four", "Two")]
    assert {answer.status_code for answer in await asyncio.gather(*put)} == {200}
    versions = await tenant.rows("select version, content ->> 'name' as name from customer_version order by version")
    assert [row["version"] for row in versions] == list(range(1, len(versions) + 1))
    assert versions[0]["name"] == "One"
    last = await books.customer("C-1", name="Five")
    same = await asyncio.gather(*[api.put(f"{books.path}/customers/C-1", json={"name": "Six"}) for _ in range(6)])
    assert {answer.json()["version"] for answer in same} == {last["version"] + 1}
