"""The tables that runs keep about themselves, in one list.

Owns the list alone; each table is defined in its own module. Readers see them at their newest version.
"""

from __future__ import annotations

from bemtevi.lake.definition import TableDefinition
from bemtevi.warehouse.check_result import CHECK_RESULT
from bemtevi.warehouse.fields import PAYLOAD_FIELD
from bemtevi.warehouse.run import RUN

RECORDS: tuple[TableDefinition, ...] = (RUN, CHECK_RESULT, PAYLOAD_FIELD)
