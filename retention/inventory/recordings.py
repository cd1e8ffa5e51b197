"""Recordings, pauses, holds and the ledger."""

from retention.inventory.entries import (
    BY_CONTRACT,
    BY_LAW,
    COUNTS,
    NOBODY,
    PERSONAL,
    SPECIAL,
    WITH_CALL_LOG,
    F,
    Table,
)

_PURGED = "blanked when the recording is purged, 30 days after its end unless the clinic chose otherwise"
_LISTENERS = "who may listen: the clinic, supervisors, privacy officers; with a purpose, and logged"
_HOLDERS = "clinic managers and privacy officers"

TABLES = (
    Table(
        "recordings", "what was recorded and where it is", BY_CONTRACT, COUNTS, _LISTENERS,
        (
            F("id", "names the row and the recording at the carrier"),
            F("clinic_id", "whose recording"),
            F("call_id", "of which call"),
            F("turn", "in which turn"),
            F("kind", "conversation or message"),
            F("state", "the work list; only stored may be heard"),
            F("carrier_call_sid", "the recorded leg", PERSONAL, _PURGED),
            F("carrier_recording_sid", "the copy at the carrier", PERSONAL, _PURGED),
            F("carrier_copy_due", "the carrier's copy must go"),
            F("carrier_copy_deleted_at", "when the carrier's copy went"),
            F("store_key", "random name in the store; after the purge proof that nothing is there", seen_by=NOBODY),
            F("channels", "who speaks on which side"),
            F("duration_seconds", "figures"),
            F("size_bytes", "verifying the copy", retention=_PURGED),
            F("sha256", "verifying the copy", PERSONAL, _PURGED),
            F("started_at", "figures"),
            F("ended_at", "retention counts from here"),
            F("stored_at", "figures"),
            F("retention_days", "the period in force for it"),
            F("policy_version", "by which rule"),
            F("expires_at", "hidden from then on, purged soon after"),
            F("held", "a hold keeps it"),
            F("purge_wanted", "goes before its time"),
            F("attempts", "waiting longer each time"),
            F("next_attempt_at", "when to try again"),
            F("lease_until_at", "one worker at a time"),
            F("lease_token", "which worker"),
            F("failure", "why it failed: a fixed word"),
            F("purged_at", "that it is gone"),
        ),
    ),
    Table(
        "recording_pauses", "spans without sound in a recording", BY_CONTRACT, COUNTS, _LISTENERS,
        (
            F("id", "names the row"),
            F("clinic_id", "whose recording"),
            F("recording_id", "in which recording"),
            F("reason", "hold, card or lost softphone"),
            F("from_at", "from when"),
            F("to_at", "until when"),
            F("confirmed", "whether the carrier confirmed the pause"),
        ),
    ),
    Table(
        "legal_holds", "recordings that must be kept", BY_LAW, "kept as proof, without the reasons", _HOLDERS,
        (
            F("id", "names the row"),
            F("clinic_id", "whose recording"),
            F("recording_id", "which recording"),
            F("reason", "why it must be kept", PERSONAL, WITH_CALL_LOG),
            F("placed_by", "who asked for it (id)", PERSONAL),
            F("placed_at", "since when"),
            F("review_on", "when to look at it again"),
            F("released_at", "until when"),
            F("released_by", "who ended it (id)", PERSONAL),
            F("release_reason", "why it ended", PERSONAL, WITH_CALL_LOG),
        ),
    ),
    Table(
        "purge_ledger", "proof that recordings are gone: ids and counts", BY_LAW, "kept as proof",
        "the clinic, privacy officers, operators",
        (
            F("id", "names the row"),
            F("clinic_id", "whose recording it was"),
            F("recording_id", "which one"),
            F("reason", "expired, or wanted gone early"),
            F("expired_at", "when its time had come"),
            F("versions_deleted", "how much the last try removed from the store"),
            F("carrier_copy", "what became of the carrier's copy"),
            F("verified_absent_at", "when the store was found empty of it"),
            F("purged_at", "when the row was blanked"),
        ),
    ),
)  # fmt: skip

STORE = Table(
    "recording store", "the audio itself, in our bucket or directory, under random keys", BY_CONTRACT,
    "until the recording expires, then every version is deleted and proved to be gone", _LISTENERS,
    (
        F("<prefix>/<store_key>", "the talk or message, encrypted by the server", SPECIAL),
        F("metadata and tags", "nothing is written beside the audio"),
    ),
)  # fmt: skip

CARRIER = Table(
    "carrier", "the copy at the carrier, until ours is verified", BY_CONTRACT,
    "deleted within the hour after our copy was verified; refused recordings at once",
    NOBODY,
    (F("recording media", "the talk or message as recorded", SPECIAL),),
)  # fmt: skip

JOURNAL = Table(
    "journal", "what was forgotten, in the state directory: so that a restored database forgets it again (P16)", BY_LAW,
    "60 to 91 days, longer than any backup; whole months go", NOBODY,
    (
        F("kind", "recording or call"),
        F("id", "of a row that is blanked, and leads to nobody"),
        F("at", "when it was forgotten"),
    ),
)  # fmt: skip
