"""Calls and recordings as the contract shows them (design §6.4), for the API and the command line alike.

Roles that see ids and states only (design §6.6: the operator) find null for everything else: numbers, carrier ids, who
handled a call and what came of it, checksums, spans and sizes.

Times are aware UTC, written with ``Z``; spans are seconds. ``model_dump(mode="json", by_alias=True)`` is the contract.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from callcenter.domain.bookings import LinkAction
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
from callcenter.domain.receptionists import Activity, Presence
from callcenter.domain.recordings import PauseReason, RecordingKind, RecordingState


class Shape(BaseModel):
    """Base of everything the API answers: closed, unchangeable, made from rows or values."""

    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True, populate_by_name=True)


class CallerNumber(Shape):
    """Who called. ``number`` is E.164 and null when withheld, unusable, erased or not for the reader's role."""

    number: str | None
    display: str | None = Field(description="National form, or 'withheld'; null when the role may not see it.")
    withheld: bool


class Timings(Shape):
    """Spans of a call so far, in seconds; ``wrap_up_seconds`` is null until the wrap-up has ended."""

    wait_seconds: float | None = Field(description="From being queued to being connected, or to the end.")
    talk_seconds: float | None
    hold_seconds: float | None
    wrap_up_seconds: float | None


class LegShape(Shape):
    """One connection at the carrier."""

    id: str
    carrier_call_sid: str | None
    role: LegRole
    state: LegState
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None


class OfferShape(Shape):
    """One attempt to ring one receptionist."""

    id: str
    receptionist_id: str | None
    state: OfferState
    reason: OfferReason | None
    created_at: datetime
    ended_at: datetime | None


class PauseShape(Shape):
    """A span in which the recording should be silent; safe only when ``confirmed``."""

    from_at: datetime
    to_at: datetime | None
    reason: PauseReason
    confirmed: bool


class RecordingShape(Shape):
    """A recording; its audio is at ``/recordings/{id}/audio`` while it is stored and has not expired."""

    id: str
    call_id: str
    kind: RecordingKind
    state: RecordingState
    carrier_recording_sid: str | None
    channels: int | None
    duration_seconds: int | None
    size_bytes: int | None
    sha256: str | None
    started_at: datetime
    ended_at: datetime | None
    expires_at: datetime
    held: bool
    carrier_copy_deleted_at: datetime | None
    pauses: list[PauseShape]


class BookingLinkShape(Shape):
    """What the call did to a booking."""

    id: str
    booking_id: str
    action: LinkAction | None
    created_at: datetime


class EventShape(Shape):
    """Something the carrier told us about the call; only what kind, and when."""

    id: str
    turn: int
    kind: str
    occurred_at: datetime | None
    received_at: datetime


class CallShape(Shape):
    """A call as its clinic sees it."""

    id: str
    clinic: str = Field(description="Slug of the clinic.")
    carrier_call_sid: str | None
    from_: CallerNumber = Field(alias="from")
    to: str
    state: CallState
    outcome: Outcome | None = Field(description="Null while the call is live.")
    turn: int
    hold: HoldState
    recording_refused: bool
    started_at: datetime
    queued_at: datetime | None
    connected_at: datetime | None
    ended_at: datetime | None
    ended_by: EndedBy | None
    receptionist_id: str | None
    disposition: Disposition | None
    reason: str | None
    linked: bool = Field(description="Whether the call has a booking link or a disposition.")
    timings: Timings
    legs: list[LegShape]
    offers: list[OfferShape]
    recordings: list[RecordingShape]
    booking_links: list[BookingLinkShape]
    events: list[EventShape]


class CallPage(Shape):
    """Calls, newest first. ``next`` is the cursor of the next page, or null."""

    items: list[CallShape]
    next: str | None


class SearchPage(CallPage):
    """As CallPage; ``search`` stands for the criteria in addresses, so that no number or name has to."""

    search: str


class ReceptionistShape(Shape):
    """A receptionist at work. ``identity`` is her softphone's name at the carrier."""

    id: str
    email: str
    name: str
    identity: str
    presence: Presence
    presence_reason: str | None
    activity: Activity
    reachable: bool = Field(description="Whether her softphone has shown a sign of life in the last 30 seconds.")
    current_call_id: str | None
    wrap_up_ends_at: datetime | None
    clinics: list[str] = Field(description="Slugs of the clinics she answers for, as far as the reader may see them.")
