"""What is due is answered from partial indexes: the answer costs what it finds, not what there ever was."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, Select, event, select

from callcenter.models import Call, Recording
from callcenter.services.copy_claims import carrier_copy_due, copyable
from retention.call_log import _due as call_due
from retention.due import Why, due
from tests.factories import NOW

QUESTIONS: dict[str, tuple[Callable[[], Select[str]], str]] = {
    "expired": (
        lambda: select(Recording.id).where(due(Why.EXPIRED, NOW)).order_by(Recording.expires_at).limit(100),
        "ix_recordings_due",
    ),
    "wanted gone": (
        lambda: select(Recording.id).where(due(Why.WANTED, NOW)).order_by(Recording.expires_at).limit(100),
        "ix_recordings_purge_wanted",
    ),
    "to be copied": (
        lambda: select(Recording.id).where(copyable(NOW)).order_by(Recording.next_attempt_at).limit(1),
        "ix_recordings_copying",
    ),
    "carrier copies": (
        lambda: select(Recording.id).where(carrier_copy_due(NOW)).order_by(Recording.next_attempt_at).limit(1),
        "ix_recordings_carrier_copy",
    ),
    "calls to blank": (
        lambda: select(Call.id).where(call_due(NOW)).order_by(Call.expires_at).limit(500),
        "ix_calls_blanking",
    ),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_about_what_is_due_uses_its_partial_index(engine: Engine, question: str) -> None:
    ask, index = QUESTIONS[question]
    sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as connection:
        if not sqlite:
            connection.exec_driver_sql("SET enable_seqscan = off")  # the table is empty: any plan is cheap

        @event.listens_for(connection, "before_cursor_execute", retval=True)
        def explain(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
            return f"{'EXPLAIN QUERY PLAN' if sqlite else 'EXPLAIN'} {statement}", parameters

        plan = connection.execute(ask()).cursor.fetchall()
    assert index in str(plan)
