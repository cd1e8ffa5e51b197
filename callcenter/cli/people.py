"""``callcenter user``: the people who work with the service."""

import sys
from getpass import getpass

import click

from callcenter.cli.output import emit, json_option
from callcenter.cli.transactions import work
from callcenter.domain.passwords import LONGEST_PASSWORD
from callcenter.domain.permissions import COMMAND_LINE
from callcenter.domain.receptionists import Role
from callcenter.domain.second_factor import enrolment_uri
from callcenter.errors import BadInput
from callcenter.services import users
from callcenter.services.clinics import find_clinic

role_option = click.option("--role", required=True, type=click.Choice([role.value for role in Role]), help="The role.")
clinics_option = click.option("--clinic", "slugs", multiple=True, metavar="SLUG", help="A clinic; may be repeated.")


@click.group("user")
def user() -> None:
    """People who work with the service."""


@user.command("add")
@click.option("--email", required=True, help="Address to sign in with.")
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
