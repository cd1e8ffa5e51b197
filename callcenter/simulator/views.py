"""How legs look to the control API."""

from typing import Any
from urllib.parse import parse_qsl

from callcenter.simulator import legs
from callcenter.simulator.carrier import Carrier
from callcenter.simulator.model import Leg


def call_state(carrier: Carrier, leg: Leg) -> dict[str, Any]:
    """Everything about one leg as JSON; `at_seconds` count from the leg's creation."""
    who = leg.participant
    stamps = {"created_at": leg.created_at, "answered_at": leg.answered_at, "ended_at": leg.ended_at}
    return {
        "sid": leg.sid,
        "direction": leg.direction,
        "from": leg.from_,
        "to": leg.to,
        "identity": leg.identity,
        "custom_parameters": dict(parse_qsl(leg.to.partition("?")[2])) if leg.identity else {},
        "parent_sid": leg.parent_sid,
        "status": leg.status,
        "live": leg.live,
        **{name: stamp.isoformat() if stamp else None for name, stamp in stamps.items()},
        "duration_seconds": legs.duration(carrier, leg),
        "queue": leg.queue.friendly_name if leg.queue else None,
        "conference": who.conference.friendly_name if who else None,
        "connected": leg.connected.is_set(),
        "muted": bool(who and who.muted),
        "hold": bool(who and who.hold),
        "listening": leg.listening,
        "digits": leg.pressed,
        "heard": leg.transcript,
        "events": leg.log,
        "recordings": [
            {
                "sid": recording.sid,
                "name": recording.name,
                "status": recording.status,
                "source": recording.source,
                "channels": recording.channels,
                "duration_seconds": recording.duration,
            }
            for recording in carrier.recordings_of(leg)
        ],
    }
