"""``callcenter clinic``, ``practitioner``, ``service`` and ``hours``: what a clinic is and offers."""

from typing import Any

import click

from callcenter.cli.output import cell, emit, json_option, table
from callcenter.cli.transactions import work
from callcenter.domain.opening_hours import WEEKDAYS, Band, by_weekday
from callcenter.domain.permissions import COMMAND_LINE
from callcenter.models import Clinic, Practitioner, Service
from callcenter.services import clinics

clinic_option = click.option("--clinic", "slug", required=True, metavar="SLUG", help="The clinic's slug.")


@click.group("clinic")
def clinic() -> None:
    """Clinics: add, list, show."""


@clinic.command("add")
@click.option("--slug", required=True, help="Short name for addresses and commands: a-z, 0-9 and dashes.")
@click.option("--name", required=True, help="Name as callers hear it.")
@click.option("--number", "numbers", required=True, multiple=True, help="Number of the clinic; may be repeated.")
@click.option("--timezone", required=True, help="IANA time zone, such as Europe/London.")
@click.option("--retention-days", default=30, show_default=True, help="Days after which recordings are purged (1-365).")
@click.option("--fallback-number", help="Number to which calls go when nothing of ours can serve them.")
@json_option
def add_clinic(json_output: bool, **values: Any) -> None:
    """Add a clinic; it is always open until hours are set."""
    with work() as w:
        row = clinics.add_clinic(w.session, now=w.now, **values)
        w.log("clinic.added", "clinic", row.id, row.id)
        data = _clinic(row, None)
    emit(data, json_output, [f"Added clinic {row.slug} ({row.name}) with {', '.join(data['numbers'])}."])


@clinic.command("list")
@json_option
def list_clinics(json_output: bool) -> None:
    """All clinics by slug."""
    with work() as w:
        rows = clinics.list_clinics(w.session, COMMAND_LINE)
        items = [_clinic(row, clinics.opening_bands(w.session, row)) for row in rows]
    columns = {"slug": "slug", "name": "name", "numbers": "numbers", "timezone": "timezone", "days": "retention_days"}
    emit({"items": items, "next": None}, json_output, table(items, columns, nothing="There is no clinic yet."))


@clinic.command("show")
@click.argument("slug")
@json_option
def show_clinic(slug: str, json_output: bool) -> None:
    """One clinic with its hours."""
    with work() as w:
        row = clinics.find_clinic(w.session, slug, COMMAND_LINE)
        data = _clinic(row, clinics.opening_bands(w.session, row))
    hours = data.pop("hours")
    lines = [f"{name.replace('_', ' ')}: {cell(value)}" for name, value in data.items()]
    lines += [f"{day}: {' '.join(bands) or 'closed'}" for day, bands in hours.items()] if hours else ["always open"]
    emit(data | {"hours": hours}, json_output, lines)


@click.group("hours")
def hours() -> None:
    """Opening hours of a clinic."""


@hours.command("set")
@clinic_option
@click.option("--day", required=True, help=f"One of {', '.join(WEEKDAYS)}.")
@click.option("--open", "bands", multiple=True, metavar="HH:MM-HH:MM", help="Open from-to; none = closed.")
@json_option
def set_hours(slug: str, day: str, bands: tuple[str, ...], json_output: bool) -> None:
    """Replace the hours of one weekday, in the clinic's time zone; 24:00 ends a day."""
    with work() as w:
        row = clinics.find_clinic(w.session, slug, COMMAND_LINE)
        clinics.set_hours(w.session, row, day=day, bands=bands, now=w.now)
        w.log("hours.changed", "clinic", row.id, row.id)
        shown = by_weekday(clinics.opening_bands(w.session, row)) or {}
    lines = [f"{name}: {' '.join(texts) or 'closed'}" for name, texts in shown.items()]
    emit({"clinic": slug, "hours": shown}, json_output, lines)


@click.group("practitioner")
def practitioner() -> None:
    """Practitioners of a clinic: add, list."""


@practitioner.command("add")
@clinic_option
@click.option("--name", required=True, help="Name as the diary shows it.")
@json_option
def add_practitioner(slug: str, name: str, json_output: bool) -> None:
    """Add a practitioner."""
    with work() as w:
        row = clinics.find_clinic(w.session, slug, COMMAND_LINE)
        added = clinics.add_practitioner(w.session, row, name=name, now=w.now)
        w.log("practitioner.added", "practitioner", added.id, row.id)
    emit(_practitioner(added, slug), json_output, [f"Added {added.name} with id {added.id}."])


@practitioner.command("list")
@clinic_option
@json_option
def list_practitioners(slug: str, json_output: bool) -> None:
    """The clinic's practitioners by name."""
    with work() as w:
        row = clinics.find_clinic(w.session, slug, COMMAND_LINE)
        items = [_practitioner(one, slug) for one in clinics.list_practitioners(w.session, COMMAND_LINE, row)]
    lines = table(items, {"id": "id", "name": "name"}, nothing="There is no practitioner yet.")
    emit({"items": items, "next": None}, json_output, lines)


@click.group("service")
def service() -> None:
    """Services of a clinic: add, list."""


@service.command("add")
@clinic_option
@click.option("--name", required=True, help="What can be booked.")
@click.option("--minutes", required=True, type=int, help="How long it takes: a multiple of 5 up to 480.")
@json_option
def add_service(slug: str, name: str, minutes: int, json_output: bool) -> None:
    """Add a service."""
    with work() as w:
        row = clinics.find_clinic(w.session, slug, COMMAND_LINE)
        added = clinics.add_service(w.session, row, name=name, minutes=minutes, now=w.now)
        w.log("service.added", "service", added.id, row.id)
    emit(_service(added, slug), json_output, [f"Added {added.name} ({added.minutes} minutes) with id {added.id}."])


@service.command("list")
@clinic_option
@json_option
def list_services(slug: str, json_output: bool) -> None:
    """The clinic's services by name."""
    with work() as w:
        row = clinics.find_clinic(w.session, slug, COMMAND_LINE)
        items = [_service(one, slug) for one in clinics.list_services(w.session, COMMAND_LINE, row)]
    lines = table(items, {"id": "id", "name": "name", "minutes": "minutes"}, nothing="There is no service yet.")
    emit({"items": items, "next": None}, json_output, lines)


def _clinic(row: Clinic, bands: list[Band] | None) -> dict[str, Any]:
    return {
        "id": row.id,
        "slug": row.slug,
        "name": row.name,
        "numbers": [number.number for number in row.numbers],
        "timezone": row.timezone,
        "retention_days": row.retention_days,
        "fallback_number": row.fallback_number,
        "hours": by_weekday(bands),
    }


def _practitioner(row: Practitioner, slug: str) -> dict[str, Any]:
    return {"id": row.id, "clinic": slug, "name": row.name}


def _service(row: Service, slug: str) -> dict[str, Any]:
    return {"id": row.id, "clinic": slug, "name": row.name, "minutes": row.minutes}
