"""What a worker counts, for Prometheus. No label names a tenant or a person."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

MESSAGES = Counter("dunning_messages_total", "Messages by what became of a try to send them.", ["what"])
OLDEST_DUE_SECONDS = Gauge("dunning_due_work_oldest_seconds", "For how long the oldest due work of a kind has been waiting.", ["kind"])
RELAY_OPEN = Gauge("dunning_relay_open", "1 while a relay takes mails, 0 while it rests or is suspended.", ["relay"])
SENDER_DOMAINS_FAILING = Gauge("dunning_sender_domains_failing", "Sending domains whose DNS record of a kind is missing or wrong.", ["record"])


def count(noun: str, what: str) -> None:
    """Count one thing that happened."""
    if noun == "messages":
        MESSAGES.labels(what).inc()
