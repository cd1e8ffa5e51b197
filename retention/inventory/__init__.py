"""The data register: every column, store prefix, cookie and log field, with purpose, sensitivity, retention and who may
see it. A column without an entry fails the build; docs/data-map.md is printed from here by
``python -m retention.inventory > docs/data-map.md``.
"""

from retention.inventory import audit, bookings, calls, clinics, people, recordings
from retention.inventory.entries import Field, Sensitivity, Table

__all__ = ["ELSEWHERE", "TABLES", "Field", "Sensitivity", "Table"]

TABLES: tuple[Table, ...] = (
    *clinics.TABLES,
    *people.TABLES,
    *calls.TABLES,
    *recordings.TABLES,
    *bookings.TABLES,
    *audit.TABLES,
)
"""The database."""

ELSEWHERE: tuple[Table, ...] = (
    recordings.STORE,
    recordings.CARRIER,
    recordings.JOURNAL,
    audit.LOG,
    audit.COOKIES,
)
"""Everything outside of it."""
