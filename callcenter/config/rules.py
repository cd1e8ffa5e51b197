"""What settings must not be: impossible anywhere, unsafe in production (P18, P43). Problems never show a value."""

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from callcenter.config.settings import (
    SIMULATOR_ACCOUNT_SID,
    SIMULATOR_API_KEY_SECRET,
    SIMULATOR_API_KEY_SID,
    SIMULATOR_AUTH_TOKEN,
    VARIABLES,
    Settings,
)

REQUIRED_IN_PRODUCTION = (
    "CALLCENTER_SECRET_KEY",
    "PUBLIC_BASE_URL",
    "WEB_BASE_URL",
    "DATABASE_URL",
    "RECORDINGS_URL",
    "AWS_REGION",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN",
    "TWILIO_REST_KEY_SID",
    "TWILIO_REST_KEY_SECRET",
    "TWILIO_API_KEY_SID",
    "TWILIO_API_KEY_SECRET",
)
CREDENTIALS = ("TWILIO_AUTH_TOKEN_NEXT", *(name for name in REQUIRED_IN_PRODUCTION if name.startswith("TWILIO_")))
OF_THE_SIMULATOR = {SIMULATOR_ACCOUNT_SID, SIMULATOR_AUTH_TOKEN, SIMULATOR_API_KEY_SID, SIMULATOR_API_KEY_SECRET}
FEWEST_DIFFERENT_CHARACTERS = 8
"""A key of 32 random hex digits has about 14; fewer than this was typed, not generated."""


def missing_in_production(values: Mapping[str, Any]) -> list[str]:
    """What production cannot do without and development has a default for."""
    return [f"{name} must be set in production" for name in REQUIRED_IN_PRODUCTION if VARIABLES[name] not in values]


def problems_of_values(settings: Settings) -> list[str]:
    """What cannot work, or is not safe, in any environment."""
    problems = []
    for name, url in (("PUBLIC_BASE_URL", settings.public_base_url), ("WEB_BASE_URL", settings.web_base_url)):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or parts.fragment:
            problems.append(f"{name} must be scheme and host only, such as https://calls.example.org")
    if urlsplit(settings.recordings_url).scheme not in ("s3", "file"):
        problems.append("RECORDINGS_URL must begin with s3:// or file://")
    if urlsplit(settings.database_url).scheme.split("+")[0] not in ("sqlite", "postgresql"):
        problems.append("DATABASE_URL must be a sqlite or postgresql URL")
    simulated = SIMULATOR_AUTH_TOKEN in settings.accepted_auth_tokens
    if settings.environment != "production" and simulated and not _is_loopback(settings.public_base_url):
        # Everybody can read the simulator's token in the source, and so sign whatever the door would believe.
        problems.append("TWILIO_AUTH_TOKEN is the simulator's, which is for a PUBLIC_BASE_URL on this machine only")
    return problems


def unsafe_in_production(settings: Settings) -> list[str]:
    """What may be tried in development only."""
    problems = [
        f"{name} must be https in production"
        for name in ("PUBLIC_BASE_URL", "WEB_BASE_URL", "AWS_ENDPOINT_URL_S3")
        if not (getattr(settings, VARIABLES[name]) or "https://").startswith("https://")
    ]
    problems += [
        f"{name} is the simulator's and must not be used in production"
        for name in CREDENTIALS
        if getattr(settings, VARIABLES[name]) in OF_THE_SIMULATOR
    ]
    if not settings.recordings_url.startswith("s3://"):
        problems.append("RECORDINGS_URL must be an s3:// bucket in production")
    if settings.clock_offset_seconds:
        problems.append("CALLCENTER_CLOCK_OFFSET_SECONDS is for development only")
    if settings.crash_point:
        problems.append("CALLCENTER_CRASH_POINT is for development only")
    if settings.twilio_api_base_url:
        problems.append("TWILIO_API_BASE_URL (the simulator) is for development only")
    if settings.twilio_rest_key_sid == settings.twilio_account_sid:
        problems.append("TWILIO_REST_KEY_SID must be an API key, not the account, in production")
    return problems + _weak_secrets(settings)


def _weak_secrets(settings: Settings) -> list[str]:
    problems = []
    if len(settings.secret_key) < 32:
        problems.append("CALLCENTER_SECRET_KEY must have at least 32 characters")
    elif len(set(settings.secret_key)) < FEWEST_DIFFERENT_CHARACTERS:
        problems.append("CALLCENTER_SECRET_KEY repeats few characters; generate it, with openssl rand -hex 32")
    if settings.metrics_token is not None and len(settings.metrics_token) < 16:
        problems.append("CALLCENTER_METRICS_TOKEN must have at least 16 characters")
    return problems


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
