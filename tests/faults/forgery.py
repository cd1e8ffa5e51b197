"""Requests to the door that somebody tampered with after they had been signed, and what is signed in each of them.

``Forger`` takes genuine requests and changes one to three things; ``Request.signed_text`` says, independently of the
product, which text the carrier's signature covers, so that a test can tell a forgery from another spelling of the same.
"""

import base64
import hmac
import random
import string
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha1, sha256
from urllib.parse import parse_qsl, quote, quote_plus

from tests.webhooks.door import BASE, TOKEN

FORM = "application/x-www-form-urlencoded"
SIGNATURE = "X-Twilio-Signature"
Pairs = tuple[tuple[str, str], ...]


def plain(pairs: Pairs) -> bytes:
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs).encode()


@dataclass(frozen=True)
class Request:
    """A request as it goes over the wire."""

    target: str
    pairs: Pairs
    signature: str
    method: str = "POST"
    content_type: str = FORM
    headers: tuple[tuple[str, str], ...] = ()
    base: str = BASE
    encode: Callable[[Pairs], bytes] = plain

    @property
    def body(self) -> bytes:
        return self.encode(self.pairs)

    @property
    def sent_pairs(self) -> Pairs:
        """The parameters as a reader of forms finds them in the body; none when it is no form."""
        if self.content_type.split(";")[0].strip().lower() != FORM:
            return ()
        text = self.body.decode("utf-8", "replace")
        return tuple(parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="replace"))

    def signed_text(self) -> str:
        """What the carrier signs (twilio-voice §1.1): address without fragment or empty query, then each distinct pair
        in order."""
        pairs = sorted(set(self.sent_pairs))
        return self.base + self.target.split("#")[0].removesuffix("?") + "".join(name + value for name, value in pairs)

    def is_signed_with(self, token: str) -> bool:
        """Whether the signature is the right one for this very request."""
        return self.signature == sign(self.signed_text(), token)

    def says_the_same_as(self, other: "Request") -> bool:
        """Whether a reader who looks at method, address, form and signature sees no difference."""
        return self._said() == other._said()

    def _said(self) -> tuple[str, str, Pairs, str]:
        target = self.target.split("#")[0].removesuffix("?")
        return self.method, target, tuple(sorted(self.sent_pairs)), self.signature


def sign(text: str, token: str) -> str:
    return base64.b64encode(hmac.new(token.encode(), text.encode("utf-8", "surrogatepass"), sha1).digest()).decode()


def genuine(target: str, fields: dict[str, str], token: str = TOKEN, base: str = BASE) -> Request:
    """A request as the carrier sends it."""
    unsigned = Request(target, tuple(fields.items()), "", base=base)
    return replace(unsigned, signature=sign(unsigned.signed_text(), token))


ODD = ["\r\n", "e\u0301", "%00", *"\x00é\u2028\u202e\ufeff\U0001f600+ &=;\x7f"]
METHODS = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "post"]
CONTENT_TYPES = [
    "application/json",
    "text/plain",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "application/x-www-form-urlencoded; charset=utf-16",
    "application/x-www-form-urlencoded; charset=utf-7",
    "application/x-www-form-urlencoded;charset=iso-8859-1",
    "APPLICATION/X-WWW-FORM-URLENCODED",
    "application/x-www-form-urlencoded, application/json",
    "application/x-www-form-urlencodedx",
    "x",
    "",
]
LYING_HEADERS = [
    ("Host", "evil.example"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Port", "8443"),
    ("X-Original-URL", "/webhooks/voice/incoming"),
    ("X-Rewrite-URL", "/webhooks/voice/incoming"),
    ("X-HTTP-Method-Override", "GET"),
    ("Content-Encoding", "gzip"),
    ("X-Twilio-Webhooks-Signature-Settings", "key=x,algorithm=HMAC_SHA256"),
    ("X-Home-Region", "us1"),
]


class Forger:
    """Changes genuine requests; the same seed makes the same forgeries."""

    def __init__(self, genuine_requests: list[Request], seed: int) -> None:
        self.genuine = genuine_requests
        self.random = random.Random(seed)

    def forge(self) -> tuple[Request, Request]:
        """A genuine request and what became of it."""
        original = self.random.choice(self.genuine)
        changed = original
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            changed = self.random.choice(CHANGES)(self, changed)
        return original, changed

    # the address

    def target_character(self, one: Request) -> Request:
        at = self.random.randrange(1, len(one.target) + 1)
        added = self.random.choice([*string.ascii_lowercase, *"/.;?&=%~", "%2e", "%2f", "%00", "\\", "//", "/../"])
        return replace(one, target=one.target[:at] + added + one.target[at + self.random.randrange(2) :])

    def target_case(self, one: Request) -> Request:
        at = self.random.randrange(len(one.target))
        return replace(one, target=one.target[:at] + one.target[at].swapcase() + one.target[at + 1 :])

    def target_escaped(self, one: Request) -> Request:
        at = self.random.randrange(1, len(one.target))
        return replace(one, target=f"{one.target[:at]}%{ord(one.target[at]):02x}{one.target[at + 1 :]}")

    def target_query(self, one: Request) -> Request:
        name, value = self.random.choice([*one.pairs, ("bodySHA256", sha256(one.body).hexdigest()), ("x", "")])
        joint = "&" if "?" in one.target else "?"
        return replace(one, target=f"{one.target}{joint}{quote(name)}={quote(value)}")

    def target_of_another(self, one: Request) -> Request:
        return replace(one, target=self.random.choice(self.genuine).target)

    def target_with_host(self, one: Request) -> Request:
        base = self.random.choice([one.base, f"{one.base}:443", "http://evil.example", "//door.example.org"])
        return replace(one, target=base + one.target)

    def target_fragment(self, one: Request) -> Request:
        return replace(one, target=f"{one.target}#{self.random.choice(['', 'x', '/../status', '?To=x'])}")

    # the parameters

    def value(self, one: Request) -> Request:
        at = self.random.randrange(len(one.pairs))
        name, value = one.pairs[at]
        cut = self.random.randrange(len(value) + 1)
        added = self.random.choice([*ODD, *string.digits, "A", "z"])
        return self._with(one, at, (name, value[:cut] + added + value[cut + self.random.randrange(2) :]))

    def name(self, one: Request) -> Request:
        at = self.random.randrange(len(one.pairs))
        name, value = one.pairs[at]
        changed = self.random.choice([name.lower(), name.swapcase(), f" {name}", f"{name}\x00", f"{name}[]"])
        return self._with(one, at, (changed, value))

    def border_inside(self, one: Request) -> Request:
        """The border between a name and its value moves; what is signed stays as it is."""
        at = self.random.randrange(len(one.pairs))
        text, cut = "".join(one.pairs[at]), len(one.pairs[at][0]) + self.random.randint(-4, 4)
        return self._with(one, at, (text[:cut], text[cut:]))

    def border_between(self, one: Request) -> Request:
        """The border between a value and the next name moves, in the order in which they are signed."""
        pairs = sorted(one.pairs)
        at = self.random.randrange(len(pairs) - 1)
        (name, value), (next_name, next_value) = pairs[at : at + 2]
        text, cut = value + next_name, len(value) + self.random.randint(-6, 6)
        pairs[at : at + 2] = [(name, text[: max(cut, 0)]), (text[max(cut, 0) :], next_value)]
        return replace(one, pairs=tuple(pairs))

    def merged(self, one: Request) -> Request:
        pairs = sorted(one.pairs)
        at = self.random.randrange(len(pairs) - 1)
        (name, value), rest = pairs[at], "".join(pairs[at + 1])
        return replace(one, pairs=(*pairs[:at], (name, value + rest), *pairs[at + 2 :]))

    def repeated(self, one: Request) -> Request:
        name, value = self.random.choice(one.pairs)
        again = (name, self.random.choice([value, value, value + "0", ""]))
        return replace(one, pairs=self.random.choice([(*one.pairs, again), (again, *one.pairs)]))

    def reordered(self, one: Request) -> Request:
        return replace(one, pairs=tuple(self.random.sample(one.pairs, len(one.pairs))))

    def dropped(self, one: Request) -> Request:
        at = self.random.randrange(len(one.pairs))
        return replace(one, pairs=one.pairs[:at] + one.pairs[at + 1 :] or (("x", ""),))

    def added(self, one: Request) -> Request:
        name = self.random.choice(["Digits", "CallStatus", "RecordingUrl", "AccountSid", "New", "", "_method", "\x00"])
        return replace(one, pairs=(*one.pairs, (name, self.random.choice(["", "9", "completed", "x"]))))

    def of_another(self, one: Request) -> Request:
        return replace(one, pairs=self.random.choice(self.genuine).pairs)

    # the body

    def body_spelling(self, one: Request) -> Request:
        spelling = self.random.choice([_every_letter_escaped, _with_semicolons, _utf_16, _latin_1, _with_tail, _empty])
        return replace(one, encode=spelling)

    def content_type(self, one: Request) -> Request:
        return replace(one, content_type=self.random.choice(CONTENT_TYPES))

    # the signature

    def signature_bit(self, one: Request) -> Request:
        try:
            raw = bytearray(base64.b64decode(one.signature) or bytes(20))
        except ValueError:  # misspelt by a change before
            raw = bytearray(20)
        raw[self.random.randrange(len(raw))] ^= 1 << self.random.randrange(8)
        return replace(one, signature=base64.b64encode(raw).decode())

    def signature_spelling(self, one: Request) -> Request:
        text = one.signature
        spellings = [text[:-1], text[1:], text + "=", text.rstrip("="), f'"{text}"', text.swapcase(), f"{text},{text}"]
        spellings += [f"{text}\x00", f"sha1={text}", text.replace("+", "-").replace("/", "_"), "", "=", "A" * 28]
        return replace(one, signature=self.random.choice(spellings))

    def signature_of_another(self, one: Request) -> Request:
        return replace(one, signature=self.random.choice(self.genuine).signature)

    def signature_elsewhere(self, one: Request) -> Request:
        """Signed rightly, with something that is no secret of ours."""
        token = self.random.choice(["", " ", "12345", "null", "AC" + "1" * 32, "a-token-that-only-the-tests-know "])
        return replace(one, signature=sign(one.signed_text(), token))

    def signature_sha256(self, one: Request) -> Request:
        digest = hmac.new(TOKEN.encode(), one.signed_text().encode("utf-8", "replace"), sha256)
        headers = (*one.headers, ("X-Twilio-Webhooks-Signature-Settings", "key=x,algorithm=HMAC_SHA256"))
        return replace(one, signature=base64.b64encode(digest.digest()).decode(), headers=headers)

    # the rest

    def method(self, one: Request) -> Request:
        return replace(one, method=self.random.choice(METHODS))

    def header(self, one: Request) -> Request:
        return replace(one, headers=(*one.headers, self.random.choice(LYING_HEADERS)))

    def _with(self, one: Request, at: int, pair: tuple[str, str]) -> Request:
        return replace(one, pairs=(*one.pairs[:at], pair, *one.pairs[at + 1 :]))


CHANGES: list[Callable[[Forger, Request], Request]] = [
    change for name, change in vars(Forger).items() if callable(change) and not name.startswith("_") and name != "forge"
]


def _every_letter_escaped(pairs: Pairs) -> bytes:
    def escaped(text: str) -> str:
        return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))

    return "&".join(f"{escaped(name)}={escaped(value)}" for name, value in pairs).encode()


def _with_semicolons(pairs: Pairs) -> bytes:
    return plain(pairs).replace(b"&", b";")


def _utf_16(pairs: Pairs) -> bytes:
    return plain(pairs).decode().encode("utf-16")


def _latin_1(pairs: Pairs) -> bytes:
    text = "&".join(f"{quote_plus(name, errors='replace')}={value}" for name, value in pairs)
    return text.encode("latin-1", "replace")


def _with_tail(pairs: Pairs) -> bytes:
    return plain(pairs) + b"&"


def _empty(_pairs: Pairs) -> bytes:
    return b""
