"""Every setting with its default, unit and consequence. Read from the environment with the prefix `DUNNING_`, or from files in `DUNNING_SECRETS_DIR`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The settings of one process. With nothing set, everything is embedded and lives in `data_dir`."""

    model_config = SettingsConfigDict(env_prefix="DUNNING_", secrets_dir=os.environ.get("DUNNING_SECRETS_DIR"), extra="ignore")

    database_url: str | None = Field(
        default=None,
        description="PostgreSQL URL of the app role, such as postgresql://dunning_app:…@db/dunning. Unset: an embedded server is started in the data folder.",
    )
    owner_database_url: str | None = Field(
        default=None, description="URL of the owner role, needed by `migrate` and `roles` only. Unset: the embedded server's."
    )
    redis_url: str | None = Field(default=None, description="Redis or Valkey URL of the doorbell. Unset: embedded. Losing it costs at most one poll interval.")
    app_role: str = Field(default="dunning_app", description="Name of the database role that serves; migrations grant to it. It must own nothing.")
    data_dir: Path = Field(default=Path(".dunning"), description="Folder of the embedded servers, the mail catcher and generated keys. Survives restarts.")
    database_pool: int = Field(default=8, ge=2, le=64, description="Connections of one process. More than 10 makes reads slower; add processes instead.")

    host: str = Field(default="127.0.0.1", description="Address on which the API listens.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port of the API; 0 takes a free one.")
    worker_port: int = Field(default=8001, ge=0, le=65535, description="Port of the worker's health and metrics; 0 takes a free one.")
    public_url: str = Field(default="http://127.0.0.1:8000", description="Where customers reach the API from outside; links in mails begin with it.")
    link_keys: SecretStr | None = Field(
        default=None,
        description=(
            "Keys that sign links: `id:hex` pairs separated by commas, newest first; the first signs, all verify. At least 32 bytes each. "
            "Unset: generated once into the data folder. Removing a key kills the links it signed."
        ),
    )

    smtp_host: str | None = Field(default=None, description="Relay that takes the mails. Unset: live tenants cannot send, and doctor says so.")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Port of the relay.")
    smtp_username: str | None = Field(default=None, description="Account at the relay; unset: no login.")
    smtp_password: SecretStr | None = Field(default=None, description="Its password. A refused login suspends the relay until it is resumed.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the connection is encrypted. `none` only for a relay on this machine."
    )
    smtp_connections: int = Field(default=8, ge=1, le=100, description="Connections kept open to the relay by one worker.")
    smtp_mails_per_connection: int = Field(default=200, ge=1, description="Mails after which a connection is replaced.")
    smtp_rate_per_domain: int = Field(
        default=30,
        ge=0,
        description="Mails a minute to one recipient domain through the relay, over all workers; 0 is no limit. Too many make providers refuse.",
    )
    smtp_connections_per_domain: int = Field(
        default=2,
        ge=0,
        description="Mails to one recipient domain that one worker has under way at once through the relay; 0 is no limit but the connections.",
    )
    smtp_bounce_domain: str | None = Field(
        default=None,
        description=(
            "Domain whose mailbox `bounces+…` takes bounces: each message then gets an envelope sender of its own, `bounces+<message id>@<domain>`. "
            "Unset: the ledger's sender address."
        ),
    )
    smtp_dns_checks: Literal["off", "warn", "enforce"] = Field(
        default="warn",
        description=(
            "Look up SPF, DKIM and DMARC of each sending domain at its first mail and daily. `enforce` keeps the mails of a domain back "
            "for which one fails. A relay on this machine is not checked."
        ),
    )
    smtp_dkim_selectors: str = Field(
        default="", description="Selectors with which the relay signs, separated by commas. Without them the DKIM key cannot be looked up."
    )
    smtp_sender_domains: str = Field(
        default="", description="Sending domains, separated by commas, that workers check at their start and `doctor` shows; others at their first mail."
    )
    smtp_reply_timeout_seconds: float = Field(
        default=600.0,
        gt=0,
        description="How long the final reply of the relay is awaited (RFC 5321 4.5.3.2.6 asks for 10 minutes). Shorter makes more `uncertain` messages.",
    )
    sink_host: str | None = Field(
        default=None, description="Mail server of test-mode tenants, such as the mail catcher. Unset: their mails are taken and dropped."
    )
    sink_port: int = Field(default=1025, ge=1, le=65535, description="Its port.")
    evidence_window_seconds: int = Field(
        default=1800, ge=1, description="How long a message whose reply was lost is `uncertain` before it is `held` for a person."
    )
    message_valid_hours: int = Field(
        default=48, ge=1, description="Hours after its window opens in which a message may still be sent, the next window in any case; then it expires."
    )
    link_valid_days: int = Field(default=90, ge=1, description="Life of a link in a mail.")

    poll_seconds: float = Field(default=10.0, gt=0, description="How often a worker looks for due work without having been woken.")
    lease_seconds: float = Field(default=60.0, gt=1, description="How long a claimed piece of work belongs to a worker that shows no sign of life.")
    run_page_customers: int = Field(default=500, ge=1, le=5000, description="Customers planned in one statement of a run.")
    execute_batch_customers: int = Field(default=200, ge=1, le=2000, description="Customers executed in one transaction.")
    import_batch_rows: int = Field(default=1000, ge=1, le=10000, description="Rows applied in one transaction of an import.")
    max_body_bytes: int = Field(default=1_000_000, ge=1000, description="Largest body of a request, imports apart; more answers 413.")
    max_import_bytes: int = Field(default=50_000_000, ge=1000, description="Largest file of one import; more answers 413.")
    idempotency_days: int = Field(default=30, ge=1, description="Days for which the answer to an Idempotency-Key is repeated.")
    inputs_kept_days: int = Field(default=90, ge=1, description="Days for which the inputs of a run's decisions are kept, so that it can be verified.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severe event that is logged, as JSON on standard error.")
    test_faults: str | None = Field(
        default=None, description="Fault plan of the test suite (name=raise|delay|kill|stop, …). Never set it in production; doctor complains."
    )
