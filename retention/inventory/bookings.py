"""Bookings and what calls did to them."""

from retention.inventory.entries import BY_CONTRACT, CLINIC_STAFF, PERSONAL, F, Table

_WITH_DIARY = "as long as the clinic keeps its diary; unlinked from an erased caller"

TABLES = (
    Table(
        "bookings", "appointments", BY_CONTRACT, _WITH_DIARY, CLINIC_STAFF,
        (
            F("id", "names the row"),
            F("clinic_id", "whose diary"),
            F("practitioner_id", "with whom"),
            F("service_id", "for what", PERSONAL),
            F("caller_id", "for whom", PERSONAL),
            F("starts_at", "when", PERSONAL),
            F("ends_at", "until when", PERSONAL),
            F("state", "booked or cancelled"),
            F("note", "what the practitioner must know; no clinical detail", PERSONAL),
            F("version", "a stale edit is refused"),
            F("created_at", "since when"),
            F("cancelled_at", "that it was cancelled"),
        ),
    ),
    Table(
        "booking_slots", "time that is taken: overlap is impossible", BY_CONTRACT, "with the booking", CLINIC_STAFF,
        (
            F("practitioner_id", "whose time"),
            F("starts_at", "which five minutes"),
            F("clinic_id", "whose diary"),
            F("booking_id", "by which booking"),
        ),
    ),
    Table(
        "booking_changes", "the history of a booking", BY_CONTRACT, "with the booking", CLINIC_STAFF,
        (
            F("id", "names the row"),
            F("clinic_id", "whose diary"),
            F("booking_id", "which booking"),
            F("version", "which change"),
            F("action", "booked, moved, cancelled"),
            F("changed_by", "who did it (id)", PERSONAL),
            F("changed_at", "when"),
            F("starts_at_before", "from when", PERSONAL),
            F("starts_at_after", "to when", PERSONAL),
        ),
    ),
    Table(
        "booking_links", "which call did what to which booking", BY_CONTRACT,
        "removed with the blanking of the call", CLINIC_STAFF,
        (
            F("id", "names the row"),
            F("clinic_id", "whose call"),
            F("call_id", "which call", PERSONAL),
            F("booking_id", "which booking", PERSONAL),
            F("action", "booked, moved, cancelled or enquiry"),
            F("linked_by", "who linked them (id)", PERSONAL),
            F("created_at", "when"),
        ),
    ),
)  # fmt: skip
