"""Who may do what: the one table of roles.

An edge loads what is asked for, asks here, then does it. Foreign things are "not found" (NotFound); things in view
that the role may not do are Forbidden.
"""

from dataclasses import dataclass
from enum import StrEnum

from callcenter.domain.receptionists import Role
from callcenter.domain.recordings import Purpose
from callcenter.errors import Forbidden


class Permission(StrEnum):
    """What may be allowed to a role. Calls are further limited in ``services/call_log``, audio by ``may_listen``."""

    CALL_ACTIONS = "call_actions"
    FILE_RESULTS = "file_results"
    OTHERS_PRESENCE = "others_presence"
    READ_CALLS = "read_calls"
    READ_PERSONAL_DATA = "read_personal_data"
    READ_STATS = "read_stats"
    READ_BOOKINGS = "read_bookings"
    CHANGE_BOOKINGS = "change_bookings"
    CLINIC_SETTINGS = "clinic_settings"
    CREATE_CLINICS = "create_clinics"
    RETENTION_PERIOD = "retention_period"
    LEGAL_HOLDS = "legal_holds"
    EXPORT_AND_ERASE = "export_and_erase"
    ADMINISTRATION = "administration"


_EVERYBODY = frozenset(Role)
_PEOPLE_OF_CLINICS = _EVERYBODY - {Role.OPERATOR}

GRANTS: dict[Permission, frozenset[Role]] = {
    Permission.CALL_ACTIONS: frozenset({Role.RECEPTIONIST, Role.SUPERVISOR}),
    Permission.FILE_RESULTS: frozenset({Role.RECEPTIONIST, Role.SUPERVISOR, Role.CLINIC_MANAGER}),
    Permission.OTHERS_PRESENCE: frozenset({Role.SUPERVISOR, Role.OPERATOR}),
    Permission.READ_CALLS: _EVERYBODY,  # the operator sees ids and states only: READ_PERSONAL_DATA
    Permission.READ_PERSONAL_DATA: _PEOPLE_OF_CLINICS,
    Permission.READ_STATS: _EVERYBODY - {Role.RECEPTIONIST},
    Permission.READ_BOOKINGS: _PEOPLE_OF_CLINICS,
    Permission.CHANGE_BOOKINGS: frozenset({Role.RECEPTIONIST, Role.SUPERVISOR, Role.CLINIC_MANAGER}),
    Permission.CLINIC_SETTINGS: frozenset({Role.CLINIC_MANAGER}),
    Permission.CREATE_CLINICS: frozenset({Role.OPERATOR}),
    Permission.RETENTION_PERIOD: frozenset({Role.CLINIC_MANAGER, Role.OPERATOR}),
    Permission.LEGAL_HOLDS: frozenset({Role.CLINIC_MANAGER, Role.PRIVACY_OFFICER}),
    Permission.EXPORT_AND_ERASE: frozenset({Role.CLINIC_MANAGER, Role.PRIVACY_OFFICER}),
    Permission.ADMINISTRATION: frozenset({Role.OPERATOR}),
}

LISTENING: dict[Role, frozenset[Purpose]] = {
    Role.RECEPTIONIST: frozenset({Purpose.QUALITY}),
    Role.SUPERVISOR: frozenset({Purpose.QUALITY, Purpose.TRAINING}),
    Role.CLINIC_MANAGER: frozenset(Purpose),
    Role.CLINIC_VIEWER: frozenset({Purpose.REVIEW, Purpose.QUALITY}),
    Role.PRIVACY_OFFICER: frozenset({Purpose.RIGHTS_REQUEST, Purpose.INCIDENT}),
    Role.OPERATOR: frozenset(),
}
"""The purposes for which a role may ever hear a recording (P8); the clinic's switches limit them further."""


@dataclass(frozen=True)
class Actor:
    """Who acts. ``actor_id`` stands in the access log: a user id, ``key:<api key id>`` or ``command-line``.

    ``clinic_ids`` None means all clinics; ``unlimited`` is the command line, which may do everything.
    """

    actor_id: str
    role: Role
    clinic_ids: frozenset[str] | None
    user_id: str | None = None
    unlimited: bool = False

    def reaches(self, clinic_id: str) -> bool:
        """Whether the clinic is in view."""
        return self.clinic_ids is None or clinic_id in self.clinic_ids


COMMAND_LINE = Actor("command-line", Role.OPERATOR, None, unlimited=True)


def can(actor: Actor, permission: Permission) -> bool:
    """Whether the role allows it (for clinics in view)."""
    return actor.unlimited or actor.role in GRANTS[permission]


def require(actor: Actor, permission: Permission) -> None:
    """Raise Forbidden when the role does not allow it."""
    if not can(actor, permission):
        raise Forbidden(f"The role {actor.role} does not allow this.")


@dataclass(frozen=True)
class ListeningSwitches:
    """What a clinic has allowed beyond its own managers (P31)."""

    receptionists_may_listen: bool
    viewers_may_listen: bool
    training_allowed: bool


def may_listen(actor: Actor, purpose: Purpose, switches: ListeningSwitches) -> bool:
    """Whether a recording of a call in view may be heard for this purpose."""
    if actor.unlimited:
        return True
    if purpose not in LISTENING[actor.role]:
        return False
    if purpose == Purpose.TRAINING and not switches.training_allowed:
        return False
    if actor.role == Role.RECEPTIONIST:
        return switches.receptionists_may_listen
    if actor.role == Role.CLINIC_VIEWER:
        return switches.viewers_may_listen
    return True
