"""Those who work with the service, and the clinics' callers."""

from retention.inventory.entries import (
    BY_CONTRACT,
    BY_INTEREST,
    CLINIC_STAFF,
    NOBODY,
    OPERATORS,
    PERSONAL,
    SECRET,
    F,
    Table,
)

_EMPLOYED = "until the person is removed"
_PEOPLE = "operators; supervisors of the same clinics; the person"

TABLES = (
    Table(
        "users", "who may sign in", BY_CONTRACT, _EMPLOYED, _PEOPLE,
        (
            F("id", "names the row"),
            F("email", "signing in, service mail", PERSONAL),
            F("name", "shown to colleagues", PERSONAL),
            F("role", "what they may do", PERSONAL),
            F("identity", "opaque name of the softphone at the carrier", PERSONAL),
            F("password_hash", "proof of the password", SECRET, seen_by=NOBODY),
            F("second_factor_secret", "proof of the second factor", SECRET, seen_by=NOBODY),
            F("created_at", "since when"),
            F("disabled_at", "until when", PERSONAL),
        ),
    ),
    Table(
        "assignments", "who works for which clinic", BY_CONTRACT, _EMPLOYED, _PEOPLE,
        (F("user_id", "who", PERSONAL), F("clinic_id", "for which clinic")),
    ),
    Table(
        "receptionists", "the working state of receptionists", BY_CONTRACT, _EMPLOYED, _PEOPLE,
        (
            F("user_id", "who", PERSONAL),
            F("presence", "whether calls may be offered", PERSONAL),
            F("presence_reason", "why not", PERSONAL),
            F("presence_changed_at", "since when", PERSONAL),
            F("activity", "what she does now", PERSONAL),
            F("idle_since_at", "fair distribution: longest idle first", PERSONAL),
            F("heartbeat_at", "whether the softphone is there", PERSONAL),
            F("softphone_session", "one softphone at a time", SECRET, seen_by=NOBODY),
            F("current_call_id", "never two calls at once"),
            F("current_offer_id", "never two offers at once"),
            F("wrap_up_ends_at", "when she is free again"),
            F("wrap_up_extended", "extended once at most"),
        ),
    ),
    Table(
        "api_keys", "keys of programs", BY_INTEREST, "until revoked, then kept as proof", OPERATORS,
        (
            F("id", "names the row; in the access log"),
            F("name", "what the key is for"),
            F("key_hash", "recognises the key; the key itself is not kept", SECRET, seen_by=NOBODY),
            F("role", "what it may do"),
            F("user_id", "for whom it acts", PERSONAL),
            F("created_at", "since when"),
            F("revoked_at", "until when"),
        ),
    ),
    Table(
        "api_key_clinics", "which clinics a key reaches", BY_INTEREST, "with the key", OPERATORS,
        (F("api_key_id", "which key"), F("clinic_id", "which clinic")),
    ),
    Table(
        "callers", "who rang or has a booking; one clinic never sees another's", BY_CONTRACT,
        "as long as the clinic keeps them; erased on request", CLINIC_STAFF,
        (
            F("id", "names the row"),
            F("clinic_id", "whose caller"),
            F("number", "recognises the caller, calling back", PERSONAL),
            F("name", "bookings", PERSONAL),
            F("email", "confirmations", PERSONAL),
            F("version", "a stale edit is refused"),
            F("created_at", "since when"),
        ),
    ),
)  # fmt: skip
