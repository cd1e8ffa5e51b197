"""Puts the simulator together and runs it."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from dataclasses import replace

from aiohttp import web

from callcenter.simulator import (
    control,
    inspector,
    rest,
    rest_calls,
    rest_conferences,
    rest_numbers,
    rest_queues,
    rest_recordings,
)
from callcenter.simulator.carrier import Carrier
from callcenter.simulator.settings import SimulatorSettings

__all__ = ["SimulatorSettings", "create_app", "run"]

_ROUTES = [
    *rest_calls.ROUTES,
    *rest_recordings.ROUTES,
    *rest_conferences.ROUTES,
    *rest_queues.ROUTES,
    *rest_numbers.ROUTES,
]


def create_app(settings: SimulatorSettings) -> web.Application:
    """The web application of one simulator; `settings.port` must be the port it is reached at."""
    app = web.Application(middlewares=[control.guard], client_max_size=1024 * 1024)
    carrier = Carrier(settings)
    rest.mount(app, carrier, _ROUTES)
    control.mount(app, control.Control(carrier))
    inspector.mount(app)
    app.router.add_get("/healthz", _healthz)

    async def opened(_: web.Application) -> None:
        await carrier.outbound.open()

    async def closed(_: web.Application) -> None:
        await carrier.stop()

    app.on_startup.append(opened)
    app.on_cleanup.append(closed)
    return app


async def _healthz(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def run(settings: SimulatorSettings) -> None:
    """Serve until SIGINT or SIGTERM. Port 0 takes a free one; one line on stdout says which.

    Raises RuntimeError when CALLCENTER_ENV is production, OSError when the port is taken.
    """
    if os.environ.get("CALLCENTER_ENV") == "production":
        raise RuntimeError("the simulator does not run in production")
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((settings.host, settings.port))
    asyncio.run(_serve(replace(settings, port=listener.getsockname()[1]), listener))


async def _serve(settings: SimulatorSettings, listener: socket.socket) -> None:
    runner = web.AppRunner(create_app(settings), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    sys.stdout.write(f"simulator listens on http://{host}:{settings.port}\n")
    sys.stdout.flush()
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
            asyncio.get_running_loop().add_signal_handler(number, over.set)
    try:
        await over.wait()
    finally:
        await runner.cleanup()
