"""Twilio's webhook signature, written from its description and not with the library (twilio-voice.md §1)."""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit


def signed_url(url: str) -> str:
    """The URL as it is signed: no fragment, no credentials; an https port is dropped, an http port is kept."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme == "https" and parts.port is not None:
        host = host[: host.rindex(":")]
    return urlunsplit((parts.scheme, host, parts.path, parts.query, ""))


def signature(auth_token: str, url: str, fields: Iterable[tuple[str, str]] = ()) -> str:
    """Value of X-Twilio-Signature for a form post with these fields, or for a GET without any."""
    text = signed_url(url) + "".join(name + value for name, value in sorted(fields))
    digest = hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()
