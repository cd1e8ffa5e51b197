"""Clinics (tenants), their numbers, opening hours, practitioners and services."""

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from callcenter.models.base import Base, Id, MaybeMoment, Moment


class Clinic(Base):
    """A customer. ``retention_days`` is the recording period in force (P27); ``policy_version`` counts its
    changes (R12)."""

    __tablename__ = "clinics"
    __table_args__ = (
        CheckConstraint("retention_days BETWEEN 1 AND 365", name="retention_days"),
        CheckConstraint("call_log_days BETWEEN 1 AND 3650", name="call_log_days"),
    )

    id: Mapped[Id]
    slug: Mapped[str] = mapped_column(String(40), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    timezone: Mapped[str] = mapped_column(String(60))
    greeting: Mapped[str | None] = mapped_column(Text)
    closed_message: Mapped[str | None] = mapped_column(Text)
    fallback_number: Mapped[str | None] = mapped_column(String(20))
    recording_enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    receptionists_may_listen: Mapped[bool] = mapped_column(Boolean, default=False)
    viewers_may_listen: Mapped[bool] = mapped_column(Boolean, default=False)
    training_allowed: Mapped[bool] = mapped_column(Boolean, default=False)
    retention_days: Mapped[int] = mapped_column(Integer, default=30)
    call_log_days: Mapped[int] = mapped_column(Integer, default=365)
    policy_version: Mapped[int] = mapped_column(Integer, default=1)
    hours_set_at: Mapped[MaybeMoment]
    """When opening hours were first stated; until then the clinic is always open."""
    created_at: Mapped[Moment]

    numbers: Mapped[list["ClinicNumber"]] = relationship(order_by="ClinicNumber.number", lazy="raise")


class ClinicNumber(Base):
    """A telephone number of a clinic, E.164. Routing uses the owner at call time (F35)."""

    __tablename__ = "clinic_numbers"

    id: Mapped[Id]
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"), index=True)
    number: Mapped[str] = mapped_column(String(20), unique=True)


class OpeningBand(Base):
    """One band of opening hours on one weekday, in the clinic's time zone, in minutes after midnight (24:00 = 1440)."""

    __tablename__ = "opening_bands"
    __table_args__ = (
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),
        CheckConstraint("opens_minute >= 0 AND opens_minute < closes_minute AND closes_minute <= 1440", name="minutes"),
        UniqueConstraint("clinic_id", "weekday", "opens_minute"),
    )

    id: Mapped[Id]
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"))
    weekday: Mapped[int] = mapped_column(Integer)
    opens_minute: Mapped[int] = mapped_column(Integer)
    closes_minute: Mapped[int] = mapped_column(Integer)


class Practitioner(Base):
    """Somebody whose diary bookings are made in."""

    __tablename__ = "practitioners"
    __table_args__ = (UniqueConstraint("clinic_id", "name"),)

    id: Mapped[Id]
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"))
    name: Mapped[str] = mapped_column(String(120))
    created_at: Mapped[Moment]
    disabled_at: Mapped[MaybeMoment]


class Service(Base):
    """What can be booked, and how long it takes (a multiple of the slot grain)."""

    __tablename__ = "services"
    __table_args__ = (
        UniqueConstraint("clinic_id", "name"),
        CheckConstraint("minutes BETWEEN 5 AND 480 AND minutes % 5 = 0", name="minutes"),
    )

    id: Mapped[Id]
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"))
    name: Mapped[str] = mapped_column(String(120))
    minutes: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[Moment]
    disabled_at: Mapped[MaybeMoment]
