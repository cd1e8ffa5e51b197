"""Every alert can fire, and whoever it wakes is told what to do."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine

from callcenter.services.health import HealthMonitor
from callcenter.storage.local import LocalRecordingStore
from callcenter.web import metrics
from tests.conventions.project import ROOT
from tests.conventions.promql import NotPromql, metrics_in
from webhooks import app as door

RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
OF_PROMETHEUS = {"up"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_every_alert_says_what_is_the_matter_and_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "todo", "runbook"}
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / "operations.md").read_text(), flags=re.MULTILINE)
    assert rule["alert"] in headings
    assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_every_alert_is_a_question_that_prometheus_understands(rule: dict[str, Any]) -> None:
    assert metrics_in(rule["expr"])
    assert re.fullmatch(r"\d+[smh]", rule["for"])


def test_every_metric_that_an_alert_asks_for_is_shown(engine: Engine, tmp_path: Path) -> None:
    assert door.SECONDS, "the door's own metrics are in the process's registry"
    health = HealthMonitor(engine, LocalRecordingStore(tmp_path), tmp_path)
    page = metrics.page(metrics.registry_for(engine, health)).decode()
    shown = {name for line in page.splitlines() if not line.startswith("#") for name in re.findall(r"^\w+", line)}
    families = set(re.findall(r"^# TYPE (\w+)", page, flags=re.MULTILINE))
    asked = {name for rule in RULES for name in metrics_in(rule["expr"])}
    buckets = {f"{family}_bucket" for family in families}
    assert asked - shown - families - buckets - OF_PROMETHEUS == set()


@pytest.mark.parametrize(
    "wrong",
    [
        "max(a",
        "a >",
        "rate(a) > 1",
        "sum by a (b)",
        'a{b=="c"}',
        "a[5m] > 1",
        "max(a)) > 1",
        "a and 1",
        "a b",
        "5m > a",
    ],
)
def test_what_prometheus_would_refuse_is_refused_here(wrong: str) -> None:
    with pytest.raises(NotPromql):
        metrics_in(wrong)
