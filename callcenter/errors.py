"""The exception tree. The text of every error is one sentence that tells the reader what to do next."""

from collections.abc import Sequence


class CallcenterError(Exception):
    """Base of everything this product raises on purpose; ``code`` is stable and may be shown to API users."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class BadInput(CallcenterError):
    """What was asked cannot be done as it was written; nothing was changed."""

    code = "bad_input"


class NotFound(CallcenterError):
    """There is no such thing, or it belongs to somebody else: both look the same from outside."""

    code = "not_found"


class Conflict(CallcenterError):
    """The request is well formed but does not fit the present state, e.g. ``slot_taken`` or ``wrong_state``."""

    code = "conflict"


class Forbidden(CallcenterError):
    """The role does not allow this."""

    code = "forbidden"


class TooOften(CallcenterError):
    """Somebody asks for this more often than a person needs it (S36); again after ``retry_after_seconds``."""

    code = "too_many_requests"

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Gone(CallcenterError):
    """It existed and may no longer be served (P28)."""

    code = "gone"


class ConfigurationError(CallcenterError):
    """The settings cannot be used; lists every problem at once."""

    code = "configuration"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("Configuration cannot be used: " + "; ".join(problems))
        self.problems = list(problems)


class CarrierError(CallcenterError):
    """The carrier did not do what was asked. ``carrier_code`` is the carrier's own error number, if it gave one."""

    code = "carrier_error"

    def __init__(self, message: str, *, carrier_code: int | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.carrier_code = carrier_code
        self.status = status


class CarrierUnavailable(CarrierError):
    """Timeout, 429 or 5xx: worth another try after ``retry_after_seconds`` (or a backoff when None).

    ``maybe_done`` is True when the request may have taken effect (timeout, broken connection, 5xx): look before
    repeating.
    """

    code = "carrier_unavailable"

    def __init__(
        self,
        message: str,
        *,
        carrier_code: int | None = None,
        status: int | None = None,
        retry_after_seconds: float | None = None,
        maybe_done: bool = True,
    ) -> None:
        super().__init__(message, carrier_code=carrier_code, status=status)
        self.retry_after_seconds = retry_after_seconds
        self.maybe_done = maybe_done


class CarrierNotFound(CarrierError):
    """The carrier does not know it (404 with 20404), or what should be changed is over (21220).
    When deleting it is always the former, and success."""

    code = "carrier_not_found"


class CarrierRefused(CarrierError):
    """A final refusal (4xx): trying again will not help."""

    code = "carrier_refused"


class StoreError(CallcenterError):
    """The recording store did not do what was asked."""

    code = "store_error"


class StoreUnavailable(StoreError):
    """Timeout, throttling or 5xx: try again later."""

    code = "store_unavailable"


class StoreRefused(StoreError):
    """403, missing bucket, wrong region or locked object: never taken for "absent" (R6, F6, F9)."""

    code = "store_refused"


class ObjectMissing(StoreError):
    """There is no such object."""

    code = "object_missing"
