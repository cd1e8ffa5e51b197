"""The carrier's REST side through Twilio's own library. Knows no rows; makes every address from our ids."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from twilio.rest import Client

from callcenter.carrier import callbacks
from callcenter.carrier.http import RestHttpClient
from callcenter.carrier.media import MediaDownload
from callcenter.carrier.urls import DoorUrls
from callcenter.config import Settings
from callcenter.domain.calls import ENDED_LEG_STATES
from callcenter.domain.phone_numbers import caller_number
from callcenter.errors import CarrierError, CarrierNotFound, CarrierRefused
from callcenter.ports import CarrierCall, CarrierParticipant, CarrierRecording, Media

LEG_EVENTS = ["initiated", "ringing", "answered", "completed"]
RECORDING_EVENTS = ["in-progress", "completed", "absent"]
CLOCK_SLACK_SECONDS = 5
MOST_LEGS = 1000
PAGE = 1000
"""Entries of a page of a long list: the most that the carrier gives."""
UNTIL_SLACK = timedelta(days=1)
"""The carrier documents its bounds as dates ("on or before midnight of this date"), so the upper one is asked for a day
later, and what began too late is dropped here."""


class TwilioCarrier:
    """``ports.Carrier`` on Twilio, or on whatever speaks its API at ``TWILIO_API_BASE_URL``."""

    def __init__(self, settings: Settings) -> None:
        self._urls = DoorUrls(settings.public_base_url, settings.twilio_region)
        self._media = MediaDownload(settings)
        self._client = Client(
            settings.twilio_rest_key_sid,
            settings.twilio_rest_key_secret,
            settings.twilio_account_sid,
            region=settings.twilio_region,
            edge=settings.twilio_edge,  # the host of a region without an edge is switched off (twilio-voice §10)
            http_client=RestHttpClient(settings.twilio_api_base_url),
        )
        # The library imports itself at first use, which takes half a second: now, and not while a caller waits.
        self._client.calls  # noqa: B018

    def ring(
        self, *, identity: str, from_number: str, call_id: str, turn: int, offer_id: str, ring_seconds: int
    ) -> str:
        """See ``ports.Carrier``."""
        leg = self._client.calls.create(
            to=f"client:{identity}?offer={offer_id}",
            from_=from_number,
            url=self._urls.offer("answer", offer_id),
            method="POST",
            status_callback=self._urls.offer_status(offer_id),
            status_callback_method="POST",
            status_callback_event=LEG_EVENTS,
            timeout=ring_seconds,
        )
        return str(leg.sid)

    def rings_since(self, identity: str, since: datetime) -> list[CarrierCall]:
        """See ``ports.Carrier``. The custom parameters are part of ``to``, so the list cannot be asked for them."""
        address = f"client:{identity}"
        legs = self._client.calls.list(
            start_time_after=since - timedelta(seconds=CLOCK_SLACK_SECONDS), limit=MOST_LEGS, page_size=MOST_LEGS
        )
        return [_call(leg) for leg in legs if str(leg.to).partition("?")[0] == address]

    def call(self, carrier_call_sid: str) -> CarrierCall:
        """See ``ports.Carrier``."""
        return _call(self._client.calls(carrier_call_sid).fetch())

    def inbound_calls(self, since: datetime, until: datetime) -> Iterator[CarrierCall]:
        """See ``ports.Carrier``. The list cannot be asked for a direction."""
        legs = self._client.calls.stream(start_time_after=since, start_time_before=until + UNTIL_SLACK, page_size=PAGE)
        for leg in legs:
            if _word(leg.direction) == "inbound" and _within(_moment(leg.start_time), since, until):
                yield _call(leg)

    def forwarded_legs(self, carrier_call_sid: str) -> list[CarrierCall]:
        """See ``ports.Carrier``."""
        return [_call(leg) for leg in self._client.calls.list(parent_call_sid=carrier_call_sid, limit=20)]

    def end_call(self, carrier_call_sid: str) -> None:
        """See ``ports.Carrier``. Cancelling has no effect on a leg that was answered meanwhile, so both are sent."""
        leg = self._client.calls(carrier_call_sid)
        # Whether cancelling an answered leg is ignored or refused is not documented; hanging up decides either way.
        with suppress(CarrierNotFound, CarrierRefused):
            if callbacks.leg_state(_word(leg.update(status="canceled").status)) in ENDED_LEG_STATES:
                return
        with suppress(CarrierNotFound):
            leg.update(status="completed")

    def ask_next_step(self, carrier_call_sid: str, *, call_id: str, turn: int) -> None:
        """See ``ports.Carrier``."""
        self._client.calls(carrier_call_sid).update(url=self._urls.call("next", call_id, turn), method="POST")

    def dequeue(self, carrier_queue_sid: str, carrier_call_sid: str, *, call_id: str, turn: int) -> None:
        """See ``ports.Carrier``."""
        member = self._client.queues(carrier_queue_sid).members(carrier_call_sid)
        member.update(url=self._urls.call("next", call_id, turn), method="POST")

    def conference(self, name: str) -> str | None:
        """See ``ports.Carrier``."""
        found = self._client.conferences.list(friendly_name=name, limit=20)
        return next((str(c.sid) for c in found if _word(c.status) != "completed"), None)

    def participants(self, carrier_conference_sid: str) -> list[CarrierParticipant]:
        """See ``ports.Carrier``."""
        with suppress(CarrierNotFound):
            found = self._client.conferences(carrier_conference_sid).participants.list(limit=50)
            return [CarrierParticipant(str(who.call_sid), bool(who.hold)) for who in found]
        return []

    def end_conference(self, carrier_conference_sid: str) -> None:
        """See ``ports.Carrier``."""
        with suppress(CarrierNotFound):
            self._client.conferences(carrier_conference_sid).update(status="completed")

    def hold(self, carrier_conference_sid: str, carrier_call_sid: str, *, held: bool, call_id: str, turn: int) -> bool:
        """See ``ports.Carrier``. The carrier would fetch the hold document by GET unless told otherwise."""
        document = {"hold_url": self._urls.call("hold", call_id, turn), "hold_method": "POST"} if held else {}
        participant = self._client.conferences(carrier_conference_sid).participants(carrier_call_sid)
        return bool(participant.update(hold=held, **document).hold)

    def start_recording(self, carrier_call_sid: str, *, recording_id: str) -> str:
        """See ``ports.Carrier``."""
        recording = self._client.calls(carrier_call_sid).recordings.create(
            recording_channels="dual",
            recording_track="both",
            trim="do-not-trim",
            recording_status_callback=self._urls.recording(recording_id),
            recording_status_callback_method="POST",
            recording_status_callback_event=RECORDING_EVENTS,
        )
        return str(recording.sid)

    def pause_recording(self, carrier_call_sid: str, carrier_recording_sid: str, *, paused: bool) -> bool:
        """See ``ports.Carrier``. Silence keeps the timing, and only the answer itself tells the state."""
        wanted = {"status": "paused", "pause_behavior": "silence"} if paused else {"status": "in-progress"}
        recording = self._client.calls(carrier_call_sid).recordings(carrier_recording_sid)
        return _word(recording.update(**wanted).status) == "paused"

    def stop_recording(self, carrier_call_sid: str, carrier_recording_sid: str) -> None:
        """See ``ports.Carrier``."""
        with suppress(CarrierNotFound):
            self._client.calls(carrier_call_sid).recordings(carrier_recording_sid).update(status="stopped")

    def recordings_of(self, carrier_call_sid: str) -> list[CarrierRecording]:
        """See ``ports.Carrier``."""
        return [_recording(r) for r in self._client.calls(carrier_call_sid).recordings.list(limit=50)]

    def recordings_between(self, since: datetime | None, until: datetime) -> Iterator[CarrierRecording]:
        """See ``ports.Carrier``."""
        begun = {} if since is None else {"date_created_after": since}
        found = self._client.recordings.stream(date_created_before=until + UNTIL_SLACK, page_size=PAGE, **begun)
        for recording in found:
            seen = _recording(recording)
            if _within(seen.started_at, since, until):
                yield seen

    def recording(self, carrier_recording_sid: str) -> CarrierRecording:
        """See ``ports.Carrier``."""
        return _recording(self._client.recordings(carrier_recording_sid).fetch())

    def open_media(self, carrier_recording_sid: str, *, channels: int) -> Media:
        """See ``ports.Carrier``. ``CarrierNotFound`` also while the sound is not there yet."""
        return self._media.open(carrier_recording_sid, channels=channels)

    def delete_recording(self, carrier_recording_sid: str) -> None:
        """See ``ports.Carrier``. Only 404 with 20404 says that it is gone; whatever else is refused leaves it due."""
        self._client.recordings(carrier_recording_sid).delete()

    def check(self) -> str | None:
        """See ``ports.Carrier``. Asks for something that every kind of API key may see."""
        try:
            self._client.queues.list(limit=1)
        except CarrierError as error:
            return str(error)
        return None


def _call(leg: Any) -> CarrierCall:
    return CarrierCall(
        carrier_call_sid=str(leg.sid),
        state=callbacks.leg_state(_word(leg.status)),
        to=str(leg.to),
        started_at=_moment(leg.start_time),
        ended_at=_moment(leg.end_time),
        from_number=caller_number(_word(leg._from)),
    )


def _recording(recording: Any) -> CarrierRecording:
    seconds = int(recording.duration) if recording.duration is not None else -1
    return CarrierRecording(
        carrier_recording_sid=str(recording.sid),
        carrier_call_sid=str(recording.call_sid),
        kind=callbacks.recording_kind(_word(recording.status)),
        duration_seconds=seconds if seconds >= 0 else None,
        channels=int(recording.channels) if recording.channels else None,
        started_at=_moment(recording.start_time) or _moment(recording.date_created),
    )


def _within(at: datetime | None, since: datetime | None, until: datetime) -> bool:
    """Whether something began in a period; what has no beginning yet is in any."""
    return at is None or ((since is None or at >= since.replace(microsecond=0)) and at <= until)


def _word(value: Any) -> str:
    """A status: the library gives text or an enumeration of texts."""
    return str(getattr(value, "value", value))


def _moment(value: Any) -> datetime | None:
    """A time of the library, aware UTC; anything else is None."""
    if not isinstance(value, datetime):
        return None
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
