"""Finding a row by an id that came from outside."""

import re
from typing import TypeVar

from sqlalchemy.orm import Session

Row = TypeVar("Row")

_ID = re.compile(r"[0-9a-f]{32}")


def find_row(session: Session, table: type[Row], row_id: str) -> Row | None:
    """The row, or None; what does not look like one of our ids never reaches the database (which may not even be able
    to take it: PostgreSQL refuses texts with a zero character)."""
    return session.get(table, row_id) if _ID.fullmatch(row_id) else None
