"""Ports for servers that tests start."""

import random
import socket
from pathlib import Path

LOWEST = 10_000
OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """A port that nobody listens on, and that no outgoing connection is given while its server is starting: it lies
    below the range from which the system takes those."""
    highest = int(OUTGOING.read_text().split()[0]) if OUTGOING.exists() else 32_768
    while True:
        port = random.randrange(LOWEST, highest)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
