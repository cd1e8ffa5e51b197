"""``callcenter calls`` and ``recordings``: the call log."""

from typing import Any

import click

from callcenter.cli.callers import cursor_option, limit_option, more
from callcenter.cli.output import cell, emit, json_option, table
from callcenter.cli.transactions import work
from callcenter.domain.calls import Outcome
from callcenter.domain.moments import parse_moment
from callcenter.domain.permissions import COMMAND_LINE
from callcenter.services import call_log
from callcenter.services.clinics import find_clinic
from callcenter.services.shapes import Shape

CALL_COLUMNS = {
    "id": "id",
    "clinic": "clinic",
    "started": "started_at",
    "from": "caller",
    "state": "state",
    "outcome": "outcome",
    "filed": "linked",
}
RECORDING_COLUMNS = {
    "id": "id",
    "call": "call_id",
    "kind": "kind",
    "state": "state",
    "seconds": "duration_seconds",
    "bytes": "size_bytes",
    "expires": "expires_at",
    "held": "held",
}


@click.group("calls")
def calls() -> None:
    """The call log."""


@calls.command("list")
@click.option("--clinic", "slug", metavar="SLUG", help="Only calls of this clinic.")
@click.option("--from", "from_text", metavar="TIME", help="Only calls since then, such as 2026-03-02T09:00:00Z.")
@click.option("--to", "to_text", metavar="TIME", help="Only calls before then.")
@click.option("--outcome", type=click.Choice([outcome.value for outcome in Outcome]), help="Only with this outcome.")
@click.option("--linked/--unlinked", default=None, help="Only calls that have, or still need, a result.")
@limit_option
@cursor_option
@json_option
def list_calls(
    slug: str | None,
    from_text: str | None,
    to_text: str | None,
    outcome: str | None,
    linked: bool | None,
    limit: int,
    cursor: str | None,
    json_output: bool,
) -> None:
    """Calls, newest first."""
    with work() as w:
        clinic = find_clinic(w.session, slug, COMMAND_LINE) if slug is not None else None
        criteria = call_log.Criteria(
            clinic_id=clinic.id if clinic else None,
            from_at=parse_moment(from_text, field="--from") if from_text is not None else None,
            to_at=parse_moment(to_text, field="--to") if to_text is not None else None,
            outcome=Outcome(outcome) if outcome is not None else None,
            linked=linked,
        )
        page = call_log.list_calls(w.session, COMMAND_LINE, criteria, limit=limit, cursor=cursor, now=w.now)
        shown_ids = [call.id for call in page.items]
        shown_of = {clinic.id} if clinic else call_log.clinics_of_calls(w.session, shown_ids)
        w.log_list("calls.listed", "calls", shown_of)
    items = [_shown(call) for call in page.items]
    shown = [item | {"caller": item["from"]["display"]} for item in items]
    lines = table(shown, CALL_COLUMNS, nothing="There is no such call.")
    emit({"items": items, "next": page.next}, json_output, [*lines, *more(page.next)])


@calls.command("show")
@click.argument("call_id")
@json_option
def show_call(call_id: str, json_output: bool) -> None:
    """One call with its legs, offers, recordings, links and events."""
    with work() as w:
        row = call_log.find_call(w.session, COMMAND_LINE, call_id)
        data = _shown(call_log.get_call(w.session, COMMAND_LINE, row.id, now=w.now))
        w.log("call.viewed", "call", row.id, row.clinic_id)
    emit(data, json_output, _lines(data))


@click.group("recordings")
def recordings() -> None:
    """Recordings and what became of them."""


@recordings.command("list")
@click.option("--call", "call_id", metavar="CALL-ID", help="Only recordings of this call.")
@limit_option
@json_option
def list_recordings(call_id: str | None, limit: int, json_output: bool) -> None:
    """The newest recordings."""
    with work() as w:
        call = call_log.find_call(w.session, COMMAND_LINE, call_id) if call_id is not None else None
        found = call_log.list_recordings(w.session, COMMAND_LINE, call_id, limit=limit)
        items = [_shown(one) for one in found]
        shown_of = {call.clinic_id} if call else call_log.clinics_of_calls(w.session, [one.call_id for one in found])
        w.log_list("recordings.listed", "recordings", shown_of)
    lines = table(items, RECORDING_COLUMNS, nothing="There is no such recording.")
    emit({"items": items, "next": None}, json_output, lines)


@recordings.command("show")
@click.argument("recording_id")
@json_option
def show_recording(recording_id: str, json_output: bool) -> None:
    """One recording with its pauses; never its audio."""
    with work() as w:
        row = call_log.find_recording(w.session, COMMAND_LINE, recording_id)
        data = _shown(call_log.get_recording(w.session, COMMAND_LINE, row.id))
        w.log("recording.viewed", "recording", row.id, row.clinic_id)
    emit(data, json_output, _lines(data))


def _shown(shape: Shape) -> dict[str, Any]:
    return shape.model_dump(mode="json", by_alias=True)


def _lines(data: dict[str, Any]) -> list[str]:
    """One line per value, and one per part of a list."""
    parts = ((name, part) for name, value in data.items() for part in (value if isinstance(value, list) else [value]))
    return [f"{name}: {cell(part)}" for name, part in parts]
