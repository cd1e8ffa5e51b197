"""The door's addresses: one list for the routes that answer them and for the documents and requests that name them."""

import re

INCOMING = "/webhooks/voice/incoming"
FALLBACK = "/webhooks/voice/fallback"
STATUS = "/webhooks/voice/status"
CALL = "/webhooks/voice/calls/<call_id>/<turn>/"
OFFER = "/webhooks/voice/offers/<offer_id>/"
OFFER_STATUS = "/webhooks/status/offers/<offer_id>"
CONFERENCE_STATUS = "/webhooks/status/conferences/<call_id>/<turn>"
RECORDING = "/webhooks/recording/<recording_id>"
MEDIA = "/media/<content_hash>"

CONTROL_OVERRIDES = "ct=2000&rt=10000&rc=1&rp=ct,5xx"
"""A caller is waiting for the answer: connect fast, ask once more when we could not answer (twilio-voice §2.3)."""
NOTIFICATION_OVERRIDES = "rc=3&rp=all"
"""Nobody is waiting, so every failure is worth another try; what is repeated is recognised by its key."""
EGRESS_OF_REGION = {"ie1": "dublin,frankfurt"}
"""From which edges the carrier sends its requests; without it they leave the region through the USA (P43)."""


class DoorUrls:
    """Absolute addresses below ``public_base_url``, with the carrier's connection overrides in the fragment.

    A fragment never reaches us and is not part of the signature. Media have none: they are fetched by players.
    """

    def __init__(self, public_base_url: str, region: str) -> None:
        self._base = public_base_url
        edges = EGRESS_OF_REGION.get(region)
        egress = f"&e={edges}" if edges else ""
        self._control_fragment = f"#{CONTROL_OVERRIDES}{egress}"
        self._notification_fragment = f"#{NOTIFICATION_OVERRIDES}{egress}"

    def incoming(self) -> str:
        """VoiceUrl of every clinic's number."""
        return self._control(INCOMING)

    def fallback(self) -> str:
        """VoiceFallbackUrl of every clinic's number."""
        return self._control(FALLBACK)

    def status(self) -> str:
        """StatusCallback of every clinic's number."""
        return self._notification(STATUS)

    def call(self, action: str, call_id: str, turn: int) -> str:
        """What a caller's leg asks: next, again, wait, key, consent, message, queued or hold."""
        return self._control(CALL + action, call_id=call_id, turn=str(turn))

    def offer(self, action: str, offer_id: str) -> str:
        """What a receptionist's leg asks: answer or next."""
        return self._control(OFFER + action, offer_id=offer_id)

    def offer_status(self, offer_id: str) -> str:
        """Status callback of a receptionist's leg."""
        return self._notification(OFFER_STATUS, offer_id=offer_id)

    def conference_status(self, call_id: str, turn: int) -> str:
        """Status callback of the conference of one turn."""
        return self._notification(CONFERENCE_STATUS, call_id=call_id, turn=str(turn))

    def recording(self, recording_id: str) -> str:
        """Recording status callback."""
        return self._notification(RECORDING, recording_id=recording_id)

    def media(self, content_hash: str) -> str:
        """Fixed audio, public."""
        return self._base + _filled(MEDIA, {"content_hash": content_hash})

    def _control(self, path: str, **parts: str) -> str:
        return self._base + _filled(path, parts) + self._control_fragment

    def _notification(self, path: str, **parts: str) -> str:
        return self._base + _filled(path, parts) + self._notification_fragment


def _filled(path: str, parts: dict[str, str]) -> str:
    return re.sub(r"<(\w+)>", lambda match: parts[match[1]], path)
