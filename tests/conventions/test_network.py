"""No test leaves this machine, not even by accident."""

import socket

import pytest

from tests.network import is_here


@pytest.mark.parametrize("address", [("127.0.0.1", 80), ("127.8.8.8", 80), ("::1", 80, 0, 0), "localhost", None])
def test_this_machine_may_be_reached(address: object) -> None:
    assert is_here(address)


@pytest.mark.parametrize(
    "address", [("192.0.2.1", 80), ("10.0.0.1", 80), ("2001:db8::1", 80), "example.org", b"a.test"]
)
def test_other_machines_may_not_be_reached(address: object) -> None:
    assert not is_here(address)


def test_a_test_that_opens_a_connection_to_the_outside_fails_with_a_sentence() -> None:
    with socket.socket() as outgoing, pytest.raises(pytest.fail.Exception, match="this machine only"):
        outgoing.connect(("192.0.2.1", 80))


def test_a_test_that_looks_up_a_foreign_name_fails_with_a_sentence() -> None:
    with pytest.raises(pytest.fail.Exception, match="this machine only"):
        socket.getaddrinfo("example.org", 80)
