"""Hosts of a cluster: several on this one machine, or as Linux network namespaces that are machines of their own as far
as the network goes (veth pairs on a bridge; needs root)."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pytest

BRIDGE = "ccbridge"
NETWORK = "10.213.77"


@dataclass(frozen=True)
class Host:
    """Where processes of ours run: their address, and what stands before a command to run it there."""

    number: int
    address: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()

    @property
    def cable(self) -> str:
        """The near end of its cable (namespaces only)."""
        return f"cchost{self.number}"

    def unplug(self) -> None:
        """Pull its network cable."""
        _ip("link", "set", self.cable, "down")

    def plug(self) -> None:
        """Put the cable back."""
        _ip("link", "set", self.cable, "up")


@dataclass(frozen=True)
class Site:
    """All hosts, and the address at which they reach what the test offers them."""

    hosts: Sequence[Host]
    near: str = "127.0.0.1"


def one_machine(hosts: int) -> Site:
    """Hosts that are only different directories."""
    return Site([Host(number) for number in range(1, hosts + 1)])


@contextmanager
def namespaces(hosts: int) -> Iterator[Site]:
    """Hosts with a network of their own. Fails, and does not skip, where they cannot be made."""
    made = [Host(n, f"{NETWORK}.{10 + n}", ("ip", "netns", "exec", f"cc{n}")) for n in range(1, hosts + 1)]
    _remove(made)
    try:
        _make(made)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or str(error)
        pytest.fail(f"This test needs root and Linux network namespaces (ip netns): {reason.strip()}")
    try:
        yield Site(made, f"{NETWORK}.1")
    finally:
        _remove(made)


def _make(hosts: Sequence[Host]) -> None:
    if os.geteuid() != 0:
        raise PermissionError("this user is not root")
    _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("addr", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")
    for host in hosts:
        space = f"cc{host.number}"
        _ip("netns", "add", space)
        _ip("link", "add", host.cable, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", host.cable, "master", BRIDGE, "up")
        for words in (("addr", "add", f"{host.address}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
            _ip("-n", space, *words)
        _ip("-n", space, "link", "set", "lo", "up")


def _remove(hosts: Sequence[Host]) -> None:
    """Also what a run that was killed has left."""
    with suppress(OSError):
        for host in hosts:
            for words in (("link", "del", host.cable), ("netns", "del", f"cc{host.number}")):
                subprocess.run(["ip", *words], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", BRIDGE], check=False, capture_output=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=20)
