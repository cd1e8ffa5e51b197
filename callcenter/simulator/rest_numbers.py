"""REST: IncomingPhoneNumbers, and the account itself."""

from typing import Any

from callcenter.simulator.carrier import Number
from callcenter.simulator.rest import Ask, Reply, Route, not_found
from callcenter.simulator.timing import rfc2822

_FIELDS = {
    "FriendlyName": "friendly_name",
    "VoiceUrl": "voice_url",
    "VoiceMethod": "voice_method",
    "VoiceFallbackUrl": "voice_fallback_url",
    "VoiceFallbackMethod": "voice_fallback_method",
    "StatusCallback": "status_callback",
    "StatusCallbackMethod": "status_callback_method",
}


def describe(ask: Ask, number: Number) -> dict[str, Any]:
    """A number as Twilio shows it."""
    return {
        "sid": number.sid,
        "account_sid": ask.carrier.settings.account_sid,
        "phone_number": number.phone_number,
        **{field: getattr(number, field) for field in _FIELDS.values()},
        "voice_application_sid": "",
        "voice_caller_id_lookup": False,
        "capabilities": {"voice": True, "sms": False, "mms": False, "fax": False},
        "api_version": "2010-04-01",
        "date_created": rfc2822(number.created_at),
        "date_updated": rfc2822(number.created_at),
        "uri": f"{ask.uri_base}/IncomingPhoneNumbers/{number.sid}.json",
    }


def _the_number(ask: Ask) -> Number:
    for number in ask.carrier.numbers.values():
        if number.sid == ask.part("number_sid"):
            return number
    raise not_found(f"/IncomingPhoneNumbers/{ask.part('number_sid')}")


async def listing(ask: Ask) -> Reply:
    """GET /IncomingPhoneNumbers."""
    wanted = ask.query("PhoneNumber")
    found = [number for number in ask.carrier.numbers.values() if wanted in ("", number.phone_number)]
    return ask.page("incoming_phone_numbers", found, lambda number: describe(ask, number))


async def fetch(ask: Ask) -> Reply:
    """GET /IncomingPhoneNumbers/{sid}."""
    return describe(ask, _the_number(ask))


async def update(ask: Ask) -> Reply:
    """POST /IncomingPhoneNumbers/{sid}."""
    number = _the_number(ask)
    ask.only(*_FIELDS)
    for name, field in _FIELDS.items():
        if name in ask.form:
            value = ask.method(name) if name.endswith("Method") else ask.text(name)
            setattr(number, field, ask.url(name) if name.endswith(("Url", "Callback")) else value)
    return describe(ask, number)


async def account(ask: Ask) -> Reply:
    """GET the account: credentials are right."""
    settings = ask.carrier.settings
    return {"sid": settings.account_sid, "friendly_name": "Simulator", "status": "active", "type": "Full"}


_ONE = "/IncomingPhoneNumbers/{number_sid:PN[0-9a-f]{32}}.json"
ROUTES: list[Route] = [
    ("GET", ".json", account),
    ("GET", "/IncomingPhoneNumbers.json", listing),
    ("GET", _ONE, fetch),
    ("POST", _ONE, update),
]
