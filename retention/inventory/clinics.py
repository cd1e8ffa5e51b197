"""Clinics and what they offer."""

from retention.inventory.entries import BY_CONTRACT, CLINIC_STAFF, NOBODY, PERSONAL, WITH_CLINIC, F, Table

TABLES = (
    Table(
        "clinics", "the customers", BY_CONTRACT, WITH_CLINIC, CLINIC_STAFF,
        (
            F("id", "names the row"),
            F("slug", "short name in commands and filters"),
            F("name", "spoken and shown"),
            F("timezone", "opening hours and display"),
            F("greeting", "what callers hear"),
            F("closed_message", "what callers hear when closed"),
            F("fallback_number", "where callers go when nothing works"),
            F("recording_enabled", "whether talks are recorded"),
            F("receptionists_may_listen", "who may listen"),
            F("viewers_may_listen", "who may listen"),
            F("training_allowed", "whether recordings may train receptionists"),
            F("retention_days", "how long recordings are kept"),
            F("call_log_days", "how long calls are kept with personal data"),
            F("policy_version", "which retention rule was in force"),
            F("hours_set_at", "whether opening hours are known"),
            F("created_at", "since when it is a customer"),
        ),
    ),
    Table(
        "clinic_numbers", "the numbers that callers dial", BY_CONTRACT, WITH_CLINIC, CLINIC_STAFF,
        (
            F("id", "names the row"),
            F("clinic_id", "whose number"),
            F("number", "the clinic's number, E.164"),
        ),
    ),
    Table(
        "opening_bands", "opening hours", BY_CONTRACT, WITH_CLINIC, CLINIC_STAFF,
        (
            F("id", "names the row"),
            F("clinic_id", "whose hours"),
            F("weekday", "on which day"),
            F("opens_minute", "from when"),
            F("closes_minute", "until when"),
        ),
    ),
    Table(
        "practitioners", "in whose diary bookings are made", BY_CONTRACT, WITH_CLINIC, CLINIC_STAFF,
        (
            F("id", "names the row"),
            F("clinic_id", "where they work"),
            F("name", "said to callers, shown in the diary", PERSONAL),
            F("created_at", "since when"),
            F("disabled_at", "until when bookings can be made"),
        ),
    ),
    Table(
        "services", "what can be booked", BY_CONTRACT, WITH_CLINIC, CLINIC_STAFF,
        (
            F("id", "names the row"),
            F("clinic_id", "whose service"),
            F("name", "said to callers, shown in the diary"),
            F("minutes", "how long it takes"),
            F("created_at", "since when"),
            F("disabled_at", "until when it can be booked"),
        ),
    ),
    Table(
        "switches", "durable states of the installation, such as the time of the last sweep", BY_CONTRACT,
        "replaced by the next value", NOBODY,
        (
            F("name", "which switch"),
            F("value", "its position; no personal data"),
            F("changed_at", "when"),
            F("changed_by", "by whom (id)"),
        ),
    ),
)  # fmt: skip
