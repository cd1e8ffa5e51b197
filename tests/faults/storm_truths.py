"""What must hold: at any moment, and when all has come to rest. The rows are compared with the lines' own truth."""

from collections import Counter

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from callcenter.db import reading
from callcenter.domain.calls import ENDED_LEG_STATES, OPEN_OFFER_STATES, CallState
from callcenter.domain.commands import CommandState
from callcenter.domain.receptionists import Activity
from callcenter.domain.recordings import LIVE_RECORDING_STATES, PauseReason, RecordingKind, RecordingState
from callcenter.models import (
    Call,
    CallLeg,
    CarrierCommand,
    CarrierEvent,
    Offer,
    Receptionist,
    Recording,
    RecordingPause,
)
from tests.faults.storm_model import Leg
from tests.faults.storm_weather import LOSSLESS
from tests.faults.storm_world import VOICE, StormWorld

PATIENCE_SECONDS = 240.0
"""So long a caller may be elsewhere than our rows say, or alone in a room, or recorded after a refusal: lost messages
are made up for by asking, which takes its time."""
TOLERANCE_SECONDS = 8.0
"""By which a talk may differ from the truth for each turn while no message is lost: a join that is late is asked about
after five seconds, and times are whole seconds."""
REST_SPANS = (20.0, 40.0, 60.0, 60.0, 60.0, 60.0, 120.0, 240.0, 600.0, 900.0)
"""What is still unsettled after this will never be."""
PLACES: dict[CallState, tuple[str, ...]] = {
    CallState.RINGING: ("document",),
    CallState.QUEUED: ("queue", "room", "document"),
    CallState.CONNECTED: ("room",),
    CallState.LEAVING_MESSAGE: ("document",),
    CallState.ENDED: (),
}
FINAL_RECORDINGS = (RecordingState.STORED, RecordingState.REFUSED, RecordingState.PURGED)


class Truths:
    """Looks at a world again and again, and remembers what was over."""

    def __init__(self, world: StormWorld) -> None:
        self.world = world
        self._over: dict[str, str] = {}
        self._elsewhere_since: dict[str, float] = {}
        self._wrapping: dict[str, str | None] = {}
        self._wrap_ups: Counter[str] = Counter()

    def at_any_moment(self) -> None:
        """What holds after every step."""
        assert not self.world.lines.complaints, self.world.lines.complaints
        self._rooms()
        with reading(self.world.engine) as session:
            self._people(session)
            self._nothing_regresses(session)
            self._callers_are_served(session)
            self._recordings(session)

    def _rooms(self) -> None:
        talking: Counter[str] = Counter()
        for room in self.world.lines.rooms:
            hers = [leg.identity for leg in room.legs if leg.identity]
            if any(leg.is_caller for leg in room.legs):
                assert len(hers) <= 1, "two receptionists on one call"
                talking.update(hers)
        assert all(count == 1 for count in talking.values()), "a receptionist on two calls"

    def _people(self, session: Session) -> None:
        live = {call.id: call for call in session.scalars(select(Call).where(Call.state != CallState.ENDED))}
        offers = [offer for offer in session.scalars(select(Offer)) if _occupies(offer, live.get(offer.call_id))]
        assert len({offer.receptionist_id for offer in offers}) == len(offers), "a receptionist on two calls"
        assert len({offer.call_id for offer in offers}) == len(offers), "a call with two receptionists"
        for row in session.scalars(select(Receptionist)):
            assert (row.activity == Activity.IDLE) == (row.current_call_id is None)
            held = [offer for offer in offers if offer.receptionist_id == row.user_id]
            assert row.activity in (Activity.RINGING, Activity.TALKING) or not held
            assert held or row.activity not in (Activity.RINGING, Activity.TALKING), f"{row.activity} without an offer"
            self._count_wrap_up(row)

    def _count_wrap_up(self, row: Receptionist) -> None:
        wrapping = row.current_call_id if row.activity == Activity.WRAPPING_UP else None
        if wrapping is not None and self._wrapping.get(row.user_id) != wrapping:
            self._wrap_ups[f"{row.user_id} {wrapping}"] += 1
            assert self._wrap_ups[f"{row.user_id} {wrapping}"] == 1, "a second wrap-up for one call"
        self._wrapping[row.user_id] = wrapping

    def _nothing_regresses(self, session: Session) -> None:
        for call in session.scalars(select(Call)):
            assert (call.state == CallState.ENDED) == (call.outcome is not None) == (call.ended_at is not None)
            self._stays(call.id, call.state, call.state == CallState.ENDED)
        for leg in session.scalars(select(CallLeg)):
            assert (leg.state in ENDED_LEG_STATES) == (leg.ended_at is not None)
            self._stays(leg.id, leg.state, leg.ended_at is not None)
        for offer in session.scalars(select(Offer)):
            over = "open" if offer.state in OPEN_OFFER_STATES else "over"
            self._stays(offer.id, over, over == "over")
        for recording in session.scalars(select(Recording)):
            live = "live" if recording.state in LIVE_RECORDING_STATES else "over"
            self._stays(recording.id, live, live == "over")
            refused = recording.state in (RecordingState.REFUSED, RecordingState.PURGING, RecordingState.PURGED)
            self._stays(f"refused {recording.id}", "yes" if refused else "no", refused)

    def _stays(self, what: str, state: str, is_over: bool) -> None:
        assert self._over.get(what, state) == state, f"{self._over[what]} has become {state}"
        if is_over:
            self._over[what] = state

    def _callers_are_served(self, session: Session) -> None:
        for leg in self.world.callers():
            call = self.world.call_of(leg, session)
            alone = leg.alone_since is not None and self._since(leg.alone_since) > PATIENCE_SECONDS
            assert not alone, "a caller sits alone in silence"
            place = "queue" if leg.queue else "room" if leg.room else "document"
            fits = call is None or leg.forwarded or place in PLACES[call.state]
            if fits:
                self._elsewhere_since.pop(leg.sid, None)
                continue
            since = self._elsewhere_since.setdefault(leg.sid, self.world.agenda.seconds)
            state = call.state if call else None
            assert self._since(since) <= PATIENCE_SECONDS, f"the call is {state}, the caller in a {place}"

    def _since(self, moment: float) -> float:
        """Seconds, not counting those in which no worker ran."""
        return self.world.agenda.seconds - max(moment, self.world.back_at)

    def _recordings(self, session: Session) -> None:
        for sound in self.world.lines.sounds.values():
            refused = sound.leg.refused
            if sound.ended is None and not sound.is_message and refused is not None:
                assert self._since(max(refused, sound.started)) <= PATIENCE_SECONDS, "recorded long after the refusal"
        query = (
            select(Recording.carrier_recording_sid)
            .join(RecordingPause, RecordingPause.recording_id == Recording.id)
            .where(RecordingPause.to_at.is_(None), RecordingPause.confirmed, RecordingPause.reason == PauseReason.CARD)
        )
        for sid in session.scalars(query):
            sound_now = self.world.lines.sounds.get(sid or "")
            assert sound_now is None or sound_now.ended is not None or sound_now.paused, "said to be safe, and is not"

    # at the end

    def come_to_rest(self) -> None:
        """The callers leave, the weather clears up, and everything must come to rest."""
        world = self.world
        world.passes(15)
        self.at_any_moment()
        for leg in world.callers():
            world.lines.end_leg(leg)
        world.passes(10)
        world.weather.clears_up()
        for seconds in REST_SPANS:
            world.passes(seconds)
            world.copies()
            world.tidies()
            if self._is_quiet():
                break
        self.at_rest()

    def _is_quiet(self) -> bool:
        try:
            Truths(self.world).at_rest()
        except AssertionError:
            return False
        return True

    def at_rest(self) -> None:
        """What holds when nobody calls any more and all messages have come or been lost."""
        self.at_any_moment()
        assert not [leg for leg in self.world.lines.legs.values() if leg.up], "a leg is still up"
        assert not [room for room in self.world.lines.rooms if not room.ended], "a room is left"
        with reading(self.world.engine) as session:
            live = list(session.scalars(select(Call.state).where(Call.state != CallState.ENDED)))
            assert not live, f"still {live}"
            pending = session.scalars(
                select(CarrierCommand.kind).where(CarrierCommand.state == CommandState.PENDING)
            ).all()
            assert not pending, f"still to be told: {pending}"
            assert not session.scalars(select(CallLeg.id).where(CallLeg.ended_at.is_(None))).all(), "a leg left open"
            assert not session.scalars(select(Offer.id).where(Offer.state.in_(OPEN_OFFER_STATES))).all()
            busy = session.scalars(select(Receptionist.activity).where(Receptionist.activity != Activity.IDLE)).all()
            assert not busy, f"a receptionist is still {busy}"
            for leg in self.world.lines.legs.values():
                if leg.is_caller:
                    self._call_at_rest(session, leg)
            self._events(session)

    def _call_at_rest(self, session: Session, leg: Leg) -> None:
        call = self.world.call_of(leg, session)
        assert call is not None, "a call has left no trace"
        assert call.ended_at is not None
        span = (call.ended_at - call.started_at).total_seconds()
        assert call.talk_seconds <= span + 1, "more talk than call"
        assert call.hold_seconds <= call.talk_seconds + 1, "more hold than talk"
        assert (call.wrap_up_seconds or 0) <= 2 * VOICE.wrap_up_seconds + 300
        if self.world.weather.anything_lost is False and self.world.weather.began in LOSSLESS:
            difference = abs(call.talk_seconds - leg.talked)
            allowed = TOLERANCE_SECONDS * call.turn + self.world.troubled_seconds
            assert difference <= allowed, f"talked {leg.talked:.1f} s, our rows say {call.talk_seconds:.1f} s"
        recordings = list(session.scalars(select(Recording).where(Recording.call_id == call.id)))
        for recording in recordings:
            if recording.purge_wanted:
                continue  # a card pause that was not confirmed: the retention process deletes it everywhere
            assert recording.state in (*FINAL_RECORDINGS, RecordingState.ABSENT), f"a recording is {recording.state}"
            if leg.refused is not None and recording.kind == RecordingKind.CONVERSATION:
                assert recording.state != RecordingState.STORED, "stored after a refusal"
            if recording.kind == RecordingKind.VOICEMAIL and recording.state == RecordingState.STORED:
                assert leg.refused is None or leg.consented
        doomed = {recording.carrier_recording_sid for recording in recordings if recording.purge_wanted}
        kept = [sound.sid for sound in self.world.lines.sounds.values() if sound.leg is leg and not sound.absent]
        assert doomed.issuperset(kept), "sound is left at the carrier"

    def _events(self, session: Session) -> None:
        """Each message of the carrier has left one event at most."""
        noted = session.scalar(
            select(func.count())
            .select_from(CarrierEvent)
            .where(CarrierEvent.kind.not_in(("incoming", "refused-by-key")))
        )
        sent = {tuple(sorted(c.form.items())) for c in self.world.captured if not c.is_control}
        assert (noted or 0) <= len(sent), "an event was noted twice"


def _occupies(offer: Offer, call: Call | None) -> bool:
    """Whether the offer rings, or is the one under which its live call is served."""
    return offer.state in OPEN_OFFER_STATES or (call is not None and call.accepted_offer_id == offer.id)
