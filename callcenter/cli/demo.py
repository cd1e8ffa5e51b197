"""``callcenter demo``: everything on one machine with a pretend carrier, one scripted call, then open for more."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click
import requests

from callcenter import clock, config
from callcenter.cli.demo_client import Api, Simulator, StepFailed, wait_until
from callcenter.cli.demo_data import ACCOUNTS_FILE, CLINICS, DemoAccounts, seed
from callcenter.cli.demo_receptionist import DemoReceptionist
from callcenter.cli.demo_recording import seed_expired_recording
from callcenter.cli.demo_story import Story
from callcenter.cli.serve import CHILDREN
from callcenter.cli.supervisor import Child, Supervisor
from callcenter.config import Settings
from callcenter.domain.receptionists import Role
from callcenter.domain.second_factor import current_code
from callcenter.errors import BadInput
from callcenter.logs import configure
from callcenter.migrating import upgrade
from callcenter.wiring import engine, recording_store

LOG_FILE = "demo.log"
START_SECONDS = 30


@click.group("demo", invoke_without_command=True)
@click.option("--once", is_flag=True, help="Stop after the scripted call; exit 0 when every step happened.")
@click.pass_context
def demo(context: click.Context, once: bool) -> None:
    """Run everything with a simulated carrier and demo data (loopback only)."""
    if context.invoked_subcommand is None:
        _run(once=once)


@demo.command("call")
@click.option("--scenario", default="booking", show_default=True, help="Name of a scenario of the simulator.")
@click.option("--to", "number", default=CLINICS[0].number, show_default=True, help="Number to ring.")
@click.option("--json", "json_output", is_flag=True, help="Answer in JSON.")
def call(scenario: str, number: str, json_output: bool) -> None:
    """Place another call to a running demo and print what the caller heard."""
    settings = config.load(os.environ)
    simulator = Simulator(_simulator_url(settings))
    try:
        sid = simulator.place_call(scenario, number)
    except requests.ConnectionError:
        raise BadInput("No demo is running here; start it with: make run") from None
    except StepFailed:
        raise BadInput("The simulator refused this scenario or number; its page lists what there is.") from None
    printed = 0
    while True:
        try:
            state = simulator.call(sid)
        except requests.ConnectionError:
            raise BadInput("The demo was stopped during the call.") from None
        if not json_output:
            for item in state["heard"][printed:]:
                click.echo(f"  {item['at_seconds']:6.1f} s  {item['kind']}: {item['text'] or ''}")
            printed = len(state["heard"])
        if not state["live"]:
            break
        clock.sleep(0.3)
    if json_output:
        click.echo(json.dumps(state, indent=2))
    else:
        click.echo(f"  The call has ended ({state['status']}) after {state['duration_seconds'] or 0} s.")


def _run(*, once: bool) -> None:
    settings = _settings()
    for name, port in (("PORT", settings.port), ("SIMULATOR_PORT", settings.simulator_port)):
        _refuse_taken(name, port)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    database = engine(settings)
    click.echo("Preparing the database and the demo's clinics …")
    upgrade(database)
    accounts = seed(database, settings, clock.now())
    environ = _environ(settings)
    simulator_child = Child("simulator", ["--port", str(settings.simulator_port)], module="callcenter.simulator")
    with (settings.state_dir / LOG_FILE).open("ab") as output:
        configure()
        supervisor = Supervisor([simulator_child, *CHILDREN], environ, output)
        supervisor.start()
        receptionist = None
        try:
            receptionist = _open(settings, accounts)
            _tell_story(settings, accounts)
            _show_retention(settings, accounts, environ)
            if once:
                click.echo("\nEvery step happened.")
            else:
                _print_addresses(settings, accounts)
                supervisor.wait_for_signal()
                click.echo("\nStopping …")
        except requests.RequestException as error:
            raise StepFailed(f"A process of the demo stopped answering ({type(error).__name__}).") from error
        finally:
            if receptionist is not None:
                receptionist.stop()
            supervisor.stop()


def _refuse_taken(name: str, port: int) -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise BadInput(f"Port {port} is taken, perhaps by another demo; name another one with {name}=…")


def _settings() -> Settings:
    """The settings with the simulator in the carrier's place. Raises BadInput in production."""
    if os.environ.get("CALLCENTER_ENV") == "production":
        raise BadInput("The demo uses a simulated carrier and does not run in production.")
    settings = config.load(os.environ)
    clock.set_offset(settings.clock_offset_seconds)
    return settings


def _environ(settings: Settings) -> dict[str, str]:
    return dict(os.environ) | {
        "TWILIO_API_BASE_URL": _simulator_url(settings),
        "TWILIO_ACCOUNT_SID": settings.twilio_account_sid,
        "TWILIO_AUTH_TOKEN": settings.twilio_auth_token,
    }


def _simulator_url(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.simulator_port}"


def _open(settings: Settings, accounts: DemoAccounts) -> DemoReceptionist:
    """Wait for the processes, point the numbers at the door, and let the receptionist start work."""
    from callcenter.carrier.urls import DoorUrls

    click.echo(f"Starting door, web, worker, retention and simulator (their log: {settings.state_dir / LOG_FILE}) …")
    web, simulated = settings.web_base_url, _simulator_url(settings)
    wait_until("The start of door and web", lambda: requests.get(f"{web}/readyz", timeout=2).ok, seconds=START_SECONDS)
    wait_until(
        "The start of the simulator", lambda: requests.get(f"{simulated}/healthz", timeout=2).ok, seconds=START_SECONDS
    )
    simulator = Simulator(simulated)
    urls = DoorUrls(settings.public_base_url, settings.twilio_region)
    addresses = {
        "voice_url": urls.incoming(),
        "voice_fallback_url": urls.fallback(),
        "status_callback": urls.status(),
    }
    simulator.set_numbers({clinic.number: addresses for clinic in CLINICS})
    robot = accounts.of_role(Role.RECEPTIONIST)[0]
    receptionist = DemoReceptionist(robot, Api(web, robot.api_key), simulator)
    receptionist.start()
    return receptionist


def _tell_story(settings: Settings, accounts: DemoAccounts) -> None:
    web = settings.web_base_url
    story = Story(
        Simulator(_simulator_url(settings)),
        receptionist=Api(web, accounts.of_role(Role.RECEPTIONIST)[0].api_key),
        manager=Api(web, accounts.of_role(Role.CLINIC_MANAGER)[0].api_key),
    )
    click.echo(f"\nOne call to {CLINICS[0].name}, from ring to stored recording:")
    story.play(CLINICS[0].slug, CLINICS[0].number)


def _show_retention(settings: Settings, accounts: DemoAccounts, environ: Mapping[str, str]) -> None:
    """A recording whose period has ended: refused at once, then purged with proof."""
    click.echo("\nRetention, on a recording whose period ended an hour ago:")
    manager = Api(settings.web_base_url, accounts.of_role(Role.CLINIC_MANAGER)[0].api_key)
    recording_id = seed_expired_recording(engine(settings), recording_store(settings), clock.now())
    status = manager.status(f"/recordings/{recording_id}/audio", purpose="review")
    if status != 410:
        raise StepFailed(f"The expired recording should be refused with 410, but the answer was {status}")
    click.echo("  Asked for, it is refused (410): hidden from the instant of expiry, purged or not.")
    sweep = subprocess.run(
        [sys.executable, "-m", "callcenter.cli", "retention", "sweep", "--json"],
        env=dict(environ),
        capture_output=True,
        text=True,
        check=False,
    )
    if sweep.returncode != 0:
        raise StepFailed(f"The sweep did not end clean (exit {sweep.returncode}): {sweep.stderr.strip()}")
    wait_until(
        "The purge of the expired recording",
        lambda: manager.get(f"/recordings/{recording_id}")["state"] == "purged",
        seconds=30,
    )
    click.echo("  Swept: bytes deleted, verified absent, row blanked, ledger written.")


def _print_addresses(settings: Settings, accounts: DemoAccounts) -> None:
    click.echo(
        f"""
Open now, until you press Ctrl-C:
  What runs here         {settings.web_base_url}/
  JSON API               {settings.web_base_url}/api/v1/openapi.json
  Pretend carrier        {_simulator_url(settings)}/    (place calls, see every exchange)
  Another call           .venv/bin/callcenter demo call [--scenario voicemail]

Demo people (passwords and API keys: {Path(settings.state_dir) / ACCOUNTS_FILE}):"""
    )
    for person in accounts.people:
        code = current_code(person.second_factor_secret, clock.now())
        click.echo(f"  {person.role:<16} {person.email:<28} password {person.password}  code {code}")
