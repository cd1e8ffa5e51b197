"""What is due now: offers that rang in vain, callers who waited too long, wrap-ups that are over, silent calls, and
callers who can be offered. Each item has its own transaction, so one that fails holds nothing up."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from callcenter import clock
from callcenter.config import VoiceSettings
from callcenter.crash_points import crash_point
from callcenter.db import reading, transaction
from callcenter.domain.calls import CallState
from callcenter.domain.commands import CommandKind
from callcenter.errors import NotFound
from callcenter.logs import log
from callcenter.models import Call
from callcenter.services import commands, lifecycle, queueing, receptionists, waiting
from callcenter.services.call_rows import locked
from callcenter.services.commands import is_pending, tell

VERIFY_EVERY_SECONDS = 60
"""A call that was asked about and is still live is asked about again after this."""


def tick(engine: Engine, voice: VoiceSettings) -> bool:
    """Do everything whose time has come, then dispatch until nobody more can be offered. True when a call should be
    looked at again in a moment, because somebody was just at it."""
    now = clock.now()
    with reading(engine) as session:
        offers = queueing.overdue_offers(session, now=now)
        overflowing = waiting.overflowing(session, now=now)
        wrap_ups = receptionists.lapsed_wrap_ups(session, now=now)
        silent = silent_calls(session, now)
    _each(engine, offers, lambda session, id_: queueing.expire_offer(session, id_, now=now))
    _each(engine, wrap_ups, lambda session, id_: receptionists.lapse_wrap_up(session, id_, now=now))
    _each(engine, silent, lambda session, id_: _ask_about(session, id_, now))
    again = dispatch_all(engine, voice)
    # After the dispatch: whoever is being rung for a caller is worth waiting for.
    _each(engine, overflowing, lambda session, id_: waiting.overflow(session, id_, now=now))
    return again


def silent_calls(session: Session, now: datetime) -> list[str]:
    """Live calls of which nothing has been heard for so long that the carrier should be asked."""
    return list(session.scalars(select(Call.id).where(Call.state != CallState.ENDED, Call.check_at <= now)))


def ask_about_all(engine: Engine) -> None:
    """At the start of a worker: while nothing of ours ran, the carrier's last words on a call may have been lost (it
    does not repeat them), so every live call is asked about soon instead of at its own time."""
    soon = clock.now() + timedelta(seconds=lifecycle.CHECK_SOON_SECONDS)
    with transaction(engine) as session:
        session.execute(
            update(Call)
            .where(Call.state != CallState.ENDED, Call.check_at > soon)
            .values(check_at=soon)
            .execution_options(synchronize_session=False)
        )
    crash_point("worker.asked")


def dispatch_all(engine: Engine, voice: VoiceSettings) -> bool:
    """Offer waiting calls until nobody more can be offered; True when somebody was just at one of them."""
    while _somebody_can_be_offered(engine):
        try:
            with transaction(engine, wake=False) as session:
                offer = queueing.dispatch(session, voice=voice, now=clock.now())
        except queueing.InOtherHands:
            return True
        if offer is None:
            return False
        crash_point("dispatch.offered")
        log("worker").info("offered", call_id=offer.call_id, offer_id=offer.id, turn=offer.turn)
    return False


def _somebody_can_be_offered(engine: Engine) -> bool:
    """A look without the right to write, for which nobody else has to wait."""
    with reading(engine) as session:
        return bool(queueing.offerable(session, now=clock.now()))


def _ask_about(session: Session, call_id: str, now: datetime) -> None:
    call = locked(session, call_id)
    if call.state == CallState.ENDED or call.check_at > now:
        return
    call.check_at = now + timedelta(seconds=VERIFY_EVERY_SECONDS)
    if not is_pending(session, CommandKind.VERIFY_CALL, call, call.id):
        tell(session, CommandKind.VERIFY_CALL, call, call.id, now=now)


def tidy(engine: Engine) -> None:
    """Now and then: try again what was given up, and forget what is long done."""
    with transaction(engine, wake=False) as session:
        commands.revive_given_up(session, now=clock.now())
        commands.forget_finished(session, now=clock.now())
    crash_point("worker.tidied")


def _each(engine: Engine, ids: list[str], do: Callable[[Session, str], object]) -> None:
    for id_ in ids:
        try:
            with transaction(engine, wake=False) as session:
                do(session, id_)
            crash_point("tick.item")
        except NotFound:
            continue  # removed meanwhile
        except Exception:
            log("worker").exception("sweep_item_broke", subject_id=id_)
