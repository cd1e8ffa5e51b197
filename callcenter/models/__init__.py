"""Tables only; importing this module knows them all."""

from callcenter.models.audit import AccessEntry, JobHeartbeat, Search, Switch
from callcenter.models.base import Base, UtcDateTime, new_id
from callcenter.models.bookings import Booking, BookingChange, BookingLink, BookingSlot
from callcenter.models.calls import Call, CallLeg, CarrierCommand, CarrierEvent, Offer, ReplayedCall
from callcenter.models.clinics import Clinic, ClinicNumber, OpeningBand, Practitioner, Service
from callcenter.models.people import ApiKey, ApiKeyClinic, Assignment, Caller, Receptionist, User
from callcenter.models.recordings import LedgerEntry, LegalHold, Recording, RecordingPause

__all__ = [
    "AccessEntry",
    "ApiKey",
    "ApiKeyClinic",
    "Assignment",
    "Base",
    "Booking",
    "BookingChange",
    "BookingLink",
    "BookingSlot",
    "Call",
    "CallLeg",
    "Caller",
    "CarrierCommand",
    "CarrierEvent",
    "Clinic",
    "ClinicNumber",
    "JobHeartbeat",
    "LedgerEntry",
    "LegalHold",
    "Offer",
    "OpeningBand",
    "Practitioner",
    "Receptionist",
    "Recording",
    "RecordingPause",
    "ReplayedCall",
    "Search",
    "Service",
    "Switch",
    "User",
    "UtcDateTime",
    "new_id",
]
