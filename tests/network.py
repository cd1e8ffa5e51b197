"""Tests talk to this machine only; one that tries to reach the outside fails with a sentence."""

import ipaddress
import sys
from typing import Any

import pytest

EVENTS = {"socket.connect": 1, "socket.sendto": 1, "socket.getaddrinfo": 0, "socket.gethostbyname": 0}
"""Audit events of the interpreter, and where their arguments carry the address."""


def stay_on_this_machine() -> None:
    """From now on this process refuses every address that is not loopback or a Unix socket; there is no way back."""
    sys.addaudithook(_refuse_outside)


def is_here(address: Any) -> bool:
    """Whether a socket address, host name or host number stays on this machine."""
    host = address[0] if isinstance(address, tuple) else address
    if (isinstance(address, tuple) and host in ("localhost", "")) or host in (None, "", "localhost", b"localhost"):
        return True
    name = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(name.split("%")[0]).is_loopback
    except ValueError:
        return False


def _refuse_outside(event: str, arguments: tuple[Any, ...]) -> None:
    position = EVENTS.get(event)
    if position is None:
        return
    address = arguments[position]
    unix = event in ("socket.connect", "socket.sendto") and isinstance(address, str | bytes)
    if not unix and not is_here(address):
        pytest.fail(f"A test tried to reach {address!r}; tests talk to this machine only.")
