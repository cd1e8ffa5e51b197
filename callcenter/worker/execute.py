"""Takes commands, runs their handlers outside any transaction, records the results."""

from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from callcenter import clock
from callcenter.config import VoiceSettings
from callcenter.crash_points import crash_point
from callcenter.db import transaction
from callcenter.domain.commands import CommandKind
from callcenter.errors import CarrierError, CarrierUnavailable
from callcenter.logs import log
from callcenter.models import CarrierCommand
from callcenter.ports import Carrier
from callcenter.services import commands
from callcenter.worker import endings, rings, talks
from callcenter.worker.job import Handler, Job, Later

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

GIVEN_UP: dict[CommandKind, Callable[[Job], None]] = {
    CommandKind.RING: rings.give_up,
    CommandKind.SYNC_HOLD: talks.hold_failed,
}
"""What our rows must say when the carrier will not do it. Every other kind is revived later."""

MOST_FAILURES = 12
"""With the backoff of domain/backoff.py this is about an hour."""


def execute(
    engine: Engine, carrier: Carrier, voice: VoiceSettings, command_id: str, *, holder: str = "one-off"
) -> bool:
    """Take one command as the worker ``holder`` and carry it out; False when somebody else has it."""
    taken = take(engine, [command_id], holder=holder)
    for command in taken:
        carry_out(engine, carrier, voice, command)
    return bool(taken)


def take(engine: Engine, command_ids: Sequence[str], *, holder: str, limit: int | None = None) -> list[CarrierCommand]:
    """Lease the commands that can be taken, at most ``limit``, to the worker ``holder``."""
    with transaction(engine, wake=False) as session:
        taken = commands.claim(session, command_ids, now=clock.now(), holder=holder, limit=limit)
    if taken:
        crash_point("command.claimed")
    return taken


def carry_out(engine: Engine, carrier: Carrier, voice: VoiceSettings, command: CarrierCommand) -> None:
    """Do what a command says and record the result. Never raises for what the carrier does."""
    job = Job(
        engine=engine,
        carrier=carrier,
        voice=voice,
        command_id=command.id,
        call_id=command.call_id,
        subject_id=command.subject_id,
        attempts=command.attempts,
        told_at=command.created_at,
    )
    try:
        later = HANDLERS[command.kind](job)
    except CarrierUnavailable as error:
        _try_again(job, command, error.retry_after_seconds, error)
    except CarrierError as error:
        _give_up(job, command, error, error.code)
    except Exception as error:
        # A fault of ours must neither stop the worker nor block the commands behind it.
        log("worker").exception("command_broke", kind=command.kind, command_id=command.id)
        _try_again(job, command, None, error)
    else:
        _record(job, command, later)


def _record(job: Job, command: CarrierCommand, later: Later | None) -> None:
    crash_point("command.unrecorded")
    with transaction(job.engine, wake=False) as session:
        if later is None:
            commands.finish(session, command, now=clock.now())
        else:
            commands.again(session, command, now=clock.now(), delay_seconds=later.seconds)


def _try_again(job: Job, command: CarrierCommand, retry_after_seconds: float | None, error: Exception) -> None:
    if command.failures + 1 >= MOST_FAILURES:
        _give_up(job, command, error, "gave_up")
        return
    _note(command, error)
    crash_point("command.failed")
    with transaction(job.engine, wake=False) as session:
        commands.retry(session, command, now=clock.now(), retry_after_seconds=retry_after_seconds)


def _give_up(job: Job, command: CarrierCommand, error: Exception, failure: str) -> None:
    _note(command, error)
    if command.kind in GIVEN_UP:
        GIVEN_UP[command.kind](job)
    crash_point("command.given_up")
    with transaction(job.engine, wake=False) as session:
        commands.finish(session, command, now=clock.now(), failure=failure)


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
