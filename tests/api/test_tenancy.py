"""Who calls and what the call may do: keys, scopes, modes, the sending switch, the emergency stop."""

import asyncio
import datetime as dt
from contextlib import asynccontextmanager

import pytest

from dunning.kit.ids import KeyId, TenantId, new_id
from dunning.tenancy import service as tenancy
from dunning.tenancy.rules import SCOPES, compose_key, read_key
from tests.conftest import client_of, make_tenant


@asynccontextmanager
async def as_key(app, text):
    async with client_of(app, text) as client:
        yield client


async def key_with(tenant, scopes, **options):
    async with tenant.transaction() as session:
        return await tenancy.create_key(session, await tenant.clock(), tenant_id=tenant.tenant_id, actor="test", name="one", scopes=scopes, **options)


def test_a_key_names_mode_tenant_and_key_and_can_be_taken_apart():
    tenant_id, key_id = TenantId(new_id()), KeyId(new_id())
    text, secret = compose_key("live", tenant_id, key_id)
    assert text.startswith("ar_live_")
    assert len(secret) == 43
    found = read_key(text)
    assert (found.mode, found.tenant_id, found.key_id, found.secret) == ("live", tenant_id, key_id, secret)


def test_every_single_mistyped_character_of_a_key_is_told_by_its_checksum():
    text, _ = compose_key("test", TenantId(new_id()), KeyId(new_id()))
    for at in range(len(text)):
        wrong = text[:at] + ("x" if text[at] != "x" else "y") + text[at + 1 :]
        assert read_key(wrong) is None, at
    for cut in range(len(text)):
        assert read_key(text[:cut]) is None


@pytest.mark.parametrize("text", ["", "ar_live_", "Bearer", "ar_live_é.x.y", "ar_test_" + "A" * 43 + "." + "B" * 43 + ".AAAAAA", "a.b.c", "." * 50])
def test_what_is_no_key_is_read_as_none(text):
    assert read_key(text) is None


async def test_a_call_without_a_key_is_told_what_to_send(anonymous):
    answer = await anonymous.get("/v1/tenant")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "unauthenticated"
    assert "Authorization: Bearer" in answer.json()["detail"]


async def test_a_key_whose_secret_is_another_is_refused_like_an_unknown_one(app, tenant):
    known = read_key(tenant.api_key)
    forged, _ = compose_key("test", known.tenant_id, known.key_id)
    unknown_key, _ = compose_key("test", known.tenant_id, KeyId(new_id()))
    unknown_tenant, _ = compose_key("test", TenantId(new_id()), KeyId(new_id()))
    details = set()
    for text in (forged, unknown_key, unknown_tenant):
        async with as_key(app, text) as client:
            answer = await client.get("/v1/tenant")
        assert answer.status_code == 401
        details.add(answer.json()["detail"])
    assert len(details) == 1


async def test_a_test_key_whose_word_is_changed_to_live_is_refused(app, tenant):
    from dunning.kit.signing import checksum

    body = tenant.api_key.rpartition(".")[0].replace("ar_test_", "ar_live_")
    async with as_key(app, f"{body}.{checksum(body)}") as client:
        assert (await client.get("/v1/tenant")).status_code == 401


async def test_an_expired_key_is_refused_by_the_machines_clock_not_the_tenants(app, tenant):
    """A settable clock stands in March 2026; expiry is technical time."""
    past = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    future = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    _, dead = await key_with(tenant, ["read"], expires_at=past)
    _, alive = await key_with(tenant, ["read"], expires_at=future)
    async with as_key(app, dead) as client:
        assert (await client.get("/v1/tenant")).status_code == 401
    async with as_key(app, alive) as client:
        assert (await client.get("/v1/tenant")).status_code == 200


@pytest.mark.parametrize("mode", ["test", "live"])
async def test_a_revoked_key_stops_working_within_a_second(app, database, mode):
    tenant = await make_tenant(database, mode=mode)
    key, text = await key_with(tenant, ["read"])
    async with as_key(app, text) as client, as_key(app, tenant.api_key) as admin:
        assert (await client.get("/v1/tenant")).status_code == 200
        assert (await admin.delete(f"/v1/api-keys/{key.key_id}")).status_code == 200
        began = asyncio.get_running_loop().time()
        while (await client.get("/v1/tenant")).status_code == 200:
            assert asyncio.get_running_loop().time() - began < 1, "the key still works a second after its revocation"
            await asyncio.sleep(0.02)
        again = await admin.delete(f"/v1/api-keys/{key.key_id}")
        assert again.status_code == 200
        assert (await client.get("/v1/tenant")).status_code == 401


async def test_a_rotated_key_and_its_successor_both_work_during_the_overlap(app, api, tenant):
    key, text = await key_with(tenant, ["read", "send"])
    made = await api.post(f"/v1/api-keys/{key.key_id}/rotate", json={"overlap_hours": 24})
    assert made.status_code == 201
    assert made.json()["scopes"] == ["read", "send"]
    assert made.json()["rotated_from"] == str(key.key_id)
    for each in (text, made.json()["api_key"]):
        async with as_key(app, each) as client:
            assert (await client.get("/v1/tenant")).status_code == 200
    old = [k for k in (await api.get("/v1/api-keys")).json()["data"] if k["key_id"] == str(key.key_id)][0]
    left = dt.datetime.fromisoformat(old["expires_at"]) - dt.datetime.now(dt.UTC)
    assert dt.timedelta(hours=23) < left <= dt.timedelta(hours=24)


async def test_a_rotation_without_overlap_ends_the_old_key_at_once(app, api, tenant):
    key, text = await key_with(tenant, ["read"])
    assert (await api.post(f"/v1/api-keys/{key.key_id}/rotate", json={"overlap_hours": 0})).status_code == 201
    async with as_key(app, text) as client:
        assert (await client.get("/v1/tenant")).status_code == 401


async def test_a_revoked_key_cannot_be_rotated(api, tenant):
    key, _ = await key_with(tenant, ["read"])
    await api.delete(f"/v1/api-keys/{key.key_id}")
    answer = await api.post(f"/v1/api-keys/{key.key_id}/rotate", json={"overlap_hours": 1})
    assert answer.status_code == 409


async def test_a_keys_text_is_answered_once_and_is_stored_as_a_digest(api, tenant):
    made = (await api.post("/v1/api-keys", json={"name": "erp", "scopes": ["ledger:write"]})).json()
    secret = read_key(made["api_key"]).secret
    listed = (await api.get("/v1/api-keys")).text
    assert made["api_key"] not in listed
    assert secret not in listed
    stored = await tenant.rows("select secret_sha256 from api_key where key_id = $1", made["key_id"])
    assert len(stored[0]["secret_sha256"]) == 32
    events = await tenant.rows("select data from event where kind = 'api_key.created'")
    assert secret not in str(events)


SCOPE_OF = {
    ("GET", "/v1/tenant"): "read",
    ("PATCH", "/v1/tenant"): "admin",
    ("GET", "/v1/api-keys"): "admin",
    ("PUT", "/v1/tenant/sending"): "send",
    ("POST", "/v1/tenant/emergency-stop"): "send",
    ("POST", "/v1/scenarios"): "scenarios:write",
}
BODY_OF = {
    ("PATCH", "/v1/tenant"): {"name": "Acme"},
    ("PUT", "/v1/tenant/sending"): {"enabled": True},
    ("POST", "/v1/tenant/emergency-stop"): {"reason": "a test"},
    ("POST", "/v1/scenarios"): {"code": "empty", "name": "Empty", "steps": []},
}


@pytest.mark.parametrize("scope", sorted(SCOPES))
async def test_a_key_may_do_what_its_scope_says_and_nothing_else(app, tenant, scope):
    _, text = await key_with(tenant, [scope])
    async with as_key(app, text) as client:
        for (method, path), needed in SCOPE_OF.items():
            answer = await client.request(method, path, json=BODY_OF.get((method, path)))
            if scope == needed:
                assert answer.status_code < 300, (method, path, answer.text)
            else:
                assert answer.status_code == 403, (method, path, answer.text)
                assert answer.json()["scope"] == needed
                assert needed in answer.json()["detail"]


async def test_a_leaked_erp_key_cannot_make_anything_leave(app, tenant):
    """Sending is a scope of its own: writing data does not imply it."""
    _, text = await key_with(tenant, [s for s in SCOPES if s != "send"])
    async with as_key(app, text) as client:
        assert (await client.put("/v1/tenant/sending", json={"enabled": True})).status_code == 403
        assert (await client.post("/v1/tenant/emergency-stop", json={"reason": "x"})).status_code == 403


async def test_unknown_scopes_are_refused_and_the_known_ones_named(api):
    answer = await api.post("/v1/api-keys", json={"name": "x", "scopes": ["read", "everything"]})
    assert answer.status_code == 422
    assert "everything" in answer.json()["detail"]
    assert "ledger:write" in answer.json()["detail"]


async def test_a_test_tenant_lives_by_its_own_clock_and_a_live_one_by_the_systems(app, database, api):
    assert (await api.get("/v1/tenant")).json()["now"] == "2026-03-02T08:00:00Z"
    live = await make_tenant(database, mode="live")
    async with as_key(app, live.api_key) as client:
        told = (await client.get("/v1/tenant")).json()
    assert told["mode"] == "live"
    assert abs(dt.datetime.fromisoformat(told["now"]) - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)


async def test_a_live_tenants_clock_cannot_be_set_and_a_test_clock_never_goes_back(database, tenant):
    live = await make_tenant(database, mode="live")
    with pytest.raises(tenancy.NoTestClock):
        await live.set_clock(dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
    await tenant.set_clock(dt.datetime(2026, 3, 3, tzinfo=dt.UTC))
    with pytest.raises(tenancy.NoTestClock):
        await tenant.set_clock(dt.datetime(2026, 3, 2, 23, tzinfo=dt.UTC))
    with pytest.raises(tenancy.NoTestClock):
        async with database.transaction(TenantId(new_id())) as session:
            await tenancy.create_tenant(session, tenant_id=session.tenant_id, name="L", mode="live", clock_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))


async def test_a_new_tenant_may_not_send_until_it_is_switched_on(app, database):
    """B-28."""
    fresh = await make_tenant(database, sending=False)
    async with as_key(app, fresh.api_key) as client:
        assert (await client.get("/v1/tenant")).json()["may_send"] is False
        assert (await client.put("/v1/tenant/sending", json={"enabled": True})).json()["may_send"] is True
        assert (await client.put("/v1/tenant/sending", json={"enabled": False})).json()["may_send"] is False
    kinds = [row["kind"] for row in await fresh.rows("select kind from event order by event_id")]
    assert kinds.count("sending.switched") == 2


async def test_an_emergency_stop_holds_until_sending_is_switched_on_again(api):
    stopped = await api.post("/v1/tenant/emergency-stop", json={"reason": "wrong prices"})
    assert stopped.status_code == 200
    assert stopped.json()["messages_not_sent"] == 0
    assert stopped.json()["last_accepted_message_id"] is None
    first = (await api.get("/v1/tenant")).json()
    assert (first["may_send"], first["stopped_because"]) == (False, "wrong prices")
    again = await api.post("/v1/tenant/emergency-stop", json={"reason": "something else"})
    assert again.json()["stopped_because"] == "wrong prices"
    assert again.json()["stopped_at"] == first["stopped_at"]
    lifted = (await api.put("/v1/tenant/sending", json={"enabled": True})).json()
    assert (lifted["may_send"], lifted["stopped_at"]) == (True, None)


async def test_a_stop_waits_for_fences_being_passed_and_keeps_later_ones_out(tenant):
    """When the stop has answered, no fence that began before it can still be open, and every later one sees it."""
    passing = asyncio.Event()
    order = []

    async def fence():
        async with tenant.transaction() as session:
            await tenancy.sending_lock_shared(session, tenant.tenant_id)
            assert (await tenancy.tenant_of(session, tenant.tenant_id)).may_send
            passing.set()
            await asyncio.sleep(0.3)
            order.append("passed")

    async def stop():
        await passing.wait()
        async with tenant.transaction() as session:
            await tenancy.emergency_stop(session, await tenant.clock(), tenant_id=tenant.tenant_id, actor="test", reason="now")
        order.append("stopped")

    await asyncio.gather(fence(), stop())
    assert order == ["passed", "stopped"]
    async with tenant.transaction() as session:
        await tenancy.sending_lock_shared(session, tenant.tenant_id)
        assert not (await tenancy.tenant_of(session, tenant.tenant_id)).may_send


async def test_settings_change_what_is_given_and_leave_the_rest(api):
    before = (await api.get("/v1/tenant")).json()
    after = (await api.patch("/v1/tenant", json={"internal_domains": ["acme.example"]})).json()
    assert after["internal_domains"] == ["acme.example"]
    assert (after["name"], after["languages"]) == (before["name"], before["languages"])
    wrong = await api.patch("/v1/tenant", json={"languages": []})
    assert wrong.status_code == 422


async def test_keys_are_listed_in_pages_without_gaps_or_repeats(api, tenant):
    for _ in range(4):
        await key_with(tenant, ["read"])
    whole = [key["key_id"] for key in (await api.get("/v1/api-keys")).json()["data"]]
    paged, cursor = [], None
    while True:
        page = (await api.get("/v1/api-keys", params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        paged += [key["key_id"] for key in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert paged == whole
    assert len(whole) == 5


async def test_a_cursor_of_another_list_is_refused(api, keyring):
    from dunning_api.paging import seal

    answer = await api.get("/v1/api-keys", params={"cursor": seal(keyring, "scenarios", new_id())})
    assert answer.status_code == 422
    assert answer.json()["code"] == "wrong_cursor"


async def test_another_tenants_key_id_answers_as_an_unknown_one(api, other_tenant):
    theirs, _ = await key_with(other_tenant, ["read"])
    foreign = await api.delete(f"/v1/api-keys/{theirs.key_id}")
    unknown = await api.delete(f"/v1/api-keys/{new_id()}")
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.json() == unknown.json()


async def test_what_a_key_does_is_recorded_under_the_keys_own_name(api, tenant):
    """The feed names the key, never the tenant, as the one who acted."""
    await api.patch("/v1/tenant", json={"name": "Renamed"})
    assert await tenant.value("select actor from event where tenant_id = $1 and kind = 'tenant.changed'", tenant.tenant_id) == "key:all"
