"""Questions that are asked all the time must not take longer because the service has been used for years: each is
timed on 10,000 and on 1,000,000 calls with as many offers and recordings, and the two times are compared.

The rows differ in their past only: as much is live, due and unlinked in the small history as in the long one.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, Engine, create_engine, select, text
from sqlalchemy.orm import Session

from benchmarks.databases import KINDS, database
from benchmarks.judging import Report, main, rounded
from callcenter import clock
from callcenter.db import create_engine_for
from callcenter.domain.calls import OfferState
from callcenter.domain.permissions import COMMAND_LINE
from callcenter.models import Base, Call, Offer, Recording
from callcenter.models.base import table_of
from callcenter.services import call_log, commands, copy_claims, queueing, receptionists, reports, waiting
from callcenter.services.paging import write_cursor
from callcenter.worker import tick
from retention import due
from tests.factories import (
    create_answered_call,
    create_clinic,
    create_offer,
    create_receptionist,
    create_recording,
)

FEW, MANY = 10_000, 1_000_000
TINY = 500, 1_000
DUE = 200
"""Recordings that are due, and calls that are on the unlinked list, in either history."""
UNPURGED = 5_000
"""Recordings whose time has not come or that are due, in either history."""
LIMIT = 1.2
SMALLEST_SECONDS = 0.0002
"""What is faster than that on both is as fast as it gets: there the timer and the interpreter are compared."""


@dataclass(frozen=True)
class _History:
    engine: Engine
    clinic_id: str
    middle: str
    """Cursor of a page in the middle of the log."""


def benchmark(tiny: bool) -> Report:
    """Time every question on both histories of each kind of database."""
    report = Report("history")
    few, many = TINY if tiny else (FEW, MANY)
    for kind in KINDS[:1] if tiny else KINDS:
        with database(kind) as small, database(kind) as large, ExitStack() as stack:
            histories = [_history(kind, url, rows, stack) for url, rows in ((small, few), (large, many))]
            report.figures[kind] = {}
            for name, ask in _questions().items():
                seconds = _timed(ask, histories, rounds=3 if tiny else 15)
                ratio = max(seconds[1], SMALLEST_SECONDS) / max(seconds[0], SMALLEST_SECONDS)
                report.at_most(f"{kind}: {name}", ratio, LIMIT)
                report.figures[kind][name] = [rounded(one * 1000) for one in seconds]
    return report


def _questions() -> dict[str, Callable[[_History, Session], object]]:
    now = clock.now()
    everything = call_log.Criteria()

    def page(criteria: call_log.Criteria, cursor: str | None, session: Session) -> object:
        return call_log.list_calls(session, COMMAND_LINE, criteria, limit=50, cursor=cursor, now=now)

    return {
        "sweep: what is due": lambda _, s: due.count_due(s, due.Why.EXPIRED, now),
        "sweep: claim 100": lambda _, s: due.claim(s, due.Why.EXPIRED, due_at=now, now=now, limit=100),
        "sweep: claim what is wanted early": lambda _, s: due.claim(s, due.Why.WANTED, due_at=now, now=now, limit=100),
        "call log: first page": lambda _, s: page(everything, None, s),
        "call log: page in the middle": lambda history, s: page(everything, history.middle, s),
        "unlinked list of a clinic": lambda h, s: page(call_log.Criteria(h.clinic_id, linked=False), None, s),
        "unlinked list of all": lambda _, s: page(call_log.Criteria(linked=False), None, s),
        "worker: overdue offers": lambda _, s: queueing.overdue_offers(s, now=now),
        "worker: calls to be offered": lambda _, s: queueing.offerable(s, now=now),
        "worker: overflowing calls": lambda _, s: waiting.overflowing(s, now=now),
        "worker: lapsed wrap-ups": lambda _, s: receptionists.lapsed_wrap_ups(s, now=now),
        "worker: silent calls": lambda _, s: tick.silent_calls(s, now),
        "worker: commands due": lambda _, s: commands.due_ids(s, now=now, limit=32),
        "worker: next copy": lambda _, s: copy_claims.next_copy(s, now),
        "worker: next deletion at the carrier": lambda _, s: copy_claims.next_carrier_deletion(s, now),
        "metrics": lambda _, s: reports.installation_figures(s, now=now),
    }


def _timed(ask: Callable[[_History, Session], object], histories: list[_History], *, rounds: int) -> list[float]:
    """The best seconds on each, which nobody has disturbed; both are asked in turn."""
    seconds: list[list[float]] = [[] for _ in histories]
    for _ in range(rounds + 1):  # the first one warms up
        for history, times in zip(histories, seconds, strict=True):
            with Session(history.engine) as session:
                session.connection()
                started = time.perf_counter()
                ask(history, session)
                times.append(time.perf_counter() - started)
                session.rollback()
    return [min(times[1:]) for times in seconds]


def _history(kind: str, url: str, rows: int, stack: ExitStack) -> _History:
    engine = create_engine_for(url)
    stack.callback(engine.dispose)
    patient = create_engine(url)  # ours gives a statement up that takes so long
    with patient.begin() as connection:
        _fill(connection, rows)
    with engine.connect() as connection:
        newest_first = select(Call.clinic_id, Call.started_at, Call.id).order_by(Call.started_at.desc())
        clinic_id, at, call_id = connection.execute(newest_first.offset(rows // 2).limit(1)).one()
    if kind == "postgresql":  # where the server does it by itself; nobody ever does it on SQLite
        with patient.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    patient.dispose()
    return _History(engine, clinic_id, write_cursor(at, call_id))


def _fill(connection: Connection, rows: int) -> None:
    """Calls, their offers and recordings, one a minute up to yesterday. All but the newest recordings are purged."""
    with Session(connection) as session:
        newest = clock.now() - timedelta(days=1)
        clinic = create_clinic(session)
        call = create_answered_call(session, clinic, started_at=newest, needs_link=False)
        recording = create_recording(session, call, expires_at=newest + timedelta(days=60))
        over = {"state": OfferState.ACCEPTED, "created_at": newest, "ended_at": newest}
        offer = create_offer(session, call, create_receptionist(session, clinic), **over)
        ids = call.id, offer.id, recording.id
    _repeat(connection, Call, ids[0], rows, {
        "id": "{hex}",
        "carrier_call_sid": "'CA' || {hex}",
        "started_at": "{minutes_before}",
        "needs_link": f"i % {rows // DUE} = 0",
    })  # fmt: skip
    _repeat(connection, Offer, ids[1], rows, {
        "id": "{hex}",
        "call_id": "{hex}",
        "created_at": "{minutes_before}",
        "ended_at": "{minutes_before}",
    }, since="created_at")  # fmt: skip
    _repeat(connection, Recording, ids[2], rows, {
        "id": "{hex}",
        "call_id": "{hex}",
        "carrier_recording_sid": "'RE' || {hex}",
        "store_key": "{hex}",
        "started_at": "{minutes_before}",
        "state": f"CASE WHEN i <= {UNPURGED} THEN 'stored' ELSE 'purged' END",
        "expires_at": f"CASE WHEN i <= {DUE} OR i > {UNPURGED} THEN {{minutes_before}} ELSE expires_at END",
    })  # fmt: skip


def _repeat(
    connection: Connection,
    model: type[Base],
    row_id: str,
    rows: int,
    changes: dict[str, str],
    *,
    since: str = "started_at",
) -> None:
    """Copies of a row, numbered by ``i``; ``changes`` are the columns that differ, in SQL, where ``{minutes_before}``
    is the column ``since`` ``i`` minutes earlier."""
    words = {name: word.format(since=since) for name, word in _SQL[connection.dialect.name].items()}
    table = table_of(model)
    values = [changes.get(column.name, column.name).format(**words) for column in table.columns]
    names = ", ".join(column.name for column in table.columns)
    copies = f"SELECT {', '.join(values)} FROM {table.name}, numbers WHERE {table.name}.id = :id"  # noqa: S608
    numbers = "WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < :rows)"
    insert = f"INSERT INTO {table.name} ({names}) {numbers} {copies}"
    connection.execute(text(insert), {"id": row_id, "rows": rows})


_SQL = {
    "sqlite": {
        "hex": "printf('%032x', i)",
        "minutes_before": "strftime('%Y-%m-%d %H:%M:%f000', {since}, '-' || i || ' minutes')",
    },
    "postgresql": {"hex": "lpad(to_hex(i), 32, '0')", "minutes_before": "{since} - i * interval '1 minute'"},
}


if __name__ == "__main__":
    main(benchmark)
