"""What the worker's tests ask of the world, in few words."""

from sqlalchemy import select

from callcenter import clock
from callcenter.db import reading
from callcenter.domain.commands import CommandKind
from callcenter.errors import CarrierNotFound, CarrierUnavailable
from callcenter.models import CallLeg, CarrierCommand, Offer, Receptionist, Recording
from callcenter.services import commands
from callcenter.worker.execute import execute
from callcenter.worker.tick import tick
from tests.carrier_world import World
from tests.fake_lines import FakeLeg, Notice


def unavailable(*, retry_after_seconds: float | None = None, maybe_done: bool = True) -> CarrierUnavailable:
    """A timeout, 429 or 5xx."""
    return CarrierUnavailable("away", retry_after_seconds=retry_after_seconds, maybe_done=maybe_done)


def over() -> CarrierNotFound:
    """What the carrier answers about a leg that is over."""
    return CarrierNotFound("over", carrier_code=21220, status=400)


def lost(_notice: Notice) -> tuple[float, ...]:
    """No notification arrives."""
    return ()


def commands_of(world: World, kind: CommandKind) -> list[CarrierCommand]:
    """All commands of one kind, the oldest first."""
    with reading(world.engine) as session:
        query = select(CarrierCommand).where(CarrierCommand.kind == kind).order_by(CarrierCommand.created_at)
        return list(session.scalars(query))


def run_once(world: World, kind: CommandKind) -> None:
    """The worker ticks and carries out what is due of one kind, and nothing else."""
    tick(world.engine, world.voice)
    with reading(world.engine) as session:
        due = set(commands.due_ids(session, now=clock.now(), limit=100))
    for command in commands_of(world, kind):
        if command.id in due:
            execute(world.engine, world.carrier, world.voice, command.id)


def offers(world: World) -> list[Offer]:
    """All offers, the oldest first."""
    with reading(world.engine) as session:
        return list(session.scalars(select(Offer).order_by(Offer.created_at)))


def legs(world: World) -> list[CallLeg]:
    """The receptionists' legs, the oldest first."""
    with reading(world.engine) as session:
        return list(session.scalars(select(CallLeg).where(CallLeg.offer_id.is_not(None)).order_by(CallLeg.started_at)))


def recordings(world: World) -> list[Recording]:
    """All recordings, the oldest first."""
    with reading(world.engine) as session:
        return list(session.scalars(select(Recording).order_by(Recording.started_at)))


def receptionist(world: World, user_id: str) -> Receptionist:
    """A receptionist's row."""
    with reading(world.engine) as session:
        return session.get_one(Receptionist, user_id)


def softphones(world: World) -> list[FakeLeg]:
    """The receptionists' legs at the carrier."""
    return [leg for leg in world.carrier.legs.values() if leg.offer_id]


def hears_long_music(world: World) -> None:
    """Whoever waits does not ask again for now."""
    world.carrier.waiting_goes_on = lambda: None  # type: ignore[method-assign]


def waiting(world: World) -> FakeLeg:
    """A caller in the queue whom nobody has been rung for yet."""
    return world.carrier.dial()


def ringing(world: World) -> tuple[FakeLeg, FakeLeg]:
    """A caller and the softphone that rings for them."""
    caller = world.carrier.dial()
    return caller, world.softphone()


def talking(world: World) -> tuple[FakeLeg, FakeLeg]:
    """A caller and a receptionist in conversation."""
    caller, softphone = ringing(world)
    world.carrier.pick_up(softphone)
    world.passes(8)
    return caller, softphone
