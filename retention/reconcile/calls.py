"""The carrier's calls and our log: every call once, whatever was lost on the way (P34, F20)."""

from datetime import datetime
from functools import partial

from sqlalchemy import update

from callcenter.crash_points import crash_point
from callcenter.db import reading, transaction
from callcenter.domain.calls import CallState
from callcenter.models import Call
from callcenter.ports import CarrierCall
from callcenter.services import missed_calls
from callcenter.services.missed_calls import Judged, Standing
from retention.reconcile.report import Kind
from retention.reconcile.work import Work, batches


def compare_calls(work: Work, since: datetime) -> None:
    """Enter calls that began since then, are over and are not in the log; hurry up those that should be over.

    Raises CarrierError when the list breaks off.
    """
    for batch in batches(work.carrier.inbound_calls(since, work.now)):
        if not work.goes_on():
            return
        _compare(work, batch)


def _compare(work: Work, listed: list[CarrierCall]) -> None:
    with reading(work.engine) as session:
        judged = missed_calls.judge(session, listed, now=work.now)
    work.report.looked_at["calls"] += sum(one.standing != Standing.NOBODYS for one in judged)
    for one in judged:
        sid = one.found.carrier_call_sid
        if one.standing == Standing.MISSING:
            work.settle(Kind.CALL_NOT_IN_LOG, sid, partial(enter, work, one.found))
        elif one.standing == Standing.OWNER_UNKNOWN:
            work.settle(Kind.CALL_OF_UNKNOWN_CLINIC, sid, None)
        elif one.standing == Standing.NOT_ENDED:
            work.settle(Kind.CALL_NOT_ENDED, one.call_id or sid, partial(hurry, work, one))


def enter(work: Work, found: CarrierCall) -> bool:
    """Put a missing call into the log. True also when somebody else has done it meanwhile."""
    forwarded = work.carrier.forwarded_legs(found.carrier_call_sid)
    with transaction(work.engine) as session:
        missed_calls.enter(session, found, forwarded, voice=work.voice, now=work.now)
    crash_point("reconcile.entered")
    return True


def hurry(work: Work, one: Judged) -> bool:
    """Let the worker's sweeper ask about a call at once: ending calls is its work."""
    with transaction(work.engine) as session:
        session.execute(
            update(Call)
            .where(Call.id == one.call_id, Call.state != CallState.ENDED, Call.check_at > work.now)
            .values(check_at=work.now)
            .execution_options(synchronize_session=False)
        )
    crash_point("reconcile.hurried")
    return True
