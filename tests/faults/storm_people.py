"""What callers and receptionists do. ``pick`` chooses among those who can do it just now; nobody: nothing happens."""

import random
from collections import Counter
from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from callcenter import clock
from callcenter.db import reading
from callcenter.domain.calls import CallState, LegState
from callcenter.domain.receptionists import Presence
from callcenter.domain.recordings import PauseReason
from callcenter.models import Call
from callcenter.services import call_actions, receptionists, recordings
from tests.faults.storm_model import Leg
from tests.faults.storm_world import VOICE, StormWorld

MOST_CALLERS = 4
Button = Callable[[Session, str], object]
BUTTONS: dict[str, Button] = {
    "hold": lambda session, id_: call_actions.request_hold(session, id_, held=True, now=clock.now()),
    "unhold": lambda session, id_: call_actions.request_hold(session, id_, held=False, now=clock.now()),
    "pause": lambda session, id_: recordings.request_pause(session, id_, PauseReason.CARD, now=clock.now()),
    "resume": lambda session, id_: recordings.request_resume(session, id_, PauseReason.CARD, now=clock.now()),
    "refuse": lambda session, id_: recordings.refuse(session, id_, "receptionist", now=clock.now()),
    "hang up": lambda session, id_: call_actions.request_hang_up(session, id_, now=clock.now()),
}
KEYS = "91#5"
OTHER_THINGS = (*Presence, Presence.AVAILABLE, Presence.AVAILABLE, "browser", "browser", "finish", "extend")


class People:
    """The callers and receptionists of a world; ``tally`` counts what they did."""

    def __init__(self, world: StormWorld, tally: Counter[str]) -> None:
        self.world, self.tally = world, tally

    def dials(self, *, lake: bool, silent: bool) -> None:
        """Somebody rings one of the clinics; the silent leave no message."""
        clinics = self.world.cast
        if len(self.world.callers()) < MOST_CALLERS:
            self.world.dials((clinics.lake if lake else clinics.hill).number, talkative=not silent)
            self.tally["calls"] += 1

    def hangs_up(self, pick: int) -> None:
        """A caller has had enough."""
        self._with_one(self.world.callers(), pick, self.world.lines.end_leg, "hang-ups")

    def presses(self, pick: int, key: str) -> None:
        """A caller who is listened to presses a key."""
        asked = [leg for leg in self.world.callers() if leg.key_url or leg.message]
        self._with_one(asked, pick, lambda leg: self.world.lines.presses(leg, key), "keys")

    def answers(self, pick: int) -> None:
        """A receptionist answers."""
        self._with_one(self.world.softphones(LegState.RINGING), pick, self.world.answers, "answers")

    def declines(self, pick: int) -> None:
        """A receptionist declines."""
        ringing = self.world.softphones(LegState.RINGING)
        self._with_one(ringing, pick, lambda leg: self.world.lines.end_leg(leg, LegState.BUSY), "declines")

    def loses_line(self, pick: int) -> None:
        """A receptionist's softphone hangs up, though nobody has asked for it."""
        self._with_one(self.world.softphones(LegState.IN_PROGRESS), pick, self.world.lines.end_leg, "lost softphones")

    def presses_button(self, pick: int, what: str) -> None:
        """A receptionist presses a button of a call that she sees as connected."""
        with reading(self.world.engine) as session:
            connected = list(session.scalars(select(Call).where(Call.state == CallState.CONNECTED)))
        if not connected:
            return
        call = connected[pick % len(connected)]
        leg = self.world.lines.legs[call.carrier_call_sid or ""]
        if self.world.does(lambda session: BUTTONS[what](session, call.id)):
            self.tally["buttons"] += 1
            if what == "refuse" and leg.refused is None:
                leg.refused = self.world.agenda.seconds

    def does_something_else(self, pick: int, what: str) -> None:
        """A receptionist comes, goes, opens or closes her browser, or is ready with her wrap-up, or is not."""
        who, now = self.world.receptionists[pick % 3], clock.now()
        if what == "browser":
            self.world.opens_or_closes_browser(who.user.identity)
        elif what == "finish":
            self.world.does(lambda session: receptionists.finish_wrap_up(session, who.user_id, now=now))
        elif what == "extend":
            self.world.does(lambda session: receptionists.extend_wrap_up(session, who.user_id, voice=VOICE, now=now))
        else:
            presence = Presence(what)
            self.world.does(lambda session: receptionists.set_presence(session, who.user_id, presence, None, now=now))

    def live(self, chance: random.Random) -> None:
        """From now on everybody does something every few seconds, by chance."""
        pick = chance.randrange(12)
        things: list[tuple[int, Callable[[], None]]] = [
            (3, lambda: self.dials(lake=chance.random() < 0.3, silent=chance.random() < 0.5)),
            (1, lambda: self.hangs_up(pick)),
            (2, lambda: self.presses(pick, chance.choice(KEYS))),
            (12, lambda: self.answers(pick)),
            (1, lambda: self.declines(pick)),
            (1, lambda: self.loses_line(pick)),
            (4, lambda: self.presses_button(pick, chance.choice(sorted(BUTTONS)))),
            (2, lambda: self.does_something_else(pick, chance.choice(OTHER_THINGS))),
        ]
        (_, thing) = chance.choices(things, weights=[weight for weight, _ in things])[0]
        thing()
        self.world.agenda.after(chance.expovariate(1 / 2.5), lambda: self.live(chance) if self.alive else None)

    alive = True

    def _with_one(self, legs: list[Leg], pick: int, do: Callable[[Leg], object], what: str) -> None:
        if legs:
            do(legs[pick % len(legs)])
            self.tally[what] += 1
