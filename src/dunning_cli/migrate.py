"""Move a database to the newest schema, as the owner role."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config


def _scripts() -> Path:
    """Return the folder of migrations: in the installed package, or at the top of a checkout."""
    packaged = Path(str(files("dunning_cli"))) / "migrations"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "migrations"


def config_for(owner_url: str) -> Config:
    """Return Alembic's configuration for an owner URL in libpq form."""
    config = Config()
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    config.attributes["url"] = owner_url.replace("postgresql://", "postgresql+asyncpg://", 1)
    return config


def upgrade(owner_url: str) -> None:
    """Apply all migrations that are missing. Running it twice, or twice at once, applies each once."""
    command.upgrade(config_for(owner_url), "head")
