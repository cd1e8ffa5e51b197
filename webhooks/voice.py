"""Control addresses: the carrier asks, with a caller or receptionist on the line, what a leg should do next."""

from collections.abc import Callable

from flask import Blueprint, Response
from sqlalchemy.orm import Session

from callcenter.carrier import callbacks, urls
from callcenter.carrier.callbacks import QueueEnd
from callcenter.carrier.twiml import CallPlace
from callcenter.crash_points import crash_point
from callcenter.domain.steps import SayAndHangUp, Step
from callcenter.logs import log
from callcenter.models import Call
from callcenter.services import calls
from webhooks.door import Common, the_door, the_fields, the_offer, the_place
from webhooks.errors import answer_callers, document, way_out
from webhooks.snapshot import STALE_AFTER_SECONDS

blueprint = Blueprint("voice", __name__)
answer_callers(blueprint)


@blueprint.post(urls.INCOMING)
def incoming() -> Response:
    """A caller has dialled a clinic's number. Nobody's number: one sentence, and the end."""
    door, call = the_door(), callbacks.parse_incoming(the_fields())
    received = door.receive(call)
    if received is None:
        log("webhooks").warning("unknown_number")
        return document(door.twiml.write(SayAndHangUp((door.settings.voice.prompt("unknown_number"),))))
    crash_point("incoming.committed")
    if door.snapshot.is_older_than(STALE_AFTER_SECONDS):
        door.refresher.wake()
    place = CallPlace(received.call_id, received.turn) if received.call_id else None
    return document(door.twiml.write(received.step, place, own_number=call.to_number))


@blueprint.post(urls.FALLBACK)
def fallback() -> Response:
    """The carrier could not use our answer to something else. Answered without the database, always."""
    door, fields = the_door(), the_fields()
    log("webhooks").error("fallback_used", carrier_code=fields.get("ErrorCode"))
    number = callbacks.dialled_number(fields)
    step = door.snapshot.way_out(number, greet=not callbacks.is_answered(fields))
    return document(door.twiml.write(step, own_number=number))


@blueprint.post(urls.CALL + "next")
def next_step(call_id: str, turn: str) -> Response:
    """What now?"""
    return _about_call(lambda session, place, common: calls.next_step(session, *place, **common))


@blueprint.post(urls.CALL + "again")
def again(call_id: str, turn: str) -> Response:
    """The same after a first failure; a second one forwards the caller."""
    return _about_call(lambda session, place, common: calls.next_step(session, *place, **common))


@blueprint.post(urls.CALL + "queued")
def queued(call_id: str, turn: str) -> Response:
    """The caller is out of the queue, whatever the reason."""
    end = callbacks.parse_queue_end(the_fields())
    if end is QueueEnd.GONE:
        return _about_call(lambda session, place, common: calls.left_line(session, place[0], now=common["now"]))
    if end is QueueEnd.FAILED:
        # Asking for the next step would greet the caller and try the same queue again, without end.
        log("webhooks").error("queue_failed", call_id=call_id)
        return document(way_out())
    return _about_call(lambda session, place, common: calls.next_step(session, *place, **common))


@blueprint.post(urls.CALL + "wait")
def wait(call_id: str, turn: str) -> Response:
    """One round in the queue; the first proves that greeting and notice were heard."""
    queue_sid = callbacks.parse_wait(the_fields())
    return _about_call(
        lambda session, place, common: calls.wait_step(session, *place, carrier_queue_sid=queue_sid, **common)
    )


@blueprint.post(urls.CALL + "key")
def key(call_id: str, turn: str) -> Response:
    """A waiting caller pressed a key."""
    digits = callbacks.parse_digits(the_fields())
    return _about_call(lambda session, place, common: calls.key_pressed(session, *place, digits, **common))


@blueprint.post(urls.CALL + "consent")
def consent(call_id: str, turn: str) -> Response:
    """A caller who refused recording was asked before leaving a message; no key is a no."""
    digits = callbacks.parse_digits(the_fields())
    return _about_call(lambda session, place, common: calls.message_consent(session, *place, digits, **common))


@blueprint.post(urls.CALL + "message")
def message(call_id: str, turn: str) -> Response:
    """The caller has spoken a message, or nothing."""
    seconds = callbacks.parse_record_action(the_fields())
    return _about_call(
        lambda session, place, common: calls.message_recorded(session, *place, recording_seconds=seconds, **common)
    )


@blueprint.post(urls.CALL + "hold")
def hold(call_id: str, turn: str) -> Response:
    """What a caller on hold hears."""
    return _about_call(lambda session, place, common: calls.hold_step(session, *place, **common))


@blueprint.post(urls.OFFER + "answer")
def answer(offer_id: str) -> Response:
    """A receptionist has answered, which accepts the offer."""
    sid, offer = callbacks.parse_call_sid(the_fields()), the_offer()
    return _about_offer(lambda session, common: calls.receptionist_step(session, offer, carrier_call_sid=sid, **common))


@blueprint.post(urls.OFFER + "next")
def after_talk(offer_id: str) -> Response:
    """A receptionist's leg has left its conference."""
    offer = the_offer()
    return _about_offer(lambda session, common: calls.receptionist_next(session, offer, **common))


def _about_call(ask: Callable[[Session, tuple[str, int], Common], Step]) -> Response:
    """The document of the step that ``ask`` answers, with addresses of the turn the call is in by then."""
    door, asked = the_door(), the_place()

    def work(session: Session) -> tuple[Step, CallPlace]:
        step = ask(session, (asked.call_id, asked.turn), door.common())
        call = session.get(Call, asked.call_id)
        return step, CallPlace(call.id, call.turn) if call else asked

    step, place = door.transact(work)
    return document(door.twiml.write(step, place, own_number=callbacks.dialled_number(the_fields())))


def _about_offer(ask: Callable[[Session, Common], Step]) -> Response:
    door = the_door()
    step = door.transact(lambda session: ask(session, door.common()))
    return document(door.twiml.write(step))
