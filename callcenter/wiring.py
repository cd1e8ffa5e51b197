"""Picks the real or the local parts from the settings. Imports happen inside, so that a process loads only what it
uses (boto3 and the REST client cost 200 ms and 25 MB each)."""

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from sqlalchemy import Engine

from callcenter import clock, config, crash_points, homes
from callcenter.config import Settings
from callcenter.db import create_engine_for
from callcenter.errors import ConfigurationError, StoreError, StoreUnavailable
from callcenter.logs import log
from callcenter.ports import Carrier, RecordingStore

if TYPE_CHECKING:
    from callcenter.storage.s3 import S3RecordingStore


def load_settings() -> Settings:
    """The settings of this process from its environment; sets the clock offset and arms crash points
    too. Raises ConfigurationError."""
    settings = config.load(os.environ)
    clock.set_offset(settings.clock_offset_seconds)
    crash_points.arm(settings.crash_point, settings.state_dir / "crash-points")
    return settings


def engine(settings: Settings, *, pool_size: int = 10, anywhere: bool = False) -> Engine:
    """The database. Connects to nothing yet; later connections raise NotAtHome for one that was restored from a backup,
    unless ``anywhere``."""
    engine = create_engine_for(settings.database_url, pool_size=pool_size)
    return engine if anywhere else homes.guard(engine)


def recording_store(settings: Settings) -> RecordingStore:
    """Where recordings are kept: ``s3://bucket/prefix`` or, for development, ``file:///directory``."""
    parts = urlsplit(settings.recordings_url)
    if parts.scheme == "s3":
        return _bucket(settings)
    from callcenter.storage.local import LocalRecordingStore

    return LocalRecordingStore(Path(unquote(parts.path)))


def checked_recording_store(settings: Settings) -> RecordingStore:
    """The recording store of a long-running process. Raises ConfigurationError in production when the bucket lies
    where recordings may not be stored, or does not open to us (P43).

    A bucket that cannot be reached is no reason to end: callers are answered without it, and health reports it.
    """
    if settings.environment != "production":
        return recording_store(settings)
    bucket = _bucket(settings)
    try:
        problem = bucket.misplaced()
    except StoreUnavailable as error:
        log("wiring").warning("bucket_not_checked", error=type(error).__name__)
    except StoreError as error:
        raise ConfigurationError([f"RECORDINGS_URL: {error}"]) from error
    else:
        if problem:
            raise ConfigurationError([problem])
    return bucket


def _bucket(settings: Settings) -> "S3RecordingStore":
    from callcenter.storage.s3 import S3RecordingStore

    parts = urlsplit(settings.recordings_url)
    return S3RecordingStore(
        bucket=parts.netloc,
        prefix=parts.path.strip("/"),
        endpoint_url=settings.aws_endpoint_url,
        region=settings.aws_region,
        allowed_regions=settings.voice.allowed_storage_regions,
    )


def carrier(settings: Settings) -> Carrier:
    """The telephone carrier's REST side."""
    from callcenter.carrier.twilio_client import TwilioCarrier

    return TwilioCarrier(settings)
