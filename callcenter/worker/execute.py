"""Claims one command, runs its handler outside any transaction, records the result."""

from sqlalchemy import Engine

from callcenter import clock
from callcenter.config import VoiceSettings
from callcenter.db import transaction
from callcenter.domain.commands import CommandKind
from callcenter.errors import CarrierError, CarrierUnavailable
from callcenter.logs import log
from callcenter.models import CarrierCommand
from callcenter.ports import Carrier
from callcenter.services import commands
from callcenter.worker import endings, rings, talks
from callcenter.worker.job import Handler, Job

HANDLERS: dict[CommandKind, Handler] = {
    CommandKind.RING: rings.ring,
    CommandKind.DROP_LEG: rings.drop_leg,
    CommandKind.CONNECT: rings.connect,
    CommandKind.CHECK_JOIN: rings.check_join,
    CommandKind.SYNC_HOLD: talks.sync_hold,
    CommandKind.SYNC_RECORDING: talks.sync_recording,
    CommandKind.ENSURE_RECORDING: talks.ensure_recording,
    CommandKind.CHECK_RECORDING: talks.check_recording,
    CommandKind.MOVE_ON: endings.move_on,
    CommandKind.HANG_UP: endings.hang_up,
    CommandKind.VERIFY_CALL: endings.verify_call,
    CommandKind.SWEEP_LEGS: endings.sweep_legs,
}

MOST_ATTEMPTS = 12
"""With the backoff of domain/backoff.py this is about an hour; the sweeper looks at the call long before."""


def execute(engine: Engine, carrier: Carrier, voice: VoiceSettings, command_id: str) -> bool:
    """Carry out one command; False when somebody else has it. Never raises for what the carrier does."""
    with transaction(engine, wake=False) as session:
        command = commands.claim(session, command_id, now=clock.now())
    if command is None:
        return False
    job = Job(engine, carrier, voice, command.id, command.call_id, command.subject_id, command.attempts)
    try:
        later = HANDLERS[command.kind](job)
    except CarrierUnavailable as error:
        _try_again(engine, command, error.retry_after_seconds, error)
        return True
    except CarrierError as error:
        _note(command, error)
        with transaction(engine, wake=False) as session:
            commands.finish(session, command.id, now=clock.now(), failure=error.code)
        return True
    except Exception as error:
        # A fault of ours must neither stop the worker nor block the commands behind it.
        log("worker").exception("command_broke", kind=command.kind, command_id=command.id)
        _try_again(engine, command, None, error)
        return True
    with transaction(engine, wake=False) as session:
        if later is None:
            commands.finish(session, command.id, now=clock.now())
        else:
            commands.again(session, command.id, now=clock.now(), delay_seconds=later.seconds)
    return True


def _try_again(engine: Engine, command: CarrierCommand, retry_after_seconds: float | None, error: Exception) -> None:
    _note(command, error)
    with transaction(engine, wake=False) as session:
        if command.attempts >= MOST_ATTEMPTS:
            commands.finish(session, command.id, now=clock.now(), failure="gave_up")
        else:
            commands.retry(session, command, now=clock.now(), retry_after_seconds=retry_after_seconds)


def _note(command: CarrierCommand, error: Exception) -> None:
    log("worker").warning(
        "command_failed",
        kind=command.kind,
        command_id=command.id,
        call_id=command.call_id,
        attempt=command.attempts,
        code=getattr(error, "code", type(error).__name__),
        carrier_code=getattr(error, "carrier_code", None),
    )
