"""All tables in one metadata: what migrations are compared with."""

from __future__ import annotations

from dunning.kit.schema import APPEND_ONLY_TABLES, TENANT_TABLES, metadata

__all__ = ["APPEND_ONLY_TABLES", "TENANT_TABLES", "metadata"]
