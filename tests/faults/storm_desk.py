"""What the tests of races ask of a stormy world, in few words."""

from sqlalchemy import select

from callcenter.db import reading
from callcenter.domain.calls import CallState, LegState
from callcenter.models import Call, CallLeg, Offer, Receptionist, Recording
from tests.faults.storm_model import Leg
from tests.faults.storm_weather import Fate
from tests.faults.storm_world import StormWorld

ON_TIME: Fate = (0.05,)
LATE: Fate = (30.0,)
LOST: Fate = ()


def ringing(world: StormWorld) -> tuple[Leg, Leg]:
    """A caller of the hill clinic, and the softphone that rings for them."""
    caller = world.dials(world.cast.hill.number)
    world.passes(7)
    (softphone,) = world.softphones(LegState.RINGING)
    return caller, softphone


def talking(world: StormWorld) -> tuple[Leg, Leg]:
    """A caller in conversation with a receptionist."""
    caller, softphone = ringing(world)
    world.answers(softphone)
    world.passes(10)
    assert the_call(world).state == CallState.CONNECTED
    return caller, softphone


def fares(world: StormWorld, *fates: Fate) -> None:
    """How the next notifications fare, one after the other."""
    world.weather.ordered_fates.extend(fates)


def the_call(world: StormWorld) -> Call:
    """The only call there is."""
    with reading(world.engine) as session:
        return session.scalars(select(Call)).one()


def her_leg(world: StormWorld, softphone: Leg) -> CallLeg:
    """Our row of a softphone's leg."""
    with reading(world.engine) as session:
        return session.scalars(select(CallLeg).where(CallLeg.carrier_call_sid == softphone.sid)).one()


def offers(world: StormWorld) -> list[Offer]:
    """All offers, the oldest first."""
    with reading(world.engine) as session:
        return list(session.scalars(select(Offer).order_by(Offer.created_at)))


def her(world: StormWorld) -> Receptionist:
    """Whoever was rung first."""
    with reading(world.engine) as session:
        return session.get_one(Receptionist, offers(world)[0].receptionist_id)


def recording(world: StormWorld) -> Recording:
    """The only recording there is."""
    with reading(world.engine) as session:
        return session.scalars(select(Recording)).one()
