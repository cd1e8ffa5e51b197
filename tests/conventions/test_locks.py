"""The lock files pin everything, by hash, and say nothing about the machine that wrote them."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conventions.project import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_only_versions_and_hashes(lock: str) -> None:
    line = re.compile(r"#.*|[a-z0-9._-]+(\[[a-z0-9,]+\])?==[^ /]+( ; [^/\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    strange = [text for text in (ROOT / lock).read_text().splitlines() if not line.fullmatch(text)]
    assert strange == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_registry_and_no_path_of_a_machine(lock: str) -> None:
    assert re.findall(r"\S*(?:://|/home|/root|/work|/tmp|/Users)\S*", (ROOT / lock).read_text()) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_of_a_lock_has_a_hash(lock: str) -> None:
    entries = re.split(r"^(?=[a-z0-9])", (ROOT / lock).read_text(), flags=re.MULTILINE)[1:]
    assert [entry.split("==")[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_runtime_lock_fits_pyproject() -> None:
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["build"]]
    assert _unmet(wanted, "requirements.lock") == []


def test_the_development_lock_fits_pyproject() -> None:
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["dev"]]
    assert _unmet(wanted, "requirements-dev.lock") == []


def test_tests_run_on_the_versions_that_run_for_users() -> None:
    runtime, development = _versions("requirements.lock"), _versions("requirements-dev.lock")
    assert {name: version for name, version in runtime.items() if development.get(name) != version} == {}


def _versions(lock: str) -> dict[str, Version]:
    pinned = re.findall(r"^([a-z0-9._-]+)(?:\[.+?\])?==(\S+)", (ROOT / lock).read_text(), flags=re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in pinned}


def _unmet(wanted: list[str], lock: str) -> list[str]:
    versions = _versions(lock)
    requirements = [Requirement(text) for text in wanted]
    return [
        str(one)
        for one in requirements
        if (version := versions.get(canonicalize_name(one.name))) is None or version not in one.specifier
    ]
