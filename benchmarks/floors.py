"""The two floors of ``incoming``: what somebody would write who has only this one address to answer.

(A) ``orm``: library signature check, ORM select of the clinic and of the call, add, commit, fixed TwiML. What a careful
user would write. (B) ``upsert``: the same with a single Core statement. The shortest honest one. Both run under our
server with our settings, on lean tables of their own in the same database.
"""

import sys
from typing import Any

from flask import Flask, Response, abort, request
from sqlalchemy import Engine, String, create_engine, event, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import VoiceResponse

from callcenter import serving

POOL = 32


class Base(DeclarativeBase):
    """Tables of the floors."""


class FloorClinic(Base):
    """A clinic and its number."""

    __tablename__ = "floor_clinics"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(20), unique=True)
    greeting: Mapped[str] = mapped_column(String(200))


class FloorCall(Base):
    """A call."""

    __tablename__ = "floor_calls"
    id: Mapped[int] = mapped_column(primary_key=True)
    sid: Mapped[str] = mapped_column(String(34), unique=True)
    clinic_id: Mapped[int]
    from_number: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))


def prepare(url: str, number: str) -> None:
    """Make the tables and one clinic with ``number``."""
    engine = _engine(url)
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add(FloorClinic(number=number, greeting="Hello."))
    engine.dispose()


def app(kind: str, url: str, base: str, token: str) -> Flask:
    """The floor ``orm`` or ``upsert`` as an application on the database ``url``."""
    engine, validator, made = _engine(url), RequestValidator(token), Flask(__name__, static_folder=None)
    document = _document()
    keep = _with_orm if kind == "orm" else _with_upsert

    @made.post("/webhooks/voice/incoming")
    def incoming() -> Response:
        form = request.form
        if not validator.validate(base + request.path, form, request.headers.get("X-Twilio-Signature", "")):
            abort(403)
        if not keep(engine, form["CallSid"], form["From"], form["To"]):
            abort(404)
        return Response(document, content_type="text/xml")

    @made.get("/healthz")
    def healthz() -> str:
        return "ok"

    return made


def _document() -> str:
    response = VoiceResponse()
    response.say("Hello.")
    response.enqueue("clinic", wait_url="/wait")
    return str(response)


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_size=POOL)
    engine = create_engine(url, pool_size=POOL, connect_args={"timeout": 15})

    @event.listens_for(engine, "connect")
    def prepare_connection(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    return engine


def _with_orm(engine: Engine, sid: str, from_number: str, to_number: str) -> bool:
    with Session(engine) as session:
        clinic = session.scalar(select(FloorClinic).where(FloorClinic.number == to_number))
        if clinic is None:
            return False
        if session.scalar(select(FloorCall).where(FloorCall.sid == sid)) is None:
            session.add(FloorCall(sid=sid, clinic_id=clinic.id, from_number=from_number, state="ringing"))
            try:
                session.commit()
            except IntegrityError:  # the same request came twice at once
                session.rollback()
        return True


def _with_upsert(engine: Engine, sid: str, from_number: str, to_number: str) -> bool:
    insert: Any = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert
    values = {"sid": sid, "from_number": from_number, "state": "ringing"}
    clinic = select(FloorClinic.id).where(FloorClinic.number == to_number).scalar_subquery()
    statement = insert(FloorCall).values(clinic_id=clinic, **values)
    with engine.begin() as connection:
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["sid"], set_={"from_number": statement.excluded.from_number}
            )
        )
    return True


if __name__ == "__main__":
    kind, bind, url, base, token, threads = sys.argv[1:]
    serving.run(app(kind, url, base, token), bind, int(threads))
