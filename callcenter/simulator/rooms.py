"""What a leg hears inside a conference: waiting, hold and announcements."""

import asyncio

from callcenter.simulator import conferences
from callcenter.simulator.carrier import Carrier
from callcenter.simulator.model import Conference, Fetch, Participant
from callcenter.simulator.running import DocumentFailed
from callcenter.simulator.twiml_rules import ROOM_VERBS
from callcenter.simulator.twiml_runner import play_document
from callcenter.simulator.verbs_simple import music


async def _held(carrier: Carrier, who: Participant, fetch: Fetch | None) -> None:
    """Play the hold document once (it is not looped), or the carrier's music when there is none."""
    if fetch is None:
        await music(carrier, who.leg)
        return
    params = {"ConferenceSid": who.conference.sid, "FriendlyName": who.conference.friendly_name}
    try:
        await play_document(carrier, who.leg, fetch, ROOM_VERBS, lambda: params)
    except DocumentFailed as failed:
        carrier.journal.alert(failed.code, f"hold: {failed}", call_sid=who.leg.sid, url=failed.url)


def hold(carrier: Carrier, who: Participant, fetch: Fetch | None) -> None:
    """Take a participant out of the talk and play the hold document."""
    if who.holding:
        who.holding.cancel()
    if not who.hold:
        who.hold = True
        who.leg.note(carrier.clock.now(), "held")
        conferences.tell(carrier, who.conference, "participant-hold", who)
    who.holding = carrier.spawn(_held(carrier, who, fetch), who.leg)


def unhold(carrier: Carrier, who: Participant) -> None:
    """Back into the talk."""
    if who.hold:
        who.hold = False
        if who.holding:
            who.holding.cancel()
        who.leg.note(carrier.clock.now(), "unheld")
        conferences.tell(carrier, who.conference, "participant-unhold", who)


def mute(carrier: Carrier, who: Participant, muted: bool) -> None:
    """Nobody hears a muted participant."""
    if who.muted != muted:
        who.muted = muted
        conferences.tell(carrier, who.conference, "participant-mute" if muted else "participant-unmute", who)


async def announce(carrier: Carrier, conference: Conference, listeners: list[Participant], fetch: Fetch) -> None:
    """Play a document to some participants at once; one request per listener."""
    params = {"ConferenceSid": conference.sid, "FriendlyName": conference.friendly_name}
    try:
        for result in await asyncio.gather(
            *(play_document(carrier, p.leg, fetch, ROOM_VERBS, lambda: params) for p in listeners),
            return_exceptions=True,
        ):
            if isinstance(result, BaseException):
                raise result
    except DocumentFailed as failed:
        carrier.journal.alert(failed.code, f"announcement: {failed}", url=failed.url)
        why = {"AnnounceUrl": fetch.url, "ReasonAnnouncementFailed": str(failed)}
        conferences.tell(carrier, conference, "announcement-fail", None, **why)
    else:
        conferences.tell(carrier, conference, "announcement-end", AnnounceUrl=fetch.url)
