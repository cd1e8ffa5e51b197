"""What pip installs is whole."""

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.conventions.project import PRODUCT, ROOT


def test_the_installed_package_holds_every_file_the_product_needs(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    copy = tmp_path / "source"
    copy.mkdir()
    tracked = subprocess.run(
        ["git", "ls-files", "--", "pyproject.toml", "README.md", *PRODUCT],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for name in tracked:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(copy)], check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        installed = set(wheel.namelist())
    assert {name for name in tracked if name.startswith(PRODUCT)} - installed == set()
