"""Structured logs: one JSON object a line, with fields from a list. What is not on the list is not written (S29).

An event has a fixed name and its values are fields: ``log("web").info("request", route=…, status=404)``. Ids, counts
and seconds only. JSON with ASCII escapes keeps every control character out of the terminal (S28).
"""

import logging
import re
import sys
import traceback
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from callcenter import clock

FIELDS = frozenset((
    "action", "actor_id", "address", "attempt", "bucket", "call_id", "carrier_code", "check", "clinic_id", "code",
    "command_id", "count", "counts", "deleted", "due", "error", "event_id", "failed", "held", "interval_seconds",
    "job", "key_id", "kind", "leg_id", "level", "listening", "method", "offer_id", "outcome", "pid", "port",
    "process", "purpose", "queued", "receptionist_id", "recording_id", "retry_after_seconds", "role", "route",
    "scenario", "seconds", "signal", "skipped", "state", "status", "step", "store", "subject_id", "subject_kind",
    "turn", "user_id", "version", "where",
))  # fmt: skip
"""Every field that may be logged. Add one only when no value of it can ever be somebody's number, name or words."""

LONGEST_VALUE = 200
_NUMBER = re.compile(r"\+\d{6,15}")
_FRAMES = 6


def log(part: str) -> Any:
    """The logger of a part of the product (``web``, ``webhooks``, ``worker`` …).

    Its events are stripped whether or not ``configure`` was called; without it only warnings and worse are written.
    """
    if not structlog.is_configured():
        _configure_events()
    return structlog.get_logger().bind(part=part)


def configure(stream: TextIO | None = None) -> None:
    """Log to ``stream`` (default: stderr), our own events and those of the libraries; may be called again."""
    _configure_events()
    handler = logging.StreamHandler(stream) if stream else _ToStderr()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=True, sort_keys=True),
            ],
            use_get_message=False,
            pass_foreign_args=True,
            foreign_pre_chain=[structlog.stdlib.add_log_level, _stamp, _tame_library, keep_listed_fields],
        )
    )
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("callcenter", "gunicorn.error"):
        logging.getLogger(name).setLevel(logging.INFO)


class _ToStderr(logging.StreamHandler[TextIO]):
    """Writes to what ``sys.stderr`` is at the time, as somebody may have put another stream in its place."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def _configure_events() -> None:
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, _stamp, _describe_exception, keep_listed_fields, _hand_over],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: logging.getLogger("callcenter"),
        cache_logger_on_first_use=False,
    )


def keep_listed_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Drop every field that is not listed and shorten what is; dropped fields are named, their values are not kept."""
    own = {"event", "level", "at", "part", "_record", "_from_structlog"}
    kept: EventDict = {key: value for key, value in event.items() if key in own}
    kept["event"] = _plain(kept["event"])
    for key, value in event.items():
        if key in FIELDS:
            kept[key] = _plain(value)
    dropped = sorted(str(key)[:40] for key in event if key not in own and key not in FIELDS)
    return {**kept, "dropped": dropped} if dropped else kept


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(inner) for key, inner in value.items()}
    return _NUMBER.sub("[number]", str(value))[:LONGEST_VALUE]


def _stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["at"] = clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return event


def _describe_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace an exception by its kind and where it came from: its text may quote values (S29)."""
    info = event.pop("exc_info", None)
    error = sys.exc_info()[1] if info is True else info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        event["where"] = _where(error.__traceback__)
    return event


def _where(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)[-_FRAMES:]
    return " < ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in reversed(frames))


def _tame_library(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Of a library's message only the pattern is kept, never the values filled in: they may be anybody's."""
    if not event.pop("positional_args", None):
        event["event"] = "library_message"
    event["part"] = event["_record"].name
    return _describe_exception(_logger, _method, event)


def _hand_over(_logger: WrappedLogger, _method: str, event: EventDict) -> Any:
    return structlog.stdlib.ProcessorFormatter.wrap_for_formatter(_logger, _method, event)
