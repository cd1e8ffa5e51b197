"""Receptionists: presence, heartbeat, softphone token, wrap-up."""

from datetime import datetime

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from sqlalchemy.orm import Session

from callcenter import clock
from callcenter.carrier.tokens import mint_softphone_token
from callcenter.db import reading, transaction
from callcenter.domain.permissions import Actor, Permission, can
from callcenter.domain.receptionists import Presence, Role
from callcenter.domain.text_rules import clean_optional_text
from callcenter.errors import BadInput, Forbidden
from callcenter.logs import log
from callcenter.models import AccessEntry
from callcenter.services import receptionists
from callcenter.services.access import TOKENS_PER_MINUTE, limit_rate, record_access
from callcenter.services.receptionist_shapes import get_receptionist, list_receptionists
from callcenter.services.receptionists import SYSTEM_REASONS
from callcenter.services.shapes import ReceptionistShape, Shape
from callcenter.web.api.answers import answer
from callcenter.web.api.documents import CONFLICT, group, refusals
from callcenter.web.api.inputs import Id, Input, OptionalBody, Text
from callcenter.web.auth import actor, needs
from callcenter.web.parts import parts

LONGEST_REASON = 60

api: APIBlueprint = group("receptionists", "Who answers, and what they are doing.")
"""A receptionist reaches herself; supervisors those of their clinics; operators everybody."""
OWN_OR_OTHERS = (Permission.CALL_ACTIONS, Permission.OTHERS_PRESENCE)


class ReceptionistPath(Input):
    """Which receptionist."""

    user_id: Id


class PresenceInput(Input):
    """What she chooses; ``reason`` is her own word for a break."""

    presence: Presence
    reason: Text | None = None


class HeartbeatInput(OptionalBody):
    """A sign of life. One softphone session at a time: another one is refused unless it takes over."""

    softphone_session: Id | None = None
    take_over: bool = False


class ReceptionistPage(Shape):
    """Everybody in view; there is never a next page."""

    items: list[ReceptionistShape]
    next: None = None


class Token(Shape):
    """A softphone token; it can receive calls for ``identity`` and nothing else."""

    token: str
    identity: str
    expires_at: datetime


@api.get("/receptionists", responses={200: ReceptionistPage})
@needs(*OWN_OR_OTHERS)
def list_all() -> Response:
    """The receptionists in view."""
    with reading(parts().engine) as session:
        shapes = list_receptionists(session, actor(), now=clock.now())
    return answer(ReceptionistPage(items=shapes))


@api.get("/receptionists/<opaque:user_id>", responses={200: ReceptionistShape})
@needs(*OWN_OR_OTHERS)
def get_one(path: ReceptionistPath) -> Response:
    """One receptionist."""
    with reading(parts().engine) as session:
        shape = get_receptionist(session, actor(), path.user_id, now=clock.now())
    return answer(shape)


@api.put("/receptionists/<opaque:user_id>/presence", responses={200: ReceptionistShape})
@needs(*OWN_OR_OTHERS)
def set_presence(path: ReceptionistPath, body: PresenceInput) -> Response:
    """Choose a presence. Set by somebody else, its reason is ``supervisor``."""
    now, own = clock.now(), _is_own(path, actor())
    reason = clean_optional_text(body.reason, field="The reason", limit=LONGEST_REASON)
    if own and reason in SYSTEM_REASONS:
        raise BadInput("This reason is the system's own word; choose another.")
    with transaction(parts().engine) as session:
        get_receptionist(session, actor(), path.user_id, now=now)
        receptionists.set_presence(session, path.user_id, body.presence, reason if own else "supervisor", now=now)
        session.flush()
        if not own:
            _record(session, "presence.changed", path.user_id, now)
        shape = get_receptionist(session, actor(), path.user_id, now=now)
    return answer(shape)


@api.post("/receptionists/<opaque:user_id>/heartbeat", responses={200: ReceptionistShape, **CONFLICT})
@needs(*OWN_OR_OTHERS)
def heartbeat(path: ReceptionistPath, body: HeartbeatInput) -> Response:
    """Say every ten seconds that the softphone is there; after 30 seconds of silence it is not rung."""
    now = clock.now()
    with transaction(parts().engine) as session:
        get_receptionist(session, actor(), path.user_id, now=now)
        _require_own_softphone(path)
        receptionists.heartbeat(session, path.user_id, body.softphone_session, now=now, take_over=body.take_over)
        shape = get_receptionist(session, actor(), path.user_id, now=now)
    return answer(shape)


@api.post("/receptionists/<opaque:user_id>/token", responses={200: Token, **refusals(429)})
@needs(*OWN_OR_OTHERS)
def mint_token(path: ReceptionistPath) -> Response:
    """A softphone token of at most an hour; ten a minute are enough (S36).

    For somebody else only by operators, and never in production (S35).
    """
    now = clock.now()
    with transaction(parts().engine) as session:
        receptionist = get_receptionist(session, actor(), path.user_id, now=now)
        _require_own_softphone(path)
        hers = AccessEntry.subject_id == path.user_id
        limit_rate(session, actor(), "softphone_token.minted", TOKENS_PER_MINUTE, hers, now=now)
        _record(session, "softphone_token.minted", path.user_id, now)
        if not _is_own(path, actor()):
            log("web").warning("softphone_token_for_somebody_else", actor_id=actor().actor_id, user_id=path.user_id)
    minted = mint_softphone_token(parts().settings, receptionist.identity)
    return answer(Token(token=minted.token, identity=receptionist.identity, expires_at=minted.expires_at))


@api.post("/receptionists/<opaque:user_id>/wrap-up/finish", responses={200: ReceptionistShape, **CONFLICT})
@needs(*OWN_OR_OTHERS)
def finish_wrap_up(path: ReceptionistPath) -> Response:
    """End the wrap-up before its time."""
    now = clock.now()
    with transaction(parts().engine) as session:
        get_receptionist(session, actor(), path.user_id, now=now)
        receptionists.finish_wrap_up(session, path.user_id, now=now)
        if not _is_own(path, actor()):
            _record(session, "wrap_up.finished", path.user_id, now)
        shape = get_receptionist(session, actor(), path.user_id, now=now)
    return answer(shape)


@api.post("/receptionists/<opaque:user_id>/wrap-up/extend", responses={200: ReceptionistShape, **CONFLICT})
@needs(*OWN_OR_OTHERS)
def extend_wrap_up(path: ReceptionistPath) -> Response:
    """Once per call: the same time again."""
    now, voice = clock.now(), parts().settings.voice
    with transaction(parts().engine) as session:
        get_receptionist(session, actor(), path.user_id, now=now)
        receptionists.extend_wrap_up(session, path.user_id, voice=voice, now=now)
        if not _is_own(path, actor()):
            _record(session, "wrap_up.extended", path.user_id, now)
        shape = get_receptionist(session, actor(), path.user_id, now=now)
    return answer(shape)


def _is_own(path: ReceptionistPath, who: Actor) -> bool:
    return who.role == Role.RECEPTIONIST and who.user_id == path.user_id


def _require_own_softphone(path: ReceptionistPath) -> None:
    """Only she speaks for her softphone; operators may stand in while developing (demo and tests)."""
    stand_in = can(actor(), Permission.ADMINISTRATION) and parts().settings.environment != "production"
    if not _is_own(path, actor()) and not stand_in:
        raise Forbidden("Only the receptionist herself may do this.")


def _record(session: Session, action: str, user_id: str, now: datetime) -> None:
    record_access(session, actor(), action, subject_kind="receptionist", subject_id=user_id, clinic_id=None, now=now)
