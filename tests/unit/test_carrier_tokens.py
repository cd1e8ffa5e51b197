"""Softphone tokens, read as the carrier reads them."""

import time
from pathlib import Path

import jwt

from callcenter import config
from callcenter.carrier.tokens import mint_softphone_token

IDENTITY = "receptionist_" + "1" * 32
SECRET = "an-api-key-secret-of-32-letters-"


def settings(folder: Path, **more: str) -> config.Settings:
    environ = {
        "TWILIO_API_KEY_SID": "SK" + "7" * 32,
        "TWILIO_API_KEY_SECRET": SECRET,
        "CALLCENTER_STATE_DIR": str(folder),
    }
    return config.load(environ | more, directory=folder)


def test_a_token_lets_one_identity_be_rung_for_an_hour_in_our_region(tmp_path: Path) -> None:
    minted = mint_softphone_token(settings(tmp_path), IDENTITY)
    claims = jwt.decode(minted.token, SECRET, algorithms=["HS256"])
    assert claims["grants"] == {"identity": IDENTITY, "voice": {"incoming": {"allow": True}}}
    assert (claims["iss"], claims["sub"]) == ("SK" + "7" * 32, config.SIMULATOR_ACCOUNT_SID)
    assert abs(claims["exp"] - minted.expires_at.timestamp()) <= 1
    assert abs(claims["exp"] - time.time() - 3600) < 5
    assert jwt.get_unverified_header(minted.token)["twr"] == "ie1"


def test_calls_can_be_placed_only_through_a_configured_application(tmp_path: Path) -> None:
    minted = mint_softphone_token(settings(tmp_path, TWILIO_TWIML_APP_SID="AP" + "5" * 32), IDENTITY)
    claims = jwt.decode(minted.token, SECRET, algorithms=["HS256"])
    assert claims["grants"]["voice"]["outgoing"] == {"application_sid": "AP" + "5" * 32}
