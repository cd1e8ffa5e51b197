"""Settings: from the environment, from files named by ``<NAME>_FILE`` for secrets, and from twilio_config.yaml.

``load(environ)`` reads everything once and reports every problem in one message. docs/configuration.md lists all.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from callcenter.domain.prompts import DEFAULT_PROMPTS
from callcenter.errors import ConfigurationError

SIMULATOR_ACCOUNT_SID = "AC" + "0" * 31 + "1"
SIMULATOR_AUTH_TOKEN = "simulator-auth-token-0123456789abcd"
SIMULATOR_API_KEY_SID = "SK" + "0" * 31 + "1"
SIMULATOR_API_KEY_SECRET = "simulator-api-key-secret-0123456789"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VoiceSettings(_Part):
    """Account-wide voice settings and defaults: the whole of twilio_config.yaml. Spans in seconds, periods in days."""

    region: str = Field("ie1", description="Twilio region that processes calls and stores recordings.")
    edge: str = Field("dublin", description="Twilio edge through which REST requests go.")
    calls_per_second: float = Field(
        1.0, gt=0, le=100, description="REST-created calls a second; Twilio's default is 1."
    )
    voice: str = Field("Polly.Amy", description="Voice of spoken prompts.")
    language: str = Field("en-GB", description="Language of spoken prompts; must fit the voice.")
    hold_music: str = Field("calm", description="Name of the built-in hold music, or an https URL of an audio file.")
    ring_seconds: int = Field(15, ge=5, le=60, description="How long one receptionist is rung.")
    max_wait_seconds: int = Field(120, ge=10, le=3600, description="Wait after which a caller may leave a message.")
    wrap_up_seconds: int = Field(60, ge=0, le=900, description="Time to file the outcome before the next call.")
    short_abandon_seconds: int = Field(5, ge=0, le=60, description="Hang-ups this soon count as short abandons.")
    message_max_seconds: int = Field(120, ge=10, le=600, description="Longest voice message.")
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
    metrics_token: str | None = None
    public_base_url: str
    web_base_url: str
    port: int = Field(8000, ge=1, le=65535)
    simulator_port: int = Field(8001, ge=1, le=65535)
    database_url: str
    recordings_url: str
    aws_endpoint_url: str | None = None
    twilio_account_sid: str = Field(pattern=r"^AC[0-9a-f]{32}$")
    twilio_auth_token: str = Field(min_length=16)
    twilio_auth_token_next: str | None = None
    twilio_rest_key_sid: str
    twilio_rest_key_secret: str
    twilio_api_key_sid: str
    twilio_api_key_secret: str
    twilio_twiml_app_sid: str | None = None
    twilio_region: str
    twilio_edge: str
    twilio_api_base_url: str | None = None
    state_dir: Path
    voice: VoiceSettings

    @property
    def accepted_auth_tokens(self) -> tuple[str, ...]:
        """The secrets that may have signed a webhook; two during rotation (F14)."""
        return tuple(t for t in (self.twilio_auth_token, self.twilio_auth_token_next) if t)


VARIABLES = {
    "CALLCENTER_ENV": "environment",
    "CALLCENTER_SECRET_KEY": "secret_key",
    "CALLCENTER_CLOCK_OFFSET_SECONDS": "clock_offset_seconds",
    "CALLCENTER_METRICS_TOKEN": "metrics_token",
    "PUBLIC_BASE_URL": "public_base_url",
    "WEB_BASE_URL": "web_base_url",
    "PORT": "port",
    "SIMULATOR_PORT": "simulator_port",
    "DATABASE_URL": "database_url",
    "RECORDINGS_URL": "recordings_url",
    "AWS_ENDPOINT_URL_S3": "aws_endpoint_url",
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
"""Environment variable → setting. ``CALLCENTER_CONFIG`` is read apart, because it says where the file is."""


def load(environ: Mapping[str, str], *, directory: Path | None = None) -> Settings:
    """Settings from ``environ`` and the file it names; ``directory`` is where relative paths start (default: cwd).

    Raises ConfigurationError with every problem found. In development missing secrets are generated or those of
    the simulator; production refuses what is not safe, by name.
    """
    root = directory or Path.cwd()
    problems = _unknown_names(environ)
    values = _from_environment(environ, problems)
    voice = _voice(root / environ.get("CALLCENTER_CONFIG", "twilio_config.yaml"), environ, problems)
    production = values.get("environment") == "production"
    values["voice"] = voice
    if production:
        problems += _missing_in_production(values)
    _fill_defaults(values, root, voice, generate_secret=not production and not problems)
    if not problems:
        try:
            settings = Settings.model_validate(values)
        except ValidationError as error:
            problems += [_plain(e) for e in error.errors(include_input=False)]
        else:
            problems += _problems_of_values(settings)
            problems += _unsafe_in_production(settings) if production else []
    if problems:
        raise ConfigurationError(problems)
    return settings


def _plain(error: Any) -> str:
    field = str(error["loc"][0]) if error["loc"] else "settings"
    names = {setting: variable for variable, setting in VARIABLES.items()}
    rest = ".".join(str(part) for part in error["loc"][1:])
    return f"{names.get(field, field)}{'.' + rest if rest else ''}: {error['msg']}"


def _unknown_names(environ: Mapping[str, str]) -> list[str]:
    known = {"CALLCENTER_CONFIG", *VARIABLES, *(f"{name}_FILE" for name in VARIABLES)}
    return [
        f"{name} is not a setting of this service; see docs/configuration.md"
        for name in sorted(environ)
        if name.startswith("CALLCENTER_") and name not in known
    ]


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, setting in VARIABLES.items():
        if environ.get(name):
            values[setting] = environ[name]
        elif environ.get(f"{name}_FILE"):
            try:
                values[setting] = Path(environ[f"{name}_FILE"]).read_text(encoding="utf-8").strip()
            except OSError as error:
                problems.append(f"{name}_FILE cannot be read ({error.strerror})")
    return values


def _voice(path: Path, environ: Mapping[str, str], problems: list[str]) -> VoiceSettings:
    if not path.exists():
        if "CALLCENTER_CONFIG" in environ:
            problems.append(f"CALLCENTER_CONFIG names {path.name}, which does not exist")
        return VoiceSettings()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return VoiceSettings.model_validate(content)
    except (OSError, yaml.YAMLError):
        problems.append(f"{path.name} cannot be read as YAML")
    except ValidationError as error:
        for e in error.errors(include_input=False):
            problems.append(f"{path.name}: {'.'.join(str(p) for p in e['loc']) or 'content'}: {e['msg']}")
    return VoiceSettings()


def _fill_defaults(values: dict[str, Any], root: Path, voice: VoiceSettings, *, generate_secret: bool) -> None:
    state = values.setdefault("state_dir", root / "var")
    port = values.get("port", "8000")
    values.setdefault("public_base_url", f"http://127.0.0.1:{port}")
    values.setdefault("web_base_url", values["public_base_url"])
    values["public_base_url"] = values["public_base_url"].rstrip("/")
    values["web_base_url"] = values["web_base_url"].rstrip("/")
    values.setdefault("database_url", f"sqlite:///{Path(state) / 'callcenter.db'}")
    values.setdefault("recordings_url", f"file://{Path(state).absolute() / 'recordings'}")
    values.setdefault("twilio_account_sid", SIMULATOR_ACCOUNT_SID)
    values.setdefault("twilio_auth_token", SIMULATOR_AUTH_TOKEN)
    values.setdefault("twilio_rest_key_sid", values["twilio_account_sid"])
    values.setdefault("twilio_rest_key_secret", values["twilio_auth_token"])
    values.setdefault("twilio_api_key_sid", SIMULATOR_API_KEY_SID)
    values.setdefault("twilio_api_key_secret", SIMULATOR_API_KEY_SECRET)
    values.setdefault("twilio_region", voice.region)
    values.setdefault("twilio_edge", voice.edge)
    if "secret_key" not in values:
        values["secret_key"] = _development_secret(Path(state)) if generate_secret else "not generated"


def _development_secret(state: Path) -> str:
    """The generated key of this installation, kept in the state directory so that it survives a restart."""
    path = state / "secret-key"
    state.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            path.chmod(0o600)
            file.write(secrets.token_urlsafe(32))
    except FileExistsError:
        pass
    return path.read_text(encoding="utf-8").strip()


def _missing_in_production(values: Mapping[str, Any]) -> list[str]:
    required = (
        "CALLCENTER_SECRET_KEY",
        "PUBLIC_BASE_URL",
        "WEB_BASE_URL",
        "DATABASE_URL",
        "RECORDINGS_URL",
        "TWILIO_ACCOUNT_SID",
        "TWILIO_AUTH_TOKEN",
        "TWILIO_REST_KEY_SID",
        "TWILIO_REST_KEY_SECRET",
        "TWILIO_API_KEY_SID",
        "TWILIO_API_KEY_SECRET",
    )
    return [f"{name} must be set in production" for name in required if VARIABLES[name] not in values]


def _problems_of_values(settings: Settings) -> list[str]:
    problems = []
    for name, url in (("PUBLIC_BASE_URL", settings.public_base_url), ("WEB_BASE_URL", settings.web_base_url)):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or parts.fragment:
            problems.append(f"{name} must be scheme and host only, such as https://calls.example.org")
    if urlsplit(settings.recordings_url).scheme not in ("s3", "file"):
        problems.append("RECORDINGS_URL must begin with s3:// or file://")
    if urlsplit(settings.database_url).scheme.split("+")[0] not in ("sqlite", "postgresql"):
        problems.append("DATABASE_URL must be a sqlite or postgresql URL")
    return problems


def _unsafe_in_production(settings: Settings) -> list[str]:
    problems = []
    if not settings.public_base_url.startswith("https://"):
        problems.append("PUBLIC_BASE_URL must be https in production")
    if not settings.web_base_url.startswith("https://"):
        problems.append("WEB_BASE_URL must be https in production")
    if not settings.recordings_url.startswith("s3://"):
        problems.append("RECORDINGS_URL must be an s3:// bucket in production")
    if settings.clock_offset_seconds:
        problems.append("CALLCENTER_CLOCK_OFFSET_SECONDS is for development only")
    if settings.twilio_api_base_url:
        problems.append("TWILIO_API_BASE_URL (the simulator) is for development only")
    if len(settings.secret_key) < 32:
        problems.append("CALLCENTER_SECRET_KEY must have at least 32 characters")
    simulator_values = {SIMULATOR_ACCOUNT_SID, SIMULATOR_AUTH_TOKEN, SIMULATOR_API_KEY_SID, SIMULATOR_API_KEY_SECRET}
    for name in ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_API_KEY_SID", "TWILIO_API_KEY_SECRET"):
        if getattr(settings, VARIABLES[name]) in simulator_values:
            problems.append(f"{name} is the simulator's and must not be used in production")
    if settings.twilio_rest_key_sid == settings.twilio_account_sid:
        problems.append("TWILIO_REST_KEY_SID must be an API key, not the account, in production")
    return problems
