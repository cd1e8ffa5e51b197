"""What a process does before it works: it looks where the bucket is, and keeps what it writes to itself."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from callcenter import serving, wiring
from callcenter.cli import run
from callcenter.errors import BadInput
from callcenter.ports import RecordingStore
from tests.fakes import FakeS3
from tests.unit.test_settings import PRODUCTION


class Bucket:
    """Puts a pretend bucket in the place of S3 and remembers how it was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.s3 = FakeS3("recordings")
        self.options: dict[str, Any] = {}
        monkeypatch.setattr(boto3, "client", self._client)
        database = f"sqlite:///{folder}/callcenter.db"
        for name, value in (PRODUCTION | {"DATABASE_URL": database, "CALLCENTER_STATE_DIR": str(folder)}).items():
            monkeypatch.setenv(name, value)

    def _client(self, _service: str, **options: Any) -> Any:
        self.options = options
        return self.s3.client()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    """A bucket in Ireland, and an environment of production that names it."""
    return Bucket(monkeypatch, tmp_path)


def checked() -> RecordingStore:
    return wiring.checked_recording_store(wiring.load_settings())


@pytest.mark.parametrize("command", ["serve", "web", "worker"])
@pytest.mark.parametrize("trouble", ["us-east-1", "eu-west-3", "forbidden", "missing"])
def test_production_does_not_start_on_a_bucket_that_is_not_right(
    bucket: Bucket, capsys: pytest.CaptureFixture[str], command: str, trouble: str
) -> None:
    bucket.s3.forbidden, bucket.s3.missing = trouble == "forbidden", trouble == "missing"
    if "-" in trouble:
        bucket.s3.region = trouble
    assert run([command]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("callcenter: Configuration cannot be used: ")
    assert "ucket" in error


def test_a_bucket_in_its_region_is_used_through_that_region(bucket: Bucket) -> None:
    assert checked().check() is None
    assert bucket.options["region_name"] == "eu-west-1"


def test_a_bucket_that_cannot_be_reached_keeps_no_process_from_starting(bucket: Bucket) -> None:
    bucket.s3.lost_answers = {"HeadBucket"}
    checked()


def test_what_the_commands_write_is_for_nobody_else_on_the_machine(tmp_path: Path) -> None:
    environment = os.environ | {"CALLCENTER_STATE_DIR": str(tmp_path / "state")}
    for command in (["db", "upgrade"], ["check"]):
        process = [sys.executable, "-m", "callcenter.cli", *command]
        subprocess.run(process, cwd=tmp_path, env=environment, umask=0, capture_output=True, check=False)
    written = {path.name: path for path in [tmp_path / "state", *(tmp_path / "state").rglob("*")]}
    assert {"state", "callcenter.db", "secret-key", "recordings"} <= set(written)
    assert {name for name, path in written.items() if stat.S_IMODE(path.stat().st_mode) & 0o077} == set()


def test_the_carriers_library_is_loaded_before_the_first_caller_waits_for_it(tmp_path: Path) -> None:
    program = """
import sys
from callcenter import serving, wiring
wiring.carrier(wiring.load_settings())
sys.exit("twilio.rest.api.v2010.account.call" not in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False).returncode == 0


@pytest.mark.parametrize("bind", ["127.0.0.1:99999", "zzz", "127.0.0.1:", ":8000x"])
def test_an_address_that_is_none_is_refused_in_one_sentence(bind: str) -> None:
    with pytest.raises(BadInput, match="HOST:PORT"):
        serving.check_address(bind)


def test_a_taken_port_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        bind = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(BadInput, match=bind):
            serving.check_address(bind)
