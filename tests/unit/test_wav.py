"""The length of a WAV stream is read while it passes, however it is cut into pieces."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.domain.wav import WavMeter
from tests.fakes import wav


def measured(content: bytes, piece: int = 4096) -> WavMeter:
    """A meter that has seen it all."""
    meter = WavMeter()
    for at in range(0, len(content), piece):
        meter.feed(content[at : at + piece])
    return meter


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_channels_and_seconds_are_those_of_the_audio(channels: int, seconds: float) -> None:
    meter = measured(wav(seconds, channels=channels))
    assert (meter.channels, meter.duration_seconds) == (channels, seconds)


@given(st.integers(1, 200))
def test_the_size_of_the_pieces_does_not_matter(piece: int) -> None:
    assert measured(wav(0.1), piece).duration_seconds == 0.1


@pytest.mark.parametrize("stated", [0, 0xFFFFFFFF])
def test_a_length_that_is_not_stated_is_what_came(stated: int) -> None:
    assert measured(wav(2.0, data_size=stated)).duration_seconds == 2.0


def test_a_stream_that_broke_off_is_as_long_as_what_came() -> None:
    content = wav(2.0)
    assert measured(content[: 44 + 32_000]).duration_seconds == 1.0


def test_other_chunks_before_the_audio_are_passed_over() -> None:
    content = wav(1.0)
    extra = b"LIST" + struct.pack("<I", 5) + b"hello\x00"
    assert measured(content[:36] + extra + content[36:]).duration_seconds == 1.0


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"<html>" * 20, b"ID3" + bytes(100), b"RIFF\0\0\0\0WAVE" + bytes(70_000)]
)
def test_what_is_not_wav_has_no_length(content: bytes) -> None:
    assert measured(content).duration_seconds is None
