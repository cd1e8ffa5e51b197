"""Conference rules: who may enter, when it starts and ends, and the events of it (twilio-voice.md §4.5, §5.2)."""

import re

from callcenter.simulator import sounds
from callcenter.simulator.carrier import Carrier
from callcenter.simulator.model import Conference, Participant
from callcenter.simulator.timing import rfc2822, utc_now

_CALL_SID = re.compile(r"CA[0-9a-f]{32}")
_SUBSCRIPTION = {
    "conference-start": "start",
    "conference-end": "end",
    "participant-join": "join",
    "participant-leave": "leave",
    "participant-mute": "mute",
    "participant-unmute": "mute",
    "participant-hold": "hold",
    "participant-unhold": "hold",
    "participant-modify": "modify",
    "announcement-end": "announcement",
    "announcement-fail": "announcement",
}


class EntryRefused(Exception):
    """The leg is not let in; `code` is Twilio's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def tell(carrier: Carrier, conference: Conference, event: str, who: Participant | None = None, **extra: str) -> None:
    """Send a conference event to the hook of whoever came first, if it is subscribed."""
    hook = conference.hook
    if not hook or _SUBSCRIPTION[event] not in hook.events:
        return
    conference.sequence += 1
    params = {
        "ConferenceSid": conference.sid,
        "FriendlyName": conference.friendly_name,
        "AccountSid": carrier.settings.account_sid,
        "SequenceNumber": str(conference.sequence),
        "Timestamp": rfc2822(utc_now()) or "",
        "StatusCallbackEvent": event,
    }
    if who:
        params |= {
            "CallSid": who.leg.sid,
            "Muted": _text(who.muted),
            "Hold": _text(who.hold),
            "Coaching": _text(who.coached_sid is not None),
            "StartConferenceOnEnter": _text(who.start_on_enter),
            "EndConferenceOnExit": _text(who.end_on_exit),
        }
        if who.label:
            params["ParticipantLabel"] = who.label
    call_sid = who.leg.sid if who else None
    carrier.spawn(carrier.outbound.notify(hook.url, hook.method, params | extra, call_sid, event))


def _text(value: bool) -> str:
    return "true" if value else "false"


def enter(carrier: Carrier, conference: Conference, who: Participant) -> None:
    """Let a leg in; the conference starts with the second one if somebody may start it.

    Raises EntryRefused: 16020 full, 16025 label taken, 16026 label malformed, 13240 the coached call is not here.
    """
    if len(conference.participants) >= conference.max_participants:
        raise EntryRefused(16020, "conference is full")
    if len(who.label) > 128 or "/" in who.label or _CALL_SID.fullmatch(who.label):
        raise EntryRefused(16026, "a label has at most 128 characters, no slash, and is not a CallSid")
    if who.label and conference.find(who.label):
        raise EntryRefused(16025, f"participant label {who.label} is already in use")
    if who.coached_sid and who.coached_sid not in conference.participants:
        raise EntryRefused(13240, "the call to coach is not in this conference")
    conference.participants[who.leg.sid] = who
    who.leg.participant = who
    now = carrier.clock.now()
    who.leg.note(now, "joins", conference=conference.friendly_name, sid=conference.sid)
    tell(carrier, conference, "participant-join", who)
    starters = any(p.start_on_enter for p in conference.participants.values())
    if conference.status == "init" and starters and len(conference.participants) > 1:
        conference.status, conference.updated_at = "in-progress", utc_now()
        conference.started.set()
        tell(carrier, conference, "conference-start")
    if conference.status == "in-progress":
        for p in conference.participants.values():
            if not p.leg.connected.is_set() and len(conference.participants) > 1:
                p.leg.connected.set()
                p.leg.note(now, "connected", conference=conference.friendly_name)
        if who.beep in ("true", "onEnter"):
            _beep_all(carrier, conference)


def _beep_all(carrier: Carrier, conference: Conference) -> None:
    for p in conference.participants.values():
        if not p.hold:
            sounds.beep(carrier, p.leg)


def leave(carrier: Carrier, who: Participant, *, kicked: bool = False) -> None:
    """A participant goes (or is removed by the API); the conference may end with it."""
    conference = who.conference
    if conference.participants.pop(who.leg.sid, None) is None:
        return
    taken_out = kicked or (who.leg.live and who.leg.takeover is not None)
    reason = "participant_updated_via_api" if taken_out else "participant_hung_up"
    _gone(carrier, who, reason)
    manner = "kicked" if kicked else "left"
    if who.end_on_exit:
        end(carrier, conference, f"participant-with-end-conference-on-exit-{manner}", who)
    elif not conference.participants:
        end(carrier, conference, f"last-participant-{manner}", who)
    elif who.beep in ("true", "onExit") and conference.status == "in-progress":
        _beep_all(carrier, conference)


def _gone(carrier: Carrier, who: Participant, reason: str) -> None:
    leg = who.leg
    leg.participant = None
    leg.connected.clear()
    leg.note(carrier.clock.now(), "leaves", conference=who.conference.friendly_name, reason=reason)
    if who.holding:
        who.holding.cancel()
    who.gone.set()
    tell(
        carrier,
        who.conference,
        "participant-leave",
        who,
        ReasonParticipantLeft=reason,
        ParticipantCallStatus=leg.status,
    )


def end(carrier: Carrier, conference: Conference, reason: str, by: Participant | None = None) -> None:
    """Everybody out. Ending twice is once."""
    if conference.status == "completed":
        return
    conference.status, conference.updated_at = "completed", utc_now()
    conference.reason_ended = reason
    conference.ended_by_sid = by.leg.sid if by else None
    why_left = "moderator_ended_conference" if by else "conference_ended_via_api"
    for who in list(conference.participants.values()):
        del conference.participants[who.leg.sid]
        _gone(carrier, who, why_left)
    extra = {"ReasonConferenceEnded": reason, "Reason": f"Conference ended: {reason}"}
    if by:
        extra["CallSidEndingConference"] = by.leg.sid
        if by.label:
            extra["ParticipantLabelEndingConference"] = by.label
    tell(carrier, conference, "conference-end", None, **extra)
