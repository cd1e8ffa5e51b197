"""Reading the call log: calls and recordings in an actor's view, as the contract shapes (P6, P19, P34, S12, S13)."""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, TextClause, and_, exists, false, or_, select, text
from sqlalchemy.orm import Session

from callcenter.domain.calls import OPEN_OFFER_STATES, OfferState, Outcome
from callcenter.domain.permissions import Actor
from callcenter.domain.receptionists import Role
from callcenter.errors import Forbidden, NotFound
from callcenter.models import BookingLink, Call, Caller, Offer, Recording, Search
from callcenter.services.access import in_view
from callcenter.services.call_shapes import shape_calls, shape_recordings
from callcenter.services.paging import Page, after, check_limit, page_of, read_cursor
from callcenter.services.shapes import CallShape, RecordingShape

SEARCH_KEPT_FOR = timedelta(hours=24)
"""How long a search id can be used; it holds personal data."""
# Written as in the partial index: SQLite uses that only when it sees the same words.
_NEEDS_LINK = text("calls.needs_link")


@dataclass(frozen=True)
class Criteria:
    """What to look for in the call log; None means any. ``clinic_id`` is one in the actor's view, ``number`` is E.164.

    ``linked`` False is the unlinked list: answered calls with neither booking link nor disposition.
    """

    clinic_id: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None
    outcome: Outcome | None = None
    receptionist_id: str | None = None
    linked: bool | None = None
    number: str | None = None
    text: str | None = None


def list_calls(
    session: Session, actor: Actor, criteria: Criteria, *, limit: int, cursor: str | None, now: datetime
) -> Page[CallShape]:
    """A page of the calls in view, newest first. Raises BadInput for a bad cursor or limit."""
    position = read_cursor(cursor)
    statement = select(Call).where(_calls_in_view(actor), *_conditions(criteria))
    if position is not None:
        statement = statement.where(after(position, Call.started_at, Call.id, newest_first=True))
    statement = statement.order_by(Call.started_at.desc(), Call.id.desc()).limit(check_limit(limit) + 1)
    page = page_of(session.scalars(statement).all(), limit, key=lambda call: (call.started_at, call.id))
    return Page(shape_calls(session, actor, page.items, now=now), page.next)


def get_call(session: Session, actor: Actor, call_id: str, *, now: datetime) -> CallShape:
    """One call in view. Raises NotFound, also for a foreign one."""
    return shape_calls(session, actor, [find_call(session, actor, call_id)], now=now)[0]


def find_call(session: Session, actor: Actor, call_id: str) -> Call:
    """The row of a call in view, for whoever wants to do something with it. Raises NotFound."""
    call = session.scalar(select(Call).where(Call.id == call_id, _calls_in_view(actor)))
    if call is None:
        raise NotFound("There is no such call.")
    return call


def find_handled_call(session: Session, actor: Actor, call_id: str) -> Call:
    """As ``find_call``, for more than looking: of a call that was only offered to her, a receptionist has the sight
    and nothing else until she answers it (P19). Raises NotFound and Forbidden."""
    call = find_call(session, actor, call_id)
    if _sees_own_calls_only(actor) and not _is_handled(session, actor, call):
        raise Forbidden("This call was not answered by you; answer it first.")
    return call


def get_recording(session: Session, actor: Actor, recording_id: str) -> RecordingShape:
    """One recording of a call in view. Raises NotFound."""
    recording = find_recording(session, actor, recording_id)
    return shape_recordings(session, actor, [recording])[0]


def find_recording(session: Session, actor: Actor, recording_id: str) -> Recording:
    """The row of a recording of a call in view. Raises NotFound."""
    of_call = select(Recording).join(Call, Call.id == Recording.call_id)
    recording = session.scalar(of_call.where(Recording.id == recording_id, _calls_in_view(actor)))
    if recording is None:
        raise NotFound("There is no such recording.")
    return recording


def list_recordings(
    session: Session, actor: Actor, call_id: str | None = None, *, limit: int = 50
) -> list[RecordingShape]:
    """The newest recordings in view, of one call or of all."""
    statement = select(Recording).join(Call, Call.id == Recording.call_id).where(_calls_in_view(actor))
    if call_id is not None:
        statement = statement.where(Recording.call_id == call_id)
    newest_first = statement.order_by(Recording.started_at.desc(), Recording.id.desc())
    return shape_recordings(session, actor, session.scalars(newest_first.limit(check_limit(limit))).all())


def clinics_of_calls(session: Session, call_ids: Collection[str]) -> set[str]:
    """Ids of the clinics whose calls these are: each has an access log of its own (P21)."""
    return set(session.scalars(select(Call.clinic_id).where(Call.id.in_(call_ids))))


def remember_search(session: Session, actor: Actor, criteria: Criteria, *, now: datetime) -> Search:
    """Keep the criteria under an opaque id for a day, for the one who searched (no personal data in addresses)."""
    values = {name: _plain(value) for name, value in asdict(criteria).items() if value is not None}
    search = Search(
        clinic_id=criteria.clinic_id,
        owner_id=actor.actor_id,
        criteria=values,
        created_at=now,
        expires_at=now + SEARCH_KEPT_FOR,
    )
    session.add(search)
    session.flush()
    return search


def recall_search(session: Session, actor: Actor, search_id: str, *, now: datetime) -> Criteria:
    """The criteria of an own search that has not expired. Raises NotFound."""
    search = session.get(Search, search_id)
    if search is None or search.owner_id != actor.actor_id or search.expires_at <= now:
        raise NotFound("There is no such search.")
    criteria = Criteria(**search.criteria)
    return replace(
        criteria,
        from_at=datetime.fromisoformat(search.criteria["from_at"]) if criteria.from_at else None,
        to_at=datetime.fromisoformat(search.criteria["to_at"]) if criteria.to_at else None,
        outcome=Outcome(criteria.outcome) if criteria.outcome else None,
    )


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _calls_in_view(actor: Actor) -> ColumnElement[bool]:
    """Calls of the actor's clinics; a receptionist's are those she handled or is being offered (P19)."""
    in_clinics = in_view(actor, Call.clinic_id)
    if not _sees_own_calls_only(actor):
        return in_clinics
    return and_(in_clinics, or_(_handled_by(actor), _offer_to(actor, *OPEN_OFFER_STATES)))


def _is_handled(session: Session, actor: Actor, call: Call) -> bool:
    return session.scalar(select(Call.id).where(Call.id == call.id, _handled_by(actor))) is not None


def _sees_own_calls_only(actor: Actor) -> bool:
    return actor.role == Role.RECEPTIONIST and not actor.unlimited


def _handled_by(actor: Actor) -> ColumnElement[bool]:
    """Calls that are with her, or that she answered in an earlier turn."""
    if actor.user_id is None:
        return false()
    return or_(Call.receptionist_id == actor.user_id, _offer_to(actor, OfferState.ACCEPTED))


def _offer_to(actor: Actor, *states: OfferState) -> ColumnElement[bool]:
    return exists().where(Offer.call_id == Call.id, Offer.receptionist_id == actor.user_id, Offer.state.in_(states))


def _conditions(criteria: Criteria) -> Iterable[ColumnElement[bool] | TextClause]:
    yield from _equal(criteria)
    if criteria.from_at is not None:
        yield Call.started_at >= criteria.from_at
    if criteria.to_at is not None:
        yield Call.started_at < criteria.to_at
    if criteria.linked is False:
        yield _NEEDS_LINK
    if criteria.linked is True:
        yield or_(Call.disposition.is_not(None), exists().where(BookingLink.call_id == Call.id))
    if criteria.text is not None:
        named = exists().where(Caller.id == Call.caller_id, Caller.name.icontains(criteria.text, autoescape=True))
        yield or_(named, Call.disposition_reason.icontains(criteria.text, autoescape=True))


def _equal(criteria: Criteria) -> Iterable[ColumnElement[bool]]:
    wanted = (
        (Call.clinic_id, criteria.clinic_id),
        (Call.outcome, criteria.outcome),
        (Call.receptionist_id, criteria.receptionist_id),
        (Call.from_number, criteria.number),
    )
    return (column == value for column, value in wanted if value is not None)
