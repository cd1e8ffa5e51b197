"""Run the static checks one after the other and print the time of each; ``make check`` and ``make test`` run it.

All checks run even when one fails, so that one round shows everything. Exit 1 when any failed.
"""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CHECKS = {
    "style (ruff check)": ["ruff", "check", "--quiet"],
    "layout (ruff format)": ["ruff", "format", "--check", "--quiet"],
    "types (mypy --strict)": ["mypy", "--no-error-summary"],
    "import direction (lint-imports)": ["lint-imports"],
}


def run(name: str, command: list[str]) -> bool:
    """Run one check, print its time and, when it failed, what it said; answers whether it passed."""
    started = time.monotonic()
    program = [str(BIN / command[0]), *command[1:]]
    done = subprocess.run(program, cwd=ROOT, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    passed = done.returncode == 0
    print(f"{name:<34} {'ok' if passed else 'FAILED':<7} {time.monotonic() - started:6.1f} s", flush=True)
    if not passed:
        print(done.stdout, flush=True)
    return passed


def main() -> int:
    """Run every check of ``CHECKS``; 0 when all passed, else 1."""
    results = [run(name, command) for name, command in CHECKS.items()]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
