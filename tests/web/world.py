"""What the web tests look at: two clinics, each with an ended and a live call, recordings, a caller and a booking."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import Engine, func, select

from callcenter.config import Settings
from callcenter.db import reading, transaction
from callcenter.domain.calls import CallState, OfferState
from callcenter.domain.receptionists import Activity, Presence
from callcenter.domain.recordings import RecordingKind, RecordingState
from callcenter.models import AccessEntry, Booking, Call, Caller, Clinic, Receptionist, Recording, new_id
from callcenter.ports import RecordingStore
from callcenter.services.access import create_api_key
from callcenter.storage.local import LocalRecordingStore
from tests.cast import Cast, Staff, create_cast
from tests.factories import (
    NOW,
    create_answered_call,
    create_booking,
    create_call,
    create_caller,
    create_offer,
    create_recording,
)

AUDIO = bytes(range(256)) * 1000
"""256,000 bytes, several chunks of the store."""


@dataclass(frozen=True)
class Desk:
    """One clinic's rows. Rosie handled the ended call and is in the live one of the hill clinic."""

    staff: Staff
    caller: Caller
    booking: Booking
    ended_call: Call
    live_call: Call
    recording: Recording
    live_recording: Recording

    @property
    def clinic(self) -> Clinic:
        return self.staff.clinic


@dataclass
class World:
    """The app and its rows; ``get`` and the others ask as one of the cast and give the test client's response."""

    app: Flask
    engine: Engine
    store: RecordingStore
    cast: Cast
    hill: Desk
    lake: Desk
    keys: dict[str, str] = field(default_factory=dict)

    def ask(self, who: str | None, method: str, path: str, **options: Any) -> Any:
        """One request by somebody of the cast (None: without a key) below /api/v1, unless ``path`` is absolute."""
        headers = dict(options.pop("headers", {}))
        if who is not None:
            headers["Authorization"] = f"Bearer {self.keys[who]}"
        url = path if path.startswith("//") or path == "/" else f"/api/v1{path}"
        return self.app.test_client().open(
            url.replace("//", "/", 1), method=method, headers=headers, buffered=True, **options
        )

    def get(self, who: str | None, path: str, **options: Any) -> Any:
        return self.ask(who, "GET", path, **options)

    def post(self, who: str | None, path: str, json: Any = None, **options: Any) -> Any:
        return self.ask(who, "POST", path, json=json, **options) if json is not None else self.ask(who, "POST", path)

    def put(self, who: str | None, path: str, json: Any) -> Any:
        return self.ask(who, "PUT", path, json=json)

    def patch(self, who: str | None, path: str, json: Any) -> Any:
        return self.ask(who, "PATCH", path, json=json)

    def change(self, row: Any, **values: Any) -> None:
        """Change a row in a transaction of its own."""
        with transaction(self.engine) as session:
            fresh = session.get_one(type(row), row.user_id if isinstance(row, Receptionist) else row.id)
            for name, value in values.items():
                setattr(fresh, name, value)

    def entries(self) -> list[tuple[str, str, str | None, str | None]]:
        """The access log: actor, action, subject and clinic of each entry."""
        with reading(self.engine) as session:
            rows = session.scalars(select(AccessEntry).order_by(AccessEntry.at, AccessEntry.id)).all()
            return [(row.actor_id, row.action, row.subject_id, row.clinic_id) for row in rows]

    def count(self, kind: type[Any]) -> int:
        with reading(self.engine) as session:
            return session.scalar(select(func.count()).select_from(kind)) or 0


def seed(
    engine: Engine, settings: Settings, folder: Path, create_app: Callable[[Settings, Engine, RecordingStore], Flask]
) -> World:
    """Fill the database and start the app on it."""
    store = LocalRecordingStore(folder)
    with transaction(engine) as session:
        cast = create_cast(session)
        hill, lake = (_desk(session, staff, cast, store) for staff in (cast.hill, cast.lake))
        create_offer(session, hill.live_call, cast.rosie, state=OfferState.ACCEPTED)
        cast.rosie.activity = Activity.TALKING
        cast.rosie.current_call_id = hill.live_call.id
        cast.robin.presence = Presence.AVAILABLE
        keys = {
            who: create_api_key(session, name=who, role=user.role, clinics=(), user=user, now=NOW).secret
            for who, user in cast.users.items()
        }
    return World(create_app(settings, engine, store), engine, store, cast, hill, lake, keys)


def _desk(session: Any, staff: Staff, cast: Cast, store: RecordingStore) -> Desk:
    caller = create_caller(session, staff.clinic, name=f"Cal Ler {staff.clinic.slug}", number="+447700900123")
    booking = create_booking(session, staff.clinic, staff.practitioner, staff.service, caller)
    ended = create_answered_call(session, staff.clinic, receptionist_id=cast.rosie.user_id, caller_id=caller.id)
    live = create_call(
        session,
        staff.clinic,
        started_at=NOW + timedelta(minutes=59),
        queued_at=NOW + timedelta(minutes=59, seconds=5),
        connected_at=NOW + timedelta(minutes=59, seconds=30),
        turn_connected_at=NOW + timedelta(minutes=59, seconds=30),
        state=CallState.CONNECTED,
        receptionist_id=cast.rosie.user_id,
    )
    key = new_id() + new_id()[:16]
    stored = store.put(key, [AUDIO])
    recording = create_recording(
        session, ended, store_key=key, size_bytes=stored.size_bytes, sha256=hashlib.sha256(AUDIO).hexdigest()
    )
    running = create_recording(
        session,
        live,
        state=RecordingState.RECORDING,
        kind=RecordingKind.CONVERSATION,
        ended_at=None,
        stored_at=None,
        size_bytes=None,
        sha256=None,
    )
    return Desk(staff, caller, booking, ended, live, recording, running)
