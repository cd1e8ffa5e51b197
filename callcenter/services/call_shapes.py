"""From rows to the contract's shapes: a page of calls takes a handful of queries, however many calls it has."""

from collections import defaultdict
from collections.abc import Sequence
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
    Timings,
)

PartOfCall = TypeVar("PartOfCall", CallLeg, Offer, BookingLink, CarrierEvent)

AS_IN_ROW = (
    *("id", "carrier_call_sid", "state", "outcome", "turn", "hold", "receptionist_id", "disposition"),
    *("started_at", "queued_at", "connected_at", "ended_at", "ended_by"),
)


def shape_calls(session: Session, actor: Actor, calls: Sequence[Call], *, now: datetime) -> list[CallShape]:
    """The calls with everything that hangs on them; who called is left out when the actor's role may not see it."""
    ids = [call.id for call in calls]
    clinic_ids = {call.clinic_id for call in calls}
    of_clinics = session.execute(select(Clinic.id, Clinic.slug).where(Clinic.id.in_(clinic_ids)))
    slugs = {clinic_id: slug for clinic_id, slug in of_clinics}  # noqa: C416 - a row is not a pair to the type checker
    legs = _parts(session, CallLeg, ids, CallLeg.started_at)
    offers = _parts(session, Offer, ids, Offer.created_at)
    links = _parts(session, BookingLink, ids, BookingLink.created_at)
    events = _parts(session, CarrierEvent, ids, CarrierEvent.received_at)
    recordings = _recordings(session, ids)
    full = can(actor, Permission.READ_PERSONAL_DATA)
    return [
        CallShape(
            **_of_row(call, full=full, now=now),
            clinic=slugs[call.clinic_id],
            linked=call.disposition is not None or bool(links[call.id]),
            legs=[LegShape.model_validate(leg) for leg in legs[call.id]],
            offers=[OfferShape.model_validate(offer) for offer in offers[call.id]],
            recordings=recordings[call.id],
            booking_links=[BookingLinkShape.model_validate(link) for link in links[call.id]],
            events=[EventShape.model_validate(event) for event in events[call.id]],
        )
        for call in calls
    ]


def shape_recordings(session: Session, recordings: Sequence[Recording]) -> list[RecordingShape]:
    """The recordings with their pauses."""
    pauses: defaultdict[str, list[PauseShape]] = defaultdict(list)
    ids = [recording.id for recording in recordings]
    found = select(RecordingPause).where(RecordingPause.recording_id.in_(ids)).order_by(RecordingPause.from_at)
    for pause in session.scalars(found):
        pauses[pause.recording_id].append(PauseShape.model_validate(pause))
    own = RecordingShape.model_fields.keys() - {"pauses"}
    return [
        RecordingShape(**{name: getattr(recording, name) for name in own}, pauses=pauses[recording.id])
        for recording in recordings
    ]


def _recordings(session: Session, call_ids: list[str]) -> dict[str, list[RecordingShape]]:
    found = select(Recording).where(Recording.call_id.in_(call_ids)).order_by(Recording.started_at, Recording.id)
    grouped: defaultdict[str, list[RecordingShape]] = defaultdict(list)
    for recording in shape_recordings(session, session.scalars(found).all()):
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
        **{name: getattr(call, name) for name in AS_IN_ROW},
        "from": _caller_number(call, full=full),
        "to": call.to_number,
        "recording_refused": call.recording_refused_at is not None,
        "reason": call.disposition_reason if full else None,
        "timings": _timings(call, now),
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
