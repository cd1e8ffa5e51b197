"""What deploy/ holds fits the service: commands and settings exist, and nothing runs with more rights than it needs."""

import re
import shlex
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from callcenter.cli import callcenter
from callcenter.config import VARIABLES
from callcenter.config.rules import REQUIRED_IN_PRODUCTION
from tests.conventions.project import ROOT

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
PROCESSES = {"webhooks", "web", "worker", "retention run"}
HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "UMask": "0077",
    "StateDirectory": "callcenter",
    "User": "callcenter",
    "CapabilityBoundingSet": "",
}
OURS = re.compile(
    r"^((?:CALLCENTER|TWILIO|PUBLIC|WEB|DATABASE|RECORDINGS)_\w+?|AWS_REGION|AWS_ENDPOINT_URL_S3)(_FILE)?$"
)
LONGEST_GRACE_SECONDS = 20
"""The longest that any process takes to end when it is asked to (door and web; worker and retention take 15 s)."""


def test_there_is_a_unit_for_each_kind_of_process() -> None:
    assert {" ".join(_words(unit)) for unit in UNITS} == PROCESSES | {"db upgrade"}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_every_unit_runs_a_command_that_exists_with_no_more_rights_than_it_needs(unit: Path) -> None:
    settings = _settings(unit)
    _command(_words(unit))
    assert {name: settings[name][-1] for name in HARDENED} == HARDENED
    if settings["Type"] != ["oneshot"]:
        assert settings["Restart"] == ["always"]
        assert int(settings["TimeoutStopSec"][0]) > LONGEST_GRACE_SECONDS


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_every_unit_has_all_that_production_demands_and_its_secrets_from_files(unit: Path) -> None:
    settings = _settings(unit)
    given = {line.partition("=")[0]: line.partition("=")[2] for line in settings["Environment"]}
    handed = {line.partition(":")[0] for line in settings["LoadCredential"]}
    assert {value.removeprefix("%d/") for value in given.values() if value.startswith("%d/")} == handed
    plain = set(_environment("environment.example"))
    assert plain.isdisjoint({name.removesuffix("_FILE") for name in given if name.endswith("_FILE")})
    assert set(REQUIRED_IN_PRODUCTION) - plain - {name.removesuffix("_FILE") for name in given} == set()
    assert {name for name in given if (found := OURS.match(name)) and found[1] not in VARIABLES} == set()


@pytest.mark.parametrize("name", ["environment.example", "trial.env.example"])
def test_every_setting_of_an_example_exists(name: str) -> None:
    known = {*VARIABLES, "CALLCENTER_CONFIG", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert set(_environment(name)) - known == set()


def test_only_who_works_with_the_bucket_is_given_a_key_to_it() -> None:
    keys = {" ".join(_words(unit)): [c for c in _settings(unit)["LoadCredential"] if "aws" in c] for unit in UNITS}
    assert keys["webhooks"] == keys["db upgrade"] == []
    assert len({keys[name][0] for name in ("web", "worker", "retention run")}) == 3, "each has a key of its own (S40)"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
def test_systemd_understands_every_unit(tmp_path: Path) -> None:
    for unit in (DEPLOY / "systemd").iterdir():
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE)
        (tmp_path / unit.name.replace("@.", "@1.")).write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.M))
    units = sorted(str(file) for file in tmp_path.iterdir())
    answer = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--generators=no", *units],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert [line for line in answer.stderr.splitlines() if "callcenter" in line] == []


def test_the_trial_runs_every_process_as_nobody_in_particular() -> None:
    services: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"]
    ours = {name: one for name, one in services.items() if one["image"] == "callcenter"}
    commands = {name: shlex.split(one["command"]) for name, one in ours.items()}
    assert {" ".join(_command(words)) for words in commands.values()} == PROCESSES | {"db upgrade"}
    for one in ours.values():
        assert one["read_only"]
        assert one["cap_drop"] == ["ALL"]
        assert set(one["depends_on"]) <= set(services)
        assert int(one["stop_grace_period"].removesuffix("s")) > LONGEST_GRACE_SECONDS


def test_the_image_is_built_from_hashed_packages_and_runs_as_nobody_in_particular() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    installs = [line for line in lines if "pip install" in line]
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users
    assert users[-1] not in ("0", "root")
    copied = {words[1] for line in lines if (words := line.split())[:1] == ["COPY"] and len(words) == 3}
    assert {name for name in copied if not name.startswith("--") and not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("name", ["nginx.conf", "compose-nginx.conf"])
def test_the_proxy_passes_addresses_on_unchanged_and_repeats_only_what_may_be_repeated(name: str) -> None:
    text = re.sub(r"#.*", "", (DEPLOY / name).read_text())
    assert text.count("{") == text.count("}")
    assert [line for line in text.splitlines() if line.strip() and line.strip()[-1] not in ";{}"] == []
    targets = re.findall(r"proxy_pass http://([^;]+);", text)
    assert targets
    assert [target for target in targets if "/" in target] == [], "a path there would replace the signed one"
    assert "merge_slashes off;" in text
    for place, block in re.findall(r"location ([^{]+) \{(.*?)\n    \}", text, flags=re.DOTALL):
        assert ("non_idempotent" in block) == ("webhooks" in place), place


def _settings(unit: Path) -> defaultdict[str, list[str]]:
    settings: defaultdict[str, list[str]] = defaultdict(list)
    for line in unit.read_text().splitlines():
        name, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            settings[name].append(value)
    return settings


def _words(unit: Path) -> list[str]:
    """The command of a unit without its options."""
    return _command(shlex.split(_settings(unit)["ExecStart"][0])[1:])


def _command(words: list[str]) -> list[str]:
    """The words that name a command; every option given to it exists."""
    command: click.Command = callcenter
    names = []
    while isinstance(command, click.Group):
        names.append(words.pop(0))
        found = command.get_command(click.Context(command), names[-1])
        assert found is not None, names
        command = found
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= options
    return names


def _environment(name: str) -> dict[str, str]:
    lines = (DEPLOY / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
