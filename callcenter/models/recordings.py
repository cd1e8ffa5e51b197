"""Recordings, their pauses, legal holds and the ledger of what was purged."""

import datetime as dt

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Date, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from callcenter.domain.recordings import PauseReason, RecordingKind, RecordingState
from callcenter.models.base import Base, Id, MaybeMoment, Moment, partial, words


class Recording(Base):
    """One recording. The row comes before the bytes (R3) and outlives them (R4); its state is the work list (R2).

    ``expires_at`` is set on insert (started_at + n days) and once more when the recording ends (ended_at + n days).
    """

    __tablename__ = "recordings"
    __table_args__ = (
        CheckConstraint("retention_days BETWEEN 1 AND 365", name="retention_days"),
        Index("ix_recordings_call", "call_id"),
        Index("ix_recordings_copying", "next_attempt_at", **partial("state = 'copying'")),
        Index("ix_recordings_due", "expires_at", **partial("state NOT IN ('purged')")),
        Index("ix_recordings_clinic_expiry", "clinic_id", "expires_at", **partial("state NOT IN ('purged')")),
        Index("ix_recordings_carrier_copy", "next_attempt_at", **partial("carrier_copy_due")),
        Index("ix_recordings_purge_wanted", "expires_at", **partial("purge_wanted")),
        Index("ix_recordings_live", "started_at", **partial("state IN ('starting', 'recording', 'paused')")),
    )

    id: Mapped[Id]
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"))
    call_id: Mapped[str] = mapped_column(ForeignKey("calls.id"))
    turn: Mapped[int] = mapped_column(Integer)
    kind: Mapped[RecordingKind] = mapped_column(words(RecordingKind))
    state: Mapped[RecordingState] = mapped_column(words(RecordingState), default=RecordingState.STARTING)
    carrier_call_sid: Mapped[str | None] = mapped_column(String(34))
    """The leg that is recorded."""
    carrier_recording_sid: Mapped[str | None] = mapped_column(String(34), unique=True)
    carrier_copy_due: Mapped[bool] = mapped_column(Boolean, default=False)
    """The carrier's copy must be deleted (verified copy stored, refused, or purged)."""
    carrier_copy_deleted_at: Mapped[MaybeMoment]
    store_key: Mapped[str] = mapped_column(String(80), unique=True)
    """Random key in our store; chosen with the row, says nothing about anybody."""
    channels: Mapped[int | None] = mapped_column(Integer)
    duration_seconds: Mapped[int | None] = mapped_column(Integer)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))
    started_at: Mapped[Moment]
    ended_at: Mapped[MaybeMoment]
    stored_at: Mapped[MaybeMoment]
    retention_days: Mapped[int] = mapped_column(Integer)
    policy_version: Mapped[int] = mapped_column(Integer)
    expires_at: Mapped[Moment]
    held: Mapped[bool] = mapped_column(Boolean, default=False)
    """True while at least one legal hold is in force; changed in the hold's own transaction (F24)."""
    purge_wanted: Mapped[bool] = mapped_column(Boolean, default=False)
    """Delete as soon as possible whatever the period says: a card pause that was not confirmed (P39)."""
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_attempt_at: Mapped[Moment]
    lease_until_at: Mapped[MaybeMoment]
    lease_token: Mapped[str | None] = mapped_column(String(32))
    failure: Mapped[str | None] = mapped_column(String(120))
    purged_at: Mapped[MaybeMoment]


class RecordingPause(Base):
    """A span in which recording should be silent. ``confirmed`` only after the carrier's own answer said paused."""

    __tablename__ = "recording_pauses"
    __table_args__ = (
        Index("uq_recording_pauses_open", "recording_id", "reason", unique=True, **partial("to_at IS NULL")),
    )

    id: Mapped[Id]
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"))
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id"), index=True)
    reason: Mapped[PauseReason] = mapped_column(words(PauseReason))
    from_at: Mapped[Moment]
    to_at: Mapped[MaybeMoment]
    confirmed: Mapped[bool] = mapped_column(Boolean, default=False)


class LegalHold(Base):
    """Keeps one recording from being purged (L4). Reason, author and review date are compulsory."""

    __tablename__ = "legal_holds"
    __table_args__ = (Index("ix_legal_holds_open", "recording_id", **partial("released_at IS NULL")),)

    id: Mapped[Id]
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"))
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id"))
    reason: Mapped[str] = mapped_column(Text)
    placed_by: Mapped[str] = mapped_column(String(80))
    placed_at: Mapped[Moment]
    review_on: Mapped[dt.date] = mapped_column(Date)
    released_at: Mapped[MaybeMoment]
    released_by: Mapped[str | None] = mapped_column(String(80))
    release_reason: Mapped[str | None] = mapped_column(Text)


class LedgerEntry(Base):
    """Proof that something is gone (P29): ids and counts only, exactly one per recording."""

    __tablename__ = "purge_ledger"

    id: Mapped[Id]
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"))
    recording_id: Mapped[str] = mapped_column(String(32), unique=True)
    reason: Mapped[str] = mapped_column(String(40))
    expired_at: Mapped[Moment]
    versions_deleted: Mapped[int] = mapped_column(Integer)
    carrier_copy: Mapped[str] = mapped_column(String(40))
    verified_absent_at: Mapped[Moment]
    purged_at: Mapped[Moment] = mapped_column(index=True)
