"""From rows to the contract's shapes: a page of calls takes a handful of queries, however many calls it has."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from callcenter.domain import phone_numbers
from callcenter.domain.permissions import Actor, Permission, can
from callcenter.models import BookingLink, Call, CallLeg, CarrierEvent, Clinic, Offer, Recording, RecordingPause
from callcenter.services.shapes import (
    BookingLinkShape,
    CallerNumber,
    CallShape,
    EventShape,
    LegShape,
    OfferShape,
    PauseShape,
    RecordingShape,
    Shape,
    Timings,
)

PartOfCall = TypeVar("PartOfCall", CallLeg, Offer, BookingLink, CarrierEvent)
AnyShape = TypeVar("AnyShape", bound=Shape)

AS_IN_ROW = (
    *("id", "carrier_call_sid", "state", "outcome", "turn", "hold", "receptionist_id", "disposition"),
    *("started_at", "queued_at", "connected_at", "ended_at", "ended_by"),
)
MORE_THAN_IDS_AND_STATES = frozenset(
    {"carrier_call_sid", "receptionist_id", "disposition", "reason", "action"}
    | {"carrier_recording_sid", "duration_seconds", "size_bytes", "sha256"}
)
"""Fields of all shapes that are null for roles without READ_PERSONAL_DATA (design §6.6)."""
NO_TIMINGS = Timings(wait_seconds=None, talk_seconds=None, hold_seconds=None, wrap_up_seconds=None)


def shape_calls(session: Session, actor: Actor, calls: Sequence[Call], *, now: datetime) -> list[CallShape]:
    """The calls with everything that hangs on them; roles without READ_PERSONAL_DATA see ids and states only."""
    ids = [call.id for call in calls]
    clinic_ids = {call.clinic_id for call in calls}
    of_clinics = session.execute(select(Clinic.id, Clinic.slug).where(Clinic.id.in_(clinic_ids)))
    slugs = {clinic_id: slug for clinic_id, slug in of_clinics}  # noqa: C416 - a row is not a pair to the type checker
    legs = _parts(session, CallLeg, ids, CallLeg.started_at)
    offers = _parts(session, Offer, ids, Offer.created_at)
    links = _parts(session, BookingLink, ids, BookingLink.created_at)
    events = _parts(session, CarrierEvent, ids, CarrierEvent.received_at)
    recordings = _recordings(session, actor, ids)
    full = can(actor, Permission.READ_PERSONAL_DATA)
    return [
        CallShape(
            **_of_row(call, full=full, now=now),
            clinic=slugs[call.clinic_id],
            linked=call.disposition is not None or bool(links[call.id]),
            legs=[_part(LegShape, leg, full=full) for leg in legs[call.id]],
            offers=[_part(OfferShape, offer, full=full) for offer in offers[call.id]],
            recordings=recordings[call.id],
            booking_links=[_part(BookingLinkShape, link, full=full) for link in links[call.id]],
            events=[EventShape.model_validate(event) for event in events[call.id]],
        )
        for call in calls
    ]


def shape_recordings(session: Session, actor: Actor, recordings: Sequence[Recording]) -> list[RecordingShape]:
    """The recordings with their pauses, as far as the actor's role may see them."""
    pauses: defaultdict[str, list[PauseShape]] = defaultdict(list)
    ids = [recording.id for recording in recordings]
    found = select(RecordingPause).where(RecordingPause.recording_id.in_(ids)).order_by(RecordingPause.from_at)
    for pause in session.scalars(found):
        pauses[pause.recording_id].append(PauseShape.model_validate(pause))
    full = can(actor, Permission.READ_PERSONAL_DATA)
    own = RecordingShape.model_fields.keys() - {"pauses"}
    return [
        RecordingShape(**_values(recording, own, full=full), pauses=pauses[recording.id]) for recording in recordings
    ]


def _part(shape: type[AnyShape], row: object, *, full: bool) -> AnyShape:
    return shape(**_values(row, shape.model_fields, full=full))


def _values(row: object, names: Iterable[str], *, full: bool) -> dict[str, Any]:
    return {name: getattr(row, name) if full or name not in MORE_THAN_IDS_AND_STATES else None for name in names}


def _recordings(session: Session, actor: Actor, call_ids: list[str]) -> dict[str, list[RecordingShape]]:
    found = select(Recording).where(Recording.call_id.in_(call_ids)).order_by(Recording.started_at, Recording.id)
    grouped: defaultdict[str, list[RecordingShape]] = defaultdict(list)
    for recording in shape_recordings(session, actor, session.scalars(found).all()):
        grouped[recording.call_id].append(recording)
    return grouped


def _parts(session: Session, kind: type[PartOfCall], call_ids: list[str], at: Any) -> dict[str, list[PartOfCall]]:
    """Rows of one kind by call, in the order of ``at``."""
    grouped: defaultdict[str, list[PartOfCall]] = defaultdict(list)
    for row in session.scalars(select(kind).where(kind.call_id.in_(call_ids)).order_by(at, kind.id)):
        grouped[row.call_id].append(row)
    return grouped


def _of_row(call: Call, *, full: bool, now: datetime) -> dict[str, Any]:
    return {
        **_values(call, AS_IN_ROW, full=full),
        "from": _caller_number(call, full=full),
        "to": call.to_number,
        "recording_refused": call.recording_refused_at is not None,
        "reason": call.disposition_reason if full else None,
        "timings": _timings(call, now) if full else NO_TIMINGS,
    }


def _caller_number(call: Call, *, full: bool) -> CallerNumber:
    withheld = call.from_number is None and call.blanked_at is None
    if not full:
        return CallerNumber(number=None, display=None, withheld=withheld)
    display = None if call.blanked_at is not None else phone_numbers.display(call.from_number)
    return CallerNumber(number=call.from_number, display=display, withheld=withheld)


def _timings(call: Call, now: datetime) -> Timings:
    """Of a live call the spans run on until ``now``."""
    until = call.connected_at or call.ended_at or now
    return Timings(
        wait_seconds=_seconds(call.queued_at, until) if call.queued_at else None,
        talk_seconds=round(call.talk_seconds + _seconds(call.turn_connected_at, now), 3),
        hold_seconds=round(call.hold_seconds + _seconds(call.held_since_at, now), 3),
        wrap_up_seconds=call.wrap_up_seconds,
    )


def _seconds(since: datetime | None, until: datetime) -> float:
    return round(max(0.0, (until - since).total_seconds()), 3) if since else 0.0
