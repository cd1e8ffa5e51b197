"""Recordings hold what was said, where it was said."""

import io
import wave
from array import array

import pytest

from callcenter.simulator.media import (
    RATE,
    Clip,
    Samples,
    babble,
    mono_wav,
    read_wav,
    render,
    silence,
    tone,
    trim_silence,
    wav_bytes,
)


def ones(seconds: float, value: int = 1) -> Samples:
    return array("h", [value]) * round(seconds * RATE)


def test_a_clip_sounds_at_its_place_and_nowhere_else() -> None:
    out = render([Clip(11.0, ones(1), RATE)], 10.0, 13.0)
    assert (len(out), sum(out[:RATE]), sum(out[RATE : 2 * RATE]), sum(out[2 * RATE :])) == (3 * RATE, 0, RATE, 0)


def test_a_clip_that_began_before_or_ends_after_is_cut() -> None:
    out = render([Clip(9.5, ones(1), RATE), Clip(10.75, ones(1), RATE)], 10.0, 11.0)
    assert sum(out) == RATE // 2 + RATE // 4


def test_clips_at_the_same_time_are_added_and_never_overflow() -> None:
    loud = ones(1, 30000)
    assert set(render([Clip(0, loud, RATE), Clip(0, loud, RATE)], 0, 1)) == {32767}
    assert set(render([Clip(0, ones(1, 5), RATE), Clip(0, ones(1, 6), RATE)], 0, 1)) == {11}


def test_a_clip_broken_off_falls_silent_at_that_moment() -> None:
    clip = Clip(5.0, ones(2), 2 * RATE)
    clip.cut(5.5)
    assert clip.count == RATE // 2
    clip.cut(4.0)
    assert clip.count == 0


def test_channels_stay_apart_in_the_file() -> None:
    with wave.open(io.BytesIO(wav_bytes([ones(1, 3), ones(1, 7)]))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (2, 2, RATE, RATE)
        assert file.readframes(1) == b"\3\0\7\0"


def test_a_file_is_read_back_as_it_was_written() -> None:
    assert read_wav(wav_bytes([tone(440, 0.5)])) == tone(440, 0.5)
    assert set(read_wav(mono_wav(wav_bytes([ones(1, 3), ones(1, 7)])))) == {10}


def test_a_file_of_another_rate_keeps_its_length_in_seconds() -> None:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(1)
        file.setframerate(22050)
        file.writeframes(b"\x90" * 2 * 22050)
    assert len(read_wav(out.getvalue())) == RATE


@pytest.mark.parametrize("body", [b"", b"RIFF", b"<html>"])
def test_what_is_no_wav_file_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a PCM WAV file"):
        read_wav(body)


def test_trimming_takes_only_what_is_silent_on_both_channels() -> None:
    left, right = silence(1) + ones(1) + silence(2), silence(2) + ones(1) + silence(1)
    assert [len(channel) for channel in trim_silence([left, right])] == [2 * RATE, 2 * RATE]
    assert [len(channel) for channel in trim_silence([silence(1), silence(1)])] == [0, 0]


def test_the_same_text_always_sounds_the_same_and_longer_text_longer() -> None:
    assert babble("Good morning") == babble("Good morning")
    assert len(babble("Good morning, how can I help you today?")) > len(babble("Good morning"))
