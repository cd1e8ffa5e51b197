"""What the door counts, and who may see it."""

from pathlib import Path

from sqlalchemy import Engine

from callcenter.db import create_engine_for
from tests.webhooks.door import CALLER, Carrier

TOKEN = "metrics-token-of-the-tests"


def test_the_doors_figures_are_for_whoever_shows_the_token(engine: Engine, tmp_path: Path) -> None:
    carrier = Carrier.to_new_door(engine, tmp_path, CALLCENTER_METRICS_TOKEN=TOKEN)
    client = carrier.app.test_client()
    for shown in ("", "Bearer wrong", f"Basic {TOKEN}", "Bearer "):
        answer = client.get("/metrics", headers={"Authorization": shown})
        assert (answer.status_code, answer.data) == (403, b"")
    carrier.rings()
    page = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    assert 'callcenter_database_pool_use{part="door"}' in page
    assert "callcenter_webhook_seconds_bucket" in page
    assert CALLER not in page
    carrier.door.close()


def test_without_a_token_nobody_sees_the_doors_figures(carrier: Carrier) -> None:
    assert carrier.app.test_client().get("/metrics").status_code == 403


def test_answers_without_the_database_are_counted(tmp_path: Path, postgresql_url: str) -> None:
    gone = create_engine_for(postgresql_url.replace("test_", "gone_"))
    carrier = Carrier.to_new_door(gone, tmp_path, CALLCENTER_METRICS_TOKEN=TOKEN)
    before = _without_database(carrier)
    carrier.rings()
    assert _without_database(carrier) == before + 1
    carrier.door.close()
    gone.dispose()


def _without_database(carrier: Carrier) -> float:
    page = carrier.app.test_client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    (value,) = [line.split()[1] for line in page.splitlines() if line.startswith("callcenter_webhook_without_database_")
                and "created" not in line]  # fmt: skip
    return float(value)
