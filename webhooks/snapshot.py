"""The last good routing on disk: what the door can say about a clinic's number when the database is away (F1)."""

import json
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine, select

from callcenter import clock
from callcenter.config import VoiceSettings
from callcenter.db import reading
from callcenter.domain.steps import ForwardTo, SayAndHangUp
from callcenter.logs import log
from callcenter.models import Clinic, ClinicNumber

FILE_NAME = "door-snapshot.json"
REFRESH_EVERY_SECONDS = 60
STALE_AFTER_SECONDS = 30
"""A call that comes in after this long has the snapshot taken again, so that it is never older than busy times."""


@dataclass(frozen=True)
class Line:
    """What is known of a clinic's number: the greeting as it is spoken, and where to forward to."""

    greeting: str
    fallback_number: str | None


class Snapshot:
    """Lines by number (E.164), in memory and in a file that outlives the process. Holds nothing about callers."""

    def __init__(self, state_dir: Path, voice: VoiceSettings) -> None:
        self._file = state_dir / FILE_NAME
        self._voice = voice
        self._lines = self._load()
        self._taken_at: datetime | None = None

    @property
    def usable(self) -> bool:
        """Whether any number is known."""
        return bool(self._lines)

    def is_older_than(self, seconds: float) -> bool:
        """Whether this process took it longer ago than that, or never."""
        return self._taken_at is None or (clock.now() - self._taken_at).total_seconds() > seconds

    def way_out(self, number: str | None, *, greet: bool) -> ForwardTo | SayAndHangUp:
        """What to do with a caller of ``number`` whom we cannot serve: forward to the clinic, or apologise.

        Nothing is recorded on this way, because nothing could make sure that it is deleted in time.
        """
        line = self._lines.get(number or "")
        greeting = (line.greeting,) if line and greet else ()
        if line is None or line.fallback_number is None:
            return SayAndHangUp((*greeting, self._voice.prompt("apology")))
        return ForwardTo((*greeting, self._voice.prompt("forwarding")), line.fallback_number)

    def refresh(self, engine: Engine) -> None:
        """Read the routing from the database and keep it. Raises SQLAlchemyError or OSError; the old one stays then."""
        with reading(engine) as session:
            rows = session.execute(
                select(ClinicNumber.number, Clinic.name, Clinic.greeting, Clinic.fallback_number).join(
                    Clinic, Clinic.id == ClinicNumber.clinic_id
                )
            ).all()
        ours = {row.number for row in rows}
        lines = {
            row.number: Line(
                row.greeting or self._voice.prompt("greeting").format(clinic=row.name),
                # A fallback number that is one of ours would ring here again, without end.
                row.fallback_number if row.fallback_number not in ours else None,
            )
            for row in rows
        }
        self._lines = lines
        self._taken_at = clock.now()
        self._save(lines)

    def _load(self) -> dict[str, Line]:
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
            return {number: Line(**line) for number, line in content["numbers"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log("webhooks").error("snapshot_unreadable", error=type(error).__name__)
            return {}

    def _save(self, lines: dict[str, Line]) -> None:
        """Replace the file as a whole: a reader sees the old one or the new one, whatever happens in between."""
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self._file.with_name(f"{FILE_NAME}.{os.getpid()}.part")
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump({"numbers": {number: asdict(line) for number, line in lines.items()}}, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._file)
        finally:
            part.unlink(missing_ok=True)  # half of it, when the disk is full


class Refresher:
    """Calls ``refresh`` on a thread of its own, every REFRESH_EVERY_SECONDS and when woken.

    The thread starts with the first request, not with the application: a server may fork in between.
    """

    def __init__(self, refresh: Callable[[], None]) -> None:
        self._refresh = refresh
        self._wake = threading.Event()
        self._stopped = False
        self._guard = threading.Lock()
        self._running_in: int | None = None
        self._thread: threading.Thread | None = None

    def ensure_running(self) -> None:
        """Start the thread of this process, once."""
        if self._running_in == os.getpid():
            return
        with self._guard:
            if self._running_in != os.getpid() and not self._stopped:
                self._running_in = os.getpid()
                self._thread = threading.Thread(target=self._run, name="door-snapshot", daemon=True)
                self._thread.start()

    def wake(self) -> None:
        """Refresh soon."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread, after the refresh it is at."""
        self._stopped = True
        self._wake.set()
        if self._thread is not None and self._running_in == os.getpid():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped:
            self._wake.wait(REFRESH_EVERY_SECONDS)
            self._wake.clear()
            if not self._stopped:
                self._refresh()
