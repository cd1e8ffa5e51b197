"""Fixed audio: public, without personal data, named by its content. The music is computed, so it belongs to nobody.

Everything is whole-number arithmetic: every machine computes the same bytes and so the same name.
"""

import hashlib
import io
import math
import wave
from array import array
from functools import cache

from flask import Blueprint, Response, request

from callcenter.errors import ConfigurationError

SAMPLES_A_SECOND = 8000
_CHORD_SECONDS = 4
_NOTE_SAMPLES = SAMPLES_A_SECOND // 2
_TABLE_BITS = 10
_SINE = [round(32767 * math.sin(2 * math.pi * i / (1 << _TABLE_BITS))) for i in range(1 << _TABLE_BITS)]
_CALM = (
    (261.63, 329.63, 392.00, 523.25),
    (220.00, 261.63, 329.63, 440.00),
    (174.61, 220.00, 261.63, 349.23),
    (196.00, 246.94, 293.66, 392.00),
)
"""Chords in hertz: C, A minor, F, G, each played as a broken chord."""
MUSIC = {"calm": _CALM}

blueprint = Blueprint("media", __name__)


def music_url(name: str, media_base: str) -> str:
    """Address of the hold music: a built-in piece by name, or the https URL that was configured.

    ``media_base`` is the address of our media with a trailing slash. Raises ConfigurationError for anything else.
    """
    if name.startswith("https://"):
        return name
    if name not in MUSIC:
        raise ConfigurationError([f"hold_music must be an https URL or one of: {', '.join(sorted(MUSIC))}"])
    return media_base + content_hash(piece(name))


@cache
def piece(name: str) -> bytes:
    """A built-in piece of music as a WAV file: 16 seconds that can be repeated without a seam."""
    samples = array("h", bytes(2 * SAMPLES_A_SECOND * _CHORD_SECONDS * len(MUSIC[name])))
    for number, chord in enumerate(MUSIC[name]):
        start = number * SAMPLES_A_SECOND * _CHORD_SECONDS
        for beat in range(2 * _CHORD_SECONDS):
            _pluck(samples, start + beat * _NOTE_SAMPLES, chord[(0, 1, 2, 3, 2, 1, 2, 1)[beat]])
    file = io.BytesIO()
    with wave.open(file, "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(2)
        audio.setframerate(SAMPLES_A_SECOND)
        audio.writeframes(samples.tobytes())
    return file.getvalue()


def _pluck(samples: "array[int]", start: int, hertz: float) -> None:
    """Add one note that swells quickly and fades over a second, running on into the next beat."""
    step = round(hertz * (1 << 20) / SAMPLES_A_SECOND)
    length, attack = 2 * _NOTE_SAMPLES, SAMPLES_A_SECOND // 50
    for i in range(length):
        loudness = min(i * 255 // attack, 255) * (length - i) // length
        at = (start + i) % len(samples)
        samples[at] += _SINE[(i * step >> 10) & ((1 << _TABLE_BITS) - 1)] * loudness >> 11


def content_hash(audio: bytes) -> str:
    """The name of a file: the beginning of its SHA-256."""
    return hashlib.sha256(audio).hexdigest()[:32]


@blueprint.get("/media/<wanted>")
def media(wanted: str) -> Response:
    """A fixed file by its hash; may be kept for ever, because other content has another name."""
    audio = next((piece(name) for name in MUSIC if content_hash(piece(name)) == wanted), None)
    if audio is None:
        return Response(status=404)
    response = Response(audio, content_type="audio/wav")
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    response.set_etag(wanted)
    response.make_conditional(request, accept_ranges=True, complete_length=len(audio))
    return response
