"""Where the project's files are, for tests that read them."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("callcenter", "webhooks", "retention")
OTHER_CODE = ("tests", "tools", "benchmarks")
VERSIONS = ROOT / "callcenter" / "models" / "migrations" / "versions"


def python_files(*folders: str) -> Iterator[Path]:
    """Every Python file below the folders, migrations excepted: what was once released does not change any more."""
    for folder in folders:
        yield from (file for file in sorted((ROOT / folder).rglob("*.py")) if VERSIONS not in file.parents)


def name_of(file: Path) -> str:
    """A file as a reader would look it up: relative to the project."""
    return file.relative_to(ROOT).as_posix()
