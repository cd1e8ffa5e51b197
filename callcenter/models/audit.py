"""The access log, searches, and the heartbeats of periodic jobs."""

from typing import Any

from sqlalchemy import JSON, Float, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from callcenter.models.base import Base, Id, MaybeMoment, Moment


class AccessEntry(Base):
    """Somebody looked at, heard, changed or exported something (P21). Append-only; ids, never values."""

    __tablename__ = "access_entries"
    __table_args__ = (
        Index("ix_access_entries_clinic", "clinic_id", "at"),
        Index("ix_access_entries_subject", "subject_id", "at"),
    )

    id: Mapped[Id]
    clinic_id: Mapped[str | None] = mapped_column(ForeignKey("clinics.id"))
    actor_id: Mapped[str] = mapped_column(String(80))
    """User id, ``key:<api key id>`` or ``command-line``."""
    action: Mapped[str] = mapped_column(String(60))
    subject_kind: Mapped[str] = mapped_column(String(30))
    subject_id: Mapped[str | None] = mapped_column(String(40))
    purpose: Mapped[str | None] = mapped_column(String(30))
    at: Mapped[Moment]


class Search(Base):
    """A search by number or text under an opaque id, so that no personal data stands in an address."""

    __tablename__ = "searches"

    id: Mapped[Id]
    clinic_id: Mapped[str | None] = mapped_column(ForeignKey("clinics.id"))
    owner_id: Mapped[str] = mapped_column(String(80))
    criteria: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment] = mapped_column(index=True)


class JobHeartbeat(Base):
    """When a periodic job last ran, last succeeded, and what it said: the health page reads this."""

    __tablename__ = "job_heartbeats"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    interval_seconds: Mapped[int] = mapped_column(Integer)
    last_started_at: Mapped[MaybeMoment]
    last_success_at: Mapped[MaybeMoment]
    last_failure_at: Mapped[MaybeMoment]
    last_failure: Mapped[str | None] = mapped_column(String(200))
    last_seconds: Mapped[float | None] = mapped_column(Float)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON)


class Switch(Base):
    """A durable yes or no of the installation, e.g. the lifted brake of the next sweep (R11)."""

    __tablename__ = "switches"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    value: Mapped[dict[str, Any]] = mapped_column(JSON)
    changed_at: Mapped[Moment]
    changed_by: Mapped[str] = mapped_column(String(80))
