"""The guides in docs/guides: every command in them runs as it stands against the demo, in order, as a reader would type it."""

from __future__ import annotations

import email
import email.policy
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
COMMAND = Path(sys.executable).with_name("dunning")
READY_SECONDS = 420
GUIDE_SECONDS = 90
READY = "Ctrl-C stops everything"


def commands_of(text: str) -> list[str]:
    """Return the shell blocks of a page, in order."""
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def text_of(mail: Path) -> str:
    """Return what a caught mail says as text."""
    body = email.message_from_bytes(mail.read_bytes(), policy=email.policy.SMTP).get_body(("plain",))
    return "" if body is None else str(body.get_content())


@dataclass(frozen=True)
class Demo:
    """A running demo, and the folder in which a reader's shell stands."""

    folder: Path
    environment: dict[str, str]

    def follow(self, blocks: list[str]) -> subprocess.CompletedProcess[str]:
        """Type some blocks into one shell that stops at the first failure."""
        script = "\n".join(["set -eu", *blocks])
        return subprocess.run(["bash", "-c", script], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=GUIDE_SECONDS, check=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One demo for all guides, on a data folder and ports of its own; `./run` in the reader's folder is the installed command."""
    folder = tmp_path_factory.mktemp("guides")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DUNNING_")}
    environment |= {"DUNNING_DATA_DIR": str(folder / "demo")}
    (folder / "run").write_text(f'#!/bin/sh\nexec "{COMMAND}" "$@"\n')
    (folder / "run").chmod(0o700)
    said = folder / "demo.log"
    ports = {"DUNNING_PORT": "0", "DUNNING_WORKER_PORT": "0"}
    with said.open("w") as log:
        process = subprocess.Popen([COMMAND, "demo"], cwd=folder, env=environment | ports, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            _wait_ready(process, said)
            yield Demo(folder, environment)
        finally:
            # Not SIGINT: whoever starts the tests in the background has it ignored. Its servers end with it.
            process.terminate()
            process.wait(30)


def _wait_ready(process: subprocess.Popen[bytes], said: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while READY not in said.read_text():
        assert process.poll() is None, said.read_text()
        assert time.monotonic() < deadline, f"the demo was not ready within {READY_SECONDS} s: {said.read_text()}"
        time.sleep(0.2)


def test_there_is_a_guide_for_each_reader_and_the_readme_names_it() -> None:
    assert [guide.stem for guide in GUIDES] == ["collectors-tool", "erp-integrator", "extranet-developer", "operator"]
    readme = (ROOT / "README.md").read_text()
    for guide in GUIDES:
        assert f"docs/guides/{guide.name}" in readme


@pytest.mark.parametrize("guide", GUIDES, ids=[guide.stem for guide in GUIDES])
def test_every_command_of_a_guide_runs_as_it_stands(demo: Demo, guide: Path) -> None:
    blocks = commands_of(guide.read_text())
    assert len(blocks) >= 5
    assert "demo.env" in blocks[0]
    done = demo.follow(blocks)
    assert done.returncode == 0, f"{guide.name} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"


def test_the_first_steps_of_the_readme_lead_to_a_proposal(demo: Demo) -> None:
    """A new tenant, a scenario, a ledger, a customer, an invoice, a run; in a service that is running."""
    (steps,) = [block for block in commands_of((ROOT / "README.md").read_text()) if "$API" in block]
    address = re.search(r"API='([^']+)'", (demo.folder / "demo" / "demo.env").read_text())
    assert address is not None
    done = demo.follow([f"export API='{address.group(1)}'", steps, 'api GET "/items/$ITEM/explain" | field blockers'])
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.splitlines()[-2:] == ["True", "[]"]


def test_what_the_readme_prints_is_what_the_demo_says(demo: Demo) -> None:
    """The story is the same each time, so that its figures may stand in a text."""
    said = (demo.folder / "demo.log").read_text()
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (shown,) = [text for language, text in blocks if not language]
    lines = [line.strip() for line in shown.splitlines() if line.strip() and line.strip() != "..."]
    assert [line for line in lines if line not in said] == [], f"the demo says now:\n{said}"


def test_no_log_of_the_demo_holds_a_token_or_an_address(demo: Demo) -> None:
    """Style 31: links were sent, opened and answered, mails went out, and the processes' logs name neither; the mails do, which is the control."""
    environment = (demo.folder / "demo" / "demo.env").read_text()
    key = re.search(r"KEY='([^']+)'", environment)
    assert key is not None
    mails = [json.loads(path.read_text()) for path in (demo.folder / "demo" / "mails").glob("*.json")]
    tokens = {found.group() for path in (demo.folder / "demo" / "mails").glob("*.eml") for found in re.finditer(r"(?<=/c/)[A-Za-z0-9._-]{60,}", text_of(path))}
    addresses = {recipient for mail in mails for recipient in mail["recipients"]}
    assert len(tokens) > 100
    assert len(addresses) > 20
    logs = {path.name: path.read_text() for path in (demo.folder / "demo" / "logs").glob("*.log")}
    assert {"api.log", "worker.log"} <= set(logs)
    for name, text in logs.items():
        assert [secret for secret in (key.group(1), *tokens, *addresses) if secret in text] == [], name


def test_control_a_broken_command_fails_its_guide(demo: Demo) -> None:
    """A path that is none ends the shell, alone and where its answer goes into a pipe; without it, the same blocks are well."""
    first = commands_of((ROOT / "docs" / "guides" / "erp-integrator.md").read_text())[0]
    assert demo.follow([first, "true"]).returncode == 0
    for broken in ("api GET /no-such-path", "api GET /no-such-path | field data", 'test "$(api GET /tenant | field mode)" = live'):
        assert demo.follow([first, broken, "true"]).returncode != 0, broken
