"""REST: Conferences and their participants."""

from typing import Any

from aiohttp import web

from callcenter.simulator import conferences, rooms
from callcenter.simulator.model import Conference, Fetch, Participant
from callcenter.simulator.rest import Ask, Reply, RestError, Route, not_found
from callcenter.simulator.rest_calls import in_period
from callcenter.simulator.timing import rfc2822

_UPDATES = (
    *("Muted", "Hold", "HoldUrl", "HoldMethod", "AnnounceUrl", "AnnounceMethod", "BeepOnExit"),
    *("EndConferenceOnExit", "Coaching", "CallSidToCoach"),
)


def describe(ask: Ask, conference: Conference) -> dict[str, Any]:
    """A conference as Twilio shows it."""
    uri = f"{ask.uri_base}/Conferences/{conference.sid}"
    return {
        "sid": conference.sid,
        "account_sid": ask.carrier.settings.account_sid,
        "friendly_name": conference.friendly_name,
        "status": conference.status,
        "region": conference.region,
        "reason_conference_ended": conference.reason_ended,
        "call_sid_ending_conference": conference.ended_by_sid,
        "api_version": "2010-04-01",
        "date_created": rfc2822(conference.created_at),
        "date_updated": rfc2822(conference.updated_at),
        "uri": uri + ".json",
        "subresource_uris": {"participants": f"{uri}/Participants.json", "recordings": f"{uri}/Recordings.json"},
    }


def describe_participant(ask: Ask, who: Participant) -> dict[str, Any]:
    """A participant as Twilio shows it."""
    return {
        "account_sid": ask.carrier.settings.account_sid,
        "call_sid": who.leg.sid,
        "conference_sid": who.conference.sid,
        "label": who.label or None,
        "muted": who.muted,
        "hold": who.hold,
        "coaching": who.coached_sid is not None,
        "call_sid_to_coach": who.coached_sid,
        "start_conference_on_enter": who.start_on_enter,
        "end_conference_on_exit": who.end_on_exit,
        "status": "connected",
        "queue_time": str(who.leg.queue_time),
        "date_created": rfc2822(who.joined_at),
        "date_updated": rfc2822(who.joined_at),
        "uri": f"{ask.uri_base}/Conferences/{who.conference.sid}/Participants/{who.leg.sid}.json",
    }


def _the_conference(ask: Ask) -> Conference:
    conference = ask.carrier.conferences.get(ask.part("conference_sid"))
    if conference is None:
        raise not_found(f"/Conferences/{ask.part('conference_sid')}")
    return conference


def _the_participant(ask: Ask) -> Participant:
    who = _the_conference(ask).find(ask.part("participant"))
    if who is None:
        raise not_found(f"{ask.request.path}")
    return who


async def listing(ask: Ask) -> Reply:
    """GET /Conferences, newest first."""
    status, name = ask.query("Status"), ask.query("FriendlyName")
    found = [
        conference
        for conference in reversed(ask.carrier.conferences.values())
        if status in ("", conference.status)
        and name in ("", conference.friendly_name)
        and in_period(ask, "DateCreated", conference.created_at)
        and in_period(ask, "DateUpdated", conference.updated_at)
    ]
    return ask.page("conferences", found, lambda conference: describe(ask, conference))


async def fetch(ask: Ask) -> Reply:
    """GET /Conferences/{sid}."""
    return describe(ask, _the_conference(ask))


async def update(ask: Ask) -> Reply:
    """POST /Conferences/{sid}: end it, or announce something to all."""
    conference = _the_conference(ask)
    ask.only("Status", "AnnounceUrl", "AnnounceMethod")
    status = ask.text("Status")
    if status not in ("", "completed"):
        raise RestError(400, 20001, f"Status {status} is not allowed")
    if url := ask.url("AnnounceUrl"):
        if conference.status != "in-progress":
            raise RestError(400, 16022, "Conference is not in progress")
        everybody = list(conference.participants.values())
        announcement = Fetch(url, ask.method("AnnounceMethod"))
        ask.carrier.spawn(rooms.announce(ask.carrier, conference, everybody, announcement))
    if status == "completed":
        conferences.end(ask.carrier, conference, "conference-ended-via-api")
    return describe(ask, conference)


async def participants(ask: Ask) -> Reply:
    """GET /Conferences/{sid}/Participants; empty after the end."""
    conference = _the_conference(ask)
    wanted = {name: ask.query(name).lower() for name in ("Muted", "Hold", "Coaching")}
    found = [
        who
        for who in conference.participants.values()
        if wanted["Muted"] in ("", str(who.muted).lower())
        and wanted["Hold"] in ("", str(who.hold).lower())
        and wanted["Coaching"] in ("", str(who.coached_sid is not None).lower())
    ]
    return ask.page("participants", found, lambda who: describe_participant(ask, who))


async def participant(ask: Ask) -> Reply:
    """GET /Conferences/{sid}/Participants/{CallSid or label}."""
    return describe_participant(ask, _the_participant(ask))


async def change(ask: Ask) -> Reply:
    """POST /Conferences/{sid}/Participants/{CallSid or label}."""
    who = _the_participant(ask)
    ask.only(*_UPDATES)
    if "Coaching" in ask.form or "CallSidToCoach" in ask.form:
        _coach(ask, who)
    if "EndConferenceOnExit" in ask.form and not who.hold:  # on hold Twilio says yes and changes nothing
        who.end_on_exit = ask.flag("EndConferenceOnExit")
        conferences.tell(ask.carrier, who.conference, "participant-modify", who)
    if "BeepOnExit" in ask.form:
        who.beep = "onExit" if ask.flag("BeepOnExit") else "false"
    if "Muted" in ask.form:
        rooms.mute(ask.carrier, who, ask.flag("Muted"))
    if "Hold" in ask.form:
        url = ask.url("HoldUrl")
        if ask.flag("Hold"):
            rooms.hold(ask.carrier, who, Fetch(url, ask.method("HoldMethod", "GET")) if url else None)
        else:
            rooms.unhold(ask.carrier, who)
    if url := ask.url("AnnounceUrl"):
        announcement = Fetch(url, ask.method("AnnounceMethod"))
        ask.carrier.spawn(rooms.announce(ask.carrier, who.conference, [who], announcement), who.leg)
    return describe_participant(ask, who)


def _coach(ask: Ask, who: Participant) -> None:
    if not ask.flag("Coaching"):
        who.coached_sid = None
    else:
        coached = who.conference.participants.get(ask.text("CallSidToCoach"))
        if coached is None or coached is who:
            raise RestError(400, 13240, "CallSidToCoach is not a participant of this conference")
        if coached.hold:
            raise RestError(400, 16027, "the participant to coach is on hold")
        who.coached_sid = coached.leg.sid
    conferences.tell(ask.carrier, who.conference, "participant-modify", who)


async def remove(ask: Ask) -> Reply:
    """DELETE a participant: its leg goes on with its next verb."""
    conferences.leave(ask.carrier, _the_participant(ask), kicked=True)
    return web.Response(status=204)


async def add(ask: Ask) -> Reply:
    """POST /Participants is not needed here: ring the leg with POST /Calls instead."""
    ask.carrier.journal.alert(20501, "the simulator does not dial into conferences by POST /Participants")
    raise RestError(501, 20501, "the simulator does not dial into conferences by POST /Participants")


_ONE = "/Conferences/{conference_sid:CF[0-9a-f]{32}}"
ROUTES: list[Route] = [
    ("GET", "/Conferences.json", listing),
    ("GET", _ONE + ".json", fetch),
    ("POST", _ONE + ".json", update),
    ("GET", _ONE + "/Participants.json", participants),
    ("POST", "/Conferences/{conference_sid}/Participants.json", add),
    ("GET", _ONE + "/Participants/{participant}.json", participant),
    ("POST", _ONE + "/Participants/{participant}.json", change),
    ("DELETE", _ONE + "/Participants/{participant}.json", remove),
]
