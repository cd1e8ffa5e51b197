"""What leaves the machine, as protocols. Real and local versions are chosen in ``wiring``; the same contract tests
run against all of them (tests/contracts)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from callcenter.domain.calls import LegState
from callcenter.domain.events import RecordingReportKind


@dataclass(frozen=True)
class StoredObject:
    """What the store says it holds: bytes, and its own SHA-256 (hex) of them."""

    key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class StoreItem:
    """One thing that lies in the store under a key: what a read gets (``current``), an older version of it, or a
    ``marker`` that hides what lies below it. ``at`` is since when it has been there."""

    key: str
    current: bool
    marker: bool
    size_bytes: int
    at: datetime


@dataclass(frozen=True)
class UnfinishedUpload:
    """Bytes of a put that has not come to its end, or never will."""

    key: str
    upload_id: str
    begun_at: datetime


class RecordingStore(Protocol):
    """Where recordings are kept. Errors: StoreUnavailable (try again), StoreRefused (never "absent"), ObjectMissing."""

    def put(self, key: str, chunks: Iterable[bytes]) -> StoredObject:
        """Store a stream under a new key in constant memory; nothing is visible under the key before it is whole."""

    def stat(self, key: str) -> StoredObject:
        """What is stored under the key. Raises ObjectMissing."""

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` to ``end`` (both inclusive; None = to the end). Raises ObjectMissing before the
        first chunk."""

    def delete(self, keys: list[str]) -> dict[str, int | Exception]:
        """Delete every version and marker of each key (R7, R8). Answers per key: how many versions were deleted, or
        the error. A key that is not there counts 0."""

    def versions(self, key: str) -> int:
        """How many versions, markers or unfinished uploads exist for exactly this key; 0 is the proof of absence."""

    def contents(self) -> Iterator[StoreItem]:
        """Everything in the store in the order of its keys, fetched page by page: whole objects, older versions,
        markers. Keys may be any text here: others may have put something into the same place."""

    def unfinished_uploads(self) -> Iterator[UnfinishedUpload]:
        """Every upload that was begun and not completed, page by page."""

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """Give up an unfinished upload and its bytes; one that is not there any more is success."""

    def check(self) -> str | None:
        """None when the store can do its work; else one sentence why not. Writes nothing lasting."""


@dataclass(frozen=True)
class CarrierCall:
    """A leg as the carrier knows it."""

    carrier_call_sid: str
    state: LegState
    to: str
    started_at: datetime | None
    ended_at: datetime | None
    from_number: str | None = None
    """E.164; None when withheld or unusable."""


@dataclass(frozen=True)
class CarrierParticipant:
    """A leg inside a conference."""

    carrier_call_sid: str
    held: bool


@dataclass(frozen=True)
class CarrierRecording:
    """A recording as the carrier knows it; ``kind`` None while its end is not known."""

    carrier_recording_sid: str
    carrier_call_sid: str
    kind: RecordingReportKind | None
    duration_seconds: int | None
    channels: int | None
    started_at: datetime | None


@dataclass(frozen=True)
class Media:
    """An open download: iterate ``chunks`` once. ``channels`` is what was delivered."""

    size_bytes: int
    channels: int
    chunks: Iterator[bytes]


class Carrier(Protocol):
    """The telephone carrier's REST side.

    Errors of every method: CarrierUnavailable (try again), CarrierNotFound (unknown: 404 with 20404; or, where
    something is to be changed, over: 21220, 16022), CarrierRefused (final). URLs and names are made from ids by the
    implementation. No method retries by itself.
    """

    def ring(
        self, *, identity: str, from_number: str, call_id: str, turn: int, offer_id: str, ring_seconds: int
    ) -> str:
        """Ring a softphone; returns the new leg's carrier SID."""

    def rings_since(self, identity: str, since: datetime) -> list[CarrierCall]:
        """Legs created towards a softphone since then: looked up before a create is repeated."""

    def call(self, carrier_call_sid: str) -> CarrierCall:
        """One leg as the carrier sees it (eventually consistent)."""

    def inbound_calls(self, since: datetime, until: datetime) -> Iterator[CarrierCall]:
        """Calls that somebody made to a number of the account and that began in the period, live ones too; newest
        first, page by page. Errors come while iterating."""

    def forwarded_legs(self, carrier_call_sid: str) -> list[CarrierCall]:
        """Legs that the carrier dialled itself for a call: to a fallback number."""

    def end_call(self, carrier_call_sid: str) -> None:
        """Cancel a ringing leg or hang up an answered one; a leg that is over already is success."""

    def ask_next_step(self, carrier_call_sid: str, *, call_id: str, turn: int) -> None:
        """Make a caller's leg fetch its next step now, wherever it is (not in a queue)."""

    def dequeue(self, carrier_queue_sid: str, carrier_call_sid: str, *, call_id: str, turn: int) -> None:
        """Take a caller out of the queue and make the leg fetch its next step."""

    def conference(self, name: str) -> str | None:
        """The SID of the live conference of that name, or None."""

    def participants(self, carrier_conference_sid: str) -> list[CarrierParticipant]:
        """Who is in a live conference; empty when it is over."""

    def end_conference(self, carrier_conference_sid: str) -> None:
        """End a conference for everybody; one that is over already is success."""

    def hold(self, carrier_conference_sid: str, carrier_call_sid: str, *, held: bool, call_id: str, turn: int) -> bool:
        """Hold or unhold a participant; returns the held flag of the carrier's answer."""

    def start_recording(self, carrier_call_sid: str, *, recording_id: str) -> str:
        """Record a live leg, two channels, untrimmed; returns the recording's SID."""

    def pause_recording(self, carrier_call_sid: str, carrier_recording_sid: str, *, paused: bool) -> bool:
        """Pause (with silence) or resume; returns whether the answer's own status says paused."""

    def stop_recording(self, carrier_call_sid: str, carrier_recording_sid: str) -> None:
        """Stop a live recording; one that is over already is success."""

    def recordings_of(self, carrier_call_sid: str) -> list[CarrierRecording]:
        """All recordings of a leg."""

    def recordings_between(self, since: datetime | None, until: datetime) -> Iterator[CarrierRecording]:
        """All recordings of the account that began in the period (None: ever) and are not deleted; newest first, page
        by page. Errors come while iterating."""

    def recording(self, carrier_recording_sid: str) -> CarrierRecording:
        """One recording."""

    def open_media(self, carrier_recording_sid: str, *, channels: int) -> Media:
        """Start the download of a finished recording as WAV; falls back to one channel when two are refused (16113)."""

    def delete_recording(self, carrier_recording_sid: str) -> None:
        """Delete media at the carrier. CarrierNotFound means that it is gone already."""

    def check(self) -> str | None:
        """None when the account answers to our credentials; else one sentence why not."""
