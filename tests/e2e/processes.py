"""Who is running below a process, as Linux tells it, and who listens."""

import socket
from pathlib import Path

PROC = Path("/proc")


def below(pid: int) -> dict[int, str]:
    """The living descendants of a process: their ids and command lines."""
    children: dict[int, list[int]] = {}
    for child in _all():
        if (parent := _parent(child)) is not None:
            children.setdefault(parent, []).append(child)
    found: dict[int, str] = {}
    ahead = list(children.get(pid, []))
    while ahead:
        child = ahead.pop()
        found[child] = command_line(child)
        ahead.extend(children.get(child, []))
    return found


def command_line(pid: int) -> str:
    """How a process was started; empty when it is over."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def listens(port: int) -> bool:
    """Whether somebody answers on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _all() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal()]


def _parent(pid: int) -> int | None:
    try:
        state, parent = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return int(parent) if state != "Z" else None
