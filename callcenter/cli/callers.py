"""``callcenter caller``: the callers of one clinic."""

import click

from callcenter.cli.clinics import clinic_option
from callcenter.cli.output import emit, json_option, table
from callcenter.cli.transactions import work
from callcenter.domain.permissions import COMMAND_LINE
from callcenter.services.callers import list_callers
from callcenter.services.clinics import find_clinic
from callcenter.services.paging import DEFAULT_LIMIT

limit_option = click.option("--limit", default=DEFAULT_LIMIT, show_default=True, help="Most rows to show (1-200).")
cursor_option = click.option("--cursor", help="Where the page before ended: its next.")


@click.group("caller")
def caller() -> None:
    """Callers of a clinic."""


@caller.command("list")
@clinic_option
@limit_option
@cursor_option
@json_option
def list_command(slug: str, limit: int, cursor: str | None, json_output: bool) -> None:
    """Everybody who rang the clinic or has a booking there, first come first."""
    with work() as w:
        clinic = find_clinic(w.session, slug, COMMAND_LINE)
        page = list_callers(w.session, COMMAND_LINE, clinic, limit=limit, cursor=cursor)
        w.log("callers.listed", "callers", None, clinic.id)
    items = [
        {"id": row.id, "clinic": slug, "name": row.name, "number": row.number, "email": row.email} for row in page.items
    ]
    columns = {"id": "id", "name": "name", "number": "number", "email": "email"}
    lines = table(items, columns, nothing="There is no caller yet.")
    emit({"items": items, "next": page.next}, json_output, [*lines, *more(page.next)])


def more(cursor: str | None) -> list[str]:
    """The line below a page that is not the last."""
    return [] if cursor is None else [f"More with --cursor {cursor}"]
