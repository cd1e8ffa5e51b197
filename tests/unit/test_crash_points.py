"""Crash points: nothing happens unless one is armed; then one process dies there, once."""

import subprocess
import sys
from pathlib import Path

import pytest

from callcenter.crash_points import parse

PASSES = """
import sys
from pathlib import Path
from callcenter.crash_points import arm, crash_point
arm(sys.argv[1] or None, Path(sys.argv[2]))
for _ in range(3):
    crash_point("door.committed")
    print("passed", flush=True)
"""


def passes(armed: str, markers: Path) -> tuple[int, int]:
    """A process that comes to a point three times: its exit code, and how often it passed."""
    process = subprocess.run(
        [sys.executable, "-c", PASSES, armed, str(markers)], capture_output=True, text=True, timeout=60, check=False
    )
    return process.returncode, process.stdout.count("passed")


@pytest.mark.parametrize(
    ("armed", "ends"),
    [
        ("", (0, 3)),
        ("door.committed", (-9, 0)),
        ("door.committed:3", (-9, 2)),
        ("door.committed:4", (0, 3)),
        ("ring.created", (0, 3)),
        ("ring.created, door.committed:2", (-9, 1)),
    ],
)
def test_a_process_dies_only_at_an_armed_point_at_its_turn(armed: str, ends: tuple[int, int], tmp_path: Path) -> None:
    assert passes(armed, tmp_path / "points") == ends


def test_the_next_process_with_the_same_environment_passes_until_the_marker_is_removed(tmp_path: Path) -> None:
    assert passes("door.committed", tmp_path) == (-9, 0)
    assert passes("door.committed", tmp_path) == (0, 3)
    (tmp_path / "door.committed").unlink()
    assert passes("door.committed", tmp_path) == (-9, 0)


@pytest.mark.parametrize("wanted", ["", "door", "door.committed:0", "door.committed:-1", "door.committed:x", "a,,b"])
def test_what_is_no_point_is_refused(wanted: str) -> None:
    with pytest.raises(ValueError, match="there is no crash point"):
        parse(wanted)
