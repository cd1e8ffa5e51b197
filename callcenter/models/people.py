"""People: users with their assignments and keys, receptionists' state, and the clinics' callers."""

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from callcenter.domain.receptionists import Activity, Presence, Role
from callcenter.models.base import Base, Id, MaybeMoment, Moment, words


class User(Base):
    """Somebody who works with the service. ``identity`` is the opaque softphone name (twilio-voice §9.2)."""

    __tablename__ = "users"

    id: Mapped[Id]
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    role: Mapped[Role] = mapped_column(words(Role))
    identity: Mapped[str] = mapped_column(String(50), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    second_factor_secret: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[Moment]
    disabled_at: Mapped[MaybeMoment]

    assignments: Mapped[list["Assignment"]] = relationship(lazy="raise", cascade="all, delete-orphan")


class Assignment(Base):
    """A user may work for a clinic. Removing the row takes effect with the next request (P20)."""

    __tablename__ = "assignments"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"), primary_key=True, index=True)


class ApiKey(Base):
    """A bearer key; only its SHA-256 is stored (keys are random, so a fast hash is enough)."""

    __tablename__ = "api_keys"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(120))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[Role] = mapped_column(words(Role))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[Moment]
    revoked_at: Mapped[MaybeMoment]


class ApiKeyClinic(Base):
    """A clinic that an API key may reach."""

    __tablename__ = "api_key_clinics"

    api_key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"), primary_key=True)
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"), primary_key=True)


class Receptionist(Base):
    """The working state of a user with role receptionist: one row, changed only by conditional updates.

    ``current_call_id`` is set from the offer until the end of wrap-up; whoever sets it from NULL has her.
    """

    __tablename__ = "receptionists"
    __table_args__ = (Index("ix_receptionists_idle", "presence", "activity", "idle_since_at"),)

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    presence: Mapped[Presence] = mapped_column(words(Presence), default=Presence.SIGNED_OUT)
    presence_reason: Mapped[str | None] = mapped_column(String(60))
    presence_changed_at: Mapped[Moment]
    activity: Mapped[Activity] = mapped_column(words(Activity), default=Activity.IDLE)
    idle_since_at: Mapped[Moment]
    heartbeat_at: Mapped[MaybeMoment]
    softphone_session: Mapped[str | None] = mapped_column(String(64))
    current_call_id: Mapped[str | None] = mapped_column(ForeignKey("calls.id"))
    current_offer_id: Mapped[str | None] = mapped_column(ForeignKey("offers.id"))
    wrap_up_ends_at: Mapped[MaybeMoment] = mapped_column(index=True)
    wrap_up_extended: Mapped[bool] = mapped_column(Boolean, default=False)

    user: Mapped[User] = relationship(lazy="raise")


class Caller(Base):
    """Somebody who rang a clinic or has a booking there. Belongs to one clinic, always (P6): a number may be shared
    by a household, and the same number at two clinics is two callers."""

    __tablename__ = "callers"
    __table_args__ = (
        UniqueConstraint("clinic_id", "number", "name"),
        Index("ix_callers_clinic_name", "clinic_id", "name"),
    )

    id: Mapped[Id]
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"))
    number: Mapped[str | None] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(120))
    email: Mapped[str | None] = mapped_column(String(254))
    version: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[Moment]
