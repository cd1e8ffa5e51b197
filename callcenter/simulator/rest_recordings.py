"""REST: Recordings of calls, and their media."""

import asyncio
from typing import Any

from aiohttp import web

from callcenter.simulator import recordings
from callcenter.simulator.media import mono_wav
from callcenter.simulator.model import Hook, Recording
from callcenter.simulator.rest import Ask, Reply, RestError, Route, not_found, not_in_progress
from callcenter.simulator.rest_calls import in_period, the_leg
from callcenter.simulator.timing import rfc2822


def describe(ask: Ask, recording: Recording, *, true_status: bool = False) -> dict[str, Any]:
    """A recording as Twilio shows it. While it runs a fetch only says `processing`; an update tells the truth."""
    status = "processing" if recording.live and not true_status else recording.status
    uri = f"{ask.uri_base}/Recordings/{recording.sid}"
    return {
        "sid": recording.sid,
        "account_sid": ask.carrier.settings.account_sid,
        "call_sid": recording.leg.sid,
        "conference_sid": None,
        "api_version": "2010-04-01",
        "date_created": rfc2822(recording.created_at),
        "date_updated": rfc2822(recording.updated_at),
        "start_time": rfc2822(recording.created_at),
        "duration": str(recording.duration),
        "channels": recording.channels,
        "source": recording.source,
        "track": recording.track,
        "status": status,
        "error_code": recording.error_code,
        "price": None,
        "price_unit": "USD",
        "encryption_details": None,
        "media_url": recordings.url(ask.carrier, recording),
        "uri": uri + ".json",
        "subresource_uris": {},
    }


def _the_recording(ask: Ask) -> Recording:
    recording = ask.carrier.recordings.get(ask.part("recording_sid"))
    hidden = recording and recording.status == "deleted" and ask.query("IncludeSoftDeleted").lower() != "true"
    if recording is None or hidden:
        raise not_found(f"/Recordings/{ask.part('recording_sid')}")
    return recording


async def create(ask: Ask) -> Reply:
    """POST /Calls/{sid}/Recordings: record a call that is in progress."""
    leg = the_leg(ask)
    ask.only(
        *("RecordingStatusCallback", "RecordingStatusCallbackMethod", "RecordingStatusCallbackEvent"),
        *("Trim", "RecordingChannels", "RecordingTrack"),
    )
    if leg.status != "in-progress":
        raise not_in_progress()
    hook = None
    if ask.url("RecordingStatusCallback"):
        events = frozenset(ask.form.getall("RecordingStatusCallbackEvent", ["completed"]))
        hook = Hook(ask.text("RecordingStatusCallback"), ask.method("RecordingStatusCallbackMethod"), events)
    recording = recordings.start(
        ask.carrier,
        leg,
        source="StartCallRecordingAPI",
        channels=2 if ask.text("RecordingChannels", "mono") == "dual" else 1,
        trim=ask.text("Trim", "do-not-trim"),
        track=ask.text("RecordingTrack", "both"),
        hook=hook,
    )
    return web.json_response(describe(ask, recording, true_status=True), status=201)


async def update(ask: Ask) -> Reply:
    """POST /Calls/{sid}/Recordings/{sid or Twilio.CURRENT}: pause, resume, stop."""
    leg = the_leg(ask)
    ask.only("Status", "PauseBehavior")
    running = [recording for recording in ask.carrier.recordings_of(leg) if recording.live]
    if ask.part("recording_sid") == "Twilio.CURRENT":
        if len(running) != 1:
            raise RestError(404, 20404, f"Twilio.CURRENT: {len(running)} recordings are active")
        recording = running[0]
    else:
        recording = _the_recording(ask)
    if recording not in running:
        raise RestError(400, 21220, "Recording is not in progress and cannot be updated")
    status, behaviour = ask.text("Status"), ask.text("PauseBehavior", "silence")
    if behaviour not in ("skip", "silence") or ("PauseBehavior" in ask.form and status != "paused"):
        raise RestError(400, 20001, "PauseBehavior skip or silence goes only with Status=paused")
    if status == "paused" and recording.status != "paused":
        recordings.pause(ask.carrier, recording, behaviour)
    elif status == "in-progress" and recording.status == "paused":
        recordings.resume(ask.carrier, recording)
    elif status == "stopped":
        recordings.stop(ask.carrier, recording)
        return describe(ask, recording, true_status=True) | {"status": "stopped"}
    elif status not in ("paused", "in-progress"):
        raise RestError(400, 20001, f"Status {status} is not allowed")
    return describe(ask, recording, true_status=True)


async def fetch(ask: Ask) -> Reply:
    """GET /Recordings/{sid}."""
    return describe(ask, _the_recording(ask))


async def listing(ask: Ask) -> Reply:
    """GET /Recordings and /Calls/{sid}/Recordings, newest first; deleted ones only on request."""
    deleted_too = ask.query("IncludeSoftDeleted").lower() == "true"
    call_sid = ask.request.match_info.get("call_sid") or ask.query("CallSid")
    if ask.query("ConferenceSid"):
        return ask.page("recordings", [], lambda r: describe(ask, r))
    found = [
        recording
        for recording in reversed(ask.carrier.recordings.values())
        if (not call_sid or recording.leg.sid == call_sid)
        and (deleted_too or recording.status != "deleted")
        and in_period(ask, "DateCreated", recording.created_at)
    ]
    return ask.page("recordings", found, lambda r: describe(ask, r), lambda r: r.created_at.isoformat())


async def remove(ask: Ask) -> Reply:
    """DELETE /Recordings/{sid}: only when completed; afterwards 404."""
    recording = _the_recording(ask)
    if recording.status == "deleted":
        raise not_found(f"/Recordings/{recording.sid}")
    if recording.status not in ("completed", "absent"):
        raise RestError(409, 20009, "Recording is not completed yet and cannot be deleted")
    recordings.delete(recording)
    return web.Response(status=204)


async def media(ask: Ask) -> Reply:
    """GET /Recordings/{sid}.wav: the file; RequestedChannels=2 of a mono recording is 400 with 16113."""
    recording = _the_recording(ask)
    if recording.file is None:
        raise not_found(f"/Recordings/{recording.sid}.wav")
    wanted = ask.query("RequestedChannels", "1")
    if wanted == "2" and recording.channels == 1:
        raise RestError(400, 16113, "Requested channels are not available for this recording")
    loop = asyncio.get_running_loop()
    body = await loop.run_in_executor(None, recording.file.read_bytes)
    if wanted == "1" and recording.channels == 2:
        body = await loop.run_in_executor(None, mono_wav, body)
    return web.Response(body=body, content_type="audio/x-wav")


ROUTES: list[Route] = [
    ("POST", "/Calls/{call_sid:CA[0-9a-f]{32}}/Recordings.json", create),
    ("GET", "/Calls/{call_sid:CA[0-9a-f]{32}}/Recordings.json", listing),
    ("POST", "/Calls/{call_sid:CA[0-9a-f]{32}}/Recordings/{recording_sid}.json", update),
    ("GET", "/Calls/{call_sid:CA[0-9a-f]{32}}/Recordings/{recording_sid:RE[0-9a-f]{32}}.json", fetch),
    ("DELETE", "/Calls/{call_sid:CA[0-9a-f]{32}}/Recordings/{recording_sid:RE[0-9a-f]{32}}.json", remove),
    ("GET", "/Recordings.json", listing),
    ("GET", "/Recordings/{recording_sid:RE[0-9a-f]{32}}.json", fetch),
    ("DELETE", "/Recordings/{recording_sid:RE[0-9a-f]{32}}.json", remove),
    ("GET", "/Recordings/{recording_sid:RE[0-9a-f]{32}}.wav", media),
]
