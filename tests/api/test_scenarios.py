"""Scenarios through the API: drafts, checking, publishing as immutable versions, scenarios as code."""

import asyncpg
import pytest

from dunning.kit.ids import new_id
from dunning.scenarios.compiled import compile_scenario
from dunning.scenarios.definition import parse
from dunning.scenarios.publishing import ItemPlace, concerns
from dunning.scenarios.shipped import shipped_scenarios
from tests.conftest import client_of, make_tenant

STEP = {
    "rank": 10,
    "code": "01",
    "name": "Reminder",
    "trigger": {"kind": "due_date", "offset_days": 1},
    "notices": [{"code": "main", "template": "mild", "to_roles": ["billing"]}],
}
TEXTS = {"subject": "Reminder", "text": "Dear {{addressee}},\n{{items_list}}"}


def content(**changes):
    return {"code": "mild", "name": "Mild", "steps": [STEP], **changes}


def step(**changes):
    return {**STEP, **changes}


@pytest.fixture
async def scenario(api):
    answer = await api.post("/v1/scenarios", json=content())
    assert answer.status_code == 201, answer.text
    return answer.json()


async def publish_template(api, code="mild", languages=("en", "es", "it", "fr"), **texts):
    made = await api.post("/v1/templates", json={"code": code, "name": code, "contents": {lang: {**TEXTS, **texts} for lang in languages}})
    assert made.status_code == 201, made.text
    published = await api.post(f"/v1/templates/{made.json()['template_id']}/publish")
    assert published.status_code == 200, published.text
    return made.json()["template_id"]


async def publish(api, scenario_id):
    answer = await api.post(f"/v1/scenarios/{scenario_id}/publish")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_scenario_is_stored_with_every_setting_and_read_back(api, scenario):
    read = await api.get(f"/v1/scenarios/{scenario['scenario_id']}")
    assert read.json() == scenario
    assert read.headers["etag"] == '"1"'
    assert scenario["draft"]["netting"] == "net"
    assert scenario["published_version"] is None
    listed = (await api.get("/v1/scenarios", params={"code": "mild"})).json()["data"]
    assert [one["scenario_id"] for one in listed] == [scenario["scenario_id"]]
    assert (await api.get("/v1/scenarios", params={"code": "other"})).json()["data"] == []


async def test_a_code_belongs_to_one_scenario(api, scenario):
    answer = await api.post("/v1/scenarios", json=content())
    assert answer.status_code == 409
    assert answer.json()["code"] == "scenario_code_taken"
    assert "mild" in answer.json()["detail"]


async def test_all_wrong_places_are_listed_at_once_with_their_paths(api):
    steps = [step(), step(name="Same rank and code"), step(rank=20, code="02", trigger={"kind": "payment_returned", "offset_days": -1})]
    answer = await api.post("/v1/scenarios", json=content(steps=steps))
    assert answer.status_code == 422
    fields = [error["field"] for error in answer.json()["errors"]]
    assert fields == ["steps[2].trigger.offset_days", "steps[1].rank", "steps[1].code"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"steps": [step(rank="10")]}, "body.steps.0.rank"),
        ({"steps": [step(trigger={"kind": "due_dates"})]}, "body.steps.0.trigger.kind"),
        ({"steps": [step(colour="red")]}, "body.steps.0.colour"),
        ({"netting": "gross"}, "body.netting"),
        ({"min_item": [{"amount": 5, "currency": "EUR"}]}, "body.min_item.0.amount"),
        ({"code": "a code"}, "body.code"),
    ],
)
async def test_what_is_not_of_the_right_form_is_named(api, wrong, field):
    answer = await api.post("/v1/scenarios", json=content(**wrong))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


async def test_of_two_people_editing_at_once_the_second_is_told(api, scenario):
    path = f"/v1/scenarios/{scenario['scenario_id']}"
    first = await api.patch(path, json={"spacing_days": 3}, headers={"If-Match": '"1"'})
    assert (first.status_code, first.headers["etag"]) == (200, '"2"')
    second = await api.patch(path, json={"spacing_days": 5}, headers={"If-Match": '"1"'})
    assert (second.status_code, second.json()["code"]) == (412, "precondition_failed")
    assert (await api.get(path)).json()["draft"]["spacing_days"] == 3
    missing = await api.patch(path, json={"spacing_days": 5})
    assert (missing.status_code, missing.json()["code"]) == (428, "precondition_required")
    assert (await api.patch(path, json={"spacing_days": 5}, headers={"If-Match": "2"})).status_code == 412
    assert (await api.patch(path, json={"spacing_days": 5}, headers={"If-Match": "*"})).status_code == 200


async def test_an_update_that_changes_nothing_keeps_the_revision(api, scenario):
    path = f"/v1/scenarios/{scenario['scenario_id']}"
    same = await api.patch(path, json={"name": "Mild"}, headers={"If-Match": '"1"'})
    assert same.headers["etag"] == '"1"'


async def test_an_update_leaves_out_what_is_left_out_and_null_gives_the_choice_back(api, scenario):
    path = f"/v1/scenarios/{scenario['scenario_id']}"
    await api.patch(path, json={"spacing_days": 3, "grace_days": 2}, headers={"If-Match": "*"})
    draft = (await api.patch(path, json={"spacing_days": None}, headers={"If-Match": "*"})).json()["draft"]
    assert (draft["spacing_days"], draft["grace_days"], len(draft["steps"])) == (None, 2, 1)


async def test_a_draft_with_errors_is_not_published_and_every_finding_is_told(api, scenario):
    """B-04, D-13: the linter runs against the templates that are really there."""
    lint = (await api.post(f"/v1/scenarios/{scenario['scenario_id']}/lint")).json()
    assert lint["publishable"] is False
    assert "missing_template" in {finding["code"] for finding in lint["findings"]}
    answer = await api.post(f"/v1/scenarios/{scenario['scenario_id']}/publish")
    assert answer.status_code == 422
    assert answer.json()["code"] == "scenario_refused"
    assert [(e["code"], e["field"]) for e in answer.json()["errors"] if e["severity"] == "error"] == [("missing_template", "steps[0].notices[0].template")]
    assert {e["severity"] for e in answer.json()["errors"]} == {"error", "warning"}


async def test_a_template_that_lacks_a_language_of_the_tenant_keeps_the_scenario_back(api, scenario):
    """C-13: a missing translation is an error at publish, never another language in a mail."""
    await publish_template(api, languages=("en", "it"))
    answer = await api.post(f"/v1/scenarios/{scenario['scenario_id']}/publish")
    assert answer.status_code == 422
    assert "es, fr" in answer.json()["errors"][0]["message"]
    await api.patch("/v1/tenant", json={"languages": ["en", "it"]})
    assert (await publish(api, scenario["scenario_id"]))["version"]["version"] == 1


async def test_a_published_version_keeps_content_and_template_versions_whatever_is_edited_later(api, scenario):
    """B-04."""
    template_id = await publish_template(api)
    first = await publish(api, scenario["scenario_id"])
    assert first["is_new"] is True
    assert first["version"]["template_versions"] == {"mild": {"template_id": template_id, "version": 1}}
    await api.patch(f"/v1/scenarios/{scenario['scenario_id']}", json={"name": "Milder"}, headers={"If-Match": "*"})
    await api.patch(f"/v1/templates/{template_id}", json={"contents": {"en": {**TEXTS, "subject": "Other"}}}, headers={"If-Match": "*"})
    told = (await api.post(f"/v1/templates/{template_id}/publish")).json()
    assert told["scenarios_to_publish"] == ["mild"]
    path = f"/v1/scenarios/{scenario['scenario_id']}/versions"
    assert (await api.get(f"{path}/1")).json() == first["version"]
    second = await publish(api, scenario["scenario_id"])
    assert second["version"]["version"] == 2
    assert second["version"]["template_versions"]["mild"]["version"] == 2
    assert (await api.get(f"{path}/1")).json() == first["version"]
    assert [one["version"] for one in (await api.get(path)).json()["data"]] == [2, 1]
    page = (await api.get(path, params={"limit": 1})).json()
    assert [one["version"] for one in (await api.get(path, params={"limit": 1, "cursor": page["next_cursor"]})).json()["data"]] == [1]


async def test_publishing_an_unchanged_draft_makes_no_version_but_a_new_template_version_does(api, scenario):
    template_id = await publish_template(api)
    await publish(api, scenario["scenario_id"])
    again = await publish(api, scenario["scenario_id"])
    assert (again["is_new"], again["version"]["version"]) == (False, 1)
    await api.patch(f"/v1/templates/{template_id}", json={"contents": {"en": {**TEXTS, "subject": "Other"}}}, headers={"If-Match": "*"})
    await api.post(f"/v1/templates/{template_id}/publish")
    assert (await publish(api, scenario["scenario_id"]))["version"]["version"] == 2


async def test_a_version_cannot_be_changed_or_deleted_in_the_database(api, scenario, tenant):
    await publish_template(api)
    await publish(api, scenario["scenario_id"])
    for statement in ("update scenario_version set content = '{}'", "delete from scenario_version", "update template_version set version = 9"):
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.RestrictViolationError)):
            async with tenant.transaction() as session:
                await session.execute(statement)


async def test_an_exported_scenario_can_be_created_again_elsewhere(api, other_api, scenario):
    """D-13: scenario as code."""
    exported = (await api.get(f"/v1/scenarios/{scenario['scenario_id']}/content")).json()
    assert exported == scenario["draft"]
    made = await other_api.post("/v1/scenarios", json=exported)
    assert made.status_code == 201
    assert made.json()["draft"] == exported


async def test_a_published_version_can_be_exported_while_the_draft_goes_on(api, scenario):
    await publish_template(api)
    await publish(api, scenario["scenario_id"])
    path = f"/v1/scenarios/{scenario['scenario_id']}"
    await api.patch(path, json={"name": "Later"}, headers={"If-Match": "*"})
    assert (await api.get(f"{path}/content", params={"version": 1})).json()["name"] == "Mild"
    assert (await api.get(f"{path}/content")).json()["name"] == "Later"
    assert (await api.get(f"{path}/content", params={"version": 2})).status_code == 404


@pytest.mark.parametrize("code", sorted(shipped_scenarios()))
async def test_a_shipped_scenario_is_installed_published_with_its_templates_once(api, code):
    first = await api.post(f"/v1/scenarios/shipped/{code}")
    assert first.status_code == 201, first.text
    assert first.json()["published_version"] == 1
    version = (await api.get(f"/v1/scenarios/{first.json()['scenario_id']}/versions/1")).json()
    assert version["template_versions"]
    again = await api.post(f"/v1/scenarios/shipped/{code}")
    assert (again.status_code, again.json()) == (200, first.json())


async def test_a_shipped_scenario_comes_in_the_tenants_languages_and_leaves_its_own_templates_alone(api):
    await api.patch("/v1/tenant", json={"languages": ["it"]})
    mine = await publish_template(api, code="reminder", languages=("it",))
    made = await api.post("/v1/scenarios/shipped/reminder")
    assert made.status_code == 201, made.text
    version = (await api.get(f"/v1/scenarios/{made.json()['scenario_id']}/versions/1")).json()
    assert version["template_versions"]["reminder"]["template_id"] == mine
    assert (await api.post("/v1/scenarios/shipped/nothing")).status_code == 404


async def test_publishing_is_told_in_the_feed(api, scenario, tenant):
    await publish_template(api)
    await publish(api, scenario["scenario_id"])
    kinds = [row["kind"] for row in await tenant.rows("select kind from event where subject_kind in ('scenario', 'template') order by event_id")]
    assert kinds == ["scenario.created", "template.created", "template.published", "scenario.published"]


async def test_another_tenants_scenario_answers_as_an_unknown_one(other_api, scenario):
    path = "/v1/scenarios/{}"
    for method, suffix, options in (
        ("GET", "", {}),
        ("PATCH", "", {"json": {"name": "x"}, "headers": {"If-Match": "*"}}),
        ("POST", "/publish", {}),
        ("POST", "/lint", {}),
        ("GET", "/versions", {}),
        ("GET", "/versions/1", {}),
        ("GET", "/content", {}),
    ):
        foreign = await other_api.request(method, path.format(scenario["scenario_id"]) + suffix, **options)
        unknown = await other_api.request(method, path.format(new_id()) + suffix, **options)
        assert foreign.status_code == unknown.status_code == 404, (method, suffix)
        assert foreign.json() == unknown.json()


async def test_the_list_of_scenarios_takes_as_many_statements_for_ten_as_for_one(api, app, database):
    from dunning.kit.database import statement_log

    counts = []
    for amount in (1, 10):
        tenant = await make_tenant(database)
        async with client_of(app, tenant.api_key) as client:
            for number in range(amount):
                await client.post("/v1/scenarios", json=content(code=f"s{number}"))
            log = []
            token = statement_log.set(log)
            answer = await client.get("/v1/scenarios")
            statement_log.reset(token)
        assert len(answer.json()["data"]) == amount
        counts.append(len(log))
    assert counts[0] == counts[1] <= 4


def compiled(*codes):
    return compile_scenario(
        parse(content(steps=[step(rank=rank, code=code, trigger={"kind": "due_date", "offset_days": rank + 1}) for rank, code in enumerate(codes)]))
    )


def test_items_whose_step_is_gone_are_concerned_and_count_as_the_one_below():
    """Plan, 13."""
    found = concerns([ItemPlace(((1, "a"), (1, "b")), 3, ("i1", "i2", "i3"))], compiled("a", "c"), {1: compiled("a", "b", "c")})
    assert [(c.kind, c.reached, c.counts_as, c.count, c.item_ids) for c in found] == [("code_gone", "b", "a", 3, ("i1", "i2", "i3"))]


def test_items_with_new_steps_below_their_place_are_concerned():
    """Plan, 13, and example 24: 02b is new below 03."""
    versions = {1: compiled("02", "03", "04")}
    places = [ItemPlace(((1, "02"), (1, "03")), 2, ("i1", "i2")), ItemPlace(((1, "02"),), 5, ("i3",)), ItemPlace((), 7, ("i4",))]
    found = concerns(places, compiled("02", "02b", "03", "04"), versions)
    assert [(c.kind, c.reached, c.steps, c.count) for c in found] == [("steps_added", "03", ("02b",), 2)]


def test_items_whose_steps_are_all_still_there_are_not_concerned():
    assert concerns([ItemPlace(((1, "a"),), 1, ("i",))], compiled("a", "b", "c"), {1: compiled("a", "b")}) == []


def test_an_item_whose_only_step_is_gone_counts_as_new():
    found = concerns([ItemPlace(((1, "a"),), 1, ("i",))], compiled("b"), {1: compiled("a", "b")})
    assert [(c.kind, c.counts_as) for c in found] == [("code_gone", None)]
