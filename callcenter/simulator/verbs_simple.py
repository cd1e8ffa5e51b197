"""Say, Play, Pause, Redirect, Reject, Hangup, Leave, Start and Stop."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from itertools import count
from typing import NoReturn

from callcenter.simulator import recordings, sounds
from callcenter.simulator.carrier import Carrier
from callcenter.simulator.media import RATE, Samples, babble, read_wav, silence, tone
from callcenter.simulator.model import Leg
from callcenter.simulator.outbound import Answer, RequestFailed
from callcenter.simulator.running import DocumentFailed, GoTo, HangUp, LeaveQueue, Rejected, Run
from callcenter.simulator.timing import utc_now
from callcenter.simulator.twiml import Element

_WAV = frozenset({"audio/wav", "audio/wave", "audio/x-wav", "audio/vnd.wave"})
_OTHER_AUDIO = frozenset(
    {"audio/" + name for name in ("mpeg", "aiff", "x-aiff", "x-aifc", "x-gsm", "gsm", "ulaw", "basic")}
)
_MAX_LOOPS = 1000


def _times(verb: Element) -> range:
    loops = verb.number("loop", 1)
    return range(min(loops, _MAX_LOOPS) if loops else _MAX_LOOPS)


async def say(run: Run, verb: Element) -> None:
    """Read the text, as often as `loop` asks; 0 means until the call ends (at most 1000 times)."""
    text = verb.text
    if len(text) > 4096:
        run.alert(13520, "text of <Say> is longer than 4096 characters")
        text = text[:4096]
    for _ in _times(verb):
        await sounds.say(run.carrier, run.leg, text, verb.get("language", "en-US"))


async def play(run: Run, verb: Element) -> None:
    """Fetch a sound once and play it, as often as `loop` asks; or send digits."""
    if verb.get("digits"):
        length = sum({"w": 0.5, "W": 1.0}.get(key, 0.2) for key in verb.get("digits"))
        await sounds.play(run.carrier, run.leg, silence(length), "beep", f"digits {verb.get('digits')}")
        return
    url = run.resolve(verb.text)
    samples = await _fetched(run, url)
    for _ in _times(verb):
        await sounds.play(run.carrier, run.leg, samples, "play", url)


async def _fetched(run: Run, url: str) -> Samples:
    carrier = run.carrier
    kept_until, samples = carrier.played.get(url, (0.0, None))
    if samples is not None and kept_until > utc_now().timestamp():
        return samples
    try:
        answer = await carrier.outbound.media(url, run.leg.sid)
        samples = await _decoded(answer)
    except RequestFailed as failure:
        raise DocumentFailed(failure.code, url, f"<Play>: {failure}") from failure
    except ValueError as error:
        raise DocumentFailed(13420, url, f"<Play>: {error}") from error
    if age := re.search(r"max-age=(\d+)", answer.headers.get("Cache-Control", "")):
        carrier.played[url] = (utc_now().timestamp() + int(age[1]), samples)
    return samples


async def _decoded(answer: Answer) -> Samples:
    if answer.content_type in _WAV:
        return await asyncio.get_running_loop().run_in_executor(None, read_wav, answer.body)
    if answer.content_type in _OTHER_AUDIO:
        return tone(440, max(0.5, len(answer.body) / (2 * RATE)))  # a stand-in as long as 128 kbit/s would be
    raise ValueError(f"content type {answer.content_type or 'missing'} is not played")


async def play_audio(carrier: Carrier, leg: Leg, answer: Answer) -> None:
    """Play an audio body that came in place of a document."""
    try:
        samples = await _decoded(answer)
    except ValueError:
        samples = babble(answer.url)
    await sounds.play(carrier, leg, samples, "play", answer.url)


async def pause(run: Run, verb: Element) -> None:
    """Silence."""
    await sounds.play(run.carrier, run.leg, silence(verb.number("length", 1)), "silence", "")


async def redirect(run: Run, verb: Element) -> NoReturn:
    """Another document, by POST unless said otherwise; an empty URL means this one again."""
    fetch = run.fetch(verb)
    fetch.url = run.resolve(verb.text)
    raise GoTo(fetch)


async def reject(run: Run, verb: Element) -> NoReturn:
    """Refuse an unanswered call; after an answer it is only a hang-up."""
    if run.leg.answered is not None:
        run.alert(12200, "<Reject> after the call was answered")
        raise HangUp
    raise Rejected("busy" if verb.get("reason") == "busy" else "no-answer")


async def hang_up(run: Run, verb: Element) -> NoReturn:
    """End the call."""
    raise HangUp


async def leave(run: Run, verb: Element) -> None:
    """Leave the queue; elsewhere there is nothing to leave."""
    if run.leg.queue is None:
        run.alert(12200, "<Leave> outside a queue")
        return
    raise LeaveQueue


async def start(run: Run, verb: Element) -> None:
    """Start a recording of this leg beside the call flow."""
    for noun in verb.children:
        callback = noun.get("recordingStatusCallback")
        hook = run.recording_hook(noun)
        if hook and not callback.startswith(("http://", "https://")):
            run.alert(11200, f"recordingStatusCallback {callback} in <Start><Recording> is not absolute")
            hook = None
        name = noun.get("name")
        if run.leg.answered is None:
            run.alert(21220, "recording started before the call was answered")
        elif name and any(r.name == name for r in run.carrier.recordings_of(run.leg)):
            run.alert(12200, f"recording name {name} is already used in this call")
        else:
            recordings.start(
                run.carrier,
                run.leg,
                source="StartCallRecordingAPI",
                channels=1 if noun.get("channels") == "mono" else 2,
                trim=noun.get("trim", "trim-silence"),
                track=noun.get("track", "both"),
                name=name,
                hook=hook,
            )


async def stop(run: Run, verb: Element) -> None:
    """Stop the recording of this name."""
    for noun in verb.children:
        named = [r for r in run.carrier.recordings_of(run.leg) if r.live and r.name == noun.get("name")]
        if not named:
            run.alert(12200, f"no running recording is named {noun.get('name')!r}")
        for recording in named:
            recordings.stop(run.carrier, recording)


async def music(carrier: Carrier, leg: Leg) -> None:
    """The carrier's own hold music, until somebody breaks it off."""
    tune = tone(262, 0.5, 2000) + tone(330, 0.5, 2000) + tone(392, 1.0, 2000)
    for _ in count():
        await sounds.play(carrier, leg, tune * 15, "music", "default hold music")


SIMPLE: dict[str, Callable[[Run, Element], Awaitable[None]]] = {
    "Say": say,
    "Play": play,
    "Pause": pause,
    "Redirect": redirect,
    "Reject": reject,
    "Hangup": hang_up,
    "Leave": leave,
    "Start": start,
    "Stop": stop,
}
