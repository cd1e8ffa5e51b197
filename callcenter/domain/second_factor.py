"""The second factor: six digits that change every 30 seconds (RFC 6238)."""

from datetime import datetime

import pyotp

ISSUER = "Callcenter"


def new_secret() -> str:
    """A random secret of 160 bits in base 32."""
    return pyotp.random_base32()


def enrolment_uri(secret: str, email: str) -> str:
    """What an authenticator app reads, usually as a QR code; shown once."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)


def current_code(secret: str, now: datetime) -> str:
    """The code that is valid at an aware time."""
    return pyotp.TOTP(secret).at(now)
