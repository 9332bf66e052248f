"""The whole document against the running API: whatever the schemas allow or forbid, answers are the documented ones and never a failure of the server."""

import asyncio
import hashlib
import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS

from dunning.kit.bell import NullBell
from dunning.kit.database import Database
from dunning.kit.ids import new_id
from dunning_api.app import create_app
from tests.api.test_cross_tenant import NOUN_OF, PATH_TEXTS
from tests.api.twins import make_twin
from tests.conftest import KEYRING

FULL = os.environ.get("DUNNING_HYPOTHESIS") == "full"
EXAMPLES = 150 if FULL else 8
DOCUMENT = json.loads((Path(__file__).resolve().parents[2] / "openapi" / "openapi.json").read_text())
schema = schemathesis.openapi.from_dict(DOCUMENT)
# The boundary of every constraint in every place: about a hundred requests an operation, left to the full form.
schema.config.phases.coverage.enabled = FULL
# A body past the limit is refused as such before it is looked at.
schema.config.checks.negative_data_rejection.expected_statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429"]


@schemathesis.serializer("application/x-ndjson", "text/csv")
def as_lines(_context, value):
    """Send the body of an import as the text it is."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


LEFT_OUT = {
    # Rules that no schema can say (codes that refer to one another, amounts in whole cents, states) refuse bodies that are well formed.
    "positive_data_acceptance",
    # A deleted hold or key is still there to be read, as released or revoked.
    "use_after_free",
    "ensure_resource_availability",
}


@pytest.fixture(scope="module")
def server(postgres, settings_of_tests):
    """The API on a port of its own, in a thread with its own event loop and pool."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    started, box = threading.Event(), {}

    async def serve():
        database = await Database.connect(postgres.app_url(), size=4, name="schemathesis")
        app = create_app(database, settings_of_tests, KEYRING, NullBell())
        box["server"] = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        started.set()
        await box["server"].serve(sockets=[listener])

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert started.wait(30)
    while not box["server"].started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    box["server"].should_exit = True
    thread.join(20)


@pytest.fixture(scope="module")
def settings_of_tests(settings):
    return settings


@pytest.fixture(scope="module")
async def twin(app, database, settings):
    made = await make_twin(app, database, settings)
    yield made
    await made.api.aclose()


def with_known_ids(case, twin):
    """Half of the well-formed requests are about objects that exist, so that more than 404 is seen."""
    path = case.path_parameters or {}
    if int(hashlib.md5(json.dumps([path, case.query], default=str).encode()).hexdigest(), 16) % 2:
        return
    for name in path:
        text = next((own for known, own in PATH_TEXTS.items() if known in case.operation.path and known.endswith("{" + name + "}")), None)
        if text is not None or name in NOUN_OF:
            path[name] = text if name not in NOUN_OF else twin.ids[NOUN_OF[name]]


@pytest.fixture
def checks(request):
    """All checks but those that ask what this API does not promise."""
    left_out = set(LEFT_OUT)
    if any(path in request.node.name for path in ("GET /v1/templates/placeholders", "POST /v1/links/resolve")):
        # Another method meets `/templates/{template_id}`, which says that `placeholders` is no id; `resolve` alike.
        left_out.add("unsupported_method")
    return [check for check in CHECKS.get_all() if check.__name__ not in left_out]


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=not FULL, suppress_health_check=list(HealthCheck))
def test_the_api_answers_as_documented(case, server, twin, checks):
    if case.meta is None or case.meta.generation.mode.is_positive:
        with_known_ids(case, twin)
    headers = {"Authorization": f"Bearer {twin.tenant.api_key}", "Idempotency-Key": str(new_id())}
    # What is wrong about a header on purpose must reach the API; what is only wanting is given.
    headers = {name: value for name, value in headers.items() if name not in (case.headers or {})}
    case.call_and_validate(base_url=server, headers=headers, checks=checks, timeout=30)
