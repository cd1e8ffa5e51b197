"""What attacks on the parts need."""

from pathlib import Path

import pytest

from callcenter import config


@pytest.fixture
def settings(tmp_path: Path) -> config.Settings:
    """Development settings with their state below the test's own folder."""
    return config.load({}, directory=tmp_path)
