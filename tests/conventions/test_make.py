"""`make` explains itself, and says in one sentence what a machine lacks."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.conventions.project import ROOT

NO_VENV = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n'
TOO_OLD = "#!/bin/sh\nexit 1\n"


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in the project."""
    return subprocess.run(
        ["make", "--no-print-directory", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_make_alone_explains_every_command() -> None:
    commands = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)[0].split()
    explained = re.findall(r"^  make ([a-z]+) ", make().stdout, flags=re.MULTILINE)
    assert set(commands) <= set(explained)


@pytest.mark.parametrize(
    ("python", "sentence"), [(TOO_OLD, "needs Python 3.11"), (NO_VENV, "install its venv package")]
)
def test_a_python_that_will_not_do_is_refused_in_one_sentence(python: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "python3").write_text(python)
    (tmp_path / "python3").chmod(0o755)
    refusal = make(f"PYTHON={tmp_path}/python3", f"VENV={tmp_path}/venv", f"{tmp_path}/venv/bin/pip")
    assert refusal.returncode != 0
    assert sentence in refusal.stderr.splitlines()[0]
    assert not (tmp_path / "venv").exists()
