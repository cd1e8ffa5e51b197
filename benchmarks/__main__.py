"""All benchmarks, or those that are named, each in a process of its own; one JSON document on stdout."""

import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from os import cpu_count

NAMES = ("incoming", "burst", "dispatch", "history", "purge", "ingest", "start")
LIBRARIES = ("flask", "gunicorn", "psycopg", "sqlalchemy", "twilio")


def main(arguments: list[str]) -> int:
    """Run them one after the other; 1 when a goal was missed, 2 for an unknown name."""
    options = [argument for argument in arguments if argument == "--tiny"]
    names = [argument for argument in arguments if argument not in options] or list(NAMES)
    unknown = set(names) - set(NAMES)
    if unknown:
        print(f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}.", file=sys.stderr)
        return 2
    found, missed = [], False
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        run = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", *options], stdout=subprocess.PIPE, check=False
        )
        missed |= run.returncode != 0
        found.append(json.loads(run.stdout) if run.stdout else {"benchmark": name, "passed": False})
    machine = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }
    print(json.dumps({"machine": machine, "benchmarks": found}, indent=2))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
