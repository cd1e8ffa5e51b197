"""What all tables share: naming, the UTC column type, random ids."""

import secrets
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from sqlalchemy import DateTime, Dialect, Enum, MetaData, String, Table, TypeDecorator, text
from sqlalchemy.orm import DeclarativeBase, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, stored in UTC. Naive values are refused on the way in (R9): SQLite would keep any wall clock."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A time without a time zone cannot be stored; use callcenter.clock.now().")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def new_id() -> str:
    """A random 128-bit id as 32 hex digits (S14): opaque, never sequential."""
    return secrets.token_hex(16)


def words(enum: type[StrEnum]) -> Enum:
    """A column type for one of our enumerations: stored as its word, checked by the database."""
    return Enum(
        enum,
        native_enum=False,
        create_constraint=True,
        length=40,
        values_callable=lambda members: [member.value for member in members],
        name=_snake(enum.__name__),
    )


def partial(condition: str) -> dict[str, Any]:
    """Index arguments for "only the rows where", on both databases: a question about what is due must not grow."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


def _snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


Id = Annotated[str, mapped_column(String(32), primary_key=True, default=new_id)]
Moment = Annotated[datetime, mapped_column(UtcDateTime)]
MaybeMoment = Annotated[datetime | None, mapped_column(UtcDateTime)]


class Base(DeclarativeBase):
    """Base of every table."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: dict[Any, Any] = {}  # noqa: RUF012 - declared so by SQLAlchemy


def table_of(model: type[Base]) -> Table:
    """The table behind a class, for statements on a hot path."""
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101 - tells the type checker what a mapped class has
    return table
