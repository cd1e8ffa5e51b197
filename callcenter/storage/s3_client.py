"""boto3's client as we use it: how long it waits, how often it asks."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 20
ATTEMPTS = 3


def new_client(endpoint_url: str | None, region: str | None, *, attempts: int = ATTEMPTS) -> "S3Client":
    """A client that asks at most ``attempts`` times; None leaves address and region to boto3's own settings. Two
    threads may not make one at once (boto3's rule)."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=region,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            retries={"total_max_attempts": attempts, "mode": "standard"},
        ),
    )
