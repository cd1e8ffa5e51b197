"""What the tests of the services share."""

import pytest

from tests.services.fresh_engine import FreshEngine


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def fresh_engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FreshEngine:
    """Once of each kind."""
    template = request.getfixturevalue("sqlite_template" if request.param == "sqlite" else "postgres_template")
    return FreshEngine(template, tmp_path_factory.mktemp("examples"))
