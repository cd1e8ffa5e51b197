"""Notifications about legs and conferences. They may be lost, late, repeated and in any order; the answer is empty."""

from collections.abc import Callable

from flask import Blueprint, Response
from sqlalchemy.orm import Session

from callcenter.carrier import callbacks, urls
from callcenter.services import carrier_reports
from webhooks.door import the_door, the_fields, the_offer, the_place
from webhooks.errors import answer_notifications

blueprint = Blueprint("status", __name__)
answer_notifications(blueprint)


@blueprint.post(urls.STATUS)
def caller_leg() -> Response:
    """A call to a clinic's number is over."""
    door, report = the_door(), callbacks.parse_leg(the_fields())
    if report is None:
        return Response(status=204)
    return noted(lambda session: carrier_reports.caller_leg_reported(session, report, **door.common()))


@blueprint.post(urls.OFFER_STATUS)
def receptionist_leg(offer_id: str) -> Response:
    """A receptionist's leg rings, is answered or is over."""
    door, offer, report = the_door(), the_offer(), callbacks.parse_leg(the_fields())
    if report is None:
        return Response(status=204)
    return noted(lambda session: carrier_reports.offer_leg_reported(session, offer, report, **door.common()))


@blueprint.post(urls.CONFERENCE_STATUS)
def conference(call_id: str, turn: str) -> Response:
    """Somebody joined, left or was held, or the conference began or ended."""
    door, place, event = the_door(), the_place(), callbacks.parse_conference(the_fields())
    if event is None:
        return Response(status=204)
    return noted(
        lambda session: carrier_reports.conference_reported(session, place.call_id, place.turn, event, **door.common())
    )


def noted(note: Callable[[Session], None]) -> Response:
    """Write it down in one transaction; 204."""
    the_door().transact(note)
    return Response(status=204)
