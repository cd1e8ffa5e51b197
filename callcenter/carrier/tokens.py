"""Access tokens for softphones: who may be rung in a browser, for an hour."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import VoiceGrant

from callcenter import clock
from callcenter.config import Settings

TOKEN_SECONDS = 3600


@dataclass(frozen=True)
class SoftphoneToken:
    """A token and when it ends (aware UTC). It cannot be taken back, so it is short."""

    token: str
    expires_at: datetime


def mint_softphone_token(settings: Settings, identity: str) -> SoftphoneToken:
    """A token that lets a browser be rung as ``identity``; placing calls only with a configured TwiML app.

    Made for the host's own clock, which is the one that the carrier compares with.
    """
    started_at = clock.host_now().replace(microsecond=0)
    token = AccessToken(
        settings.twilio_account_sid,
        settings.twilio_api_key_sid,
        settings.twilio_api_key_secret,
        identity=identity,
        ttl=TOKEN_SECONDS,
        region=settings.twilio_region,
    )
    token.add_grant(VoiceGrant(incoming_allow=True, outgoing_application_sid=settings.twilio_twiml_app_sid or None))
    return SoftphoneToken(token.to_jwt(), started_at + timedelta(seconds=TOKEN_SECONDS))
