"""Nothing in the repository depends on the machine it was written on."""

import re
import subprocess

from tests.conventions.project import ROOT

FOREIGN = re.compile(r"/(?:root|home|work|Users)/\w|files\.pythonhosted|pypi\.org|registry\.npmjs|deb\.debian")
OWN_FILE = "tests/conventions/test_repository.py"


def test_no_file_names_a_path_of_a_machine_or_a_package_registry() -> None:
    found = {name for name in tracked() if name != OWN_FILE and FOREIGN.search(_text(name))}
    assert found == set()


def test_no_file_holds_a_private_key_or_a_live_credential() -> None:
    secret = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY|AKIA[0-9A-Z]{16}")
    assert {name for name in tracked() if name != OWN_FILE and secret.search(_text(name))} == set()


def tracked() -> list[str]:
    """The files that git knows, as names relative to the project."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def _text(name: str) -> str:
    return (ROOT / name).read_bytes().decode(errors="replace")
