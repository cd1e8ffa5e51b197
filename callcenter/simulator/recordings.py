"""Recordings: start, pause, stop, make the file, tell, delete (twilio-voice.md §6)."""

import asyncio

from callcenter.simulator.carrier import Carrier
from callcenter.simulator.media import RATE, Samples, mono, render, silence, trim_silence, wav_bytes
from callcenter.simulator.model import Hook, Leg, Recording
from callcenter.simulator.timing import rfc2822, utc_now

SHORTEST_SECONDS = 1.0


def start(
    carrier: Carrier,
    leg: Leg,
    *,
    source: str,
    channels: int,
    trim: str,
    track: str = "both",
    name: str = "",
    hook: Hook | None = None,
) -> Recording:
    """Begin to record a leg: channel 1 what its party says, channel 2 what it hears."""
    recording = Recording(leg, source, channels, track, trim, name, hook)
    recording.spans.append((carrier.clock.now(), None, "sound"))
    carrier.recordings[recording.sid] = recording
    leg.note(carrier.clock.now(), "recording", sid=recording.sid, status="in-progress")
    tell(carrier, recording)
    return recording


def _turn(carrier: Carrier, recording: Recording, how: str | None) -> None:
    now = carrier.clock.now()
    began, _, before = recording.spans[-1]
    recording.spans[-1] = (began, now, before)
    if how:
        recording.spans.append((now, None, how))
    recording.updated_at = utc_now()


def pause(carrier: Carrier, recording: Recording, behaviour: str) -> None:
    """Write silence, or nothing (`skip`), until resumed."""
    _turn(carrier, recording, "skip" if behaviour == "skip" else "silence")
    recording.status = "paused"
    recording.leg.note(carrier.clock.now(), "recording", sid=recording.sid, status="paused")


def resume(carrier: Carrier, recording: Recording) -> None:
    """Write sound again."""
    _turn(carrier, recording, "sound")
    recording.status = "in-progress"
    recording.leg.note(carrier.clock.now(), "recording", sid=recording.sid, status="in-progress")


def stop(carrier: Carrier, recording: Recording) -> None:
    """End it; the file follows after the media delay."""
    _turn(carrier, recording, None)
    recording.status = "processing"
    carrier.spawn(_finish(carrier, recording))


def seconds(recording: Recording) -> float:
    """Length before trimming."""
    return sum((to or began) - began for began, to, how in recording.spans if how != "skip")


def _channels(recording: Recording) -> list[Samples]:
    """Runs in a thread: the sound of all spans, trimmed if asked for."""
    tracks = {"inbound": [recording.leg.spoken], "outbound": [recording.leg.heard]}
    wanted = tracks.get(recording.track, [recording.leg.spoken, recording.leg.heard])
    channels = []
    for clips in wanted:
        out = silence(0)
        for began, to, how in recording.spans:
            if how != "skip" and to is not None:
                out.extend(render(clips, began, to) if how == "sound" else silence(to - began))
        channels.append(out)
    length = min(len(channel) for channel in channels)
    channels = [channel[:length] for channel in channels]
    if recording.trim == "trim-silence":
        channels = trim_silence(channels)
    return channels if recording.channels == 2 else [mono(channels)]


async def _finish(carrier: Carrier, recording: Recording) -> None:
    loop = asyncio.get_running_loop()
    channels = await loop.run_in_executor(None, _channels, recording)
    recording.leg.note(carrier.clock.now(), "recording", sid=recording.sid, status="stopped")
    length = len(channels[0]) / RATE
    if length >= SHORTEST_SECONDS:
        recording.channels = len(channels)
        file = carrier.folder / f"{recording.sid}.wav"
        body = await loop.run_in_executor(None, wav_bytes, channels)
        await loop.run_in_executor(None, file.write_bytes, body)
        recording.finished.set()
        await carrier.clock.sleep(carrier.settings.media_delay_seconds)
        recording.file, recording.duration, recording.status = file, int(length), "completed"
    else:
        recording.finished.set()
        recording.status, recording.error_code = "absent", 16101
    recording.updated_at = utc_now()
    leg = recording.leg
    leg.note(carrier.clock.now(), "recording", sid=recording.sid, status=recording.status)
    if not leg.live and all(other.finished.is_set() for other in carrier.recordings_of(leg)):
        leg.spoken.clear()
        leg.heard.clear()
    tell(carrier, recording)


def url(carrier: Carrier, recording: Recording) -> str:
    """RecordingUrl: without extension, at this simulator."""
    settings = carrier.settings
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    base = f"http://{host}:{settings.port}/2010-04-01/Accounts/{settings.account_sid}"
    return f"{base}/Recordings/{recording.sid}"


def tell(carrier: Carrier, recording: Recording) -> None:
    """Send the recording status callback, if its present status is wanted."""
    hook = recording.hook
    if not hook or recording.status not in hook.events:
        return
    params = {
        "AccountSid": carrier.settings.account_sid,
        "CallSid": recording.leg.sid,
        "RecordingSid": recording.sid,
        "RecordingUrl": url(carrier, recording),
        "RecordingStatus": recording.status,
        "RecordingChannels": str(recording.channels),
        "RecordingStartTime": rfc2822(recording.created_at) or "",
        "RecordingSource": recording.source,
        "RecordingTrack": recording.track,
    }
    if recording.status == "completed":
        params["RecordingDuration"] = str(recording.duration)
    if recording.error_code:
        params["ErrorCode"] = str(recording.error_code)
    event = f"recording-{recording.status}"
    carrier.spawn(carrier.outbound.notify(hook.url, hook.method, params, recording.leg.sid, event))


def delete(recording: Recording) -> None:
    """Remove the media for good; the metadata stays as `deleted`."""
    if recording.file:
        recording.file.unlink(missing_ok=True)
    recording.file, recording.status, recording.updated_at = None, "deleted", utc_now()
