"""The pieces that inputs are made of: closed schemas (S15), and types that let nothing odd through to the database."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema, model_validator

from callcenter.services.paging import DEFAULT_LIMIT, LARGEST_LIMIT

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)")
_YEARS = range(2000, 2101)


class Input(BaseModel):
    """Base of everything that clients send: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)


def _moment(value: Any) -> datetime:
    """An RFC 3339 time with its zone, as aware UTC. Numbers and bare dates are refused, they can be misread."""
    sentence = "must be a time such as 2026-03-02T09:00:00Z, between the years 2000 and 2100"
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value) or int(value[:4]) not in _YEARS:
        raise ValueError(sentence)
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(sentence) from None


Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "pattern": r"^20\d{2}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})$",
        }
    ),
]
"""RFC 3339 with a zone."""

Id = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_-]{1,64}$")]
"""An opaque id."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")]
"""A clinic's slug."""

Limit = Annotated[int, Field(ge=1, le=LARGEST_LIMIT)]
Cursor = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_=-]{1,200}$")]
Text = Annotated[str, StringConstraints(max_length=500)]
"""What people write; the services check it further (control characters, card numbers, length)."""


class PageQuery(Input):
    """Which page."""

    limit: Limit = Field(DEFAULT_LIMIT, description="Most items of the page.")
    cursor: Cursor | None = Field(None, description="``next`` of the page before.")


class OptionalBody(Input):
    """Base of bodies that may be left out: no body is an empty object."""

    model_config = {"extra": "forbid", "openapi_extra": {"required": False}}  # type: ignore[typeddict-unknown-key]

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_empty(cls, value: Any) -> Any:
        return {} if value is None else value
