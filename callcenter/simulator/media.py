"""Sound as 8 kHz 16-bit samples: tones, WAV reading and writing, and mixing clips by their place in time."""

import io
import sys
import wave
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import pi, sin
from typing import TypeAlias

RATE = 8000
Samples: TypeAlias = "array[int]"


@dataclass
class Clip:
    """A stretch of sound: from `at` (carrier seconds) on, `count` samples from `offset`; may be cut short later."""

    at: float
    samples: Samples
    count: int
    offset: int = 0

    def cut(self, now: float) -> None:
        """Silence everything after `now`."""
        self.count = max(0, min(self.count, round((now - self.at) * RATE)))

    @property
    def ends(self) -> float:
        """Carrier second at which the sound is over."""
        return self.at + self.count / RATE


def silence(seconds: float) -> Samples:
    """So many seconds of nothing."""
    return array("h", bytes(2 * round(max(0.0, seconds) * RATE)))


def tone(frequency: int, seconds: float, loudness: int = 6000) -> Samples:
    """A sine of about this frequency in Hz (whole samples per period, so that it is cheap to repeat)."""
    period = max(2, RATE // frequency)
    wave_form = array("h", (round(loudness * sin(2 * pi * i / period)) for i in range(period)))
    count = round(seconds * RATE)
    return (wave_form * (count // period + 1))[:count]


def babble(text: str) -> Samples:
    """Tones in place of speech: the text decides pitch, and length at 14 characters a second. Same text, same sound."""
    pitch = 200 + sha256(text.encode()).digest()[0]
    length = max(0.5, len(text) / 14)
    syllable = tone(pitch, 0.18) + silence(0.07)
    count = round(length * RATE)
    return (syllable * (count // len(syllable) + 1))[:count]


def _add(out: Samples, start: int, piece: Samples) -> None:
    """Mix a piece into `out`, clipping at the ends of the scale."""
    stop = start + len(piece)
    under = out[start:stop]
    if any(under):
        piece = array("h", (max(-32768, min(32767, a + b)) for a, b in zip(under, piece, strict=True)))
    out[start:stop] = piece


def render(clips: Iterable[Clip], start: float, end: float) -> Samples:
    """What was to be heard between two carrier seconds, one channel."""
    out = silence(end - start)
    for clip in clips:
        first = round((clip.at - start) * RATE)
        skip = max(0, -first)
        count = min(clip.count - skip, len(out) - max(0, first))
        if count > 0:
            begin = clip.offset + skip
            _add(out, max(0, first), clip.samples[begin : begin + count])
    return out


def mono(channels: Sequence[Samples]) -> Samples:
    """Several channels of one length mixed into one."""
    out = channels[0][:]
    for channel in channels[1:]:
        _add(out, 0, channel)
    return out


def trim_silence(channels: Sequence[Samples]) -> list[Samples]:
    """Cut what is silent on all channels from the beginning and the end."""
    leads, tails = [], []
    for channel in channels:
        raw = channel.tobytes()
        leads.append((len(raw) - len(raw.lstrip(b"\0"))) // 2)
        tails.append((len(raw.rstrip(b"\0")) + 1) // 2)
    return [channel[min(leads) : max(tails)] for channel in channels]


def wav_bytes(channels: Sequence[Samples]) -> bytes:
    """A WAV file of one or two channels of the same length."""
    frames: Samples = array("h", bytes(2 * len(channels) * len(channels[0])))
    for number, channel in enumerate(channels):
        frames[number :: len(channels)] = channel
    if sys.byteorder == "big":
        frames.byteswap()
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(frames.tobytes())
    return out.getvalue()


def mono_wav(body: bytes) -> bytes:
    """A stereo file of ours mixed down to one channel."""
    frames: Samples = array("h", body[44:])
    if sys.byteorder == "big":
        frames.byteswap()
    return wav_bytes([mono([frames[0::2], frames[1::2]])])


def read_wav(body: bytes) -> Samples:
    """First channel of a PCM WAV file at our rate. Raises ValueError for anything else."""
    try:
        with wave.open(io.BytesIO(body)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"not a PCM WAV file: {error}") from error
    if width == 1:
        samples: Samples = array("h", ((byte - 128) << 8 for byte in frames))
    elif width == 2:
        samples = array("h", frames[: len(frames) // 2 * 2])
    else:
        raise ValueError(f"WAV of {8 * width} bits is not played")
    samples = samples[::channels]
    if rate != RATE:
        samples = array("h", (samples[int(i * rate / RATE)] for i in range(int(len(samples) * RATE / rate))))
    return samples
