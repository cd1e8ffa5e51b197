"""``callcenter reconcile``: compare database, store and carrier, and repair (design §6.3)."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from callcenter import wiring
from callcenter.cli.output import emit, json_option

if TYPE_CHECKING:
    from retention.reconcile.report import Report

ACTOR = "command-line"
SOMETHING_IS_LEFT = 1
BRAKED = 3


@click.command("reconcile")
@click.option("--repair", is_flag=True, help="Repair what was found; without it nothing is changed.")
@click.option("--delete-objects", is_flag=True, help="With --repair: delete objects without a row in the store too.")
@click.option("--confirm", is_flag=True, help="With --repair: lift the brakes; it is written to the access log.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"]),
    help="Compare calls and the carrier's recordings from then on (UTC), at most 30 days back.",
)
@json_option
@click.pass_context
def reconcile_command(
    context: click.Context, repair: bool, delete_objects: bool, confirm: bool, since: datetime | None, json_output: bool
) -> None:
    """Compare database, store and Twilio both ways. Exit code 0: nothing found, or all of it repaired; 1: something is
    left, or could not be done; 3: a brake stopped deletions."""
    from retention.reconcile.run import reconcile
    from retention.reconcile.work import Wishes

    if (delete_objects or confirm) and not repair:
        raise click.UsageError("--delete-objects and --confirm go with --repair only.")
    settings = wiring.load_settings()
    engine = wiring.engine(settings)
    try:
        report = reconcile(
            engine,
            wiring.recording_store(settings),
            wiring.carrier(settings),
            voice=settings.voice,
            wishes=Wishes(repair, delete_recordings=repair, delete_objects=delete_objects, confirmed=confirm),
            since=since.replace(tzinfo=UTC) if since else None,
            actor_id=ACTOR,
        )
    finally:
        engine.dispose()
    findings = [asdict(finding) for finding in report.findings]
    emit(report.as_dict() | {"findings": findings}, json_output, _lines(report))
    if report.braked:
        context.exit(BRAKED)
    if report.failed or report.remaining:
        context.exit(SOMETHING_IS_LEFT)


def _lines(report: "Report") -> list[str]:
    looked_at = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in sorted(report.looked_at.items()))
    lines = [f"Compared: {looked_at or 'nothing'}."]
    lines += [f"{finding.kind}  {finding.id}{'  repaired' if finding.repaired else ''}" for finding in report.findings]
    lines += [
        f"{kind}: {count} found, {report.repaired[kind]} repaired" for kind, count in sorted(report.found.items())
    ]
    lines += [f"{count} failed: {code}" for code, count in sorted(report.failures.items())]
    lines += report.brakes
    if report.brakes:
        lines.append("Look at what is to be deleted, then run: callcenter reconcile --repair --confirm")
    elif report.remaining and not report.repair:
        lines.append("Nothing was changed. To repair: callcenter reconcile --repair")
    return lines if report.found or report.failed else [*lines, "Nothing was found: they agree."]
