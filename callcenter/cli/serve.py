"""The commands that run processes: ``serve`` (all on one machine), ``web``, ``worker``."""

import os
from importlib.metadata import entry_points

import click

from callcenter import clock, serving, wiring
from callcenter.cli.supervisor import Child, Supervisor
from callcenter.homes import claim
from callcenter.logs import configure, log
from callcenter.migrating import upgrade
from callcenter.signals import on_stop

HTTP_THREADS = 24
CHILDREN = (
    Child("http", ["http"]),
    Child("worker", ["worker"]),
    Child("retention", ["retention", "run"]),
)


@click.command("serve")
def serve() -> None:
    """Run everything on one machine: door and web on PORT, worker, retention. The children end with this process."""
    settings = wiring.load_settings()
    configure()
    wiring.checked_recording_store(settings)
    serving.check_address(f"127.0.0.1:{settings.port}")
    database = wiring.engine(settings)
    upgrade(database)
    claim(database)
    database.dispose()
    log("serve").info("starting", port=settings.port)
    Supervisor(CHILDREN, os.environ).run()


@click.command("http", hidden=True)
@click.option("--bind", metavar="HOST:PORT", help="Address to listen on (default: 127.0.0.1 and PORT).")
def http(bind: str | None) -> None:
    """Door and web on one port, as separate applications with separate pools (a child of ``serve``)."""
    from callcenter.web.app import create_app

    settings = wiring.load_settings()
    configure()
    # The door lives above this package and is found, not imported (docs/decisions: layers).
    (door_entry,) = entry_points(group="callcenter.apps", name="webhooks")
    door = door_entry.load()(settings, wiring.engine(settings))
    web = create_app(settings, wiring.engine(settings), wiring.recording_store(settings))
    serving.run(serving.by_path(door, web), bind or f"127.0.0.1:{settings.port}", HTTP_THREADS)


@click.command("web")
@click.option("--bind", metavar="HOST:PORT", help="Address to listen on (default: 127.0.0.1 and PORT).")
@click.option("--threads", default=16, show_default=True, help="Requests answered at the same time.")
def web(bind: str | None, threads: int) -> None:
    """Run the pages and the JSON API for people."""
    from callcenter.web.app import create_app

    settings = wiring.load_settings()
    configure()
    app = create_app(settings, wiring.engine(settings), wiring.checked_recording_store(settings))
    serving.run(app, bind or f"127.0.0.1:{settings.port}", threads)


@click.command("worker")
def worker() -> None:
    """Run the job process: dispatch, carrier requests, copying of recordings, sweepers."""
    from callcenter.worker.loop import Worker

    settings = wiring.load_settings()
    configure()
    process = Worker(
        settings,
        wiring.engine(settings, pool_size=16),
        wiring.carrier(settings),
        wiring.checked_recording_store(settings),
    )
    on_stop(process.stop)
    started = clock.monotonic_seconds()
    process.run()
    log("worker").info("stopped", seconds=round(clock.monotonic_seconds() - started))
