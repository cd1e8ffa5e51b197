"""Hostile text in every field, seen in every output there is: nowhere does it get out of its place (S23, S28, S31).

The texts are put straight into the database, past every check of input: whatever an output promises, it promises for
anything that may stand there.
"""

import io
import json
import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import String, Text, select, update
from sqlalchemy.engine import Connection

from callcenter import clock, config, logs
from callcenter.cli import run
from callcenter.db import create_engine_for, transaction
from callcenter.models import Base, Call, Clinic, Receptionist
from callcenter.web.app import create_app
from tests.campaigns import runs
from tests.factories import NOW, create_opening_band
from tests.web.world import World, seed
from tests.webhooks.door import Carrier, twiml

HOSTILE = [
    "<Say>evil</Say><Hangup/>",
    "]]></Say><Response><Dial>+15550100</Dial>",
    "<!--",
    "<script>alert(1)</script>",
    "&lt;&amp;&#0;&evil;",
    "\"'`><img src=x onerror=x>",
    "=cmd|'/c calc'!A1",
    '@SUM(1+1)*"',
    "a\r\nSet-Cookie: evil=1\r\n\r\n<html>",
    "\x1b[2J\x1b]0;evil\x07\x9b31m",
    "a\u2028b\u2029c\x85d",
    "\u202eevil\u202c\u2066x",
    "nul\x00nul",
    "\ufffe\uffff\x0b\x0c\x1f",
    "{clinic.__class__} {0} %s %n ${jndi:x} {{7*7}}",
    "'; DROP TABLE calls; --",
    "\U0001f600é\u0301\U000e0041",
    '{"a": 1}\n{"event": "forged"}',
    "callcenter_calls 1\n# HELP evil x\nevil 1",
    "x" * 1_000_000,
]
FIELDS = {
    "clinics": ("name", "greeting", "closed_message"),
    "callers": ("name",),
    "practitioners": ("name",),
    "services": ("name",),
    "users": ("name",),
    "bookings": ("note",),
    "calls": ("disposition_reason",),
    "receptionists": ("presence_reason",),
    "api_keys": ("name",),
    "legal_holds": ("reason", "release_reason"),
}
"""Every column in which people write. A test makes sure that none is missing."""
COMMANDS = [
    ("clinic", "list"),
    ("clinic", "show", "hill"),
    ("practitioner", "list", "--clinic", "hill"),
    ("service", "list", "--clinic", "hill"),
    ("caller", "list", "--clinic", "hill"),
    ("api-key", "list"),
    ("calls", "list"),
    ("recordings", "list"),
    ("hold", "list"),
]
PATHS = ["/calls", "/clinics", "/bookings", "/practitioners", "/services", "/callers", "/receptionists", "//"]


@pytest.fixture
def world(sqlite_url: str, tmp_path: Path) -> Iterator[World]:
    """The seeded world of the web tests, with the clock on its day."""
    clock.set_offset((NOW - clock.host_now()).total_seconds() + 3600)
    engine = create_engine_for(sqlite_url)
    settings = config.load({"CALLCENTER_METRICS_TOKEN": "metrics-token-of-the-tests"}, directory=tmp_path)
    yield seed(engine, settings, tmp_path / "recordings", create_app)
    engine.dispose()
    clock.set_offset(0)


@pytest.fixture(params=range(len(HOSTILE)), ids=lambda number: repr(HOSTILE[number][:12]))
def text(request: pytest.FixtureRequest, world: World) -> str:
    """One hostile text, in every field at once (made different where a column is unique)."""
    hostile: str = HOSTILE[request.param]
    with world.engine.begin() as connection:
        for name, columns in FIELDS.items():
            _plant(connection, name, columns, hostile)
    return hostile


def _plant(connection: Connection, name: str, columns: tuple[str, ...], hostile: str) -> None:
    table = Base.metadata.tables[name]
    rows = connection.execute(select(*table.primary_key)).all()
    for number, row in enumerate(rows):
        own = [column == value for column, value in zip(table.primary_key, row, strict=True)]
        connection.execute(update(table).where(*own).values(dict.fromkeys(columns, hostile + " " * number)))


def test_every_column_in_which_people_write_is_attacked() -> None:
    written = {
        (table.name, column.name)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if (
            isinstance(column.type, Text)
            or (isinstance(column.type, String) and 60 <= (column.type.length or 0) <= 300)
        )
        if re.search(r"name|note|reason|greeting|message|text", column.name)
    }
    ours = {(table, column) for table, columns in FIELDS.items() for column in columns}
    not_people = {("job_heartbeats", "name"), ("switches", "name")}
    assert written - ours - not_people == set()


@pytest.mark.campaign
def test_documents_for_the_carrier_stay_documents(
    world: World, text: str, tmp_path: Path, figures: Callable[..., None]
) -> None:
    with transaction(world.engine) as session:
        session.execute(update(Receptionist).values(heartbeat_at=clock.now()))
        lake = session.scalars(select(Clinic).where(Clinic.slug == "lake")).one()
        create_opening_band(session, lake, (clock.now().weekday() + 3) % 7, 480, 481)
    carrier = Carrier.to_new_door(world.engine, tmp_path)
    answers = [carrier.rings("CA" + "1" * 32, To=world.cast.hill.number)]
    answers.append(carrier.rings("CA" + "2" * 32, To=world.cast.lake.number))
    carrier.door.close()
    spoken = ""
    for answer in answers:
        document = twiml(answer)
        assert {element.tag for element in document.iter()} <= {"Response", "Say", "Enqueue", "Redirect", "Record"}
        assert document.find("Dial") is None
        spoken += " ".join(element.text or "" for element in document.iter("Say"))
    assert not set(spoken) & set("\x00\x1b\x0b\ufffe")
    figures(documents=len(answers), broken=0)


@pytest.mark.campaign
def test_json_stays_json_and_headers_stay_headers(world: World, text: str, figures: Callable[..., None]) -> None:
    for path in PATHS:
        answer = world.get("hill_manager" if path != "/receptionists" else "supervisor", path)
        assert answer.status_code == 200, path
        assert b"<script" not in answer.data or answer.mimetype == "application/json"
        if answer.mimetype == "application/json":
            json.loads(answer.data)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "evil" not in str(answer.headers)
    names = [item["name"] for item in world.get("hill_manager", "/practitioners").json["items"]]
    assert [name.rstrip(" ") for name in names] == [text.rstrip(" ")]
    figures(answers=len(PATHS), broken=0)


@pytest.mark.campaign
def test_what_commands_print_stays_on_its_line(
    world: World,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    figures: Callable[..., None],
) -> None:
    monkeypatch.setenv("DATABASE_URL", str(world.engine.url))
    monkeypatch.setenv("CALLCENTER_STATE_DIR", str(tmp_path / "state"))
    for command in COMMANDS:
        for options in ((), ("--json",)):
            assert run([*command, *options]) == 0, command
            out, err = capsys.readouterr()
            assert err == ""
            odd = {c for c in out if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c != "\n"}
            assert odd == set(), (command, options)
            if options:
                json.loads(out)
    figures(commands=len(COMMANDS) * 2, broken=0)


@pytest.mark.campaign
def test_logs_metrics_and_pages_hold_nothing_of_it(world: World, text: str, figures: Callable[..., None]) -> None:
    stream = io.StringIO()
    logs.configure(stream)
    client = world.app.test_client()
    word = re.sub(r"[^A-Za-z0-9]", "", text)[:40] or "evil"
    agent = re.sub(r"[\r\n\x00]", "", text)[:200].encode("latin-1", "replace").decode("latin-1")
    for path in (f"/{word}", f"/api/v1/calls/{word}", f"/api/v1/calls?outcome={word}"):
        answer = client.get(path, headers={"User-Agent": agent, "Accept": "text/html"})
        assert answer.status_code in (401, 404)
        assert word.encode() not in answer.data
    world.post("supervisor", "/calls/search", {"text": text[:200]})
    logs.log("web").warning(text, code=text, route=text, nonsense=text)
    page = world.get(None, "//metrics").data.decode()
    families = {family.name for family in text_string_to_metric_families(page)}
    assert "evil" not in families
    lines = stream.getvalue().splitlines()
    assert lines
    assert all(json.loads(line)["event"] != "forged" for line in lines)
    assert stream.getvalue().isascii()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", stream.getvalue())
    figures(lines=len(lines), broken=0)


@pytest.mark.campaign
def test_hostile_text_that_is_sent_in_is_refused_or_comes_back_as_it_is(
    world: World, figures: Callable[..., None]
) -> None:
    taken = refused = 0
    for hostile in [*HOSTILE, *(chr(number) + "a" for number in range(0, 0x3000, runs(97, 1)))]:
        answer = world.post("hill_manager", "/practitioners", {"clinic": "hill", "name": hostile})
        assert answer.status_code in (201, 200, 409, 413, 422), hostile[:40]
        if answer.status_code < 300:
            taken += 1
            assert answer.json["name"] == unicodedata.normalize("NFC", hostile.strip())
            assert not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in answer.json["name"])
        else:
            refused += 1
    figures(texts=taken + refused, taken=taken, refused=refused)


@pytest.mark.campaign
def test_hostile_parameters_of_the_carrier_end_as_nothing(
    world: World, tmp_path: Path, figures: Callable[..., None]
) -> None:
    carrier = Carrier.to_new_door(world.engine, tmp_path)
    for number, hostile in enumerate(HOSTILE[:-1]):
        sid = f"CA{number:032x}"
        more = {"CallerName": hostile, "FromCity": hostile}
        twiml(carrier.rings(sid, From=hostile, To=world.cast.hill.number, **more))
        ElementTree.fromstring(carrier.rings(sid, To=hostile, **more).data)
    carrier.door.close()
    with world.engine.connect() as connection:
        assert set(connection.scalars(select(Call.from_number).where(Call.carrier_call_sid.like("CA000%")))) == {None}
    figures(requests=2 * (len(HOSTILE) - 1), broken=0)
