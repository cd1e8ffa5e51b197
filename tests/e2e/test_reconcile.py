"""A caller rings while the database is away: the clinic itself answers, and the log is completed later (F1, P34)."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import select, text, update

from callcenter.db import reading, transaction
from callcenter.domain.calls import CallState, LegRole, LegState, Outcome
from callcenter.models import Call, CallLeg, Clinic
from tests.e2e.rig import Rig, installation

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.timeout(300)]

FALLBACK = "+441632960077"


class Forwarding(Rig):
    """An installation whose clinics have a number of their own for the worst case."""

    def start_serve(self) -> None:
        """See Rig.start_serve. The number must be known before the door first looks."""
        with transaction(self.engine) as session:
            session.execute(update(Clinic).values(fallback_number=FALLBACK))
        self.put(f"phones/{FALLBACK}", {"action": "answer", "answer_after_seconds": 1})
        super().start_serve()
        self.until("the door knows where to forward to", lambda: FALLBACK in self._snapshot())

    def _snapshot(self) -> str:
        return "".join(file.read_text() for file in (self.directory / "var").rglob("door-snapshot.json"))

    def reconcile(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """``callcenter reconcile`` as somebody types it; exit code and answer."""
        command = [sys.executable, "-m", "callcenter.cli", "reconcile", *arguments, "--json"]
        done = subprocess.run(
            command, env=self.environ(), cwd=self.directory, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)


@contextmanager
def database_away(rig: Rig) -> Iterator[None]:
    """Somebody holds what every call needs, and does not let go."""
    with rig.engine.connect() as connection:
        if rig.engine.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE calls IN ACCESS EXCLUSIVE MODE"))
        else:
            connection.begin()  # SQLite's only writing turn
        yield
        connection.rollback()


def test_who_rang_while_the_database_was_away_is_in_the_log_exactly_once(tmp_path: Path, database_url: str) -> None:
    with installation(tmp_path, database_url, kind=Forwarding, answer_within_seconds=1.5) as rig:
        assert isinstance(rig, Forwarding)
        with database_away(rig):
            lost = rig.dial(steps=[{"wait": 3600}, {"hang_up": True}])
            rig.until("the clinic itself has answered", lambda: _forwarded(rig), seconds=60)
            requests.post(f"{rig.control}/calls/{lost}/hang_up", timeout=10).raise_for_status()
            rig.until("the call is over", lambda: not rig.phone(lost)["live"])
        assert rig.call(lost) is None

        code, report = rig.reconcile()
        assert (code, report["found"], report["repaired"], rig.call(lost)) == (1, {"call_not_in_log": 1}, {}, None)
        code, report = rig.reconcile("--repair")
        assert (code, report["repaired"]) == (0, {"call_not_in_log": 1})
        code, report = rig.reconcile("--repair")
        assert (code, report["found"]) == (0, {})

        [call] = _log(rig)
        assert (call.carrier_call_sid, call.state, call.outcome) == (lost, CallState.ENDED, Outcome.FAILED)
        with reading(rig.engine) as session:
            legs = session.execute(select(CallLeg.role, CallLeg.state)).all()
        assert sorted(map(tuple, legs)) == [
            (LegRole.CALLER, LegState.COMPLETED),
            (LegRole.TRANSFER_TARGET, LegState.COMPLETED),
        ]
        shown = rig.api("GET", f"/calls/{call.id}").json()
        assert (shown["outcome"], shown["ended_by"], shown["receptionist_id"]) == ("failed", None, None)
        assert _carriers_calls(rig) == [lost]


def _forwarded(rig: Rig) -> bool:
    legs: list[dict[str, Any]] = requests.get(f"{rig.control}/state", timeout=10).json()["live_calls"]
    return any(leg["to"] == FALLBACK and leg["status"] == "in-progress" for leg in legs)


def _carriers_calls(rig: Rig) -> list[str]:
    legs: list[dict[str, Any]] = requests.get(f"{rig.control}/calls", timeout=10).json()["calls"]
    return [leg["sid"] for leg in legs if leg["direction"] == "inbound"]


def _log(rig: Rig) -> list[Call]:
    with reading(rig.engine) as session:
        return list(session.scalars(select(Call)))
