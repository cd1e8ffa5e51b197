"""What a simulator needs to know before it starts."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class SimulatorSettings:
    """Settings of one simulator. Raises ValueError for a host off loopback or a senseless rate.

    `numbers` maps an E.164 number to voice_url, voice_fallback_url, status_callback (more names as in the REST
    resource). `speed` scales every span (rings, prompts, waits, recordings): 1.0 is real time; time stamps are never
    scaled. `media_delay_seconds` passes between the end of a recording and its media. `calls_per_second` paces
    calls created by REST, as Twilio's account limit does.
    """

    host: str = "127.0.0.1"
    port: int = 8001
    account_sid: str = "AC" + "0" * 32
    auth_token: str = "simulator-auth-token-0123456789ab"  # noqa: S105 - protects nothing, loopback only
    rest_key_sid: str | None = None
    rest_key_secret: str | None = None
    calls_per_second: float = 1.0
    numbers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    media_delay_seconds: float = 1.0
    speed: float = 1.0

    def __post_init__(self) -> None:
        if not is_loopback(self.host):
            raise ValueError(f"the simulator listens on loopback only, not on {self.host}")
        if self.speed <= 0 or self.calls_per_second <= 0:
            raise ValueError("speed and calls_per_second must be greater than 0")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
