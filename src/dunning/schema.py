"""All tables in one metadata: what migrations are compared with."""

from __future__ import annotations

import dunning.collection.agreement_tables
import dunning.collection.assignment_tables
import dunning.collection.specific_tables
import dunning.collection.tables
import dunning.events.tables
import dunning.evidence.tables
import dunning.ledger.status_tables
import dunning.ledger.tables
import dunning.messages.tables
import dunning.receipts.tables
import dunning.scenarios.tables
import dunning.tenancy.tables  # noqa: F401  # importing the modules declares their tables
from dunning.kit.schema import APPEND_ONLY_TABLES, TENANT_TABLES, metadata

__all__ = ["APPEND_ONLY_TABLES", "TENANT_TABLES", "metadata"]
