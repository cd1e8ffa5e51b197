"""The table of roles, as the contract states it."""

import pytest

from callcenter.domain.permissions import (
    COMMAND_LINE,
    GRANTS,
    Actor,
    ListeningSwitches,
    Permission,
    can,
    may_listen,
    require,
)
from callcenter.domain.receptionists import Role
from callcenter.domain.recordings import Purpose
from callcenter.errors import Forbidden

EVERY_SWITCH = ListeningSwitches(receptionists_may_listen=True, viewers_may_listen=True, training_allowed=True)
NO_SWITCH = ListeningSwitches(receptionists_may_listen=False, viewers_may_listen=False, training_allowed=False)


def actor(role: Role) -> Actor:
    """Somebody with a role."""
    return Actor("somebody", role, frozenset({"clinic"}))


def test_every_permission_is_granted_to_somebody() -> None:
    assert set(GRANTS) == set(Permission)
    assert all(GRANTS.values())


@pytest.mark.parametrize(
    ("role", "denied"),
    [
        (Role.RECEPTIONIST, Permission.OTHERS_PRESENCE),
        (Role.SUPERVISOR, Permission.CLINIC_SETTINGS),
        (Role.CLINIC_MANAGER, Permission.CALL_ACTIONS),
        (Role.CLINIC_VIEWER, Permission.CHANGE_BOOKINGS),
        (Role.PRIVACY_OFFICER, Permission.RETENTION_PERIOD),
        (Role.OPERATOR, Permission.READ_PERSONAL_DATA),
        (Role.OPERATOR, Permission.READ_BOOKINGS),
    ],
)
def test_what_a_role_may_not_do_is_forbidden(role: Role, denied: Permission) -> None:
    with pytest.raises(Forbidden):
        require(actor(role), denied)


@pytest.mark.parametrize("permission", Permission)
def test_the_command_line_may_do_everything(permission: Permission) -> None:
    assert can(COMMAND_LINE, permission)


@pytest.mark.parametrize(
    ("role", "all_on", "all_off"),
    [
        (Role.RECEPTIONIST, {Purpose.QUALITY}, set()),
        (Role.SUPERVISOR, {Purpose.QUALITY, Purpose.TRAINING}, {Purpose.QUALITY}),
        (Role.CLINIC_MANAGER, set(Purpose), set(Purpose) - {Purpose.TRAINING}),
        (Role.CLINIC_VIEWER, {Purpose.REVIEW, Purpose.QUALITY}, set()),
        (Role.PRIVACY_OFFICER, {Purpose.RIGHTS_REQUEST, Purpose.INCIDENT}, {Purpose.RIGHTS_REQUEST, Purpose.INCIDENT}),
        (Role.OPERATOR, set(), set()),
    ],
)
def test_who_may_hear_what_depends_on_role_purpose_and_the_clinics_switches(
    role: Role, all_on: set[Purpose], all_off: set[Purpose]
) -> None:
    assert {purpose for purpose in Purpose if may_listen(actor(role), purpose, EVERY_SWITCH)} == all_on
    assert {purpose for purpose in Purpose if may_listen(actor(role), purpose, NO_SWITCH)} == all_off


def test_a_clinic_is_in_view_when_it_is_named_or_all_are() -> None:
    assert actor(Role.CLINIC_MANAGER).reaches("clinic")
    assert not actor(Role.CLINIC_MANAGER).reaches("other")
    assert COMMAND_LINE.reaches("other")
