"""The people of the tests: two clinics, and everybody who may want something of them.

``create_cast(session)`` makes them all. Whoever works for the one clinic is a stranger to the other, and strangers
are told that there is no such thing.
"""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from callcenter.domain.receptionists import Role
from callcenter.models import Clinic, Practitioner, Receptionist, Service, User
from tests.factories import create_clinic, create_practitioner, create_receptionist, create_service, create_user


@dataclass(frozen=True)
class Staff:
    """A clinic with its own people, one practitioner and one service of 30 minutes."""

    clinic: Clinic
    number: str
    manager: User
    viewer: User
    practitioner: Practitioner
    service: Service


@dataclass(frozen=True)
class Cast:
    """``rosie`` answers for both clinics, ``robin`` only for the hill clinic; the stranger works for nobody."""

    hill: Staff
    lake: Staff
    rosie: Receptionist
    robin: Receptionist
    supervisor: User
    privacy_officer: User
    operator: User
    stranger: User

    @property
    def users(self) -> dict[str, User]:
        """Everybody by the part they play."""
        return {
            "hill_manager": self.hill.manager,
            "hill_viewer": self.hill.viewer,
            "lake_manager": self.lake.manager,
            "lake_viewer": self.lake.viewer,
            "rosie": self.rosie.user,
            "robin": self.robin.user,
            "supervisor": self.supervisor,
            "privacy_officer": self.privacy_officer,
            "operator": self.operator,
            "stranger": self.stranger,
        }


def create_cast(session: Session) -> Cast:
    """Everybody, flushed and not committed. The supervisor and the privacy officer serve the hill clinic only."""
    hill = _staff(session, "hill", "Hill Clinic", "+441632960011")
    lake = _staff(session, "lake", "Lake Clinic", "+441632960022")
    return Cast(
        hill=hill,
        lake=lake,
        rosie=create_receptionist(session, hill.clinic, lake.clinic, user=_person("rosie")),
        robin=create_receptionist(session, hill.clinic, user=_person("robin")),
        supervisor=create_user(session, Role.SUPERVISOR, hill.clinic, **_person("supervisor")),
        privacy_officer=create_user(session, Role.PRIVACY_OFFICER, hill.clinic, **_person("privacy")),
        operator=create_user(session, Role.OPERATOR, **_person("operator")),
        stranger=create_user(session, Role.CLINIC_MANAGER, **_person("stranger")),
    )


def _staff(session: Session, slug: str, name: str, number: str) -> Staff:
    clinic = create_clinic(session, slug=slug, name=name, number=number)
    return Staff(
        clinic=clinic,
        number=number,
        manager=create_user(session, Role.CLINIC_MANAGER, clinic, **_person(f"{slug}-manager")),
        viewer=create_user(session, Role.CLINIC_VIEWER, clinic, **_person(f"{slug}-viewer")),
        practitioner=create_practitioner(session, clinic, name=f"Dr {slug.title()}"),
        service=create_service(session, clinic, name="Consultation"),
    )


def _person(name: str) -> dict[str, str]:
    return {"email": f"{name}@example.org", "name": name.replace("-", " ").title()}
