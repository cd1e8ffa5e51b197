"""Whatever callers, receptionists, the carrier and the worker do, in whatever order: what must hold, holds."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.campaigns import LONG, runs
from tests.databases import PostgresTemplate, SQLiteTemplate
from tests.faults.storm_machine import StormMachine
from tests.services.fresh_engine import FreshEngine

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(3600 if LONG else 600)]


def rage(template: SQLiteTemplate | PostgresTemplate, folder: pytest.TempPathFactory, examples: int) -> Counter[str]:
    """Play so many examples, each on a database of its own, and tell how many of what there were."""
    tally: Counter[str] = Counter()
    fresh_engine = FreshEngine(template, folder.mktemp("storms"))
    run_state_machine_as_test(
        lambda: StormMachine(fresh_engine, tally),  # type: ignore[arg-type] # whatever makes one will do
        settings=settings(
            max_examples=examples,
            stateful_step_count=runs(30, 50),
            phases=(Phase.explicit, Phase.generate, Phase.shrink) if LONG else (Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
    return tally


@pytest.mark.parametrize("share", range(runs(1, 4)))
def test_whole_calls_survive_any_storm(
    share: int,
    sqlite_template: SQLiteTemplate,
    tmp_path_factory: pytest.TempPathFactory,
    figures: Callable[..., None],
) -> None:
    figures(**rage(sqlite_template, tmp_path_factory, runs(10, 150)))


@pytest.mark.postgresql
def test_whole_calls_survive_any_storm_on_postgresql(
    postgres_template: PostgresTemplate, tmp_path_factory: pytest.TempPathFactory, figures: Callable[..., None]
) -> None:
    figures(**rage(postgres_template, tmp_path_factory, runs(3, 60)))
