"""Whoever may hear recordings, and whoever may not, trying both."""

from dataclasses import dataclass, field
from http import HTTPStatus

import requests
from sqlalchemy import Engine

from callcenter import clock
from callcenter.db import transaction
from callcenter.domain.receptionists import Role
from callcenter.models import Clinic
from callcenter.services.access import create_api_key


def manager_key(engine: Engine, clinic: Clinic) -> str:
    """A new key of a manager of the clinic."""
    with transaction(engine) as session:
        made = create_api_key(
            session, name="tests", role=Role.CLINIC_MANAGER, clinics=[clinic], user=None, now=clock.now()
        )
        return made.secret


@dataclass
class Ears:
    """Managers of the clinic and of another one, who listen through the web at the address ``web``."""

    engine: Engine
    clinic: Clinic
    other: Clinic
    web: str
    _keys: dict[bool, str] = field(default_factory=dict)

    def hear(self, recording_id: str, stranger: bool) -> bytes | None:
        """The audio, if the web gives it away. Who has listened too often for a minute (S36) sends somebody else."""
        answer = self._ask(recording_id, stranger)
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            del self._keys[stranger]
            answer = self._ask(recording_id, stranger)
        assert answer.status_code != HTTPStatus.TOO_MANY_REQUESTS
        assert answer.status_code != HTTPStatus.FORBIDDEN, (
            "the stranger must not be told that it is there, nor the clinic refused"
        )
        return answer.content if answer.ok else None

    def _ask(self, recording_id: str, stranger: bool) -> requests.Response:
        if stranger not in self._keys:
            self._keys[stranger] = manager_key(self.engine, self.other if stranger else self.clinic)
        return requests.get(
            f"{self.web}/api/v1/recordings/{recording_id}/audio",
            params={"purpose": "incident"},
            headers={"Authorization": f"Bearer {self._keys[stranger]}"},
            timeout=20,
        )
