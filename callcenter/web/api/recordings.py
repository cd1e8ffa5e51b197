"""Recordings and their audio, streamed through the app so that none of it is heard after its expiry."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.types import ResponseDict
from pydantic import Field
from werkzeug.datastructures import ContentRange
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.http import parse_range_header

from callcenter import clock
from callcenter.db import reading, transaction
from callcenter.domain.permissions import Permission
from callcenter.domain.recordings import Purpose
from callcenter.services import call_log, playback
from callcenter.services.playback import Audio
from callcenter.services.shapes import RecordingShape
from callcenter.web.api.answers import answer, viewed
from callcenter.web.api.documents import CONFLICT, GONE, group, refusals
from callcenter.web.api.inputs import Id, Input
from callcenter.web.auth import actor, needs
from callcenter.web.errors import problem
from callcenter.web.parts import parts

api: APIBlueprint = group("recordings", "Recordings, and listening to them for a stated purpose.")

_WAV = {"content": {"audio/wav": {"schema": {"type": "string", "format": "binary"}}}}
AUDIO: ResponseDict = {
    200: {"description": "The whole recording.", **_WAV},
    206: {"description": "The part that Range asked for.", **_WAV},
    **CONFLICT,
    **GONE,
    **refusals(416, 429),
}


class RecordingPath(Input):
    """Which recording."""

    recording_id: Id


class AudioQuery(Input):
    """Why somebody listens: without a purpose there is no audio (P8)."""

    purpose: Purpose | None = Field(None, description="Required; without it the answer is 400.")


@api.get("/recordings/<opaque:recording_id>", responses={200: RecordingShape})
@needs(Permission.READ_CALLS)
def get_recording(path: RecordingPath) -> Response:
    """One recording, without its audio."""
    with transaction(parts().engine, wake=False) as session:
        recording = call_log.find_recording(session, actor(), path.recording_id)
        viewed(session, "recording.viewed", "recording", recording.id, recording.clinic_id)
        shape = call_log.get_recording(session, actor(), recording.id)
    return answer(shape)


@api.get("/recordings/<opaque:recording_id>/audio", responses=AUDIO)
@needs(Permission.READ_PERSONAL_DATA)
def get_audio(path: RecordingPath, query: AudioQuery) -> Response:
    """The audio as WAV, whole or in part (Range: bytes). Until it expires, and never after."""
    if query.purpose is None:
        return problem(400, "purpose_required", f"Say why you listen: purpose={' | '.join(Purpose)}.")
    with transaction(parts().engine, wake=False) as session:
        now = playback.latest_now(session)
        audio = playback.allow_listening(session, actor(), path.recording_id, query.purpose, now=now)
    return _send(audio, query.purpose, behind=now - clock.now())


def _send(audio: Audio, purpose: Purpose, *, behind: timedelta) -> Response:
    start, end, partial = _asked_for(audio.size_bytes)
    response = Response(_bytes(audio, purpose, start, end, behind), 206 if partial else 200, mimetype="audio/wav")
    response.content_length = end - start + 1
    response.accept_ranges = "bytes"
    if partial:
        response.content_range = ContentRange("bytes", start, end + 1, audio.size_bytes)
    response.headers["Content-Disposition"] = f'inline; filename="recording-{audio.recording_id}.wav"'
    return response


def _bytes(audio: Audio, purpose: Purpose, start: int, end: int, behind: timedelta) -> Iterator[bytes]:
    """The stream, begun: a store that does not answer is an answer of its own and not a broken transfer. ``behind`` is
    how far this host's clock is behind the time that counts."""
    if request.method == "HEAD" or end < start:
        return iter(())
    engine, listener = parts().engine, actor()  # the stream outlives the request that knows them

    def ask_again() -> Audio:
        with reading(engine) as session:
            now = playback.latest_now(session)
            return playback.still_allowed(session, listener, audio.recording_id, purpose, now=now)

    def now() -> datetime:
        return clock.now() + behind

    stream = playback.stream(parts().store, audio, start, end, now=now, ask_again=ask_again)
    first = next(stream, b"")
    return chain((first,), stream)


def _asked_for(size: int) -> tuple[int, int, bool]:
    """First and last byte, and whether that is only a part. Several ranges at once, or a condition that we cannot
    check (If-Range: we give no validators), are answered with everything."""
    wanted = parse_range_header(request.headers.get("Range"))
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1 or "If-Range" in request.headers:
        return 0, size - 1, False
    first = wanted.ranges[0][0]
    if first is not None and -first > size:
        return 0, size - 1, True  # the last n bytes of fewer than n are all of them (RFC 9110 §14.1.2)
    span = wanted.range_for_length(size)
    if span is None:
        raise RequestedRangeNotSatisfiable(size)
    return span[0], span[1] - 1, True
