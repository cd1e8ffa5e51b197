"""Our own client and our own documents in front of the simulator, run as a process of its own."""

from pathlib import Path
from typing import Any

from callcenter import config
from callcenter.carrier.twilio_client import TwilioCarrier
from callcenter.carrier.twiml import CallPlace, TwimlWriter
from callcenter.carrier.urls import DoorUrls
from callcenter.config import VoiceSettings
from callcenter.domain.steps import Greet, HoldMusic, JoinAsReceptionist, Talk, Wait
from tests.contracts.simulator_rig import ACCOUNT_SID, AUTH_TOKEN, CLINIC, Params, Rig, fresh
from webhooks import media

CALL, OFFER, RECORDING = "c" * 32, "0f" * 16, "e" * 32
PLACE = CallPlace(CALL, 1)
CONFERENCE = f"{CALL}-1"
IDENTITY = "receptionist_" + "1" * 32
BASE = f"/webhooks/voice/calls/{CALL}/1/"
ROOM = f"/webhooks/status/conferences/{CALL}/1"
RECORDED = f"/webhooks/recording/{RECORDING}"
LEG = f"/webhooks/status/offers/{OFFER}"


def carrier_at(address: str, door: str, state_dir: Path, **more: str) -> TwilioCarrier:
    """Our client for the simulator at ``address``."""
    environ = {
        "PUBLIC_BASE_URL": door,
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "TWILIO_API_BASE_URL": address,
        "CALLCENTER_STATE_DIR": str(state_dir),
    }
    return TwilioCarrier(config.load(environ | more, directory=state_dir))


class World:
    """A simulator with our documents at our addresses, and our client."""

    def __init__(self, rig: Rig, state_dir: Path) -> None:
        self.rig = fresh(rig)
        self.carrier = carrier_at(rig.base, rig.door.url, state_dir)
        urls = DoorUrls(rig.door.url, "ie1")
        music = urls.media("music")
        self.writer = TwimlWriter(urls, VoiceSettings.model_validate({}), "ie1", music)
        rig.door.answers |= {
            "/incoming": self.writer.write(Greet(("Welcome & hello",), "clinic-1"), PLACE),
            BASE + "wait": self.writer.write(Wait(("You are number 1",), may_refuse=True), PLACE),
            BASE + "key": self.writer.write(Wait(("Not recorded",), may_refuse=False), PLACE),
            BASE + "next": self.writer.write(Talk(CONFERENCE, RECORDING), PLACE),
            BASE + "hold": self.writer.write(HoldMusic(("Please hold",)), PLACE),
            f"/webhooks/voice/offers/{OFFER}/answer": self.writer.write(JoinAsReceptionist(CONFERENCE, OFFER)),
            f"/webhooks/voice/offers/{OFFER}/next": "<Response><Hangup/></Response>",
            "/media/music": ("audio/wav", media.piece("calm")),
        }

    def softphone(self, **behaviour: Any) -> None:
        """How the receptionist's softphone reacts."""
        self.rig.control("PUT", f"/clients/{IDENTITY}", behaviour)

    def ring(self) -> str:
        """Ring her; the new leg's SID."""
        return self.carrier.ring(
            identity=IDENTITY, from_number=CLINIC, call_id=CALL, turn=1, offer_id=OFFER, ring_seconds=15
        )

    def waiting(self, *steps: dict[str, Any]) -> tuple[str, str]:
        """A caller who waits; the SIDs of the leg and of the queue."""
        caller = self.rig.place({"wait_for": "connected", "timeout": 120}, *steps)
        asked = self.rig.door.wait_for(BASE + "wait", lambda params: params["CallSid"] == caller)
        return caller, asked["QueueSid"]

    def connected(self, *steps: dict[str, Any], **behaviour: Any) -> tuple[str, str]:
        """A caller and a receptionist who talk; the SIDs of both legs."""
        self.softphone(answer_after_seconds=1, **behaviour)
        caller, queue = self.waiting(*steps)
        receptionist = self.ring()
        self.joined(receptionist)
        self.carrier.dequeue(queue, caller, call_id=CALL, turn=1)
        self.joined(caller)
        return caller, receptionist

    def joined(self, sid: str) -> Params:
        """Wait until a leg is in the conference."""
        return self.rig.door.wait_for(
            ROOM, lambda p: p["StatusCallbackEvent"] == "participant-join" and p["CallSid"] == sid
        )

    def recorded(self) -> Params:
        """Wait for the finished recording."""
        return self.rig.door.wait_for(RECORDED, lambda params: params["RecordingStatus"] == "completed")
