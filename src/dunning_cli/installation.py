"""Where a command finds its servers: the given URLs, or embedded ones in the data folder, shared with a `serve` that is running there."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dunning.kit.settings import Settings
from dunning.kit.signing import Keyring
from dunning_cli.embedded import EmbeddedPostgres
from dunning_cli.embedded_valkey import EmbeddedValkey


class NotConfigured(RuntimeError):
    """A setting is missing; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The servers of one installation and the environment its processes need."""

    data_dir: Path
    database_url: str
    owner_url: str | None
    redis_url: str | None
    embedded: bool

    def environment(self) -> dict[str, str]:
        """Return the variables that make a child process use these servers."""
        given = {**os.environ, "DUNNING_DATABASE_URL": self.database_url, "DUNNING_DATA_DIR": str(self.data_dir)}
        if self.redis_url:
            given["DUNNING_REDIS_URL"] = self.redis_url
        return given


def keyring_of(settings: Settings) -> Keyring:
    """Return the signing keys: the given ones, or those in the data folder, made at first use."""
    return Keyring.parse(link_keys_of(settings))


def link_keys_of(settings: Settings) -> str:
    """Return the text of the signing keys, as `DUNNING_LINK_KEYS` takes it.

    On servers of one's own all processes must share them, so there they have to be given.
    """
    if settings.link_keys is not None:
        return settings.link_keys.get_secret_value()
    if settings.database_url is not None:
        msg = "DUNNING_LINK_KEYS is not set. All processes must sign links with the same keys; `dunning keys link` prints a fresh one."
        raise NotConfigured(msg)
    path = settings.data_dir / "link_keys"
    if not path.exists():
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}.{secrets.token_hex(4)}")
        fresh.touch(mode=0o600)
        fresh.write_text(Keyring.generate("k1"))
        try:
            # A hard link fails where the file exists: two processes that start at once end with one key.
            path.hardlink_to(fresh)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text()


@contextmanager
def installation(settings: Settings, *, migrated: bool = True) -> Iterator[Installation]:
    """Give the servers to a command for as long as it runs.

    Given URLs are used as they are. Otherwise a `serve` or `demo` that runs on the data folder lends its servers; where none runs,
    embedded servers are started, migrated, and stopped at the end.
    """
    folder = settings.data_dir.absolute()
    if settings.database_url is not None:
        yield Installation(folder, settings.database_url, settings.owner_database_url, settings.redis_url, embedded=False)
        return
    lent = _running(folder)
    if lent is not None:
        yield lent
        return
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    with EmbeddedPostgres(folder / "postgres") as postgres, EmbeddedValkey(folder / "valkey") as valkey:
        if migrated:
            # Here, since Alembic takes longer to load than everything else that the command line needs.
            from dunning_cli import migrate

            migrate.upgrade(postgres.owner_url())
        made = Installation(folder, postgres.app_url(), postgres.owner_url(), valkey.url(), embedded=True)
        note = folder / "running.json"
        note.write_text(json.dumps({"pid": os.getpid(), "database_url": made.database_url, "owner_url": made.owner_url, "redis_url": made.redis_url}))
        try:
            yield made
        finally:
            note.unlink(missing_ok=True)


def _running(folder: Path) -> Installation | None:
    try:
        note = json.loads((folder / "running.json").read_text())
        os.kill(note["pid"], 0)
    except (OSError, ValueError, KeyError):
        return None
    return Installation(folder, note["database_url"], note["owner_url"], note["redis_url"], embedded=True)


def database_url_of(settings: Settings) -> str:
    """Return the given database URL; raise `NotConfigured` for a process that needs servers of its own."""
    if settings.database_url is None:
        msg = "DUNNING_DATABASE_URL is not set. Set it to the app role's URL, or use `serve`, which brings its own servers."
        raise NotConfigured(msg)
    return settings.database_url
