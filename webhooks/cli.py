"""The command that runs the door."""

import os

import click

from callcenter import clock, config
from callcenter.db import create_engine_for


@click.command("webhooks")
@click.option("--bind", metavar="HOST:PORT", help="Address to listen on (default: 127.0.0.1 and PORT).")
@click.option("--threads", default=16, show_default=True, help="Requests answered at the same time.")
def webhooks(bind: str | None, threads: int) -> None:
    """Run Twilio's door: what the carrier asks and reports."""
    from callcenter import serving
    from webhooks.app import create_app

    settings = config.load(os.environ)
    clock.set_offset(settings.clock_offset_seconds)
    app = create_app(settings, create_engine_for(settings.database_url))
    serving.run(app, bind or f"127.0.0.1:{settings.port}", threads)


commands: list[click.Command] = [webhooks]
