"""Transactions of commands: on the configured database, by the clock, as the operator of the machine."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from callcenter import clock, wiring
from callcenter.db import transaction
from callcenter.domain.permissions import COMMAND_LINE
from callcenter.services.access import record_access


@dataclass(frozen=True)
class Work:
    """A transaction under way and its time. What it does or shows goes into the access log (P21)."""

    session: Session
    now: datetime

    def log(self, action: str, subject_kind: str, subject_id: str | None, clinic_id: str | None = None) -> None:
        """Write into the access log who did what: ids only."""
        record_access(
            self.session,
            COMMAND_LINE,
            action,
            subject_kind=subject_kind,
            subject_id=subject_id,
            clinic_id=clinic_id,
            now=self.now,
        )

    def log_list(self, action: str, subject_kind: str, clinic_ids: Iterable[str]) -> None:
        """As ``log`` for a list: one entry in the log of each clinic whose data was shown."""
        for clinic_id in sorted(clinic_ids):
            self.log(action, subject_kind, None, clinic_id)


@contextmanager
def work() -> Iterator[Work]:
    """One transaction: returning commits, raising rolls back. Rows may be read after it has ended.

    Raises ConfigurationError.
    """
    settings = wiring.load_settings()
    engine = wiring.engine(settings, pool_size=1)
    try:
        with transaction(engine) as session:
            yield Work(session, clock.now())
    finally:
        engine.dispose()
