"""The servers that come along: they keep their data, survive being killed, and leave nothing behind (D3, D4)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import pytest
import redis

from dunning_cli import child_process, embedded
from dunning_cli.embedded import EmbeddedPostgres, EmbeddedServerError, EmbeddedValkey

if TYPE_CHECKING:
    from collections.abc import Iterator


async def ask(url: str, sql: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "pg", fast=True, settings={"synchronous_commit": "on"})
    server.start()
    yield server
    server.stop("immediate")


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path / "vk")
    server.start()
    yield server
    server.stop()


async def test_the_serving_role_owns_nothing_and_neither_role_is_privileged(postgres: EmbeddedPostgres) -> None:
    """T2: row security binds the role that serves only if it is no superuser, may not bypass it and owns no table."""
    roles = "select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles where rolname like 'dunning%' order by 1"
    assert await ask(postgres.app_url(), roles) == [
        ("dunning_app", False, False, False, False),
        ("dunning_app_limited", False, False, False, False),
        ("dunning_owner", False, False, False, False),
    ]
    owner = "select pg_get_userbyid(datdba)::text from pg_database where datname = 'dunning'"
    assert await ask(postgres.app_url(), owner) == [("dunning_owner",)]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(postgres.app_url(), "create table public.mine (id int)")
    await ask(postgres.owner_url(), "create table public.theirs (id int)")
    for extension in ("citext", "btree_gist", "pg_trgm"):
        await ask(postgres.owner_url(), f"create extension {extension}")


async def test_a_restart_keeps_data_and_url(postgres: EmbeddedPostgres) -> None:
    """A folder is the database: what was written before a stop is there after the next start, under the same URL."""
    url = postgres.owner_url()
    await ask(url, "create table kept (note text)")
    await ask(url, "insert into kept values ('äöü')")
    postgres.restart()
    assert postgres.owner_url() == url
    assert await ask(url, "select note from kept") == [("äöü",)]


async def test_a_killed_server_starts_again_with_what_was_committed(postgres: EmbeddedPostgres) -> None:
    """D4: kill -9 of the postmaster leaves its pid file; the next start recovers and loses no acknowledged write."""
    await ask(postgres.owner_url(), "create table kept (n int)")
    for round_no in range(3):
        await ask(postgres.owner_url(), f"insert into kept values ({round_no})")
        pid = postgres.postmaster_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert child_process.wait_until(lambda: postgres.postmaster_pid is None, seconds=5)
        assert (postgres.cluster / "postmaster.pid").exists()
        postgres.start()
    assert await ask(postgres.owner_url(), "select n from kept order by n") == [(0,), (1,), (2,)]


async def test_a_pid_file_with_another_programs_number_does_not_stop_the_start(postgres: EmbeddedPostgres) -> None:
    """After a container restart the number in postmaster.pid belongs to someone else: here to this very test."""
    postgres.stop("immediate")
    (postgres.cluster / "postmaster.pid").write_text(f"{os.getppid()}\n{postgres.cluster}\n", encoding="utf-8")
    postgres.start()
    assert await ask(postgres.app_url(), "select 1") == [(1,)]


def test_a_second_process_is_refused_with_one_sentence(postgres: EmbeddedPostgres) -> None:
    """Two programs on one folder would ruin it; the sentence names the folder and the process that has it."""
    with pytest.raises(EmbeddedServerError, match=rf"in use by another running process \(process id {os.getpid()}\)"):
        EmbeddedPostgres(postgres.data_dir).start()
    assert postgres.postmaster_pid is not None


def test_data_of_another_major_version_are_refused_and_left_alone(postgres: EmbeddedPostgres) -> None:
    """A newer server cannot read the data of an older one: say what to do, and touch nothing."""
    postgres.stop()
    (postgres.cluster / "PG_VERSION").write_text("15\n", encoding="ascii")
    with pytest.raises(EmbeddedServerError, match="holds data of PostgreSQL 15, and this installation brings PostgreSQL 18"):
        postgres.start()
    assert (postgres.cluster / "PG_VERSION").read_text(encoding="ascii") == "15\n"


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    """A mistyped folder is not filled with a database."""
    (tmp_path / "pg" / "cluster").mkdir(parents=True)
    (tmp_path / "pg" / "cluster" / "holiday.jpg").touch()
    with pytest.raises(EmbeddedServerError, match="is not empty and is no PostgreSQL data directory"):
        EmbeddedPostgres(tmp_path / "pg", fast=True).start()


async def test_a_first_start_that_was_killed_half_way_is_done_again(tmp_path: Path) -> None:
    """The data directory gets its name only when it is complete."""
    (tmp_path / "pg" / "cluster.unfinished").mkdir(parents=True)
    (tmp_path / "pg" / "cluster.unfinished" / "PG_VERSION").write_text("18\n", encoding="ascii")
    with EmbeddedPostgres(tmp_path / "pg", fast=True) as server:
        assert await ask(server.app_url(), "select 1") == [(1,)]


async def test_a_long_or_odd_path_still_gets_a_socket_closed_to_others(tmp_path: Path) -> None:
    """A socket path may have 107 bytes, and drivers read a comma as the end of a host: such folders get a short directory elsewhere."""
    with EmbeddedPostgres(tmp_path / ("a very long folder, with a comma " * 4) / "pg", fast=True) as server:
        assert await ask(server.app_url(), "select 1") == [(1,)]
        sockets = Path(server.app_url().split("host=")[1].split("&")[0])
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert server.data_dir.stat().st_mode & 0o077 == 0
    for left in sockets.iterdir():
        left.unlink()
    sockets.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account for PostgreSQL")
async def test_root_without_user_namespaces_runs_the_server_as_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers often forbid user namespaces; the data then belong to nobody, and only they."""
    base = Path("/var/tmp") / f"dunning-test-{uuid4().hex[:8]}"  # noqa: S108 - a folder that nobody can reach, unlike pytest's
    nobody = embedded.Account(popen={"user": 65534, "group": 65534, "extra_groups": []}, uid=65534)
    monkeypatch.setattr(embedded, "server_account", lambda: nobody)
    try:
        server = EmbeddedPostgres(base, fast=True)
        for _ in range(2):
            with server:
                pid = server.postmaster_pid
                assert Path(f"/proc/{pid}").stat().st_uid == nobody.uid
                assert await ask(server.app_url(), "select 1") == [(1,)]
        assert server.cluster.stat().st_uid == nobody.uid
        assert server.data_dir.stat().st_uid == 0
    finally:
        subprocess.run(["rm", "-rf", str(base)], check=True)  # noqa: S603, S607 - our own folder


async def test_valkey_keeps_its_data_over_a_stop_and_over_a_kill(valkey: EmbeddedValkey) -> None:
    """D3: the append-only file brings back what was written; a stale socket does not stop the next start."""
    client = redis.Redis.from_url(valkey.url())
    client.set("stopped", "1")
    valkey.restart()
    client.set("killed", "2")
    pid = valkey.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert child_process.wait_until(lambda: valkey.pid is None, seconds=5)
    valkey.start()
    assert client.mget("stopped", "killed") == [b"1", b"2"]
    assert client.config_get("port") == {"port": "0"}
    client.close()


def test_valkey_starts_empty_when_its_file_is_damaged_and_keeps_the_file(valkey: EmbeddedValkey) -> None:
    """D3: Redis holds nothing that matters, so a damaged file costs its content and not the start."""
    client = redis.Redis.from_url(valkey.url())
    client.set("before", "1")
    valkey.stop()
    for file in (valkey.data_dir / "appendonlydir").glob("*.incr.aof"):
        file.write_bytes(b"no protocol at all\r\n" * 50)
    valkey.start()
    assert client.dbsize() == 0
    assert (valkey.data_dir / "appendonlydir.damaged-1").is_dir()
    client.close()


def test_a_second_valkey_on_a_folder_is_refused(valkey: EmbeddedValkey) -> None:
    """Two servers would write one append-only file."""
    with pytest.raises(EmbeddedServerError, match="in use by another running process"):
        EmbeddedValkey(valkey.data_dir).start()


def test_killing_our_process_leaves_no_server_behind_and_the_next_start_works(tmp_path: Path) -> None:
    """The kernel ends the children with their parent; a start right after waits for the old server's own shutdown."""
    script = textwrap.dedent("""
        import sys, threading, time
        from pathlib import Path
        from dunning_cli.embedded import EmbeddedPostgres, EmbeddedValkey
        folder = Path(sys.argv[1])
        postgres, valkey = EmbeddedPostgres(folder / "pg", fast=True), EmbeddedValkey(folder / "vk")
        # A thread that ends after starting them: the servers must live on until the process ends.
        starter = threading.Thread(target=lambda: (postgres.start(), valkey.start()))
        starter.start(); starter.join(); time.sleep(0.3)
        print(postgres.postmaster_pid, valkey.pid, flush=True)
        time.sleep(60)
    """)
    source = Path(embedded.__file__).parents[1]
    parent = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(source)}
    )
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert all(is_alive(pid) for pid in pids)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    began = time.monotonic()
    with EmbeddedPostgres(tmp_path / "pg", fast=True), EmbeddedValkey(tmp_path / "vk"):
        assert time.monotonic() - began < 10
    assert child_process.wait_until(lambda: not any(is_alive(pid) for pid in pids), seconds=5)
