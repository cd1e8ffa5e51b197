"""What kills share: a process that forks our commands, and an S3 server."""

from collections.abc import Iterator

import pytest

from tests.faults.kills.kill_desk import s3_server
from tests.faults.kills.zygote import Zygote


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """Starts our commands in no time."""
    processes = Zygote()
    yield processes
    processes.close()


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """Address of an S3 server."""
    with s3_server() as address:
        yield address
