"""kill -9 of the worker and the door at every step of a call: the call goes on, ends once, and is recorded once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.campaigns import LONG
from tests.faults.kills.call_desk import call_desk
from tests.faults.kills.call_stories import STORIES
from tests.faults.kills.zygote import Zygote

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(900), pytest.mark.xdist_group("kills of calls")]

LATER = {"command.claimed": (3, 6), "command.unrecorded": (3, 6), "door.committed": (2, 4, 7)}
"""Points that a story comes to many times in one process, and when else somebody dies there."""
MOST_TELLINGS = 5
"""One death may keep others from being reached; then the story is told again for those."""


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_call_survives_the_death_of_the_worker_and_of_the_door_at_every_step(
    database: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    zygote: Zygote,
    figures: Callable[..., None],
) -> None:
    with call_desk(tmp_path, request.getfixturevalue(f"{database}_url"), zygote) as desk:
        desk.arm()
        for receptionist in (desk.rig.cast.rosie, desk.rig.cast.robin):
            desk.rig.softphone(receptionist)
        for name, points in attacks(database):
            left, told = set(points), 0
            while left:
                told += 1
                assert told <= MOST_TELLINGS, f"{name}: {left} were never reached"
                print(f"{name}: {', '.join(sorted(left))}")
                desk.arm(*left)
                STORIES[name].tell(desk)
                desk.comes_to_rest()
                died = desk.count_the_dead()
                assert (name, died, desk.broken()) == (name, died, [])
                left -= died
    figures(kills=desk.kills.total(), recovered=desk.kills.total())


def attacks(database: str) -> list[tuple[str, tuple[str, ...]]]:
    """Stories and where somebody dies in them. In a campaign each point alone, some at a later time too, on both
    databases; otherwise all points of a story one after another, on one of them."""
    if LONG:
        alone = [(name, (point,)) for name, story in STORIES.items() for point in story.points]
        later = [(name, (f"{point}:{nth}",)) for name, (point,) in alone for nth in LATER.get(point, ())]
        return [*alone, *later]
    return [(name, story.points) for name, story in list(STORIES.items())[database == "postgresql" :: 2]]
