"""Picks the real or the local parts from the settings. Imports happen inside, so that a process loads only what it
uses (boto3 and the REST client cost 200 ms and 25 MB each)."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import Engine

from callcenter import clock, config
from callcenter.config import Settings
from callcenter.db import create_engine_for
from callcenter.ports import Carrier, RecordingStore


def load_settings() -> Settings:
    """The settings of this process from its environment; sets the clock offset too. Raises ConfigurationError."""
    settings = config.load(os.environ)
    clock.set_offset(settings.clock_offset_seconds)
    return settings


def engine(settings: Settings, *, pool_size: int = 10) -> Engine:
    """The database. Connects to nothing yet."""
    return create_engine_for(settings.database_url, pool_size=pool_size)


def recording_store(settings: Settings) -> RecordingStore:
    """Where recordings are kept: ``s3://bucket/prefix`` or, for development, ``file:///directory``."""
    parts = urlsplit(settings.recordings_url)
    if parts.scheme == "s3":
        from callcenter.storage.s3 import S3RecordingStore

        return S3RecordingStore(
            bucket=parts.netloc,
            prefix=parts.path.strip("/"),
            endpoint_url=settings.aws_endpoint_url,
            allowed_regions=settings.voice.allowed_storage_regions,
        )
    from callcenter.storage.local import LocalRecordingStore

    return LocalRecordingStore(Path(unquote(parts.path)))


def carrier(settings: Settings) -> Carrier:
    """The telephone carrier's REST side."""
    from callcenter.carrier.twilio_client import TwilioCarrier

    return TwilioCarrier(settings)
