"""What every request and every answer goes through."""

import json

import pytest
from flask import Flask
from sqlalchemy import Engine

from callcenter.config import Settings
from callcenter.models import Booking
from callcenter.web.app import create_app
from tests.web.world import World

PAGES = ("//", "//healthz", "/calls", "/calls/unknown", "//api/v1/openapi.json", "//static/style.css", "//secrets")


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_carries_the_security_headers(small_world: World, path: str) -> None:
    headers = small_world.get("hill_manager", path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "microphone=()" in headers["Permissions-Policy"]
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize("path", [path for path in PAGES if "static" not in path])
def test_nothing_but_the_style_sheet_is_cached(small_world: World, path: str) -> None:
    assert small_world.get("hill_manager", path).headers["Cache-Control"] == "no-store, private"


def test_over_https_browsers_are_told_to_stay_there(small_world: World, settings: Settings) -> None:
    assert "Strict-Transport-Security" not in small_world.get(None, "//healthz").headers
    small_world.app = create_app(
        settings.model_copy(update={"web_base_url": "https://calls.example.org"}), small_world.engine, small_world.store
    )
    assert "max-age" in small_world.get(None, "//healthz").headers["Strict-Transport-Security"]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "localhost:99999x"]
)
def test_only_our_own_host_names_are_answered(small_world: World, host: str) -> None:
    answer = small_world.get("hill_manager", "/calls", headers={"Host": host})
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")


BODY = {"clinic": "hill", "name": "Dr New"}


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (json.dumps(BODY), "text/plain", 415),
        (json.dumps(BODY), "application/x-www-form-urlencoded", 415),
        (json.dumps(BODY), "", 415),
        ("{", "application/json", 400),
        ("[" * 60_000, "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        ("[]", "application/json", 400),
        ('"text"', "application/json", 400),
        ("null", "application/json", 400),
        ("{}", "application/json", 422),
        ("", "application/json", 422),
        ('{"clinic": "hill", "name": "\\ud800"}', "application/json", 422),
        ('{"clinic": "hill", "name": NaN}', "application/json", 422),
        (json.dumps({**BODY, "name": "x" * 70_000}), "application/json", 413),
    ],
)
def test_a_body_that_is_not_a_small_json_object_is_refused(
    small_world: World, data: str | bytes, kind: str, status: int
) -> None:
    answer = small_world.ask("hill_manager", "POST", "/practitioners", data=data, content_type=kind)
    assert answer.status_code == status
    assert (answer.mimetype, answer.json["status"]) == ("application/problem+json", status)


def test_a_refusal_never_repeats_what_was_sent(small_world: World) -> None:
    canary = "canary-5d1f"
    answers = [
        small_world.post("rosie", "/bookings", {"caller_name": canary, "note": [canary]}),
        small_world.get("rosie", f"/calls?outcome={canary}&from={canary}"),
        small_world.get("rosie", f"/calls/{canary}"),
        small_world.post("hill_manager", "/calls/search", {"number": canary}),
    ]
    assert [canary for answer in answers if canary.encode() in answer.data] == []
    assert small_world.count(Booking) == 2


def test_an_error_of_ours_tells_nothing_of_the_inside(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object, **_named: object) -> None:
        raise RuntimeError("canary-5d1f")

    monkeypatch.setattr("callcenter.web.api.calls.call_log.list_calls", broken)
    answer = small_world.get("hill_manager", "/calls")
    assert (answer.status_code, answer.json["code"]) == (500, "internal")
    assert b"canary" not in answer.data
    assert b"Traceback" not in answer.data


def test_without_its_database_the_api_says_so_and_the_process_is_up(settings: Settings, small_world: World) -> None:
    app = _app_without_database(settings, small_world)
    client = app.test_client()
    answer = client.get("/api/v1/calls", headers={"Authorization": "Bearer cck_x"})
    assert answer.status_code == 503
    assert answer.json is not None
    assert (answer.json["code"], answer.headers["Retry-After"]) == ("unavailable", "10")
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    assert client.get("/").status_code == 200


def _app_without_database(settings: Settings, world: World) -> Flask:
    from callcenter.db import create_engine_for

    engine: Engine = create_engine_for("postgresql://nobody@127.0.0.1:1/none", pool_timeout_seconds=0.5)
    return create_app(settings, engine, world.store)


def test_a_page_for_people_explains_itself_in_html(small_world: World) -> None:
    answer = small_world.get("hill_manager", "//secrets", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert b"<h1>Not Found</h1>" in answer.data
