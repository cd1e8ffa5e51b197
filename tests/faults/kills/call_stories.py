"""What happens to a call, told so that a worker or the door comes to every point at which it can be killed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from callcenter import clock
from callcenter.db import transaction
from callcenter.domain.calls import CallState, HoldState, OfferState
from callcenter.domain.commands import CommandKind
from callcenter.domain.recordings import PauseReason, RecordingState
from callcenter.models import Call, new_id
from callcenter.services import call_actions, commands, recordings
from tests.factories import create_recording
from tests.faults.kills.call_desk import CallDesk

LONG_AGO = timedelta(minutes=10)
DROPPED = {"action": "drop", "times": None}


@dataclass(frozen=True)
class Story:
    """``tell`` makes a call; whoever listens dies at ``points``."""

    tell: Callable[[CallDesk], object]
    points: tuple[str, ...]


def talk(desk: CallDesk) -> None:
    """Answered, held, paused, and hung up by the receptionist."""
    sid, call = desk.connected()
    for held, state in ((True, HoldState.HELD), (False, HoldState.NONE)):
        desk.does(call_actions.request_hold, call.id, held=held)
        desk.until(f"hold is {state}", lambda state=state: desk.rig.call(sid).hold == state)  # type: ignore[misc, union-attr]
    desk.until("it is recorded again", lambda: desk.recording(sid).state == RecordingState.RECORDING)
    desk.does(recordings.request_pause, call.id, PauseReason.CARD)
    desk.until("it is paused", lambda: desk.recording(sid).state == RecordingState.PAUSED)
    desk.does(recordings.request_resume, call.id, PauseReason.CARD)
    desk.until("it goes on", lambda: desk.recording(sid).state == RecordingState.RECORDING)
    desk.does(call_actions.request_hang_up, call.id)
    desk.is_in(sid, CallState.ENDED)


def door_dies(desk: CallDesk) -> None:
    """The carrier gets no answer to something: it asks the fallback, which forwards the caller or apologises."""
    for _ in range(2):
        sid = desk.dial()

        def is_served(sid: str = sid) -> bool:
            call = desk.rig.call(sid)
            return call is not None and (call.state == CallState.CONNECTED or not desk.rig.phone(sid)["live"])

        desk.until("the caller talks, or has been told", is_served)
        desk.hangs_up(sid)
        desk.is_in(sid, CallState.ENDED)


def leaves_while_it_rings(desk: CallDesk) -> None:
    """The caller hangs up before anybody answers."""
    for receptionist in (desk.rig.cast.rosie, desk.rig.cast.robin):
        desk.rig.softphone(receptionist, answer_after_seconds=600)
    sid = desk.dial()
    desk.until("it rings", lambda: [offer for offer in desk.offers(sid) if offer.state == OfferState.RINGING])
    desk.hangs_up(sid)
    desk.is_in(sid, CallState.ENDED)
    for receptionist in (desk.rig.cast.rosie, desk.rig.cast.robin):
        desk.rig.softphone(receptionist)


def refuses(desk: CallDesk) -> None:
    """The receptionist is asked not to record."""
    sid, call = desk.connected()
    desk.does(recordings.refuse, call.id, "receptionist")
    desk.until("the carrier has no recording", lambda: desk.recording(sid).carrier_copy_deleted_at)
    desk.hangs_up(sid)


def nobody_answers(desk: CallDesk) -> None:
    """Everybody is away, and the caller has waited for long enough."""
    desk.nobody_is_free()
    sid = desk.dial({"wait": 1})
    call = desk.is_in(sid, CallState.QUEUED)
    desk.change(call, wait_rounds=2, overflow_after_at=clock.now())
    desk.is_in(sid, CallState.LEAVING_MESSAGE)
    desk.until("the line records", lambda: desk.rig.recordings(sid))
    desk.hangs_up(sid)
    desk.is_in(sid, CallState.ENDED)
    desk.everybody_is_free()


def softphone_is_lost(desk: CallDesk) -> None:
    """The receptionist's line breaks; the caller is offered again."""
    sid, call = desk.connected()
    desk.hangs_up(desk.her_leg(call))
    desk.is_in(sid, CallState.CONNECTED, turn=2)
    desk.hangs_up(sid)


def queue_is_unknown(desk: CallDesk) -> None:
    """The carrier says that the caller is not in the queue."""
    desk.rig.faults({"match": {"kind": "rest", "path_contains": "/Members/"}, "action": "status", "status": 404})
    sid, _ = desk.connected()
    desk.hangs_up(sid)


def queue_is_broken(desk: CallDesk) -> None:
    """The carrier fails twice to take the caller out of the queue."""
    broken = {"action": "status", "status": 503, "times": 2}
    desk.rig.faults({"match": {"kind": "rest", "path_contains": "/Members/"}, **broken})
    sid, _ = desk.connected()
    desk.hangs_up(sid)


def hold_is_refused(desk: CallDesk) -> None:
    """The carrier will not hold the caller."""
    sid, call = desk.connected()
    refused = {"action": "status", "status": 400, "times": 2}
    desk.rig.faults({"match": {"kind": "rest", "path_contains": "/Participants/", "method": "POST"}, **refused})
    desk.does(call_actions.request_hold, call.id, held=True)
    desk.until("hold has failed", lambda: desk.rig.call(sid).hold == HoldState.FAILED)  # type: ignore[union-attr]
    desk.until("somebody died", desk.somebody_died)
    desk.hangs_up(sid)


def request_takes_long(desk: CallDesk) -> None:
    """The carrier thinks for longer than a lease is left alone."""
    sid, call = desk.connected()
    slow = {"action": "delay", "seconds": 7}
    desk.rig.faults({"match": {"kind": "rest", "path_contains": "/Participants/", "method": "POST"}, **slow})
    desk.does(call_actions.request_hold, call.id, held=True)
    desk.until("it is held", lambda: desk.rig.call(sid).hold == HoldState.HELD)  # type: ignore[union-attr]
    desk.hangs_up(sid)


def ring_is_refused(desk: CallDesk) -> None:
    """The carrier will not ring the softphone."""
    refused = {"action": "status", "status": 400}
    desk.rig.faults({"match": {"kind": "rest", "path_contains": "/Calls.json", "method": "POST"}, **refused})
    sid, _ = desk.connected()
    desk.hangs_up(sid)


def join_is_not_reported(desk: CallDesk) -> None:
    """Nobody tells us that the caller is in the conference."""
    desk.rig.faults({"match": {"kind": "callback", "event": "participant-join"}, **DROPPED})
    sid, _ = desk.connected()
    desk.hangs_up(sid)


def caller_does_not_come(desk: CallDesk) -> None:
    """The caller is out of the queue and asks nothing for a long time."""
    desk.rig.faults({"match": {"kind": "control", "url_contains": "/1/next"}, "action": "delay", "seconds": 9})
    sid, _ = desk.connected()
    desk.hangs_up(sid)


def caller_is_gone(desk: CallDesk) -> None:
    """While the worker brings the caller to her it dies, the caller hangs up, and the carrier's word of it is lost."""
    desk.rig.faults({"match": {"kind": "rest", "path_contains": "/Members/"}, "action": "delay", "seconds": 60})
    sid = desk.dial()
    desk.is_in(sid, CallState.QUEUED)
    desk.until("she answers", lambda: desk.rig.call(sid).accepted_offer_id)  # type: ignore[union-attr]
    desk.stop_worker()
    desk.rig.faults(*({"match": {"kind": kind}, **DROPPED} for kind in ("callback", "control")))
    desk.hangs_up(sid)
    desk.until("the carrier knows", lambda: not desk.rig.phone(sid)["live"])
    desk.rig.faults()
    desk.worker = desk.start("worker")
    desk.is_in(sid, CallState.ENDED)


def caller_sits_in_silence(desk: CallDesk) -> None:
    """A waiting caller has not asked for too long."""
    desk.nobody_is_free()
    sid = desk.dial()
    call = desk.is_in(sid, CallState.QUEUED)

    def asked_long_ago() -> bool:
        desk.change(call, asked_at=clock.now() - LONG_AGO, check_at=clock.now())
        return desk.somebody_died()

    desk.until("somebody died", asked_long_ago)
    desk.hangs_up(sid)
    desk.everybody_is_free()


def end_is_not_reported(desk: CallDesk) -> None:
    """The caller hangs up in the queue, and the carrier's word of it is lost."""
    desk.nobody_is_free()
    sid = desk.dial()
    call = desk.is_in(sid, CallState.QUEUED)
    desk.rig.faults(*({"match": {"kind": kind}, **DROPPED} for kind in ("callback", "control")))
    desk.hangs_up(sid)
    desk.until("the carrier knows", lambda: not desk.rig.phone(sid)["live"])
    desk.rig.faults()
    desk.change(call, check_at=clock.now())
    desk.is_in(sid, CallState.ENDED)
    desk.everybody_is_free()


def hang_up_is_lost(desk: CallDesk) -> None:
    """The receptionist has hung up, and nobody has told the carrier."""
    sid, call = desk.connected()
    desk.change(call, hang_up_requested_at=clock.now(), check_at=clock.now())
    desk.is_in(sid, CallState.ENDED)


def caller_is_left_alone(desk: CallDesk) -> None:
    """The receptionist's line breaks, and the carrier's word of it is lost."""
    sid, call = desk.connected()
    desk.rig.faults(*({"match": {"kind": kind}, **DROPPED} for kind in ("callback", "control")))
    leg = desk.her_leg(call)
    desk.hangs_up(leg)
    desk.until("the carrier knows", lambda: not desk.rig.phone(leg)["live"])
    desk.rig.faults()
    desk.change(call, check_at=clock.now())
    desk.is_in(sid, CallState.CONNECTED, turn=2)
    desk.hangs_up(sid)


def her_end_is_not_reported(desk: CallDesk) -> None:
    """The call is over, and nobody says that the receptionist's leg is."""
    desk.rig.faults({"match": {"kind": "callback", "url_contains": "/offers/", "event": "completed"}, **DROPPED})
    sid, _ = desk.connected()
    desk.hangs_up(sid)
    desk.until("somebody died", desk.somebody_died)


def recording_is_not_reported(desk: CallDesk) -> None:
    """Nobody tells us that the recording runs."""
    desk.rig.faults({"match": {"kind": "callback", "event": "recording-in-progress"}, **DROPPED})
    sid, _ = desk.connected()
    desk.hangs_up(sid)


def recording_has_no_trace(desk: CallDesk) -> None:
    """A row awaits a recording that the carrier has never heard of."""
    desk.nobody_is_free()
    sid = desk.dial()
    call = desk.is_in(sid, CallState.QUEUED)
    with transaction(desk.rig.engine) as session:
        call = session.get_one(Call, call.id)
        row = create_recording(
            session, call, state=RecordingState.RECORDING, stored_at=None, sha256=None, size_bytes=None, ended_at=None,
            started_at=clock.now(), carrier_recording_sid=f"RE{new_id()}",
        )  # fmt: skip
        command = commands.tell(session, CommandKind.CHECK_RECORDING, call, row.id, now=clock.now())
        command.attempts = 5
    desk.until("it is given up", lambda: desk.recording(sid).state == RecordingState.ABSENT)
    desk.hangs_up(sid)
    desk.everybody_is_free()


STORIES = {
    "talk": Story(
        talk,
        (
            *("worker.took_over", "worker.asked", "worker.tidied"),
            *("dispatch.offered", "command.claimed", "command.unrecorded", "ring.prepared", "ring.created"),
            *("ring.bound", "connect.dequeued", "hold.answered", "hold.noted", "pause.answered", "pause.noted"),
            *("hang_up.ended", "tick.item"),
        ),
    ),
    "door dies": Story(door_dies, ("door.committed", "incoming.committed")),
    "leaves while it rings": Story(leaves_while_it_rings, ("leg.dropped", "leg.noted")),
    "refuses": Story(refuses, ("refusal.stopped", "refusal.noted")),
    "nobody answers": Story(nobody_answers, ("move_on.dequeued",)),
    "softphone is lost": Story(softphone_is_lost, ("move_on.asked",)),
    "queue is unknown": Story(queue_is_unknown, ("connect.sent_on",)),
    "queue is broken": Story(queue_is_broken, ("command.failed", "connect.back_in_queue")),
    "hold is refused": Story(hold_is_refused, ("hold.failed", "command.given_up")),
    "request takes long": Story(request_takes_long, ("worker.renewed",)),
    "ring is refused": Story(ring_is_refused, ("ring.given_up",)),
    "join is not reported": Story(join_is_not_reported, ("join.found",)),
    "caller does not come": Story(caller_does_not_come, ("join.ended",)),
    "caller is gone": Story(caller_is_gone, ("connect.caller_gone",)),
    "caller sits in silence": Story(caller_sits_in_silence, ("verify.moved_on",)),
    "end is not reported": Story(end_is_not_reported, ("verify.settled",)),
    "hang-up is lost": Story(hang_up_is_lost, ("verify.hung_up",)),
    "caller is left alone": Story(caller_is_left_alone, ("verify.left_alone",)),
    "her end is not reported": Story(her_end_is_not_reported, ("sweep_legs.ended",)),
    "recording is not reported": Story(recording_is_not_reported, ("recording.started", "recording.reported")),
    "recording has no trace": Story(recording_has_no_trace, ("recording.given_up",)),
}
"""Every point of worker and door is in one of them."""
