"""Whether a request to the door was signed by the carrier (S1 to S3, twilio-voice §1)."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlparse

from twilio.request_validator import RequestValidator

SIGNATURE_HEADER = "X-Twilio-Signature"


class SignatureCheck:
    """Compares signatures with every accepted secret: two during a rotation (F14).

    ``public_base_url`` is the configured address that the carrier signs for; what a request says about its own host
    is never looked at. Raises ValueError without a secret.
    """

    def __init__(self, public_base_url: str, secrets: Sequence[str]) -> None:
        if not secrets or not all(secrets):
            raise ValueError("The door needs at least one auth token and accepts no empty one.")
        self._base = public_base_url
        self._validators = [RequestValidator(secret) for secret in secrets]

    def accepts(self, raw_target: str, form: Mapping[str, str], header: str | None) -> bool:
        """Whether the header is right for this request.

        ``raw_target`` is the path and query exactly as they were sent, escapes and all; ``form`` is the framework's own
        multi-dict with every field received, blanks and repeats included. A missing or garbled header and a target
        that is not a plain path answer False. The library would not check the body of a request with ``bodySHA256``,
        so those are refused.
        """
        target = raw_target.partition("#")[0]
        if not target.startswith("/") or not header or "bodySHA256" in target:
            return False
        if urlparse(target).geturl() != target.removesuffix("?"):
            return False  # the library would leave out an empty ``;`` before it compares
        # All secrets are tried every time, so that the time taken does not tell which one is in use.
        answers = [validator.validate(self._base + target, form, header) for validator in self._validators]
        return any(answers)
