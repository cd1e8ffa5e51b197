"""An S3 server of its own, which can be frozen and killed, with one versioned bucket."""

import signal
import subprocess
import sys
from typing import Any

import boto3
import requests
from botocore.config import Config

from tests.faults.waiting import until
from tests.ports import free_port

REGION = "eu-west-1"
BUCKET = "recordings"


class BucketServer:
    """moto's server in a process."""

    def __init__(self, *, object_lock: bool = False) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until("the S3 server answers", self._answers)
        self.client = self.new_client()
        place = {"LocationConstraint": REGION}
        self.client.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration=place, ObjectLockEnabledForBucket=object_lock
        )
        self.client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})

    def new_client(self, *, patience_seconds: float = 30) -> Any:
        """A client that waits for so long and asks once."""
        return boto3.client(
            "s3",
            endpoint_url=self.address,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(
                connect_timeout=patience_seconds, read_timeout=patience_seconds, retries={"total_max_attempts": 1}
            ),
        )

    def freeze(self) -> None:
        """It takes requests and answers none."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._process.send_signal(signal.SIGCONT)

    def remove_bucket(self) -> None:
        """The bucket and all in it are gone."""
        for version in self.client.list_object_versions(Bucket=BUCKET).get("Versions", []):
            self.client.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])
        self.client.delete_bucket(Bucket=BUCKET)

    def stop(self) -> None:
        """It is gone."""
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.address}/moto-api/data.json", timeout=5).ok
        except requests.RequestException:
            return False
