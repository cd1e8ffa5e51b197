"""One call through the real processes with unmistakable secrets and personal data, and a search for them wherever they
must not be: database, logs, metrics, names of objects, files, command lines; and after the purge nowhere at all (P4,
S29, S37)."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import update

from callcenter import clock
from callcenter.config import SIMULATOR_API_KEY_SECRET, SIMULATOR_AUTH_TOKEN
from callcenter.db import transaction
from callcenter.domain.calls import CallState
from callcenter.models import Base, Call, Recording
from retention.inventory import TABLES, Sensitivity
from tests.campaigns import LONG
from tests.e2e.processes import below, command_line
from tests.e2e.rig import Rig, installation

pytestmark = [pytest.mark.campaign, pytest.mark.xdist_group("e2e"), pytest.mark.timeout(300)]

NUMBER = "+447700900731"
"""Of the caller who rings; whoever the booking is for has another."""
PEOPLE = {
    "number": NUMBER,
    "booked number": "+447700900732",
    "name": "Canarina Kestrelwing",
    "note": "canary-note-4c1d side entrance",
    "reason": "canary-reason-77ab asked for directions",
}
CHOSEN = {
    "CALLCENTER_SECRET_KEY": "canary-secret-key-0f9e8d7c6b5a49382716",
    "CALLCENTER_METRICS_TOKEN": "canary-metrics-token-5f4e3d2c1b0a",
}
TALK = [{"wait_for": "connected", "timeout": 60}, {"say": "Hello."}, {"wait": 12}, {"hang_up": True}]


@pytest.fixture(params=["sqlite_url", "postgresql_url"] if LONG else ["sqlite_url"])
def rig(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """The installation, with secrets that are found again and a folder of its own for temporary files."""
    database_url: str = request.getfixturevalue(request.param)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    for name, value in (CHOSEN | {"TMPDIR": str(temporary)}).items():
        monkeypatch.setenv(name, value)
    with installation(tmp_path, database_url) as rig:
        yield rig


def cells(rig: Rig) -> Iterator[tuple[str, str]]:
    """Every value of the database with ``table.column``."""
    with rig.engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            for row in connection.execute(table.select()).mappings().all():
                yield from ((f"{table.name}.{column}", str(value)) for column, value in row.items())


def outside(rig: Rig) -> dict[str, str]:
    """Everything that the processes leave outside of the database, but for the sound itself and the caller's side."""
    metrics = {"Authorization": f"Bearer {CHOSEN['CALLCENTER_METRICS_TOKEN']}"}
    found = {"metrics": requests.get(f"{rig.web}/metrics", headers=metrics, timeout=30).text}
    found["objects"] = " ".join(str(path) for path in rig.store.rglob("*"))
    family = {rig.processes["serve"].pid, *below(rig.processes["serve"].pid)}
    found["command lines"] = " ".join(map(command_line, family))
    for file in rig.directory.rglob("*"):
        ours = rig.store not in file.parents and not file.name.startswith(("callcenter.db", "simulator"))
        if file.is_file() and ours:
            found[file.name] = file.read_bytes().decode("latin-1")
    return found


def sweep(rig: Rig, canaries: dict[str, str]) -> dict[str, set[str]]:
    """Which canary was found where."""
    found: dict[str, set[str]] = {name: set() for name in canaries}
    for place, value in [*cells(rig), *outside(rig).items()]:
        for name, canary in canaries.items():
            if canary in value or canary.removeprefix("+44") in value:
                found[name].add(place)
    return found


def whole_call(rig: Rig) -> str:
    """Rung, answered, recorded, booked, filed, heard; the call's id."""
    inline: dict[str, Any] = {"from": NUMBER, "steps": TALK}
    sid = rig.dial(**inline)
    call = rig.until_state(sid, CallState.CONNECTED, seconds=120)
    body: dict[str, Any] = {
        "clinic": "hill",
        "practitioner_id": rig.cast.hill.practitioner.id,
        "service_id": rig.cast.hill.service.id,
        "starts_at": (clock.now() + timedelta(days=2)).strftime("%Y-%m-%dT09:00:00Z"),
        "caller_name": PEOPLE["name"],
        "caller_number": PEOPLE["booked number"],
        "note": PEOPLE["note"],
    }
    assert rig.api("POST", "/bookings", body).status_code == 201
    rig.until_settled(sid, seconds=120)
    filed = {"disposition": "other", "reason": PEOPLE["reason"]}
    assert rig.api("PUT", f"/calls/{call.id}/disposition", filed).status_code == 200
    (recording,) = rig.recordings(sid)
    assert rig.api("GET", f"/recordings/{recording.id}/audio", purpose="quality").status_code == 200
    assert rig.api("GET", f"/recordings/{recording.id}/audio", purpose="nonsense").status_code == 422
    assert rig.api("POST", "/calls/search", {"number": NUMBER}).ok
    rig.api("GET", f"/calls/{PEOPLE['name']}")
    requests.get(f"{rig.web}/{PEOPLE['number']}", headers={"User-Agent": PEOPLE["note"]}, timeout=30)
    requests.post(f"{rig.web}/webhooks/voice/incoming", {"From": NUMBER, "To": "x"}, timeout=30)
    return call.id


def forget(rig: Rig, call_id: str) -> None:
    """The retention process's commands, on the day on which everything of the call has expired."""
    past = clock.now() - timedelta(seconds=1)
    with transaction(rig.engine) as session:
        session.execute(update(Recording).values(expires_at=past))
        session.execute(update(Call).values(expires_at=past))
    command = [sys.executable, "-m", "callcenter.cli", "retention", "sweep", "--confirm"]
    done = subprocess.run(command, env=rig.environ(), cwd=rig.directory, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    rig.until("it is purged", lambda: rig.stored_objects() == [], seconds=60)


def test_secrets_are_nowhere_and_people_only_where_the_inventory_says_and_after_the_purge_not_there_either(
    rig: Rig, figures: Callable[..., None]
) -> None:
    call_id = whole_call(rig)
    secrets = {"auth token": SIMULATOR_AUTH_TOKEN, "api secret": SIMULATOR_API_KEY_SECRET, "api key": rig.key} | CHOSEN
    assert {name: places for name, places in sweep(rig, secrets).items() if places} == {}
    fields = ((f"{table.name}.{field.name}", field.sensitivity) for table in TABLES for field in table.fields)
    personal = {name for name, sensitivity in fields if sensitivity != Sensitivity.NONE}
    seen = sweep(rig, PEOPLE)
    assert all(seen.values()), "the search finds what is there"
    assert {name: places - personal for name, places in seen.items() if places - personal} == {}

    forget(rig, call_id)
    left = sweep(rig, {name: PEOPLE[name] for name in ("number", "reason")})
    # Searches are kept for a day, and removed by the same process.
    assert {name: places - {"searches.criteria"} for name, places in left.items()} == {"number": set(), "reason": set()}
    assert {name: places for name, places in sweep(rig, secrets).items() if places} == {}
    figures(canaries=len(PEOPLE) + len(secrets), places=len(outside(rig)) + len(personal), found=0)
    assert os.environ["CALLCENTER_SECRET_KEY"] == CHOSEN["CALLCENTER_SECRET_KEY"], "the processes had them"
