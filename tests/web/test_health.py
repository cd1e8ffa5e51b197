"""Health, probes, metrics and the front page."""

import re
from datetime import timedelta
from typing import Any

import pytest

from callcenter.config import Settings
from callcenter.db import transaction
from callcenter.domain.calls import CallState
from callcenter.models import JobHeartbeat
from callcenter.services import health
from callcenter.web.app import create_app
from tests.factories import NOW, create_call, create_offer
from tests.web.conftest import TEN_O_CLOCK, SetClock
from tests.web.world import World

OUTSIDE = {"REMOTE_ADDR": "203.0.113.9"}


@pytest.fixture
def world_in_production(small_world: World, settings: Settings) -> World:
    """The small world with the settings of production as far as they matter here."""
    production = settings.model_copy(update={"environment": "production"})
    small_world.app = create_app(production, small_world.engine, small_world.store)
    return small_world


def beat(world: World, name: str, **values: Any) -> None:
    with transaction(world.engine) as session:
        session.add(JobHeartbeat(**{"name": name, "interval_seconds": 60, "last_started_at": TEN_O_CLOCK} | values))


def checks(world: World) -> dict[str, str]:
    return {name: check["status"] for name, check in world.get(None, "/health").json["checks"].items()}


def all_jobs_on_time(world: World) -> None:
    for name in health.EXPECTED_JOBS:
        beat(world, name, last_success_at=TEN_O_CLOCK)


def test_all_is_well_when_every_part_answers_and_every_job_is_on_time(world: World) -> None:
    all_jobs_on_time(world)
    answer = world.get(None, "/health").json
    assert answer["status"] == "ok"
    assert {"database", "store", "clock", "recordings", *health.EXPECTED_JOBS} <= set(answer["checks"])


def test_a_job_that_has_never_reported_is_something_to_look_at(world: World) -> None:
    assert world.get(None, "/health").json["status"] == "degraded"


def test_a_job_is_late_after_two_of_its_intervals_without_success(world: World, set_clock: SetClock) -> None:
    all_jobs_on_time(world)
    set_clock(TEN_O_CLOCK + timedelta(seconds=115))
    assert checks(world)[health.EXPECTED_JOBS[0]] == "ok"
    set_clock(TEN_O_CLOCK + timedelta(seconds=121))
    assert checks(world)[health.EXPECTED_JOBS[0]] == "failing"


def test_a_job_whose_last_run_failed_is_something_to_look_at(world: World) -> None:
    beat(world, "other", last_success_at=TEN_O_CLOCK - timedelta(seconds=30), last_failure_at=TEN_O_CLOCK)
    assert checks(world)["other"] == "degraded"


def test_an_overdue_recording_turns_health_after_an_hour_and_again_after_a_day(
    world: World, set_clock: SetClock
) -> None:
    expiry = world.hill.recording.expires_at
    seen = []
    for late in (timedelta(minutes=59), timedelta(hours=2), timedelta(hours=25)):
        set_clock(expiry + late)
        seen.append(checks(world)["recordings"])
    assert seen == ["ok", "degraded", "failing"]


def test_what_a_legal_hold_keeps_is_not_overdue(world: World, set_clock: SetClock) -> None:
    for row in (world.hill.recording, world.hill.live_recording, world.lake.recording, world.lake.live_recording):
        world.change(row, held=True)
    set_clock(world.hill.recording.expires_at + timedelta(days=3))
    assert checks(world)["recordings"] == "ok"


def test_a_store_that_cannot_do_its_work_is_named(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_world.store, "check", lambda: "The bucket refuses us.")
    answer = small_world.get(None, "/health").json
    assert (answer["status"], answer["checks"]["store"]["reason"]) == ("failing", "The bucket refuses us.")


def test_the_store_is_not_asked_on_every_call(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[None] = []
    monkeypatch.setattr(small_world.store, "check", lambda: asked.append(None))
    for _ in range(3):
        small_world.get(None, "/health")
    assert len(asked) == 1


@pytest.mark.parametrize("path", ["/health", "//metrics"])
def test_from_outside_health_and_metrics_need_the_token(small_world: World, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}):
        assert small_world.get(None, path, environ_base=OUTSIDE, headers=headers).status_code == 401
    right = {"Authorization": "Bearer metrics-token-of-the-tests"}
    assert small_world.get(None, path, environ_base=OUTSIDE, headers=right).status_code == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_what_a_proxy_passes_on_comes_from_outside(small_world: World, header: str) -> None:
    assert small_world.get(None, "/health", headers={header: "127.0.0.1"}).status_code == 401


@pytest.mark.parametrize("path", ["/health", "//metrics"])
def test_in_production_nobody_is_local_because_a_proxy_may_be(world_in_production: World, path: str) -> None:
    assert world_in_production.get(None, path).status_code == 401
    right = {"Authorization": "Bearer metrics-token-of-the-tests"}
    assert world_in_production.get(None, path, headers=right).status_code == 200


def test_in_production_the_front_page_shows_no_state_without_the_token(world_in_production: World) -> None:
    assert "State of the parts" not in world_in_production.get(None, "//").text


def test_probes_need_no_key(small_world: World) -> None:
    assert small_world.get(None, "//healthz").json == {"status": "ok"}
    assert small_world.get(None, "//readyz").json == {"status": "ok"}


@pytest.mark.parametrize("path", ["//healthz", "//readyz", "//metrics"])
def test_probes_are_asked_by_the_address_of_a_process(small_world: World, path: str) -> None:
    assert small_world.get(None, path, headers={"Host": "192.0.2.7:8201"}).status_code == 200
    assert small_world.get(None, "/calls", headers={"Host": "192.0.2.7:8201"}).status_code in (400, 401)


def test_metrics_show_the_queue_and_the_recordings(world: World) -> None:
    with transaction(world.engine) as session:
        waiting = create_call(
            session,
            world.hill.clinic,
            state=CallState.QUEUED,
            started_at=TEN_O_CLOCK - timedelta(seconds=60),
            queued_at=TEN_O_CLOCK - timedelta(seconds=50),
            waiting_since_at=TEN_O_CLOCK - timedelta(seconds=50),
        )
        create_offer(session, waiting, world.cast.robin, created_at=TEN_O_CLOCK - timedelta(seconds=46))
    beat(world, "sweep", last_success_at=TEN_O_CLOCK - timedelta(seconds=100))
    text = world.get(None, "//metrics").text
    values = {name: float(value) for name, value in re.findall(r"^(callcenter_\S+) (\S+)$", text, flags=re.MULTILINE)}
    assert values["callcenter_queue_length"] == 1
    assert 50 <= values["callcenter_queue_oldest_seconds"] < 60
    assert values['callcenter_calls{state="connected"}'] == 2
    assert values['callcenter_calls{state="ended"}'] == 2
    assert values['callcenter_recordings{state="stored"}'] == 2
    assert values['callcenter_time_to_offer_seconds{statistic="max"}'] == 4.0
    assert 40 <= values['callcenter_job_lag_seconds{job="sweep"}'] < 50
    assert values["callcenter_oldest_overdue_recording_seconds"] == 0


def test_metrics_show_nothing_of_anybody(world: World) -> None:
    text = world.get(None, "//metrics").text
    assert "900123" not in text
    assert "Cal Ler" not in text
    assert "hill" not in text


def test_the_front_page_says_what_runs_and_where_to_go(small_world: World) -> None:
    page = small_world.get(None, "//").text
    assert "Telephone answering for clinics" in page
    for address in ("/api/v1/openapi.json", "/api/v1/health", "/metrics"):
        assert f'href="{address}"' in page
    assert page.count("<h1") == 1
    assert "<main" in page
    assert "State of the parts" in page


def test_the_front_page_leads_to_the_simulator_where_there_is_one(small_world: World, settings: Settings) -> None:
    assert 'href="http://127.0.0.1:8001/"' in small_world.get(None, "//").text
    real = settings.model_copy(update={"twilio_api_base_url": None})
    small_world.app = create_app(real, small_world.engine, small_world.store)
    assert "Simulator" not in small_world.get(None, "//").text


def test_the_front_page_keeps_the_state_of_the_parts_from_the_outside(small_world: World) -> None:
    page = small_world.get(None, "//", environ_base=OUTSIDE).text
    assert "Telephone answering for clinics" in page
    assert "State of the parts" not in page


def test_pages_load_nothing_from_anybody_else_and_carry_no_inline_style(small_world: World) -> None:
    page = small_world.get(None, "//").text
    assert re.findall(r'(?:src|href)="(?:https?:)?//(?!127\.0\.0\.1)', page) == []
    assert "style=" not in page
    assert "<style" not in page
    assert "<script" not in page
    sheet = small_world.get(None, "//static/style.css").text
    assert "url(" not in sheet
    assert "@import" not in sheet


def test_the_age_of_a_check_is_kept_while_its_status_stays(small_world: World, set_clock: SetClock) -> None:
    first = small_world.get(None, "/health").json["checks"]["database"]["since"]
    set_clock(NOW + timedelta(hours=2))
    assert small_world.get(None, "/health").json["checks"]["database"]["since"] == first
