"""The command that runs the door."""

import click

from callcenter import serving, wiring
from callcenter.logs import configure


@click.command("webhooks")
@click.option("--bind", metavar="HOST:PORT", help="Address to listen on (default: 127.0.0.1 and PORT).")
@click.option("--threads", default=16, show_default=True, help="Requests answered at the same time.")
def webhooks(bind: str | None, threads: int) -> None:
    """Run Twilio's door: what the carrier asks and reports."""
    from webhooks.app import create_app

    settings = wiring.load_settings()
    configure()
    app = create_app(settings, wiring.engine(settings))
    serving.run(app, bind or f"127.0.0.1:{settings.port}", threads)


commands: list[click.Command] = [webhooks]
