"""`python -m callcenter.simulator`: the simulator as a process of its own."""

import argparse
import json
import os
import sys

from callcenter.simulator.app import run
from callcenter.simulator.settings import SimulatorSettings


def main() -> int:
    """Read options and environment, then serve; returns 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m callcenter.simulator", description="A pretend Twilio on loopback.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=int(os.environ.get("SIMULATOR_PORT", "8001")))
    parser.add_argument("--calls-per-second", type=float, default=1.0)
    parser.add_argument("--speed", type=float, default=1.0, help="time scale for tests; 1 is real time")
    parser.add_argument("--media-delay-seconds", type=float, default=1.0)
    parser.add_argument("--numbers", default="{}", help='JSON: {"+44…": {"voice_url": …}}')
    options = parser.parse_args()
    defaults = SimulatorSettings()
    try:
        run(
            SimulatorSettings(
                host=options.host,
                port=options.port,
                account_sid=os.environ.get("TWILIO_ACCOUNT_SID") or defaults.account_sid,
                auth_token=os.environ.get("TWILIO_AUTH_TOKEN") or defaults.auth_token,
                rest_key_sid=os.environ.get("TWILIO_REST_KEY_SID"),
                rest_key_secret=os.environ.get("TWILIO_REST_KEY_SECRET"),
                calls_per_second=options.calls_per_second,
                numbers=json.loads(options.numbers),
                media_delay_seconds=options.media_delay_seconds,
                speed=options.speed,
            )
        )
    except (ValueError, RuntimeError, OSError) as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
