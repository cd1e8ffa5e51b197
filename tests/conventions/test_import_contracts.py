"""Imports point one way (pyproject.toml, tool.importlinter), and each contract is shown to bite."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conventions.project import PRODUCT, ROOT

PLANTED = {
    "The layers of callcenter": ("callcenter/domain/calls.py", "import callcenter.services"),
    "Webhooks and retention stand above callcenter and know nothing of each other": (
        "callcenter/services/__init__.py",
        "import retention",
    ),
    "Only the carrier knows Twilio": ("webhooks/__init__.py", "import twilio.rest"),
    "Only the storage knows S3": ("retention/__init__.py", "import boto3"),
    "No web server and no scheduler in domain or services": ("callcenter/services/__init__.py", "import flask"),
    "The domain gets time as an argument and knows no database": (
        "callcenter/domain/__init__.py",
        "from callcenter.clock import now",
    ),
    "The simulator imports nothing of ours": ("callcenter/simulator/__init__.py", "import callcenter.errors"),
    "Only the command line opens the simulator": ("webhooks/__init__.py", "import callcenter.simulator"),
    "No import cycles": ("callcenter/errors.py", "import callcenter.clock"),
}
"""Contract → a file, and a line that breaks the contract there."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the product and its contracts, for planting."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PRODUCT:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_every_contract_is_kept_by_the_code(project: Path) -> None:
    verdict = lint_imports(project)
    assert verdict.returncode == 0, verdict.stdout


def test_every_contract_has_a_planted_violation() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {contract["name"] for contract in contracts} == set(PLANTED)


@pytest.mark.parametrize("contract", PLANTED)
def test_a_planted_violation_breaks_the_contract(contract: str, project: Path) -> None:
    file, line = PLANTED[contract]
    plant(project / file, line)
    if contract == "No import cycles":
        plant(project / "callcenter/clock.py", "import callcenter.errors")
    assert f"{contract} BROKEN" in lint_imports(project).stdout


def test_webhooks_may_not_import_retention(project: Path) -> None:
    plant(project / "webhooks/__init__.py", "import retention")
    assert "Webhooks and retention stand above callcenter" in _broken(lint_imports(project).stdout)


def test_a_new_module_must_be_given_a_place(project: Path) -> None:
    (project / "callcenter" / "something.py").write_text('"""New."""\n')
    assert "The layers of callcenter" in _broken(lint_imports(project).stdout)


def plant(file: Path, line: str) -> None:
    """Add a line to a file."""
    with file.open("a") as code:
        code.write(f"\n{line}\n")


def lint_imports(project: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of a copy of the project, as ``make check`` does."""
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([str(program), "--no-cache"], cwd=project, check=False, capture_output=True, text=True)


def _broken(output: str) -> str:
    return "\n".join(line for line in output.splitlines() if line.endswith("BROKEN"))
