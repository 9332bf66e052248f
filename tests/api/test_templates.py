"""Templates through the API: drafts, faults with their lines, immutable versions, previews that are the mail."""

import hashlib
import json

import pytest

from dunning.kit.ids import new_id
from dunning.messages.shipped import shipped_templates

GOOD = {"subject": "Reminder: {{items_amount}}", "text": "Dear {{addressee}},\n\n{{items_list}}\n"}


def body(**changes):
    return {"code": "mild", "name": "Mild", "contents": {"en": GOOD}, **changes}


@pytest.fixture
async def template(api):
    answer = await api.post("/v1/templates", json=body())
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_draft_may_have_faults_and_check_lists_each_with_language_part_and_line(api):
    faulty = {"en": {"subject": "{{custmer_name}}", "text": "one\n{{ 1 + 1 }}"}, "it": {"subject": "", "text": "due"}}
    made = await api.post("/v1/templates", json=body(contents=faulty))
    assert made.status_code == 201
    path = f"/v1/templates/{made.json()['template_id']}"
    checked = (await api.post(f"{path}/check")).json()
    assert checked["publishable"] is False
    assert [(e["language"], e["part"], e["line"]) for e in checked["errors"]] == [("en", "subject", 1), ("en", "text", 2), ("it", "subject", 1)]
    assert "did you mean customer_name" in checked["errors"][0]["message"].replace("{{", "").replace("}}", "")
    refused = await api.post(f"{path}/publish")
    assert (refused.status_code, refused.json()["code"]) == (422, "template_refused")
    assert refused.json()["errors"] == checked["errors"]


async def test_publishing_tells_what_languages_of_the_tenant_are_missing(api, template):
    made = (await api.post(f"/v1/templates/{template['template_id']}/publish")).json()
    assert (made["version"]["version"], made["is_new"]) == (1, True)
    assert made["languages_missing"] == ["es", "fr", "it"]
    again = (await api.post(f"/v1/templates/{template['template_id']}/publish")).json()
    assert (again["version"], again["is_new"]) == (made["version"], False)


async def test_a_published_version_stays_as_it_is_while_the_draft_goes_on(api, template):
    """B-04."""
    path = f"/v1/templates/{template['template_id']}"
    first = (await api.post(f"{path}/publish")).json()["version"]
    changed = await api.patch(path, json={"contents": {"en": {**GOOD, "subject": "New"}}}, headers={"If-Match": '"1"'})
    assert changed.headers["etag"] == '"2"'
    assert (await api.get(f"{path}/versions/1")).json() == first
    assert (await api.post(f"{path}/publish")).json()["version"]["version"] == 2
    assert [v["version"] for v in (await api.get(f"{path}/versions")).json()["data"]] == [2, 1]


async def test_languages_are_added_one_by_one_and_taken_away_with_null(api, template):
    path = f"/v1/templates/{template['template_id']}"
    more = await api.patch(path, json={"contents": {"it": GOOD}}, headers={"If-Match": "*"})
    assert sorted(more.json()["draft"]) == ["en", "it"]
    less = await api.patch(path, json={"contents": {"en": None}}, headers={"If-Match": "*"})
    assert sorted(less.json()["draft"]) == ["it"]
    assert (await api.patch(path, json={"name": "x"}, headers={"If-Match": '"1"'})).status_code == 412


async def test_a_code_belongs_to_one_template(api, template):
    assert (await api.post("/v1/templates", json=body())).json()["code"] == "template_code_taken"


async def test_every_placeholder_is_documented_with_meaning_and_example(api):
    table = (await api.get("/v1/templates/placeholders")).json()
    assert {"items_amount_selected", "addressee", "link_url"} <= {entry["name"] for entry in table["placeholders"]}
    assert all(entry["meaning"] and entry["example"] for entry in table["placeholders"])
    assert {entry["name"] for entry in table["item_fields"]} >= {"number", "due_on", "open"}


def sha256_of(preview):
    return hashlib.sha256(json.dumps([preview["subject"], preview["text"], preview["html"]], ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


async def test_a_draft_is_previewed_with_a_sample_before_it_is_published(api, template):
    answer = await api.post(f"/v1/templates/{template['template_id']}/preview", json={})
    assert answer.status_code == 200, answer.text
    seen = answer.json()
    assert (seen["language"], seen["version"]) == ("en", None)
    assert "Anna Rossi" in seen["text"]
    assert "1,500.50" in seen["subject"], "what is overdue, less the credit"
    assert seen["sha256"] == sha256_of(seen), "nothing is hidden where no link is printed"
    again = (await api.post(f"/v1/templates/{template['template_id']}/preview", json={})).json()
    assert again == seen


async def test_a_preview_shows_the_version_that_is_asked_for(api, template):
    path = f"/v1/templates/{template['template_id']}"
    await api.post(f"{path}/publish")
    await api.patch(path, json={"contents": {"en": {**GOOD, "subject": "Draft"}}}, headers={"If-Match": "*"})
    assert (await api.post(f"{path}/preview", json={})).json()["subject"] == "Draft"
    assert (await api.post(f"{path}/preview", json={"version": 1})).json()["subject"].startswith("Reminder")
    assert (await api.post(f"{path}/preview", json={"version": 2})).status_code == 404


async def test_a_draft_with_faults_is_not_previewed_but_told(api):
    made = (await api.post("/v1/templates", json=body(contents={"en": {"subject": "x", "text": "{{nonsense}}"}}))).json()
    answer = await api.post(f"/v1/templates/{made['template_id']}/preview", json={})
    assert (answer.status_code, answer.json()["code"]) == (422, "template_refused")


async def test_a_link_only_preview_refuses_amounts(api, template):
    answer = await api.post(f"/v1/templates/{template['template_id']}/preview", json={"content_mode": "link_only"})
    assert answer.status_code == 422
    assert "items_amount" in answer.json()["detail"]


async def test_the_readers_own_link_never_stands_in_a_preview(api):
    made = (await api.post("/v1/templates", json=body(contents={"en": {"subject": "x", "text": "{% if link_url %}{{link_url}}{% endif %}"}}))).json()
    seen = (await api.post(f"/v1/templates/{made['template_id']}/preview", json={})).json()
    assert "hidden-in-previews" in seen["text"]


@pytest.mark.parametrize("code", sorted(shipped_templates()))
async def test_every_shipped_template_is_installed_and_previewed_in_each_language(api, code):
    made = await api.post(f"/v1/templates/shipped/{code}")
    assert made.status_code == 201, made.text
    assert made.json()["published_version"] == 1
    for language in ("en", "es", "it", "fr"):
        answer = await api.post(f"/v1/templates/{made.json()['template_id']}/preview", json={"version": 1, "language": language})
        assert answer.status_code == 200, answer.text
        assert answer.json()["language"] == language
    assert (await api.post(f"/v1/templates/shipped/{code}")).status_code == 200


async def test_unknown_claims_and_customers_answer_404(api, template):
    path = f"/v1/templates/{template['template_id']}/preview"
    assert (await api.post(path, json={"claim_id": str(new_id())})).status_code == 404
    assert (await api.post(path, json={"customer_id": str(new_id())})).status_code == 404
    both = await api.post(path, json={"claim_id": str(new_id()), "customer_id": str(new_id())})
    assert both.status_code == 422


async def test_another_tenants_template_answers_as_an_unknown_one(other_api, template):
    for method, suffix, options in (
        ("GET", "", {}),
        ("PATCH", "", {"json": {"name": "x"}, "headers": {"If-Match": "*"}}),
        ("POST", "/publish", {}),
        ("POST", "/check", {}),
        ("POST", "/preview", {"json": {}}),
        ("GET", "/versions", {}),
        ("GET", "/versions/1", {}),
    ):
        foreign = await other_api.request(method, f"/v1/templates/{template['template_id']}{suffix}", **options)
        unknown = await other_api.request(method, f"/v1/templates/{new_id()}{suffix}", **options)
        assert foreign.status_code == unknown.status_code == 404, (method, suffix)
        assert foreign.json() == unknown.json()
