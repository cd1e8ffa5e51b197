"""Calls, their legs and offers, what the carrier told us, and what we still have to tell the carrier."""

from typing import Any

from sqlalchemy import JSON, Boolean, CheckConstraint, Float, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from callcenter.domain.calls import (
    CallState,
    Disposition,
    EndedBy,
    HoldState,
    LegRole,
    LegState,
    OfferReason,
    OfferState,
    Outcome,
)
from callcenter.domain.commands import CommandKind, CommandState
from callcenter.models.base import Base, Id, MaybeMoment, Moment, partial, words


class Call(Base):
    """A call as the clinic sees it. ``turn`` counts the attempts to serve it; terminal states never regress."""

    __tablename__ = "calls"
    __table_args__ = (
        CheckConstraint("turn >= 1", name="turn"),
        CheckConstraint("(state = 'ended') = (ended_at IS NOT NULL)", name="ended"),
        Index("ix_calls_log", "clinic_id", "started_at", "id"),
        Index("ix_calls_started", "started_at", "id"),
        Index("ix_calls_number", "clinic_id", "from_number", "started_at"),
        Index("ix_calls_queue", "waiting_since_at", "id", **partial("state = 'queued'")),
        Index("ix_calls_live", "check_at", **partial("state <> 'ended'")),
        Index("ix_calls_unlinked", "clinic_id", "started_at", "id", **partial("needs_link")),
        Index("ix_calls_unlinked_of_all", "started_at", "id", **partial("needs_link")),
        Index("ix_calls_receptionist", "receptionist_id", "started_at", "id"),
        Index("ix_calls_blanking", "expires_at", **partial("blanked_at IS NULL")),
    )

    id: Mapped[Id]
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"))
    carrier_call_sid: Mapped[str | None] = mapped_column(String(34), unique=True)
    carrier_queue_sid: Mapped[str | None] = mapped_column(String(34))
    carrier_conference_sid: Mapped[str | None] = mapped_column(String(34))
    """The conference of the present turn; None until its first event."""
    from_number: Mapped[str | None] = mapped_column(String(20))
    to_number: Mapped[str] = mapped_column(String(20))
    caller_id: Mapped[str | None] = mapped_column(ForeignKey("callers.id"))
    """Set only when exactly one caller of the clinic has this number; never guessed."""

    state: Mapped[CallState] = mapped_column(words(CallState), default=CallState.RINGING)
    outcome: Mapped[Outcome | None] = mapped_column(words(Outcome))
    turn: Mapped[int] = mapped_column(Integer, default=1)
    clinic_was_closed: Mapped[bool] = mapped_column(Boolean, default=False)
    message_recorded: Mapped[bool] = mapped_column(Boolean, default=False)
    recording_wanted: Mapped[bool] = mapped_column(Boolean, default=True)
    """The clinic's switch as it was when the call came in."""
    recording_refused_at: Mapped[MaybeMoment]
    recording_refused_by: Mapped[str | None] = mapped_column(String(20))
    message_consent_at: Mapped[MaybeMoment]
    """When a caller who had refused recording agreed to leave a message."""

    started_at: Mapped[Moment]
    queued_at: Mapped[MaybeMoment]
    waiting_since_at: Mapped[MaybeMoment]
    """Place in the queue; kept over a lost softphone so that the caller goes to the front."""
    overflow_after_at: Mapped[MaybeMoment]
    wait_rounds: Mapped[int] = mapped_column(Integer, default=0)
    connected_at: Mapped[MaybeMoment]
    turn_connected_at: Mapped[MaybeMoment]
    ended_at: Mapped[MaybeMoment]
    ended_by: Mapped[EndedBy | None] = mapped_column(words(EndedBy))
    hang_up_requested_at: Mapped[MaybeMoment]
    asked_at: Mapped[MaybeMoment]
    """When the caller's leg last asked what to do: a leg that asks is where we think it is."""
    check_at: Mapped[Moment]
    """When the sweeper looks at this call next, if nothing happens before."""

    hold: Mapped[HoldState] = mapped_column(words(HoldState), default=HoldState.NONE)
    hold_wanted: Mapped[bool] = mapped_column(Boolean, default=False)
    held_since_at: Mapped[MaybeMoment]
    hold_seconds: Mapped[float] = mapped_column(Float, default=0.0)
    talk_seconds: Mapped[float] = mapped_column(Float, default=0.0)
    wrap_up_seconds: Mapped[float | None] = mapped_column(Float)

    receptionist_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    accepted_offer_id: Mapped[str | None] = mapped_column(String(32))
    """The offer that was accepted in this turn (no foreign key: offers already point here)."""
    preferred_receptionist_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    """Whose softphone was lost: she is offered the next turn first."""

    disposition: Mapped[Disposition | None] = mapped_column(words(Disposition))
    disposition_reason: Mapped[str | None] = mapped_column(Text)
    needs_link: Mapped[bool] = mapped_column(Boolean, default=False)
    """True for an answered call that has neither booking link nor disposition: the unlinked list."""

    expires_at: Mapped[Moment]
    """When the personal columns are blanked (P35)."""
    blanked_at: Mapped[MaybeMoment]


class CallLeg(Base):
    """One connection at the carrier."""

    __tablename__ = "call_legs"
    __table_args__ = (Index("ix_call_legs_call", "call_id"), Index("ix_call_legs_offer", "offer_id"))

    id: Mapped[Id]
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"))
    call_id: Mapped[str] = mapped_column(ForeignKey("calls.id"))
    offer_id: Mapped[str | None] = mapped_column(ForeignKey("offers.id"))
    turn: Mapped[int] = mapped_column(Integer)
    role: Mapped[LegRole] = mapped_column(words(LegRole))
    state: Mapped[LegState] = mapped_column(words(LegState), default=LegState.INITIATED)
    carrier_call_sid: Mapped[str | None] = mapped_column(String(34), unique=True)
    started_at: Mapped[Moment]
    answered_at: Mapped[MaybeMoment]
    ended_at: Mapped[MaybeMoment]


class Offer(Base):
    """One attempt to ring one receptionist for one turn of a call. At most one is open per call and per
    receptionist."""

    __tablename__ = "offers"
    __table_args__ = (
        Index("ix_offers_call", "call_id", "created_at"),
        Index("ix_offers_open", "ring_until_at", **partial("state IN ('pending', 'ringing')")),
        Index("uq_offers_open_call", "call_id", unique=True, **partial("state IN ('pending', 'ringing')")),
        Index(
            "uq_offers_open_receptionist", "receptionist_id", unique=True, **partial("state IN ('pending', 'ringing')")
        ),
        Index("ix_offers_accepted", "clinic_id", "ended_at", **partial("state = 'accepted'")),
    )

    id: Mapped[Id]
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"))
    call_id: Mapped[str] = mapped_column(ForeignKey("calls.id"))
    receptionist_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    turn: Mapped[int] = mapped_column(Integer)
    state: Mapped[OfferState] = mapped_column(words(OfferState), default=OfferState.PENDING)
    reason: Mapped[OfferReason | None] = mapped_column(words(OfferReason))
    created_at: Mapped[Moment]
    ring_until_at: Mapped[Moment]
    """When an unanswered offer counts as missed."""
    ended_at: Mapped[MaybeMoment]


class CarrierEvent(Base):
    """What the carrier told us, appended before anything is decided. ``data`` holds allow-listed fields only (P2)."""

    __tablename__ = "carrier_events"
    __table_args__ = (Index("ix_carrier_events_call", "call_id", "received_at"),)

    id: Mapped[Id]
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"))
    call_id: Mapped[str] = mapped_column(ForeignKey("calls.id"))
    turn: Mapped[int] = mapped_column(Integer)
    unique_key: Mapped[str] = mapped_column(String(160), unique=True)
    kind: Mapped[str] = mapped_column(String(40))
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    occurred_at: Mapped[MaybeMoment]
    received_at: Mapped[Moment]


class CarrierCommand(Base):
    """Something the carrier must be told: intent first, then the request, then the result. Every kind may run twice."""

    __tablename__ = "carrier_commands"
    __table_args__ = (
        Index("ix_carrier_commands_due", "next_attempt_at", **partial("state = 'pending'")),
        Index("ix_carrier_commands_call", "call_id"),
    )

    id: Mapped[Id]
    clinic_id: Mapped[str] = mapped_column(ForeignKey("clinics.id"))
    call_id: Mapped[str] = mapped_column(ForeignKey("calls.id"))
    kind: Mapped[CommandKind] = mapped_column(words(CommandKind))
    subject_id: Mapped[str] = mapped_column(String(40))
    """The id of the row it is about: call, offer, leg or recording."""
    state: Mapped[CommandState] = mapped_column(words(CommandState), default=CommandState.PENDING)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    failures: Mapped[int] = mapped_column(Integer, default=0)
    """Attempts that went wrong; looking again because it is too early to tell is none."""
    next_attempt_at: Mapped[Moment]
    lease_until_at: Mapped[MaybeMoment]
    lease_holder: Mapped[str | None] = mapped_column(String(32))
    """The worker that has it; only that one may record the result."""
    failure: Mapped[str | None] = mapped_column(String(60))
    created_at: Mapped[Moment]
    finished_at: Mapped[MaybeMoment] = mapped_column(index=True)


class ReplayedCall(Base):
    """A removed replay: only a keyed hash of its carrier SID stays, until it expires (design §4)."""

    __tablename__ = "replayed_calls"

    sid_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    seen_at: Mapped[Moment]
    expires_at: Mapped[Moment] = mapped_column(index=True)
