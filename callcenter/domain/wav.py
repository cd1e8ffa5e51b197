"""The length of a WAV stream, read while it passes through."""

import struct

_RIFF_SIZE = 12
_CHUNK_HEADER = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")
_LONGEST_HEADER = 64 * 1024


class WavMeter:
    """Feed it every piece of a WAV file in order; at the end it knows channels and length.

    A header may call the length of its data unknown (0 or 2³²−1, as streaming writers do): then what came counts.
    ``channels`` and ``duration_seconds`` are None when the bytes were not WAV.
    """

    def __init__(self) -> None:
        self._head = bytearray()
        self._fed = 0
        self._data_starts: int | None = None
        self._data_size = 0
        self._bytes_per_second = 0
        self._hopeless = False
        self.channels: int | None = None

    def feed(self, piece: bytes) -> None:
        """The next bytes."""
        self._fed += len(piece)
        if self._data_starts is None and not self._hopeless:
            self._head += piece
            self._read_header()

    @property
    def duration_seconds(self) -> float | None:
        """Seconds of audio that really came."""
        if self._data_starts is None or not self._bytes_per_second:
            return None
        came = self._fed - self._data_starts
        stated = self._data_size if self._data_size not in (0, 0xFFFFFFFF) else came
        return min(came, stated) / self._bytes_per_second

    def _read_header(self) -> None:
        head, at = self._head, _RIFF_SIZE
        if len(head) < _RIFF_SIZE:
            return
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            self._hopeless = True
            return
        while len(head) >= at + _CHUNK_HEADER.size:
            name, size = _CHUNK_HEADER.unpack_from(head, at)
            at += _CHUNK_HEADER.size
            if name == b"data":
                self._data_starts, self._data_size = at, size
                self._head = bytearray()
                return
            if name == b"fmt " and len(head) >= at + _FORMAT.size:
                _, self.channels, _, self._bytes_per_second, _, _ = _FORMAT.unpack_from(head, at)
            at += size + size % 2
        self._hopeless = len(head) > _LONGEST_HEADER
