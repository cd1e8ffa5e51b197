"""Write requirements.lock and requirements-dev.lock from pyproject.toml; ``make lock`` runs it.

The development lock is resolved with the runtime lock as its constraint, so both name the same versions. The files hold
versions and hashes only: no registry, no path of a machine.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).with_name("uv")
COMPILE = [
    *(str(UV), "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"),
    *("--no-emit-index-url", "--no-annotate", "--custom-compile-command", "make lock"),
    *("--group", "build", "pyproject.toml"),
]


def main() -> None:
    """Write both locks; extra arguments (``--upgrade``, ``--upgrade-package NAME``) go to the resolver."""
    runtime = [*COMPILE, "--output-file", "requirements.lock", *sys.argv[1:]]
    development = [*COMPILE, "--extra", "dev", "--constraint", "requirements.lock"]
    for command in (runtime, [*development, "--output-file", "requirements-dev.lock", *sys.argv[1:]]):
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
