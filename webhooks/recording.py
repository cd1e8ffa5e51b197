"""Notifications about recordings: only they say that the sound exists (twilio-voice §6.4)."""

from flask import Blueprint, Response

from callcenter.carrier import callbacks, urls
from callcenter.services import carrier_reports
from webhooks.door import the_door, the_fields, the_recording
from webhooks.errors import answer_notifications
from webhooks.status import noted

blueprint = Blueprint("recording", __name__)
answer_notifications(blueprint)


@blueprint.post(urls.RECORDING)
def recording(recording_id: str) -> Response:
    """A recording has begun, is complete or will never be. The address of the sound in it is not looked at (S9)."""
    door, ours, report = the_door(), the_recording(), callbacks.parse_recording(the_fields())
    if report is None:
        return Response(status=204)
    return noted(lambda session: carrier_reports.recording_reported(session, ours, report, **door.common()))
