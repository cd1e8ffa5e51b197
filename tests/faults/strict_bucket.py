"""The strict bucket for many threads at once, and one that holds a request up while the world goes on."""
# ruff: noqa: N803 - the names of arguments are boto3's

import threading
from typing import Any

from tests.fake_s3 import FakeS3


class SharedS3(FakeS3):
    """One request at a time, as far as anybody can tell. ``hold_up`` lets the next deletion wait for an event."""

    def __init__(self) -> None:
        super().__init__()
        self._turn = threading.RLock()
        self.held_up, self.go_on = threading.Event(), threading.Event()
        self.hold_up = False

    def put_object(self, Bucket: str, Key: str, Body: bytes, ChecksumSHA256: str, **more: Any) -> dict[str, Any]:
        with self._turn:
            return super().put_object(Bucket, Key, Body, ChecksumSHA256, **more)

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        if self.hold_up:
            self.hold_up = False
            self.held_up.set()
            self.go_on.wait(120)
        with self._turn:
            return super().delete_objects(Bucket, Delete)
