"""Bookings, the slots they occupy, their history, and their links with calls."""

from sqlalchemy import ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from callcenter.domain.bookings import BookingState, LinkAction
from callcenter.models.base import Base, Id, MaybeMoment, Moment, UtcDateTime, words


class Booking(Base):
    """An appointment in a clinic's diary. ``version`` rises with every change; a stale edit is refused (P41)."""

    __tablename__ = "bookings"
    __table_args__ = (
        Index("ix_bookings_diary", "clinic_id", "starts_at", "id"),
        Index("ix_bookings_practitioner", "practitioner_id", "starts_at"),
        Index("ix_bookings_caller", "caller_id", "starts_at"),
    )

    id: Mapped[Id]
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"))
    practitioner_id: Mapped[str] = mapped_column(ForeignKey("practitioners.id"))
    service_id: Mapped[str] = mapped_column(ForeignKey("services.id"))
    caller_id: Mapped[str | None] = mapped_column(ForeignKey("callers.id"))
    starts_at: Mapped[Moment]
    ends_at: Mapped[Moment]
    state: Mapped[BookingState] = mapped_column(words(BookingState), default=BookingState.BOOKED)
    note: Mapped[str | None] = mapped_column(String(300))
    version: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[Moment]
    cancelled_at: Mapped[MaybeMoment]


class BookingSlot(Base):
    """One grain of a practitioner's time, taken by one booking. The primary key is what makes overlap impossible,
    on both databases and under any concurrency, without any extension."""

    __tablename__ = "booking_slots"

    practitioner_id: Mapped[str] = mapped_column(ForeignKey("practitioners.id"), primary_key=True)
    starts_at: Mapped[Moment] = mapped_column(UtcDateTime, primary_key=True)
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"))
    booking_id: Mapped[str] = mapped_column(ForeignKey("bookings.id"), index=True)


class BookingChange(Base):
    """One line of a booking's history: who did what, and the times before and after."""

    __tablename__ = "booking_changes"

    id: Mapped[Id]
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"))
    booking_id: Mapped[str] = mapped_column(ForeignKey("bookings.id"), index=True)
    version: Mapped[int] = mapped_column(Integer)
    action: Mapped[LinkAction] = mapped_column(words(LinkAction))
    changed_by: Mapped[str] = mapped_column(String(80))
    changed_at: Mapped[Moment]
    starts_at_before: Mapped[MaybeMoment]
    starts_at_after: Mapped[MaybeMoment]


class BookingLink(Base):
    """A call did something to a booking. Several per call are normal."""

    __tablename__ = "booking_links"
    __table_args__ = (UniqueConstraint("call_id", "booking_id", "action"),)

    id: Mapped[Id]
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"))
    call_id: Mapped[str] = mapped_column(ForeignKey("calls.id"))
    booking_id: Mapped[str] = mapped_column(ForeignKey("bookings.id"), index=True)
    action: Mapped[LinkAction] = mapped_column(words(LinkAction))
    linked_by: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[Moment]
