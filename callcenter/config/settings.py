"""What can be set: the environment's settings, the voice settings of twilio_config.yaml, and their names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from callcenter import crash_points
from callcenter.domain.prompts import DEFAULT_PROMPTS

SIMULATOR_ACCOUNT_SID = "AC" + "0" * 31 + "1"
SIMULATOR_AUTH_TOKEN = "simulator-auth-token-0123456789abcd"
SIMULATOR_API_KEY_SID = "SK" + "0" * 31 + "1"
SIMULATOR_API_KEY_SECRET = "simulator-api-key-secret-0123456789"


HostPart = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")]
"""A name that becomes part of a host name: nothing in it may end the host and begin another."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VoiceSettings(_Part):
    """Account-wide voice settings and defaults: the whole of twilio_config.yaml. Spans in seconds, periods in days."""

    region: HostPart = Field("ie1", description="Twilio region that processes calls and stores recordings.")
    edge: HostPart = Field("dublin", description="Twilio edge through which REST requests go.")
    calls_per_second: float = Field(
        1.0, gt=0, le=100, description="REST-created calls a second; Twilio's default is 1."
    )
    voice: str = Field("Polly.Amy", description="Voice of spoken prompts.")
    language: str = Field("en-GB", description="Language of spoken prompts; must fit the voice.")
    hold_music: str = Field(
        "calm", description="Name of the built-in hold music, or an https URL of audio under 90 seconds."
    )
    ring_seconds: int = Field(15, ge=5, le=60, description="How long one receptionist is rung.")
    max_wait_seconds: int = Field(120, ge=10, le=3600, description="Wait after which a caller may leave a message.")
    wrap_up_seconds: int = Field(60, ge=0, le=900, description="Time to file the outcome before the next call.")
    short_abandon_seconds: int = Field(5, ge=0, le=60, description="Hang-ups this soon count as short abandons.")
    message_max_seconds: int = Field(120, ge=10, le=600, description="Longest voice message.")
    answer_within_seconds: float = Field(
        1.5, ge=0.5, le=8, description="How long the database may take before the carrier is answered without it (F1)."
    )
    recording_days: int = Field(30, ge=1, le=365, description="Default retention of recordings for new clinics.")
    call_log_days: int = Field(365, ge=1, le=3650, description="Default retention of call log rows for new clinics.")
    allowed_storage_regions: tuple[str, ...] = Field(
        ("eu-west-1", "eu-west-3", "eu-central-1", "eu-north-1", "eu-south-1"),
        description="Regions in which recordings may be stored (P43: the EEA; the UK is a separate, explicit entry).",
    )
    prompts: Mapping[str, str] = Field(default_factory=dict, description="Wordings that replace the built-in prompts.")

    @field_validator("prompts")
    @classmethod
    def _known_prompts(cls, value: Mapping[str, str]) -> dict[str, str]:
        unknown = sorted(set(value) - set(DEFAULT_PROMPTS))
        if unknown:
            raise ValueError(
                f"unknown prompt names: {', '.join(unknown)}; known are {', '.join(sorted(DEFAULT_PROMPTS))}"
            )
        return {**DEFAULT_PROMPTS, **value}

    def prompt(self, name: str) -> str:
        """The wording of a prompt; ``name`` is a key of DEFAULT_PROMPTS."""
        return self.prompts.get(name, DEFAULT_PROMPTS[name])


class Settings(_Part):
    """Everything a process needs to know, checked."""

    environment: Literal["development", "production"] = "development"
    secret_key: str
    clock_offset_seconds: float = 0.0
    crash_point: str | None = None
    metrics_token: str | None = None
    public_base_url: str
    web_base_url: str
    port: int = Field(8000, ge=1, le=65535)
    simulator_port: int = Field(8001, ge=1, le=65535)
    database_url: str
    recordings_url: str
    aws_endpoint_url: str | None = None
    aws_region: HostPart | None = None
    twilio_account_sid: str = Field(pattern=r"^AC[0-9a-f]{32}$")
    twilio_auth_token: str = Field(min_length=16)
    twilio_auth_token_next: str | None = Field(None, min_length=16)
    twilio_rest_key_sid: str
    twilio_rest_key_secret: str
    twilio_api_key_sid: str
    twilio_api_key_secret: str
    twilio_twiml_app_sid: str | None = None
    twilio_region: HostPart
    twilio_edge: HostPart
    twilio_api_base_url: str | None = None
    state_dir: Path
    voice: VoiceSettings

    @field_validator("crash_point")
    @classmethod
    def _known_crash_points(cls, value: str | None) -> str | None:
        if value is not None:
            crash_points.parse(value)
        return value

    @property
    def accepted_auth_tokens(self) -> tuple[str, ...]:
        """The secrets that may have signed a webhook; two during rotation (F14)."""
        return tuple(t for t in (self.twilio_auth_token, self.twilio_auth_token_next) if t)


VARIABLES = {
    "CALLCENTER_ENV": "environment",
    "CALLCENTER_SECRET_KEY": "secret_key",
    "CALLCENTER_CLOCK_OFFSET_SECONDS": "clock_offset_seconds",
    "CALLCENTER_CRASH_POINT": "crash_point",
    "CALLCENTER_METRICS_TOKEN": "metrics_token",
    "PUBLIC_BASE_URL": "public_base_url",
    "WEB_BASE_URL": "web_base_url",
    "PORT": "port",
    "SIMULATOR_PORT": "simulator_port",
    "DATABASE_URL": "database_url",
    "RECORDINGS_URL": "recordings_url",
    "AWS_ENDPOINT_URL_S3": "aws_endpoint_url",
    "AWS_ENDPOINT_URL": "aws_endpoint_url",
    "AWS_REGION": "aws_region",
    "AWS_DEFAULT_REGION": "aws_region",
    "TWILIO_ACCOUNT_SID": "twilio_account_sid",
    "TWILIO_AUTH_TOKEN": "twilio_auth_token",
    "TWILIO_AUTH_TOKEN_NEXT": "twilio_auth_token_next",
    "TWILIO_REST_KEY_SID": "twilio_rest_key_sid",
    "TWILIO_REST_KEY_SECRET": "twilio_rest_key_secret",
    "TWILIO_API_KEY_SID": "twilio_api_key_sid",
    "TWILIO_API_KEY_SECRET": "twilio_api_key_secret",
    "TWILIO_TWIML_APP_SID": "twilio_twiml_app_sid",
    "TWILIO_REGION": "twilio_region",
    "TWILIO_EDGE": "twilio_edge",
    "TWILIO_API_BASE_URL": "twilio_api_base_url",
    "CALLCENTER_STATE_DIR": "state_dir",
}
"""Environment variable → setting; of two names for one setting the first counts. ``CALLCENTER_CONFIG`` is read apart,
because it says where the file is."""
