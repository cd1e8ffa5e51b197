"""``callcenter user``: the people who work with the service."""

import sys
from getpass import getpass
from typing import Any

import click
from sqlalchemy.orm import Session

from callcenter.cli.clinics import clinic_option
from callcenter.cli.output import emit, json_option
from callcenter.cli.transactions import work
from callcenter.domain.passwords import LONGEST_PASSWORD
from callcenter.domain.permissions import COMMAND_LINE
from callcenter.domain.receptionists import Role
from callcenter.domain.second_factor import enrolment_uri
from callcenter.errors import BadInput
from callcenter.models import User
from callcenter.services import users
from callcenter.services.access import clinic_ids_of_user
from callcenter.services.clinics import find_clinic, list_clinics

role_option = click.option("--role", required=True, type=click.Choice([role.value for role in Role]), help="The role.")
email_option = click.option("--email", required=True, help="Address to sign in with.")
clinics_option = click.option("--clinic", "slugs", multiple=True, metavar="SLUG", help="A clinic; may be repeated.")


@click.group("user")
def user() -> None:
    """People who work with the service."""


@user.command("add")
@email_option
@click.option("--name", required=True, help="Name that colleagues see.")
@role_option
@clinics_option
@json_option
def add_user(email: str, name: str, role: str, slugs: tuple[str, ...], json_output: bool) -> None:
    """Add a user; the password is read from standard input.

    Prints the second factor's enrolment once: it cannot be shown again.
    """
    password = _password()
    with work() as w:
        clinics = [find_clinic(w.session, slug, COMMAND_LINE) for slug in dict.fromkeys(slugs)]
        row = users.add_user(
            w.session, email=email, name=name, role=Role(role), clinics=clinics, password=password, now=w.now
        )
        w.log("user.added", "user", row.id)
    uri = enrolment_uri(row.second_factor_secret, row.email)
    data = {
        "id": row.id,
        "email": row.email,
        "name": row.name,
        "role": row.role.value,
        "identity": row.identity,
        "clinics": [clinic.slug for clinic in clinics],
        "second_factor_secret": row.second_factor_secret,
        "second_factor_uri": uri,
    }
    emit(data, json_output, [f"Added {row.email} with id {row.id}.", f"Second factor, shown only now: {uri}"])


@user.command("disable")
@email_option
@json_option
def disable_user(email: str, json_output: bool) -> None:
    """Refuse a user and her API keys from now on."""
    with work() as w:
        row = users.find_user(w.session, email)
        users.disable_user(w.session, row, now=w.now)
        w.log("user.disabled", "user", row.id)
        data = _user(w.session, row)
    emit(data, json_output, [f"Disabled {row.email}."])


@user.command("assign")
@email_option
@clinic_option
@click.option("--with-keys", is_flag=True, help="Let the user's present API keys reach the clinic too.")
@json_option
def assign_user(email: str, slug: str, with_keys: bool, json_output: bool) -> None:
    """Let a user work for a clinic, from now on."""
    with work() as w:
        row, clinic = users.find_user(w.session, email), find_clinic(w.session, slug, COMMAND_LINE)
        users.assign_user(w.session, row, clinic, with_keys=with_keys)
        w.log("user.assigned", "user", row.id, clinic.id)
        data = _user(w.session, row)
    keys = "do too" if with_keys else "reach what they reached before; --with-keys, or a new key, changes that"
    emit(data, json_output, [f"{row.email} works for {slug}. API keys {keys}."])


@user.command("unassign")
@email_option
@clinic_option
@json_option
def unassign_user(email: str, slug: str, json_output: bool) -> None:
    """Take a clinic away from a user and her API keys, from now on."""
    with work() as w:
        row, clinic = users.find_user(w.session, email), find_clinic(w.session, slug, COMMAND_LINE)
        users.unassign_user(w.session, row, clinic)
        w.log("user.unassigned", "user", row.id, clinic.id)
        data = _user(w.session, row)
    emit(data, json_output, [f"{row.email} does not work for {slug} any more."])


def _user(session: Session, row: User) -> dict[str, Any]:
    """What is shown of a user who is there already: no secrets; ``clinics`` are slugs."""
    reach = clinic_ids_of_user(session, row.id)
    return {
        "id": row.id,
        "email": row.email,
        "name": row.name,
        "role": row.role.value,
        "clinics": [clinic.slug for clinic in list_clinics(session, COMMAND_LINE) if clinic.id in reach],
        "disabled_at": row.disabled_at,
    }


def _password() -> str:
    """The first line of standard input; typed without echo when somebody sits there."""
    if sys.stdin.isatty():
        return getpass("Password: ")
    try:
        line = sys.stdin.readline(LONGEST_PASSWORD + 10)
    except UnicodeDecodeError:
        raise BadInput("The password must be text in UTF-8.") from None
    password = line.rstrip("\r\n")
    if not password:
        raise BadInput("The password is read from standard input, which was empty.")
    return password
