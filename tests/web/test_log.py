"""What is written to the log: enough to work with, and nothing of anybody (S28, S29)."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from callcenter import logs
from tests.web.world import World

CANARY = "canary7c41"


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    """Everything that is logged, as the operator sees it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure(stream)
    yield stream
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def events(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_request_is_one_line_with_its_route_and_status(small_world: World, log_lines: io.StringIO) -> None:
    small_world.get("hill_manager", f"/calls/{small_world.hill.ended_call.id}")
    (line,) = events(log_lines)
    assert (line["event"], line["method"], line["status"]) == ("request", "GET", 200)
    assert line["route"] == "/api/v1/calls/<opaque:call_id>"
    assert str(line["actor_id"]).startswith("key:")


def test_a_refusal_is_logged_with_its_code(small_world: World, log_lines: io.StringIO) -> None:
    small_world.get("supervisor", f"/recordings/{small_world.hill.recording.id}/audio?purpose=review")
    (line,) = events(log_lines)
    assert (line["event"], line["status"], line["code"]) == ("request_refused", 403, "purpose_not_allowed")


def test_nothing_that_is_sent_or_stored_reaches_the_log(
    small_world: World, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = small_world
    world.change(world.hill.ended_call, from_number="+447700900777", disposition_reason=CANARY)
    world.change(world.hill.caller, name=CANARY)
    headers = {"User-Agent": CANARY, "X-Forwarded-For": CANARY, "Referer": f"https://{CANARY}/"}
    world.get("hill_manager", f"/calls?clinic={CANARY}", headers=headers)
    world.get("hill_manager", f"/calls/{world.hill.ended_call.id}", headers=headers)
    world.get("hill_manager", f"/{CANARY}")
    world.get(None, "/calls", headers={"Authorization": f"Bearer cck_{CANARY}"})
    world.post("hill_manager", "/calls/search", {"number": "+447700900777", "q": CANARY})
    world.post("rosie", "/bookings", {"caller_name": CANARY, "caller_number": "+447700900777"})
    world.ask("hill_manager", CANARY.upper(), "/calls")

    def broken(*_arguments: object, **_named: object) -> None:
        raise RuntimeError(f"{CANARY} +447700900777")

    monkeypatch.setattr("callcenter.web.api.calls.call_log.list_calls", broken)
    world.get("hill_manager", "/calls")
    text = log_lines.getvalue()
    assert CANARY not in text.lower()
    assert "900777" not in text
    assert not any(key in text for key in world.keys.values())
    assert [line["error"] for line in events(log_lines) if line["level"] == "error"] == ["RuntimeError"]


def test_a_field_that_is_not_listed_is_named_and_not_written(log_lines: io.StringIO) -> None:
    logs.log("test").info("tried", caller_name=CANARY, call_id="abc")
    (line,) = events(log_lines)
    assert (line["dropped"], line["call_id"]) == (["caller_name"], "abc")
    assert CANARY not in log_lines.getvalue()


def test_no_value_can_break_a_line_or_colour_a_terminal(log_lines: io.StringIO) -> None:
    logs.log("test").info("tried", code="a\r\nb\x1b[31m\u2028\u202e\x00")
    text = log_lines.getvalue()
    assert len(text.splitlines()) == 1
    assert text.isascii()
    assert text.rstrip("\n").isprintable()


def test_a_number_in_a_listed_field_is_masked(log_lines: io.StringIO) -> None:
    logs.log("test").info("tried", code="to +447700900777")
    assert events(log_lines)[0]["code"] == "to [number]"


def test_of_a_library_s_message_only_the_pattern_is_kept(log_lines: io.StringIO) -> None:
    logging.getLogger("library").warning("cannot reach %s", CANARY)
    logging.getLogger("library").warning(f"cannot reach {CANARY}")
    assert [line["event"] for line in events(log_lines)] == ["cannot reach %s", "library_message"]


def test_an_exception_is_told_by_kind_and_place_only(log_lines: io.StringIO) -> None:
    try:
        raise ValueError(CANARY)
    except ValueError:
        logs.log("test").exception("failed")
        logging.getLogger("library").exception("failed with %s", CANARY)
    assert [(line["error"], "test_log.py" in str(line["where"])) for line in events(log_lines)] == [
        ("ValueError", True)
    ] * 2
    assert CANARY not in log_lines.getvalue()
