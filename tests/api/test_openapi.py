"""The contract as a file: every operation is documented, every example body is what its own schema takes, and the committed file is up to date."""

import asyncio
import json
import threading

import pytest

from dunning.kit.bell import NullBell
from dunning_api import openapi_file
from dunning_api.app import create_app
from tests.api.contract import example_of, operations, takes_key
from tests.conftest import KEYRING, client_of

METHODS_WITH_BODY = {"post", "put", "patch"}

WITHOUT_KEY = {
    "POST /v1/api-keys": "its answer holds a secret, which is not to be stored", "POST /v1/api-keys/{key_id}/rotate": "as above",
    "POST /v1/ledgers/{ledger_id}/imports": "rows are kept once by their external ids", "POST /v1/imports/{import_id}/approve": "an import is approved once",
    "POST /v1/scenarios/shipped/{code}": "the code is kept once", "POST /v1/templates/shipped/{code}": "as above",
}  # fmt: skip
"""What creates something and takes no Idempotency-Key, and why."""


@pytest.fixture(scope="module")
def document():
    return json.loads(openapi_file.openapi_text())


def named(document, fault):
    return [operation.name for operation in operations(document) if fault(operation)]


def test_every_operation_has_a_summary_and_a_description_of_its_own(document):
    assert named(document, lambda o: not o.spec.get("summary") or len(o.spec.get("description", "")) < 20) == []
    summaries = [o.spec["summary"] for o in operations(document)]
    assert all(summary[0].isupper() and not summary.endswith(".") for summary in summaries)


def test_every_group_is_described_and_holds_something(document):
    described = {tag["name"]: tag["description"] for tag in document["tags"]}
    used = {tag for operation in operations(document) for tag in operation.spec["tags"]}
    assert used == set(described)
    assert all(len(text) > 20 and text.endswith(".") for text in described.values())


def test_every_operation_documents_its_errors_as_problems(document):
    def without_problem(operation):
        errors = {status: response for status, response in operation.spec["responses"].items() if status[0] in "45"}
        return not errors or any(list(response.get("content", {})) != ["application/problem+json"] for response in errors.values())

    assert named(document, without_problem) == []


def test_an_operation_on_one_object_documents_that_it_may_not_exist(document):
    assert named(document, lambda o: any(p["in"] == "path" and p["name"].endswith("_id") for p in o.parameters) and "404" not in o.spec["responses"]) == []


def test_every_operation_says_what_it_answers(document):
    def without_answer(operation):
        good = [response for status, response in operation.spec["responses"].items() if status[0] in "23"]
        return not good or any(not response.get("description") for response in good)

    assert named(document, without_answer) == []


def test_every_json_body_has_an_example(document):
    assert named(document, lambda o: o.body_schema is not None and example_of(document, o) is None) == []


def test_every_example_body_is_accepted_by_its_own_schema(document):
    import jsonschema

    for operation in operations(document):
        example = example_of(document, operation)
        if example is not None:
            jsonschema.validate(example, {**operation.body_schema, "components": document["components"]})


def test_whatever_creates_something_takes_a_key_that_keeps_a_repeat_from_creating_another(document):
    """S3-09: a POST that answers 201 or 202."""
    creating = [o for o in operations(document) if o.method == "post" and {"201", "202"} & o.spec["responses"].keys()]
    assert {o.name for o in creating if not takes_key(o)} == set(WITHOUT_KEY)


def test_every_operation_id_is_a_name_of_its_own(document):
    ids = [o.spec["operationId"] for o in operations(document)]
    assert sorted(set(ids)) == sorted(ids)
    assert all(i.isidentifier() for i in ids)


def test_every_parameter_that_is_no_id_says_what_it_is(document):
    plain = {"limit", "cursor"}
    faults = [
        f"{o.name} {p['name']}"
        for o in operations(document)
        for p in o.parameters
        if p["in"] == "query" and p["name"] not in plain and not p.get("description") and p["schema"].get("format") != "uuid"
        and not any(part.get("format") == "uuid" or "enum" in part or "$ref" in part for part in p["schema"].get("anyOf", [])) and "$ref" not in p["schema"]
    ]  # fmt: skip
    assert faults == []


def test_every_operation_but_the_public_ones_asks_for_a_key(document):
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert named(document, lambda o: not o.spec.get("security")) == []


def test_the_text_is_the_same_each_time():
    assert openapi_file.openapi_text.__wrapped__() == openapi_file.openapi_text()


def test_the_committed_file_is_what_the_application_answers():
    assert openapi_file.differences(openapi_file.DEFAULT_PATH) == [], "run: python -m dunning_api.openapi_file"


def test_control_a_file_of_yesterday_is_found(tmp_path, capsys):
    path = tmp_path / "openapi.json"
    assert openapi_file.main([str(path)]) == 0
    assert openapi_file.main(["--check", str(path)]) == 0
    path.write_text(path.read_text().replace('"Who am I"', '"Who was I"'))
    assert openapi_file.main(["--check", str(path)]) == 1
    assert "Who was I" in capsys.readouterr().err
    assert openapi_file.main(["--check", str(tmp_path / "missing.json")]) == 1


async def test_others_are_answered_while_the_document_is_made_and_it_is_made_once(app, monkeypatch):
    """Making it takes seconds at the first request, for which nobody else has to wait."""
    begun, go_on, times = threading.Event(), threading.Event(), []

    def slow():
        times.append(1)
        begun.set()
        assert go_on.wait(30)
        return {"openapi": "3.1.0"}

    fresh = create_app(app.state.database, app.state.settings, KEYRING, NullBell())
    monkeypatch.setattr(fresh, "openapi", slow)
    async with client_of(fresh, None) as client:
        asked = [asyncio.create_task(client.get("/openapi.json")) for _ in range(2)]
        while not begun.is_set():
            await asyncio.sleep(0.01)
        try:
            assert (await client.get("/livez")).status_code == 200
            assert not any(one.done() for one in asked)
        finally:
            go_on.set()
        assert [(await one).json() for one in asked] == [{"openapi": "3.1.0"}] * 2
    assert times == [1]
