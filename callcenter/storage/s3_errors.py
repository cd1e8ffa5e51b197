"""S3's answers as the store's errors. What is not plainly "no such key" or "try again" is a refusal (R6, F6)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as NoConnection

from callcenter.errors import ObjectMissing, StoreError, StoreRefused, StoreUnavailable

MISSING = {"NoSuchKey", "NoSuchVersion", "NoSuchUpload", "404"}
"""HEAD has no body: its code is the status, and means "no such key" only after the bucket itself was found."""
WORTH_ANOTHER_TRY = {
    "BadDigest",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "ServiceUnavailable",
    "SlowDown",
    "ThrottlingException",
    "TooManyRequests",
    "XAmzContentChecksumMismatch",
}
_TOO_MANY_REQUESTS = 429
_SERVER_ERRORS = 500


class NothingInRange(StoreRefused):
    """The object ends before the range begins."""


@contextmanager
def mapped(*, of_bucket: bool = False) -> Iterator[None]:
    """Raises StoreRefused, StoreUnavailable or ObjectMissing for whatever the S3 client raises inside.

    ``of_bucket`` is for requests about the bucket itself: a missing one is never an object that is missing.
    """
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        answer = from_answer(error.response.get("Error", {}), status)
        if of_bucket and isinstance(answer, ObjectMissing):
            answer = StoreRefused("There is no such bucket; look at RECORDINGS_URL.")
        raise answer from None
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise StoreRefused("There are no credentials for the bucket; set AWS_ACCESS_KEY_ID and its secret.") from error
    except (NoConnection, HTTPClientError) as error:
        raise StoreUnavailable(f"The bucket cannot be reached ({type(error).__name__}).") from None
    except BotoCoreError as error:
        raise StoreRefused(f"The S3 client refuses this ({type(error).__name__}).") from None


def from_answer(error: Mapping[str, Any], status: int = 0) -> StoreError:
    """The error for an ``Error`` element, of a whole answer or of one key in a batch; only its code is quoted."""
    code = str(error.get("Code", "unknown"))
    if code in MISSING:
        return ObjectMissing("There is no such recording in the bucket.")
    if code == "InvalidRange":
        return NothingInRange("The recording ends before this range.")
    if code in WORTH_ANOTHER_TRY or status == _TOO_MANY_REQUESTS or status >= _SERVER_ERRORS:
        return StoreUnavailable(f"The bucket cannot do this now ({code}); try again.")
    return StoreRefused(f"The bucket refuses this ({code}); look at its name, region, rights and locks.")
