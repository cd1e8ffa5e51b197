"""Passwords that hold, and the second factor that authenticator apps show."""

import base64
from datetime import UTC, datetime

import pytest

from callcenter.domain.passwords import check_password
from callcenter.domain.second_factor import current_code, enrolment_uri, new_secret
from callcenter.errors import BadInput

RFC_6238_SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    "password", ["violet-anchor-teapot", "correct horse battery", "x8#Kp2!vQz9m", "пароль-моей-кошки"]
)
def test_a_long_unusual_password_is_taken(password: str) -> None:
    check_password(password, email="nell@example.org")


@pytest.mark.parametrize(
    "password",
    ["", "elevenchars", "x" * 201, "aaaabbbbcccc", "Password1234!", "passwordpassword", "123456789012", "qwertyuiop123",
     "nell@example.org", "Nell-1234567", "correct horse battery staple"],
)  # fmt: skip
def test_a_short_or_common_password_is_refused(password: str) -> None:
    with pytest.raises(BadInput, match=r"^The password "):
        check_password(password, email="nell@example.org")


@pytest.mark.parametrize(
    ("second", "code"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
)
def test_codes_are_those_of_the_standard(second: int, code: str) -> None:
    assert current_code(RFC_6238_SECRET, datetime.fromtimestamp(second, UTC)) == code


def test_a_secret_is_new_every_time_and_long_enough() -> None:
    secrets = {new_secret() for _ in range(50)}
    assert len(secrets) == 50
    assert {len(base64.b32decode(secret)) for secret in secrets} == {20}


def test_an_app_can_read_the_enrolment() -> None:
    uri = enrolment_uri(RFC_6238_SECRET, "nell@example.org")
    assert uri == f"otpauth://totp/Callcenter:nell%40example.org?secret={RFC_6238_SECRET}&issuer=Callcenter"
