"""Buttons of a live call. Each notes what is wanted and answers 202; the worker tells the carrier."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.types import ResponseDict
from pydantic import Field
from sqlalchemy.orm import Session

from callcenter import clock
from callcenter.db import transaction
from callcenter.domain.permissions import Permission
from callcenter.domain.receptionists import Role
from callcenter.domain.recordings import PauseReason
from callcenter.errors import Forbidden
from callcenter.models import Call
from callcenter.services import call_log, recordings
from callcenter.services.call_actions import request_hang_up, request_hold
from callcenter.services.shapes import CallShape
from callcenter.web.api.answers import answer, viewed
from callcenter.web.api.calls import CallPath
from callcenter.web.api.documents import CONFLICT, group
from callcenter.web.api.inputs import OptionalBody
from callcenter.web.auth import actor, needs
from callcenter.web.parts import parts

Request = Callable[[Session, str, datetime], Call]

api: APIBlueprint = group("call actions", "Hold, hang up, and what is recorded of a live call.")
ACCEPTED: ResponseDict = {202: CallShape, **CONFLICT}


class PauseInput(OptionalBody):
    """Why recording is paused by a person: card details are being said."""

    reason: Literal["card"] = Field("card")


@api.post("/calls/<opaque:call_id>/hold", responses=ACCEPTED)
@needs(Permission.CALL_ACTIONS)
def hold(path: CallPath) -> Response:
    """Put the caller on hold; ``hold`` says requested, then held."""
    return _act(path, "call.held", lambda session, call, now: request_hold(session, call, held=True, now=now))


@api.post("/calls/<opaque:call_id>/unhold", responses=ACCEPTED)
@needs(Permission.CALL_ACTIONS)
def unhold(path: CallPath) -> Response:
    """Take the caller back."""
    return _act(path, "call.unheld", lambda session, call, now: request_hold(session, call, held=False, now=now))


@api.post("/calls/<opaque:call_id>/hang-up", responses=ACCEPTED)
@needs(Permission.CALL_ACTIONS)
def hang_up(path: CallPath) -> Response:
    """End the call."""
    return _act(path, "call.hung_up", lambda session, call, now: request_hang_up(session, call, now=now))


@api.post("/calls/<opaque:call_id>/recording/pause", responses=ACCEPTED)
@needs(Permission.CALL_ACTIONS)
def pause_recording(path: CallPath, body: PauseInput) -> Response:
    """Make the recording silent. Safe only when the pause's ``confirmed`` is true."""
    reason = PauseReason(body.reason)
    return _act(
        path, "recording.paused", lambda session, call, now: recordings.request_pause(session, call, reason, now=now)
    )


@api.post("/calls/<opaque:call_id>/recording/resume", responses=ACCEPTED)
@needs(Permission.CALL_ACTIONS)
def resume_recording(path: CallPath, body: PauseInput) -> Response:
    """Take the reason back; another reason, such as a hold, keeps the recording paused."""
    reason = PauseReason(body.reason)
    return _act(
        path, "recording.resumed", lambda session, call, now: recordings.request_resume(session, call, reason, now=now)
    )


@api.post("/calls/<opaque:call_id>/recording/refuse", responses=ACCEPTED)
@needs(Permission.CALL_ACTIONS)
def refuse_recording(path: CallPath) -> Response:
    """Do not record this call: what exists is deleted, nothing is stored."""
    return _act(
        path, "recording.refused", lambda session, call, now: recordings.refuse(session, call, "receptionist", now=now)
    )


def _act(path: CallPath, action: str, request: Request) -> Response:
    """Find the call, ask whether it is hers to act on, note the request."""
    now = clock.now()
    with transaction(parts().engine) as session:
        call = call_log.find_call(session, actor(), path.call_id)
        if actor().role == Role.RECEPTIONIST and call.receptionist_id != actor().user_id:
            raise Forbidden("This call is with another receptionist, or with nobody yet.")
        request(session, call.id, now)
        viewed(session, action, "call", call.id, call.clinic_id)
        shape = call_log.get_call(session, actor(), call.id, now=now)
    return answer(shape, 202)
