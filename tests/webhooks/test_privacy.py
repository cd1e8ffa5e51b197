"""What the carrier tells us beyond what we need is neither kept nor logged (P2, P4, S28, S29)."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import structlog
from sqlalchemy import Engine, MetaData

from callcenter import logs
from tests.webhooks.door import CALLER, Carrier, only, twiml

WHO = ("From", "To", "Caller", "Called")
CANARIES = {
    **{f"{who}{what}": f"canary-{who}-{what}" for who in WHO for what in ("City", "State", "Zip", "Country")},
    "CallerName": "canary-name",
    "Caller": "canary-caller",
    "ForwardedFrom": "+447700900777",
    "CallToken": "canary-token",
    "StirVerstat": "canary-verstat",
    "SomethingNew": "canary-new",
    "RecordingUrl": "https://canary-url.example/x",
    "SpeechResult": "canary-speech",
}
SECRETS = [*CANARIES.values()]


@pytest.fixture
def captured() -> Iterator[io.StringIO]:
    """Everything that is logged at any level, by us and by the libraries."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    logs.configure(stream)
    root.setLevel(logging.DEBUG)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def everything_stored(engine: Engine, folder: Path) -> str:
    tables = MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        rows = [str(connection.execute(table.select()).all()) for table in tables.sorted_tables]
    files = [file.read_bytes().decode("latin-1") for file in folder.rglob("*") if file.is_file()]
    return "".join([*rows, *files])


def test_parameters_that_we_do_not_need_leave_no_trace(
    carrier: Carrier, engine: Engine, tmp_path: Path, captured: io.StringIO
) -> None:
    wait = only(twiml(carrier.rings(**CANARIES)), "Enqueue").attrib["waitUrl"]
    answers = [
        carrier.post(wait, CANARIES, QueueSid="QU" + "1" * 32, QueuePosition="1"),
        carrier.post(wait.replace("/wait", "/key"), CANARIES, Digits="9"),
        carrier.post(wait.replace("/wait", "/next"), CANARIES),
        carrier.post("/webhooks/voice/fallback", CANARIES, ErrorCode="11200", ErrorUrl="https://canary-error.example"),
        carrier.post("/webhooks/voice/status", CANARIES, CallStatus="completed", CallDuration="7"),
        carrier.post("/webhooks/voice/status", CANARIES, CallStatus="canary status"),
        carrier.post("/webhooks/voice/incoming", CANARIES, To="canary-to", From="canary-from"),
        carrier.send("/webhooks/voice/incoming", CANARIES | {"AccountSid": "AC" + "9" * 32}),
        carrier.raw("/webhooks/voice/incoming?canary-query=1", "CallerName=canary-name", "canary-signature"),
    ]
    assert captured.getvalue().count("refused") == 2
    assert "not_understood" in captured.getvalue()
    seen = unquote(everything_stored(engine, tmp_path) + captured.getvalue() + "".join(a.text for a in answers))
    assert [canary for canary in [*SECRETS, "canary"] if canary in seen] == []


def test_the_callers_number_is_stored_once_and_never_logged(
    carrier: Carrier, engine: Engine, tmp_path: Path, captured: io.StringIO
) -> None:
    carrier.rings(From="+447700900456")
    carrier.rings(From="+447700900456", To="+441632000000", sid="CA" + "9" * 32)
    assert everything_stored(engine, tmp_path).count("+447700900456") >= 1
    assert "7700900456" not in captured.getvalue()


@pytest.mark.parametrize("sent", ["anonymous", "+266696687", "Robert'); DROP TABLE calls;--", "\r\n\x1b[31m\u2028evil"])
def test_a_caller_without_a_usable_number_is_served_and_nothing_of_it_is_kept(
    carrier: Carrier, engine: Engine, tmp_path: Path, captured: io.StringIO, sent: str
) -> None:
    assert only(twiml(carrier.rings(From=sent)), "Enqueue") is not None
    assert sent not in everything_stored(engine, tmp_path)
    assert "\x1b" not in captured.getvalue()
    assert CALLER in everything_stored(engine, tmp_path)
