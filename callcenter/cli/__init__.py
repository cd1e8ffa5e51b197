"""The ``callcenter`` command. Every command answers in JSON with ``--json``; an error is one sentence on stderr.

Exit codes: 0 done, 1 could not be done, 2 bad input; ``retention sweep`` and ``reconcile`` also know 3 (braked).
"""

import os
import sys
from collections.abc import Sequence

import click

from callcenter.cli.lazy import Lazy, LazyGroup
from callcenter.errors import BadInput, CallcenterError, ConfigurationError, Conflict, NotFound

BAD_INPUT = (BadInput, NotFound, Conflict, ConfigurationError)

COMMANDS = {
    "api-key": Lazy("callcenter.cli.keys:api_key", "Bearer keys of the JSON API: create, list, revoke."),
    "caller": Lazy("callcenter.cli.callers:caller", "Callers of a clinic."),
    "calls": Lazy("callcenter.cli.calls:calls", "The call log."),
    "check": Lazy("callcenter.cli.check:check", "Check configuration, database, recording store and carrier."),
    "clinic": Lazy("callcenter.cli.clinics:clinic", "Clinics: add, list, show."),
    "db": Lazy("callcenter.cli.database:db", "The database schema."),
    "demo": Lazy("callcenter.cli.demo:demo", "Run everything with a simulated carrier and demo data."),
    "hold": Lazy("retention:hold", "Legal holds: place, release, list.", found=True),
    "hours": Lazy("callcenter.cli.clinics:hours", "Opening hours of a clinic."),
    "http": Lazy("callcenter.cli.serve:http", "Door and web on one port.", hidden=True),
    "jobs": Lazy("callcenter.cli.jobs:jobs", "When the periodic jobs last ran."),
    "practitioner": Lazy("callcenter.cli.clinics:practitioner", "Practitioners of a clinic: add, list."),
    "reconcile": Lazy("retention:reconcile", "Compare database, store and carrier; repair.", found=True),
    "recordings": Lazy("callcenter.cli.calls:recordings", "Recordings and what became of them."),
    "retention": Lazy("retention:retention", "What is due to be purged; sweep; the retention process.", found=True),
    "serve": Lazy("callcenter.cli.serve:serve", "Run all processes on one machine."),
    "service": Lazy("callcenter.cli.clinics:service", "Services of a clinic: add, list."),
    "user": Lazy("callcenter.cli.people:user", "People who work with the service."),
    "web": Lazy("callcenter.cli.serve:web", "Run the pages and the JSON API for people."),
    "webhooks": Lazy("webhooks:webhooks", "Run Twilio's door.", found=True),
    "worker": Lazy("callcenter.cli.serve:worker", "Run the job process."),
}
"""Every command, its place and its line in ``--help``."""


class Commands(LazyGroup):
    """The top of the command line."""

    lazy = COMMANDS


@click.group("callcenter", cls=Commands)
@click.version_option(package_name="callcenter")
def callcenter() -> None:
    """Telephone answering for clinics: one call, from ring to purge."""


def main() -> None:
    """Run the command that the process was started with, and exit."""
    os.umask(0o077)  # what we write (database, recordings, snapshot, logs) is for nobody else on this machine
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; answers the exit code. What went wrong is one sentence on stderr."""
    try:
        result = callcenter.main(list(arguments), prog_name="callcenter", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        return _refuse(error.format_message(), error.exit_code)
    except CallcenterError as error:
        return _refuse(str(error), 2 if isinstance(error, BAD_INPUT) else 1)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # Whoever read our answer has gone; the interpreter must not try to flush into the void once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return _database_trouble(error)


def _database_trouble(error: Exception) -> int:
    """Every command may meet a database that is away or was never set up; anything else is a mistake of ours."""
    from sqlalchemy import exc  # only now: --help must not load it

    from callcenter.homes import NotAtHome

    if isinstance(error, NotAtHome):
        return _refuse(str(error), 1)
    if not isinstance(error, exc.DBAPIError | exc.TimeoutError):
        raise error
    return _refuse("The database cannot be used; check DATABASE_URL, and run callcenter db upgrade if it is new.", 1)


def _refuse(message: str, code: int) -> int:
    click.echo(f"callcenter: {' '.join(message.split())}", err=True)
    return code
