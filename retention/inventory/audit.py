"""The access log, searches, jobs, and what is written to the log."""

from retention.inventory.entries import BY_INTEREST, BY_LAW, NOBODY, OPERATORS, PERSONAL, F, Table

TABLES = (
    Table(
        "access_entries", "who looked at, heard or changed what: ids, never values", BY_LAW, "kept as proof",
        "the clinic, privacy officers",
        (
            F("id", "names the row"),
            F("clinic_id", "whose data"),
            F("actor_id", "who (id)", PERSONAL),
            F("action", "did what"),
            F("subject_kind", "with what kind of thing"),
            F("subject_id", "with which one"),
            F("purpose", "for which purpose"),
            F("at", "when"),
        ),
    ),
    Table(
        "searches", "searches by number or text, so that neither stands in an address", BY_INTEREST,
        "until expires_at", "whoever searched",
        (
            F("id", "stands in the address instead"),
            F("clinic_id", "in whose calls"),
            F("owner_id", "who searched (id)", PERSONAL),
            F("criteria", "for what", PERSONAL),
            F("created_at", "when"),
            F("expires_at", "when it is removed"),
        ),
    ),
    Table(
        "job_heartbeats", "whether the periodic jobs run", BY_INTEREST, "replaced by the next run", OPERATORS,
        (
            F("name", "which job"),
            F("interval_seconds", "how often"),
            F("last_started_at", "when it began"),
            F("last_success_at", "when it succeeded"),
            F("last_failure_at", "when it failed"),
            F("last_failure", "why, without personal data"),
            F("last_seconds", "how long it took"),
            F("result", "what it counted"),
        ),
    ),
)  # fmt: skip

_ID = "which row it is about (id)"
_COUNT = "how many"

LOG = Table(
    "log", "running the service; only listed fields are ever written", BY_INTEREST,
    "written to standard error; 30 days where it is collected", OPERATORS,
    (
        F("action", "what was done"), F("actor_id", "who did it (id)", PERSONAL),
        F("address", "where this process listens"), F("attempt", "which try"), F("bucket", "which bucket"),
        F("call_id", _ID), F("carrier_code", "error number of the carrier"), F("check", "which check"),
        F("clinic_id", _ID), F("code", "which error"), F("command_id", _ID), F("count", _COUNT), F("counts", _COUNT),
        F("deleted", _COUNT), F("due", _COUNT), F("error", "kind of error"), F("event_id", _ID), F("failed", _COUNT),
        F("held", _COUNT), F("interval_seconds", "how often"), F("job", "which job"), F("key_id", _ID),
        F("kind", "what kind"), F("leg_id", _ID), F("level", "how bad"), F("listening", "where this process listens"),
        F("method", "of a request"), F("offer_id", _ID), F("outcome", "how a call ended"), F("pid", "which process"),
        F("port", "where this process listens"), F("process", "which process"), F("purpose", "for which purpose"),
        F("queued", _COUNT), F("receptionist_id", _ID, PERSONAL), F("recording_id", _ID),
        F("retry_after_seconds", "how long the carrier asked us to wait"), F("role", "of who asked"),
        F("route", "pattern of the address, without its values"), F("scenario", "of the demo"),
        F("seconds", "how long it took"), F("signal", "why a process stops"), F("skipped", _COUNT),
        F("state", "of the row"), F("status", "of the answer"), F("step", "of a job"), F("store", "which store"),
        F("subject_id", _ID), F("subject_kind", "what kind of row"), F("turn", "of the call"),
        F("user_id", _ID, PERSONAL), F("version", "of the product"), F("where", "place in the code"),
    ),
)  # fmt: skip

COOKIES = Table("cookies", "none are set", BY_INTEREST, "none", NOBODY, ())
