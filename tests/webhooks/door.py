"""The carrier's side of the door for tests: signed requests to an application that is really there."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urlencode, urlsplit

from flask import Flask
from sqlalchemy import Engine
from twilio.request_validator import RequestValidator
from werkzeug.test import TestResponse

from callcenter import config
from webhooks.app import create_app
from webhooks.door import Door

BASE = "https://door.example.org"
TOKEN = "a-token-that-only-the-tests-know"
ACCOUNT = "AC" + "1" * 32
CALLER = "CA" + "c" * 32
NUMBER = "+441632960001"
FORM = "application/x-www-form-urlencoded; charset=UTF-8"


def settings(state_dir: Path, **more: str) -> config.Settings:
    """Settings of a door that keeps its state in ``state_dir``."""
    environ = {
        "PUBLIC_BASE_URL": BASE,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "CALLCENTER_STATE_DIR": str(state_dir),
    }
    return config.load(environ | more, directory=state_dir)


class Carrier:
    """Posts to the door as the carrier would."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.door: Door = app.extensions["door"]
        self._client = app.test_client()

    @classmethod
    def to_new_door(cls, engine: Engine, state_dir: Path, **more: str) -> "Carrier":
        """A carrier in front of a new application on ``engine``."""
        return cls(create_app(settings(state_dir, **more), engine))

    def post(
        self, url: str, fields: Mapping[str, str] | None = None, *, token: str = TOKEN, **more: str
    ) -> TestResponse:
        """A signed post with the account, the caller's leg and ``fields``; ``url`` may be absolute, with a fragment."""
        return self.send(url, {"AccountSid": ACCOUNT, "CallSid": CALLER} | dict(fields or {}) | more, token=token)

    def send(self, url: str, form: Mapping[str, str], *, token: str = TOKEN, **request: Any) -> TestResponse:
        """A signed post of exactly this form."""
        target = target_of(url)
        signature = RequestValidator(token).compute_signature(BASE + target, form)
        return self.raw(target, urlencode(form), signature, **request)

    def raw(self, target: str, body: str | bytes, signature: str | None, **request: Any) -> TestResponse:
        """A request just as it is given."""
        headers = {"X-Twilio-Signature": signature} if signature is not None else {}
        options: dict[str, Any] = {"method": "POST", "content_type": FORM} | request
        return self._client.open(target, data=body, headers=headers | options.pop("headers", {}), **options)

    def rings(self, sid: str = CALLER, **more: str) -> TestResponse:
        """A caller dials the clinic's number."""
        ours = {"From": "+447700900123", "To": NUMBER, "CallStatus": "ringing", "Direction": "inbound"}
        return self.post("/webhooks/voice/incoming", ours | {"CallSid": sid} | more)


def target_of(url: str) -> str:
    """Path and query of an address that we gave out."""
    parts = urlsplit(urldefrag(url).url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def twiml(response: TestResponse) -> ElementTree.Element:
    """The document in a response, which must be one that the carrier can use."""
    assert response.status_code == 200, response.status
    assert response.content_type.startswith("text/xml")
    assert len(response.data) < 64 * 1024
    root = ElementTree.fromstring(response.data)
    assert root.tag == "Response"
    assert len(root)
    return root


def verbs(response: TestResponse) -> list[str]:
    """The verbs of a document in their order."""
    return [verb.tag for verb in twiml(response)]


def said(response: TestResponse) -> str:
    """Everything a document speaks, in one line."""
    return " ".join(say.text or "" for say in twiml(response).iter("Say"))


def only(root: ElementTree.Element, name: str) -> ElementTree.Element:
    """The only element of that name."""
    found = list(root.iter(name))
    assert len(found) == 1, f"{len(found)} × {name}"
    return found[0]
