"""Settings are read once; what is not safe is refused by name, and never shown."""

import os
import stat
from pathlib import Path

import pytest

from callcenter import config
from callcenter.errors import ConfigurationError

PRODUCTION = {
    "CALLCENTER_ENV": "production",
    "CALLCENTER_SECRET_KEY": "5f2b8c1e9d7a4036b1c8e2f6a9d03b47",
    "PUBLIC_BASE_URL": "https://calls.example.org",
    "WEB_BASE_URL": "https://console.example.org",
    "DATABASE_URL": "postgresql://db.example.org/callcenter",
    "RECORDINGS_URL": "s3://recordings/prefix",
    "AWS_REGION": "eu-west-1",
    "TWILIO_ACCOUNT_SID": "AC" + "7" * 32,
    "TWILIO_AUTH_TOKEN": "an-auth-token-of-our-own-account",
    "TWILIO_REST_KEY_SID": "SK" + "8" * 32,
    "TWILIO_REST_KEY_SECRET": "a-rest-key-secret-of-our-account",
    "TWILIO_API_KEY_SID": "SK" + "9" * 32,
    "TWILIO_API_KEY_SECRET": "an-api-key-secret-of-our-account",
}


def problems(folder: Path, environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        config.load(environ, directory=folder)
    return refused.value.problems


def test_production_starts_with_settings_of_its_own(tmp_path: Path) -> None:
    assert config.load(PRODUCTION, directory=tmp_path).environment == "production"


def test_production_on_one_machine_may_use_the_embedded_database(tmp_path: Path) -> None:
    config.load(PRODUCTION | {"DATABASE_URL": "sqlite:////srv/callcenter.db"}, directory=tmp_path)


@pytest.mark.parametrize("name", sorted(PRODUCTION.keys() - {"CALLCENTER_ENV"}))
def test_production_has_no_default_for_what_matters(tmp_path: Path, name: str) -> None:
    without = {key: value for key, value in PRODUCTION.items() if key != name}
    assert problems(tmp_path, without) == [f"{name} must be set in production"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TWILIO_ACCOUNT_SID", config.SIMULATOR_ACCOUNT_SID),
        ("TWILIO_AUTH_TOKEN", config.SIMULATOR_AUTH_TOKEN),
        ("TWILIO_AUTH_TOKEN_NEXT", config.SIMULATOR_AUTH_TOKEN),
        ("TWILIO_AUTH_TOKEN_NEXT", "x"),
        ("TWILIO_REST_KEY_SID", config.SIMULATOR_ACCOUNT_SID),
        ("TWILIO_REST_KEY_SID", PRODUCTION["TWILIO_ACCOUNT_SID"]),
        ("TWILIO_REST_KEY_SECRET", config.SIMULATOR_AUTH_TOKEN),
        ("TWILIO_API_KEY_SID", config.SIMULATOR_API_KEY_SID),
        ("TWILIO_API_KEY_SECRET", config.SIMULATOR_API_KEY_SECRET),
        ("TWILIO_API_BASE_URL", "http://127.0.0.1:8001"),
        ("TWILIO_REGION", "x@evil.example/"),
        ("TWILIO_EDGE", "dublin.evil"),
        ("AWS_REGION", "eu-west-1.evil.example/"),
        ("AWS_ENDPOINT_URL_S3", "http://s3.example.org"),
        ("RECORDINGS_URL", "file:///srv/recordings"),
        ("PUBLIC_BASE_URL", "http://calls.example.org"),
        ("WEB_BASE_URL", "http://console.example.org"),
        ("CALLCENTER_SECRET_KEY", "short"),
        ("CALLCENTER_SECRET_KEY", "x" * 40),
        ("CALLCENTER_SECRET_KEY", "changeme" * 5),
        ("CALLCENTER_METRICS_TOKEN", "metrics"),
        ("CALLCENTER_CLOCK_OFFSET_SECONDS", "60"),
        ("CALLCENTER_CRASH_POINT", "door.committed"),
    ],
)
def test_production_refuses_what_is_not_safe(tmp_path: Path, name: str, value: str) -> None:
    (problem,) = problems(tmp_path, PRODUCTION | {name: value})
    assert problem.startswith(name)
    assert value not in problem.removeprefix(name)


def test_production_refuses_a_store_without_encryption_under_its_general_name(tmp_path: Path) -> None:
    assert problems(tmp_path, PRODUCTION | {"AWS_ENDPOINT_URL": "http://s3.example.org"})


@pytest.mark.parametrize("names", [{"AWS_REGION"}, {"AWS_DEFAULT_REGION"}, {"AWS_REGION", "AWS_DEFAULT_REGION"}])
def test_the_region_of_the_bucket_is_known_under_both_names(tmp_path: Path, names: set[str]) -> None:
    without = {key: value for key, value in PRODUCTION.items() if key != "AWS_REGION"}
    environ = without | {"AWS_DEFAULT_REGION": "eu-west-3"} if "AWS_DEFAULT_REGION" in names else dict(without)
    environ |= {"AWS_REGION": "eu-west-1"} if "AWS_REGION" in names else {}
    wanted = "eu-west-1" if "AWS_REGION" in names else "eu-west-3"
    assert config.load(environ, directory=tmp_path).aws_region == wanted


@pytest.mark.parametrize(
    "address", ["https://calls.example.org", "http://192.0.2.7:8000", "https://localhost.evil.org"]
)
def test_the_simulators_token_opens_no_door_that_others_can_reach(tmp_path: Path, address: str) -> None:
    own = {"PUBLIC_BASE_URL": address, "TWILIO_AUTH_TOKEN": PRODUCTION["TWILIO_AUTH_TOKEN"]}
    for environ in ({"PUBLIC_BASE_URL": address}, own | {"TWILIO_AUTH_TOKEN_NEXT": config.SIMULATOR_AUTH_TOKEN}):
        (problem,) = problems(tmp_path, environ)
        assert problem.startswith("TWILIO_AUTH_TOKEN is the simulator's")
    config.load(own, directory=tmp_path)


@pytest.mark.parametrize("address", ["http://127.0.0.1:8000", "http://localhost", "http://[::1]:9"])
def test_on_one_machine_the_simulators_token_will_do(tmp_path: Path, address: str) -> None:
    config.load({"PUBLIC_BASE_URL": address}, directory=tmp_path)


def test_an_empty_environment_name_is_not_development(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, {"CALLCENTER_ENV": ""})
    assert problem.startswith("CALLCENTER_ENV is empty")


def test_a_secret_is_read_from_the_file_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token-from-a-mounted-file\n")
    settings = config.load({"TWILIO_AUTH_TOKEN_FILE": str(tmp_path / "token")}, directory=tmp_path)
    assert settings.accepted_auth_tokens == ("a-token-from-a-mounted-file",)


def test_the_generated_key_is_its_owners_only_and_stays(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        first = config.load({}, directory=tmp_path).secret_key
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "var", tmp_path / "var" / "secret-key")]
    assert modes == [0o700, 0o600]
    assert config.load({}, directory=tmp_path).secret_key == first


def test_problems_of_every_kind_come_in_one_message(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        config.load({"CALLCENTER_FOO": "1", "PORT": "99999", "DATABASE_URL": "mysql://x"}, directory=tmp_path)
    assert [problem.split()[0].rstrip(":") for problem in refusal.value.problems] == [
        "CALLCENTER_FOO",
        "PORT",
        "DATABASE_URL",
    ]


def test_production_names_what_is_missing_and_what_is_unsafe_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        config.load({"CALLCENTER_ENV": "production", "RECORDINGS_URL": "file:///tmp/x"}, directory=tmp_path)
    message = str(refusal.value)
    assert "DATABASE_URL must be set in production" in message
    assert "RECORDINGS_URL must be an s3:// bucket in production" in message
    assert not (tmp_path / "var").exists(), "a refused start leaves nothing behind"
