"""Keyset pages: a cursor names the last row seen by its time and id, so that pages never skip or repeat a row."""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, and_, or_

from callcenter.errors import BadInput

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 200

Item = TypeVar("Item")


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Items, and the cursor of the next page or None."""

    items: list[Item]
    next: str | None


@dataclass(frozen=True)
class Cursor:
    """The last row of the page before."""

    at: datetime
    id: str


def check_limit(limit: int) -> int:
    """The limit itself, or BadInput when it is not 1 to LARGEST_LIMIT."""
    if not 1 <= limit <= LARGEST_LIMIT:
        raise BadInput(f"The limit must be between 1 and {LARGEST_LIMIT}.")
    return limit


def read_cursor(text: str | None) -> Cursor | None:
    """The cursor of an earlier page; None for the first page. Raises BadInput for anything we did not write."""
    if text is None:
        return None
    try:
        at, row_id = base64.urlsafe_b64decode(text.encode("ascii")).decode("ascii").split(" ")
        cursor = Cursor(datetime.fromisoformat(at), row_id)
    except (ValueError, binascii.Error, UnicodeError):
        raise BadInput("The cursor must be one that an earlier page gave as next.") from None
    if cursor.at.utcoffset() != timedelta(0) or not re.fullmatch("[0-9a-f]{1,40}", cursor.id):
        raise BadInput("The cursor must be one that an earlier page gave as next.")
    return cursor


def write_cursor(at: datetime, row_id: str) -> str:
    """A cursor for the row with this time and id."""
    return base64.urlsafe_b64encode(f"{at.astimezone(UTC).isoformat()} {row_id}".encode("ascii")).decode("ascii")


def after(cursor: Cursor, at: Any, row_id: Any, *, newest_first: bool = False) -> ColumnElement[bool]:
    """The condition "behind the cursor" for a query ordered by the columns ``at`` and ``row_id``.

    It begins with a plain bound: by that SQLite enters an index; by the rest alone it would walk all the way.
    """
    if newest_first:
        return and_(at <= cursor.at, or_(at < cursor.at, row_id < cursor.id))
    return and_(at >= cursor.at, or_(at > cursor.at, row_id > cursor.id))


def page_of(rows: Sequence[Item], limit: int, key: Callable[[Item], tuple[datetime, str]]) -> Page[Item]:
    """A page from rows that were asked for with ``limit + 1``; ``key`` gives the time and id of a row."""
    items = list(rows[:limit])
    return Page(items, write_cursor(*key(items[-1])) if len(rows) > limit else None)
